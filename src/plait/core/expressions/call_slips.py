"""Slips in calls: functions that take their arguments otherwise in other languages."""

from __future__ import annotations

from .function_names import bare
from .functions import FUNCTIONS
from .loose import Loose, Rule, arrow_of
from .problems import Finding
from .signatures import EXPRESSION, LIST

_JOINS = ("concat", "concatenate", "strcat")
_OF_LISTS = ("min", "max", "sum", "avg")
_ENDS = {"first": "[0]", "last": "[-1]"}


def _call(loose: Loose, at: int) -> Finding | None:
    """Find `concat(a, b)`, `first(a)`, `min(a, b)`, `sort(a, &b)` and `a | sort_by(&b)`."""
    written = loose.tokens[at].text
    name = bare(written)
    has_other = name in (*_JOINS, *_ENDS, *_OF_LISTS) or f"{name}_by" in FUNCTIONS
    is_piped = loose.kind(at - 1) == "|" and written in FUNCTIONS
    is_call = loose.kind(at + 1) == "(" and at + 1 in loose.partners and loose.kind(at - 1) != "."
    if not is_call or not (has_other or is_piped):
        return None
    end = loose.partners[at + 1] + 1
    given = loose.items(at + 1)
    if any(arrow_of(loose, start) is not None for start, _ in given):
        return None
    items = [loose.value(*item) for item in given]
    has_key = bool(items) and items[-1].startswith("&")
    right = None
    if name in _JOINS and len(items) > 1:
        right = f"join('', [{', '.join(items)}])"
    elif name in _ENDS and len(items) == 1:
        is_path = all(part.isidentifier() for part in items[0].split("."))
        right = f"{items[0] if is_path else f'({items[0]})'}{_ENDS[name]}"
    elif name in _OF_LISTS and len(items) > 1 and not any(i.startswith("&") for i in items):
        right = f"{name}([{', '.join(items)}])"
    elif has_key and len(items) == 2 and f"{name}_by" in FUNCTIONS:
        right = f"{name}_by({', '.join(items)})"
    elif has_key and len(items) == 2 and name in _OF_LISTS:
        right = f"{name}(map({items[1]}, {items[0]}))"
    elif (
        is_piped and has_key and len(items) == 1 and FUNCTIONS[written].wants == (LIST, EXPRESSION)
    ):
        right = f"{written}(@, {items[0]})"
    if right is None:
        return None
    is_ours = written in FUNCTIONS
    message = f"{written}() takes other arguments" if is_ours else f"unknown function {written}"
    return loose.found(at, message, loose.replaced(at, end, right))


CALL_RULES: dict[str, tuple[Rule, ...]] = {"name": (_call,)}
