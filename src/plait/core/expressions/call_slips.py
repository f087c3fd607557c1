"""Slips in calls: functions that take their arguments otherwise in other languages."""

from __future__ import annotations

import re

from .function_names import bare, meant_by
from .functions import FUNCTIONS
from .loose import Loose, Rule, arrow_of
from .piped import value_place
from .problems import Finding
from .signatures import EXPRESSION

_JOINS = ("concat", "concatenate", "strcat")
_OF_LISTS = ("min", "max", "sum", "avg")
_KEY = re.compile(r"'?(?P<name>[^\W\d]\w*)'?")
_ENDS = {"first": "[0]", "last": "[-1]"}


def _call(loose: Loose, at: int) -> Finding | None:
    """Find `concat(a, b)`, `first(a)`, `min(a, b)`, `sort(a, &b)`, `a | sort_by(&b)` and
    `a | default('b')`."""
    written = loose.tokens[at].text
    name = bare(written)
    has_other = name in (*_JOINS, *_ENDS, *_OF_LISTS) or f"{name}_by" in FUNCTIONS
    ours = (written,) if written in FUNCTIONS else meant_by(written)
    is_piped = len(ours) == 1 and loose.kind(at - 1) in ("|", "end")
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
    elif is_piped and name not in _JOINS and (at > 0 or all(map(_is_constant, items))):
        right = _for_the_value(ours[0], written, items)
    if right is None:
        return None
    is_ours = written in FUNCTIONS
    message = f"{written}() takes other arguments" if is_ours else f"unknown function {written}"
    return loose.found(at, message, loose.replaced(at, end, right))


def _for_the_value(ours: str, written: str, items: list[str]) -> str | None:
    """Add the value to a call of *ours*, which is *written* with *items* alone, as languages do
    that add it by themselves; None if it needs no more."""
    function = FUNCTIONS[ours]
    needs = function.takes(len(items) + 1) and not function.takes(len(items))
    is_default = written not in FUNCTIONS and function.repeats and len(items) == 1
    if "@" in items or not (is_default or (needs and not function.repeats)):
        return None
    given = list(items)
    given.insert(value_place(ours, len(items)), "@")
    for place, item in enumerate(given):
        if function.wanted(place) == EXPRESSION and (key := _KEY.fullmatch(item)) is not None:
            given[place] = f"&{key['name']}"
    return f"{ours}({', '.join(given)})"


def _is_constant(item: str) -> bool:
    return item[:1] in ("'", "`", "&") or item[:1].isdigit()


CALL_RULES: dict[str, tuple[Rule, ...]] = {"name": (_call,)}
