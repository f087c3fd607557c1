"""Names of members: those of a model in any spelling, found among all that were sent.

A name in another case (`dependsOn`), and another that the contract lists, are understood, each with
a note. A field of another engine and a misspelt name are problems, each with its fix; they are read
as if they were fixed, so that all else that is wrong is reported too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..values.problems import (
    REMOVE,
    Fix,
    Op,
    Problem,
    Problems,
    did_you_mean,
    nearest,
    slip_of,
    written,
)
from .deciding import decides, hint_for

_LABELS = frozenset(
    (
        *("name", "description", "comment", "comments", "note", "notes", "remark", "thought"),
        *("thoughts", "reason", "reasoning", "rationale", "explanation", "purpose", "goal", "why"),
        *("intent", "objective", "summary", "title", "label", "labels", "tags", "display_name"),
        *("icon", "color", "colour", "emoji", "author", "version", "schema_version", "metadata"),
        *("meta", "doc", "docs", "created_at", "updated_at", "link", "server"),
        *("server_name", "mcp_server", "server_id", "//", "_comment", "$comment", "_note"),
        # How long it waits before it tries again.
        *("backoff", "backoff_factor", "backoff_rate", "exponential", "jitter", "multiplier"),
        # Definitions: `definitions.py` sees to those that are used.
        *("vars", "variables", "inputs", "params", "register", "save_as", "store_as", "output_key"),
        *("output_var", "result_key", "result_var"),
    )
)
"""Names of fields that only say something to readers: what runs is the same without them. No other
unknown field is left out: it was meant to change what runs."""
_SAME: Mapping[str, frozenset[str]] = {
    "type": frozenset(
        ("tool", "tool_call", "tool_use", "task", "call", "function", "action", "mcp", "mcp_tool")
    ),
    "status": frozenset(("pending", "todo", "planned", "not_started", "ready", "new")),
}
"""Values of other fields that say what is so anyhow."""
_ALIKE = 0.85
"""How near a name has to be to that of the field that it is taken for."""
NAMES_OF_ITEMS = frozenset(
    (
        *("as", "item_name", "item_var", "item_as", "item_variable", "iterator", "loop_var"),
        *("loop_variable", "loop_control", "index_var", "index_name", "index_as"),
    )
)
"""Fields of other engines that name the item of a loop: texts use that name."""
_PROMISES = frozenset({"literal", "allow_repeat"})
"""Fields that switch a check off: a name that is only near to one is not taken for it."""
_OTHER_UNITS: Mapping[str, float] = {
    **dict.fromkeys(("_ms", "_msec", "_millis", "_milliseconds"), 0.001),
    "_min": 60,
    "_minutes": 60,
    "_hours": 3600,
}
"""Ends of names in other units, each in seconds: none of them is a slip of `_s`."""


class Stray(NamedTuple):
    """An unknown member of a task, which may be an argument of its tool."""

    value: Any
    read_as: str = ""
    """The field that it was taken for, so that the rest could be read."""


@dataclass(slots=True)
class Spelling:
    """The members of a task or a document in their usual spelling, with notes on what was
    changed, and problems with what was not."""

    members: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=Problems)
    strays: dict[str, Stray] = field(default_factory=dict)


def spelled(
    members: Mapping[str, Any],
    known: frozenset[str],
    understood: Mapping[str, str],
    foreign: Mapping[str, str],
    path: str,
    id: str | None,
    guesses: int,
) -> Spelling:
    """Rename *members* to their usual names. Known members that are null are left out."""
    spelling = Spelling(
        {
            name: value
            for name, value in members.items()
            if value is not None
            or name not in known
            or (name == "value" and members.get("tool") is None and members.get("tasks") is None)
        }
    )
    before = f"{path}: " if path else ""
    for name, value in members.items():
        if name in known:
            continue
        del spelling.members[name]
        snake = snake_case(name)
        usual = understood.get(name) or understood.get(snake) or snake
        if usual in known and usual not in spelling.members:
            spelling.members |= {} if value is None else {usual: value}
            spelling.notes += [] if value is None else [f'{before}"{name}" was read as {usual}']
            continue
        usual = usual if usual in known else foreign.get(name) or foreign.get(snake) or ""
        if usual in spelling.members:
            spelling.problems.append(_given_twice(name, usual, spelling, value, path, id))
            spelling.strays[name] = Stray(value)
            continue
        is_label = snake in _LABELS or snake in _SAME
        own = None if usual else hint_for(snake, value, known, members, is_label=is_label)
        may_guess = not usual and len(spelling.problems) < guesses and not is_label and own is None
        may_guess = may_guess and not snake.endswith((*_OTHER_UNITS,))
        near = nearest(name, known, 2, _ALIKE) if may_guess else []
        is_decision = decides(snake)
        near = [
            one
            for one in near
            if (not is_decision and one not in _PROMISES) or slip_of(name, [one])
        ]
        if len(near) == 1 and near[0] not in spelling.members:
            usual = near[0]
        doubtful = did_you_mean(name, known) if may_guess and not near else None
        hint, fix = _fixed_name(usual, near, doubtful, known)
        if own is not None:
            hint = own
        elif is_decision and not usual and "trigger_rule" in known:
            hint = f"What decides whether a task runs is written as when or trigger_rule. {hint}"
        elif not usual and (snake in _LABELS or value is None or _is_so_anyhow(snake, value)):
            hint, fix = REMOVE.advice, REMOVE
        if snake in NAMES_OF_ITEMS and not usual:
            hint = "The item is $ITEM, its number $INDEX: leave this out and write those."
            fix = None
        if not usual:
            hint = _in_seconds(snake, value, known) or hint
        message = f'Unknown field "{name[:80]}".'
        spelling.problems.append(
            Problem(_place(path, name), "unknown_field", message, hint, id, fix)
        )
        if usual and value is not None:
            spelling.members[usual] = value
        spelling.strays[name] = Stray(value, usual)
    return spelling


def _in_seconds(name: str, value: Any, known: frozenset[str]) -> str | None:
    """Return how a field is written whose *name* is one of *known* in another unit; None if it is
    no such name."""
    for end, factor in _OTHER_UNITS.items():
        if name.endswith(end) and (usual := f"{name.removesuffix(end)}_s") in known:
            if type(value) not in (int, float):
                return f"Write {usual}, in seconds."
            return f'Write "{usual}": {value * factor:g}, in seconds, in its place.'
    return None


def _is_so_anyhow(name: str, value: Any) -> bool:
    return isinstance(value, str) and snake_case(value.strip()) in _SAME.get(name, ())


def _fixed_name(
    usual: str, near: list[str], doubtful: str | None, known: frozenset[str]
) -> tuple[str, Fix | None]:
    """Return the hint and the fix for an unknown field that is *usual*, or is *near* to others."""
    if usual or near:
        return f'Did you mean "{usual or near[0]}"?', Fix(Op.RENAME, usual) if usual else None
    advice = doubtful or "Leave it out if nothing depends on it."
    return f"{advice} Fields: {', '.join(sorted(known))}.", None


def _given_twice(
    name: str, usual: str, spelling: Spelling, value: Any, path: str, id: str | None
) -> Problem:
    message = f'"{name[:80]}" is read as {usual}, which is given already.'
    fix = REMOVE if value is None or spelling.members[usual] == value else None
    return Problem(_place(path, name), "unknown_field", message, "Send only one of them.", id, fix)


def _place(path: str, name: str) -> str:
    return f"{path}{written((name,))}".lstrip(".")


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower().replace("-", "_")
