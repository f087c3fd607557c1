"""The functions of numbers. Whole numbers stay integers, of any size up to a limit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from .budget import Budget, is_number
from .signatures import LIST, NUMBER, Function, Unfit, with_article

MAX_BITS = 4_000
"""Most bits of a whole number that is made."""
MAX_DIGITS = 15
"""Most digits that `round` keeps behind the point, or makes zero before it."""
_BITS_PER_UNIT = 512
_EXACT = Context(prec=60)
"""More digits than a float below 2**53 has, with `MAX_DIGITS` behind the point."""
_NUMBER = re.compile(r"[-+]?[0-9]+(?P<fraction>(\.[0-9]*)?([eE][-+]?[0-9]+)?)")


def _made(budget: Budget, number: Any) -> Any:
    """Return *number*, a result. Raises `Unfit` if it is too large to be sent."""
    budget.make(1 + (number.bit_length() // _BITS_PER_UNIT if type(number) is int else 0))
    is_large = number.bit_length() > MAX_BITS if type(number) is int else not math.isfinite(number)
    if is_large:
        raise Unfit("gives too large a number")
    return number


def _of_two(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def call(budget: Budget, one: Any, other: Any) -> Any:
        try:
            return _made(budget, operation(one, other))
        except OverflowError:
            raise Unfit("gives too large a number") from None

    return call


def _quotient(one: Any, other: Any) -> Any:
    are_whole = type(one) is int and type(other) is int
    return one // other if are_whole and one % other == 0 else one / other


_divided = _of_two(_quotient)


def _divide(budget: Budget, one: Any, other: Any) -> Any:
    return None if other == 0 else _divided(budget, one, other)


def _round(budget: Budget, number: Any, digits: Any = 0) -> Any:
    if type(digits) is not int or abs(digits) > MAX_DIGITS:
        raise Unfit(f"wants a whole number of digits from -{MAX_DIGITS} to {MAX_DIGITS}")
    if type(number) is float and abs(number) < 2**53:
        step = Decimal(1).scaleb(-digits)
        rounded = Decimal(repr(number)).quantize(step, ROUND_HALF_UP, _EXACT)
        return float(rounded) if digits > 0 else int(rounded)
    if digits > 0:
        return number
    whole, step = int(number), 10**-digits  # a float of that size is whole
    quotient, rest = divmod(abs(whole), step)
    return (quotient + (2 * rest >= step)) * step * (-1 if whole < 0 else 1)


def _numbers(budget: Budget, items: list[Any]) -> list[Any]:
    budget.spend(len(items))
    numbers = [item for item in items if item is not None]
    for item in numbers:
        if not is_number(item):
            raise Unfit(f"wants numbers; the list holds {with_article(item)}")
    return numbers


def _total(budget: Budget, numbers: list[Any]) -> Any:
    try:
        return _made(budget, sum(numbers))
    except OverflowError:
        raise Unfit("gives too large a number") from None


def _sum(budget: Budget, items: list[Any]) -> Any:
    return _total(budget, _numbers(budget, items))


def _avg(budget: Budget, items: list[Any]) -> Any:
    numbers = _numbers(budget, items)
    return _divide(budget, _total(budget, numbers), len(numbers))


def _to_number(budget: Budget, value: Any) -> Any:
    if type(value) is not str:
        return value if is_number(value) else None
    text = value.strip() if len(value) <= 1_000 else ""
    if (found := _NUMBER.fullmatch(text)) is None:
        return None
    number = float(text) if found["fraction"] else int(text)
    return number if math.isfinite(number) else None


NUMBER_FUNCTIONS: dict[str, Function] = {
    "abs": Function(lambda _, number: abs(number), (NUMBER,), "same"),
    "add": Function(_of_two(lambda one, other: one + other), (NUMBER, NUMBER), "number"),
    "avg": Function(_avg, (LIST,), "number or null"),
    "ceil": Function(lambda _, number: math.ceil(number), (NUMBER,), "integer"),
    "divide": Function(_divide, (NUMBER, NUMBER), "quotient"),
    "floor": Function(lambda _, number: math.floor(number), (NUMBER,), "integer"),
    "multiply": Function(_of_two(lambda one, other: one * other), (NUMBER, NUMBER), "number"),
    "round": Function(_round, (NUMBER, NUMBER), "rounded", optional=1),
    "subtract": Function(_of_two(lambda one, other: one - other), (NUMBER, NUMBER), "number"),
    "sum": Function(_sum, (LIST,), "sum"),
    "to_number": Function(_to_number, ("any",), "number or null"),
}
