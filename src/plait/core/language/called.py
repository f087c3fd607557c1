"""Texts that are a call of a function on an output, as programs and other engines write it:
`str(a.x)`, `concat('n=', a.x)`, `a.x.toString()`. Nothing in them would be filled in, or only a
reference of ours."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from .foreign import meaning
from .joined import OURS, listed
from .references import is_one

FUNCTION = (
    r"(?i:length|len|count|size|sum|min|max|avg|join|split|lines|upper|lower|trim|strip|first|last"
    r"|keys|values|sort|sorted|unique|reverse|reversed|round|abs|ceil|floor|int|float|str|string|bool"
    r"|json|tojson|to_json|fromjson|from_json|to_number|to_string|to_array|type|contains|starts_with"
    r"|ends_with|not_null|merge|map|filter|concat|format|add|subtract|multiply|divide|replace"
    r"|sort_by|max_by|min_by|json\.stringify|json\.parse|number|parseint|parsefloat)"
)
"""Functions of other languages, and ours."""
METHOD = (
    r"(?:toUpperCase|toLowerCase|trim|split|join|length|map|filter|slice|toString|strip|lower|upper"
    r"|get|keys|values|items|replace|first|last|toFixed|title|format)"
)
"""Methods of other languages."""
MAX_INSIDE = 1_000
"""Most characters between the brackets."""
_NAME = r"[A-Za-z_][\w-]{0,127}(?:\.[\w-]{1,127}){0,16}"
_CALL = re.compile(
    rf"\s{{0,9}}(?P<function>{FUNCTION}|(?i:tostring|json\.dumps|concatenate))"
    rf"\((?P<inside>[^()\n]{{1,{MAX_INSIDE}}})\)\s{{0,9}}"
)
_METHOD_CALL = re.compile(
    rf"\s{{0,9}}(?P<name>{_NAME}?)\.{METHOD}\([^()\n]{{0,{MAX_INSIDE}}}\)\s{{0,9}}"
)
_QUOTED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_OPERAND = re.compile(rf"{OURS}|(?<![\w.$-]){_NAME}")
_OF_OURS = {
    **dict.fromkeys(("str", "string", "tostring"), "to_string"),
    "len": "length",
}
"""The function of ours that does just what one of other languages does."""
_JOINING = frozenset({"concat", "concatenate"})


class Called(NamedTuple):
    """A text that is a call on an output; `fixed` is the text that means the same, None if that is
    unclear."""

    fixed: str | None


def called(text: str, ids: Collection[str], *, items: bool) -> Called | None:
    """Read the whole of *text* as a call of a function on an output of the tasks *ids*, or on an
    item if there are *items*; None if it is anything else."""
    if (method := _METHOD_CALL.fullmatch(text)) is not None:
        return (
            None if _part_of_an_output(method["name"], ids, items=items) is None else Called(None)
        )
    if (call := _CALL.fullmatch(text)) is None:
        return None
    function, inside = call["function"], call["inside"].strip()
    operands = _OPERAND.findall(_QUOTED.sub("", inside))
    if all(_part_of_an_output(one, ids, items=items) is None for one in operands):
        return None
    if function.casefold() in _JOINING:
        parts = listed(inside, ids, items=items)
        return Called(None if parts is None else parts.fixed)
    return Called(_alone(function, inside, ids, items=items))


def _alone(function: str, inside: str, ids: Collection[str], *, items: bool) -> str | None:
    """Write *function*, called on the one operand *inside*, behind a bar; None if it is not one of
    ours, or there is more inside."""
    from ..expressions.functions import FUNCTIONS

    ours = _OF_OURS.get(function.casefold(), function)
    meant = _part_of_an_output(inside, ids, items=items) if _OPERAND.fullmatch(inside) else None
    if meant is None or ours not in FUNCTIONS:
        return None
    fixed = f"${{{meant[1:]} | {ours}(@)}}"
    return fixed if is_one(fixed) else None


def _part_of_an_output(name: str, ids: Collection[str], *, items: bool) -> str | None:
    """Return the reference that *name* is or means. A task alone does not count: its id may be any
    word."""
    if name.startswith("$"):
        return name if items or not name.startswith(("$ITEM", "$INDEX")) else None
    meant = meaning(name, ids, items=items)
    return None if meant is None or meant.endswith("]") or meant == "$ITEM" else meant
