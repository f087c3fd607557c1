"""The signatures of functions: the kinds of what they take and give, and how arguments are
checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

KeyOf: TypeAlias = Callable[[Any], Any]
"""Gives the key of an element: `&name`."""

TEXT, PATTERN, NUMBER, LIST, OBJECT, ANY, EXPRESSION = (
    "text", "regex", "number", "list", "object", "any", "&expression",
)  # fmt: skip
COUNTED = "text, list or object"
TEXT_OR_LIST = "text or list"
ORDERED = "list of numbers or of texts"
DESCRIBED = {
    TEXT: "a text",
    PATTERN: "a text",
    NUMBER: "a number",
    LIST: "a list",
    OBJECT: "an object",
    COUNTED: "a text, a list or an object",
    TEXT_OR_LIST: "a text or a list",
    ORDERED: "a list",
}
TYPES: dict[str, tuple[type, ...]] = {
    TEXT: (str,),
    PATTERN: (str,),
    NUMBER: (int, float),
    LIST: (list,),
    OBJECT: (dict,),
    COUNTED: (str, list, dict),
    TEXT_OR_LIST: (str, list),
    ORDERED: (list,),
}
"""The types of values that are of a kind; any value is, where there are none."""


class Unfit(Exception):
    """An argument is of the right type, but its value or its elements are not."""


class Function(NamedTuple):
    """A function: how it is called, what it takes and what it gives."""

    call: Callable[..., Any]
    """Called with the budget, the arguments, and the start of the run if it `reads_start`."""
    wants: tuple[str, ...]
    """The kinds of its arguments."""
    gives: str
    """The kind of its result, as `results.py` understands it."""
    repeats: bool = False
    """Whether more arguments of the last kind may follow."""
    optional: int = 0
    """The number of last arguments that may be left out."""
    reads_start: bool = False

    @property
    def signature(self) -> str:
        needed = len(self.wants) - self.optional
        left_out = "".join(f"[, {kind}]" for kind in self.wants[needed:])
        return f"({', '.join(self.wants[:needed])}{left_out}{', …' if self.repeats else ''})"

    def takes(self, count: int) -> bool:
        most = count if self.repeats else len(self.wants)
        return len(self.wants) - self.optional <= count <= most

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


def with_article(value: Any) -> str:
    """Return the kind of *value* as a sentence has it: `a list`."""
    kind = kind_of(value)
    return kind if kind == "null" else f"an {kind}" if kind == "object" else f"a {kind}"
