"""The functions of expressions: one table of signatures, for the evaluation and for the reading
before a run.

A null where a function wants a text, a number, a list or an object makes the result null: a missing
field in one of a hundred elements loses neither the other ninety-nine nor the call that was made.
Anything else of a wrong type is an error. Nulls in a list are left out by `sum`, `avg`, `min`,
`max` and `join`, and go last in `sort` and `sort_by`.
"""

from __future__ import annotations

from typing import Any

from ...errors import ExpressionFailed
from .budget import CHARS_PER_UNIT, Budget, equal
from .date_functions import DATE_FUNCTIONS
from .frame import Frame
from .list_functions import LIST_FUNCTIONS
from .number_functions import NUMBER_FUNCTIONS
from .signatures import (
    ANY,
    COUNTED,
    DESCRIBED,
    PATTERN,
    TEXT_OR_LIST,
    TYPES,
    Function,
    Unfit,
    kind_of,
    with_article,
)
from .text_functions import TEXT_FUNCTIONS


def call(name: str, frame: Frame, arguments: list[Any], position: int) -> Any:
    """Call the function *name*, which stands at *position*. Raises `ExpressionFailed`."""
    function = FUNCTIONS[name]
    for number, argument in enumerate(arguments):
        types = TYPES.get(wanted := function.wanted(number))
        if types is None:
            continue
        if argument is None:
            return None
        if type(argument) not in types:
            wish = f"wants {DESCRIBED[wanted]}, not {with_article(argument)}"
            raise ExpressionFailed(f"{name}() {wish} (at character {position + 1})")
    try:
        if PATTERN in function.wants:
            number = function.wants.index(PATTERN)
            arguments[number] = frame.pattern(arguments[number])
        if function.reads_start:
            arguments.append(frame.start)
        return function.call(frame.budget, *arguments)
    except Unfit as error:
        raise ExpressionFailed(f"{name}() {error} (at character {position + 1})") from None


def _contains(budget: Budget, whole: Any, part: Any) -> Any:
    if type(whole) is str:
        budget.spend(len(whole) // CHARS_PER_UNIT)
        return type(part) is str and part in whole
    budget.spend(len(whole))
    return any(equal(item, part, budget) for item in whole)


def _not_null(budget: Budget, *values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _reverse(budget: Budget, value: Any) -> Any:
    budget.make(len(value) if type(value) is list else 1 + len(value) // CHARS_PER_UNIT)
    return value[::-1]


def _type(budget: Budget, value: Any) -> Any:
    kind = kind_of(value)
    return {"text": "string", "list": "array"}.get(kind, kind)


_OF_SEVERAL_KINDS: dict[str, Function] = {
    "contains": Function(_contains, (TEXT_OR_LIST, ANY), "boolean"),
    "length": Function(lambda _, value: len(value), (COUNTED,), "integer"),
    "not_null": Function(_not_null, (ANY,), "either", repeats=True),
    "reverse": Function(_reverse, (TEXT_OR_LIST,), "same"),
    "type": Function(_type, (ANY,), "text"),
}
FUNCTIONS: dict[str, Function] = dict(
    sorted(
        {
            **TEXT_FUNCTIONS,
            **LIST_FUNCTIONS,
            **NUMBER_FUNCTIONS,
            **DATE_FUNCTIONS,
            **_OF_SEVERAL_KINDS,
        }.items()
    )
)
