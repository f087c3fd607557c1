"""The functions of expressions: one table of signatures, for the evaluation and for the reading
before a run.

A null where a function wants a text, a number, a list or an object makes the result null: a missing
field in one of a hundred elements loses neither the other ninety-nine nor the call that was made.
Anything else of a wrong type is an error. Nulls in a list are left out by `sum`, `avg`, `min`,
`max` and `join`, and go last in `sort` and `sort_by`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from ...errors import ExpressionFailed
from .budget import CHARS_PER_UNIT, Budget, equal, is_number, to_text

KeyOf: TypeAlias = Callable[[Any], Any]
"""Gives the key of an element: `&name`."""
MAX_BITS = 4_000
"""Most bits of a sum."""

TEXT, NUMBER, LIST, OBJECT, ANY, EXPRESSION = (
    "text", "number", "list", "object", "any", "&expression",
)  # fmt: skip
COUNTED = "text, list or object"
TEXT_OR_LIST = "text or list"
ORDERED = "list of numbers or of texts"
DESCRIBED = {
    TEXT: "a text",
    NUMBER: "a number",
    LIST: "a list",
    OBJECT: "an object",
    COUNTED: "a text, a list or an object",
    TEXT_OR_LIST: "a text or a list",
    ORDERED: "a list",
}
_TYPES: dict[str, tuple[type, ...]] = {
    TEXT: (str,),
    NUMBER: (int, float),
    LIST: (list,),
    OBJECT: (dict,),
    COUNTED: (str, list, dict),
    TEXT_OR_LIST: (str, list),
    ORDERED: (list,),
}
_NUMBER = re.compile(r"[-+]?[0-9]+(?P<fraction>(\.[0-9]*)?([eE][-+]?[0-9]+)?)")


class Unfit(Exception):
    """An argument is of the right type, but its elements are not."""


class Function(NamedTuple):
    """A function: how it is called, what it takes and what it gives."""

    call: Callable[..., Any]
    wants: tuple[str, ...]
    """The kinds of its arguments."""
    gives: str
    """The kind of its result, as `results.py` understands it."""
    repeats: bool = False
    """Whether more arguments of the last kind may follow."""

    @property
    def signature(self) -> str:
        return f"({', '.join(self.wants)}{', …' if self.repeats else ''})"

    def takes(self, count: int) -> bool:
        return count >= len(self.wants) if self.repeats else count == len(self.wants)

    def wanted(self, number: int) -> str:
        return self.wants[min(number, len(self.wants) - 1)]


def kind_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
    return "object"


def call(name: str, budget: Budget, arguments: list[Any], position: int) -> Any:
    """Call the function *name*, which stands at *position*. Raises `ExpressionFailed`."""
    function = FUNCTIONS[name]
    for number, argument in enumerate(arguments):
        types = _TYPES.get(wanted := function.wanted(number))
        if types is None:
            continue
        if argument is None:
            return None
        if type(argument) not in types:
            wish = f"wants {DESCRIBED[wanted]}, not {_a(argument)}"
            raise ExpressionFailed(f"{name}() {wish} (at character {position + 1})")
    try:
        return function.call(budget, *arguments)
    except Unfit as error:
        raise ExpressionFailed(f"{name}() {error} (at character {position + 1})") from None


def _a(value: Any) -> str:
    kind = kind_of(value)
    return kind if kind == "null" else f"an {kind}" if kind == "object" else f"a {kind}"


def _numbers(budget: Budget, items: list[Any]) -> list[Any]:
    budget.spend(len(items))
    numbers = [item for item in items if item is not None]
    for item in numbers:
        if not is_number(item):
            raise Unfit(f"wants numbers; the list holds {_a(item)}")
    return numbers


def _total(numbers: list[Any]) -> Any:
    try:
        total = sum(numbers)
    except OverflowError:
        raise Unfit("gives too large a number") from None
    is_large = total.bit_length() > MAX_BITS if type(total) is int else not math.isfinite(total)
    if is_large:
        raise Unfit("gives too large a number")
    return total


def _sum(budget: Budget, items: list[Any]) -> Any:
    return _total(_numbers(budget, items))


def _avg(budget: Budget, items: list[Any]) -> Any:
    if not (numbers := _numbers(budget, items)):
        return None
    total, count = _total(numbers), len(numbers)
    return total // count if type(total) is int and total % count == 0 else total / count


def _to_number(budget: Budget, value: Any) -> Any:
    if type(value) is not str:
        return value if is_number(value) else None
    text = value.strip() if len(value) <= 1_000 else ""
    if (found := _NUMBER.fullmatch(text)) is None:
        return None
    number = float(text) if found["fraction"] else int(text)
    return number if math.isfinite(number) else None


def _lines(budget: Budget, text: str) -> Any:
    budget.make(text.count("\n") + len(text) // CHARS_PER_UNIT)
    return [line for line in text.splitlines() if line.strip()]


def _split(budget: Budget, text: str, separator: str) -> Any:
    pieces = text.count(separator) if separator else len(text)
    budget.make(pieces + len(text) // CHARS_PER_UNIT)
    return text.split(separator) if separator else list(text)


def _join(budget: Budget, glue: str, items: list[Any]) -> Any:
    texts = []
    for item in items:
        if isinstance(item, list | dict):
            raise Unfit(f"wants texts, numbers or booleans; the list holds {_a(item)}")
        if item is not None:
            texts.append(to_text(item, budget))
    chars = sum(map(len, texts)) + len(glue) * max(len(texts) - 1, 0)
    budget.make(len(items) + chars // CHARS_PER_UNIT)
    return glue.join(texts)


def _contains(budget: Budget, whole: Any, part: Any) -> Any:
    if type(whole) is str:
        budget.spend(len(whole) // CHARS_PER_UNIT)
        return type(part) is str and part in whole
    budget.spend(len(whole))
    return any(equal(item, part, budget) for item in whole)


def _ordered(items: list[Any], keys: list[Any]) -> list[tuple[Any, Any]]:
    """Return each item with its key, except those whose key is null."""
    pairs = [(key, item) for key, item in zip(keys, items, strict=True) if key is not None]
    kinds = {kind_of(key) for key, _ in pairs}
    if kinds - {"number"} and kinds - {"text"}:
        raise Unfit(f"wants only numbers or only texts, not {' and '.join(sorted(kinds))}")
    return pairs


def _sorted(budget: Budget, items: list[Any], keys: list[Any]) -> Any:
    budget.make(len(items))
    budget.spend(len(items) * len(items).bit_length())
    pairs = sorted(_ordered(items, keys), key=lambda pair: pair[0])
    without_key = [item for key, item in zip(keys, items, strict=True) if key is None]
    return [item for _, item in pairs] + without_key


def _sort(budget: Budget, items: list[Any]) -> Any:
    return _sorted(budget, items, items)


def _sort_by(budget: Budget, items: list[Any], key: KeyOf) -> Any:
    return _sorted(budget, items, [key(item) for item in items])


def _best(choose: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def by(budget: Budget, items: list[Any], key: KeyOf) -> Any:
        pairs = _ordered(items, [key(item) for item in items])
        return choose(pairs, key=lambda pair: pair[0])[1] if pairs else None

    def plain(budget: Budget, items: list[Any]) -> Any:
        budget.spend(len(items))
        return by(budget, items, lambda item: item)

    return plain, by


_max, _max_by = _best(max)
_min, _min_by = _best(min)


def _map(budget: Budget, key: KeyOf, items: list[Any]) -> Any:
    budget.make(len(items))
    return [key(item) for item in items]


def _merge(budget: Budget, *objects: dict[str, Any]) -> Any:
    made: dict[str, Any] = {}
    for value in objects:
        budget.make(len(value))
        made.update(value)
    return made


def _keys(budget: Budget, value: dict[str, Any]) -> Any:
    budget.make(len(value))
    return list(value)


def _values(budget: Budget, value: dict[str, Any]) -> Any:
    budget.make(len(value))
    return list(value.values())


def _reverse(budget: Budget, value: Any) -> Any:
    budget.make(len(value) if type(value) is list else 1 + len(value) // CHARS_PER_UNIT)
    return value[::-1]


def _type(budget: Budget, value: Any) -> Any:
    kind = kind_of(value)
    return {"text": "string", "list": "array"}.get(kind, kind)


FUNCTIONS: dict[str, Function] = {
    "abs": Function(lambda _, number: abs(number), (NUMBER,), "same"),
    "avg": Function(_avg, (LIST,), "number or null"),
    "ceil": Function(lambda _, number: math.ceil(number), (NUMBER,), "integer"),
    "contains": Function(_contains, (TEXT_OR_LIST, ANY), "boolean"),
    "ends_with": Function(lambda _, text, end: text.endswith(end), (TEXT, TEXT), "boolean"),
    "floor": Function(lambda _, number: math.floor(number), (NUMBER,), "integer"),
    "join": Function(_join, (TEXT, LIST), "text"),
    "keys": Function(_keys, (OBJECT,), "list of texts"),
    "length": Function(lambda _, value: len(value), (COUNTED,), "integer"),
    "lines": Function(_lines, (TEXT,), "list of texts"),
    "map": Function(_map, (EXPRESSION, LIST), "list of mapped"),
    "max": Function(_max, (ORDERED,), "element or null"),
    "max_by": Function(_max_by, (LIST, EXPRESSION), "element or null"),
    "merge": Function(_merge, (OBJECT,), "merged", repeats=True),
    "min": Function(_min, (ORDERED,), "element or null"),
    "min_by": Function(_min_by, (LIST, EXPRESSION), "element or null"),
    "not_null": Function(
        lambda _, *values: next((value for value in values if value is not None), None),
        (ANY,),
        "either",
        repeats=True,
    ),
    "reverse": Function(_reverse, (TEXT_OR_LIST,), "same"),
    "sort": Function(_sort, (ORDERED,), "same"),
    "sort_by": Function(_sort_by, (LIST, EXPRESSION), "same"),
    "split": Function(_split, (TEXT, TEXT), "list of texts"),
    "starts_with": Function(lambda _, text, start: text.startswith(start), (TEXT, TEXT), "boolean"),
    "sum": Function(_sum, (LIST,), "sum"),
    "to_array": Function(
        lambda _, value: value if type(value) is list else [value], (ANY,), "list"
    ),
    "to_number": Function(_to_number, (ANY,), "number or null"),
    "to_string": Function(lambda budget, value: to_text(value, budget), (ANY,), "text"),
    "type": Function(_type, (ANY,), "text"),
    "values": Function(_values, (OBJECT,), "list of members"),
}

OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "average": ("avg",),
    "concat": ("join",),
    "count": ("length",),
    "entries": ("keys", "values"),
    "float": ("to_number",),
    "int": ("to_number",),
    "items": ("keys", "values"),
    "len": ("length",),
    "number": ("to_number",),
    "size": ("length",),
    "str": ("to_string",),
    "string": ("to_string",),
    "to_entries": ("keys", "values"),
    "to_json": ("to_string",),
    "total": ("sum",),
}
"""Names of functions in other languages, each with ours that may be meant."""
