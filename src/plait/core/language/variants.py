"""Variant spellings of models and clients, replaced by those of the contract, each with a note.

`tasks` or `arguments` as a JSON string, `tasks` as a map, `args` for `arguments`, `dependsOn` for
`depends_on`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..values.problems import Problem
from ..values.strict import NotStrict, loads

_ARGUMENTS = ("args", "params", "parameters", "input", "inputs")
_DEPENDS_ON = ("needs", "after", "dependencies", "deps")
_LISTS = ("depends_on", "return")


@dataclass(slots=True)
class Spelling:
    """The members of a task or a document in their usual spelling, with notes on what was
    changed."""

    members: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def dag_spelling(members: Mapping[str, Any], known: frozenset[str]) -> Spelling:
    spelling = _renamed(members, known, {}, "", None)
    _parse_text(spelling, "tasks", "tasks", None)
    _listed(spelling, "")
    tasks = spelling.members.get("tasks")
    if isinstance(tasks, dict):
        if "tool" in tasks and "id" in tasks:
            spelling.members["tasks"] = [tasks]
            spelling.notes.append("tasks was one task; it was taken as a list of one")
        else:
            spelling.members["tasks"] = [_named(id, task) for id, task in tasks.items()]
            spelling.notes.append("tasks was a map; its keys were taken as ids")
    return spelling


def task_spelling(
    members: Mapping[str, Any], known: frozenset[str], path: str, id: str | None
) -> Spelling:
    names = dict.fromkeys(_ARGUMENTS, "arguments") | dict.fromkeys(_DEPENDS_ON, "depends_on")
    spelling = _renamed(members, known, names, path, id)
    _parse_text(spelling, "arguments", f"{path}.arguments", id)
    _listed(spelling, _before(path))
    return spelling


def _named(id: str, task: Any) -> Any:
    return {**task, "id": id} if isinstance(task, dict) else task


def _renamed(
    members: Mapping[str, Any],
    known: frozenset[str],
    names: Mapping[str, str],
    path: str,
    id: str | None,
) -> Spelling:
    """Rename *members* to their usual names. Known members that are null are left out."""
    spelling = Spelling(
        {name: value for name, value in members.items() if value is not None or name not in known}
    )
    for name in members:
        usual = names.get(name) or names.get(_snake(name)) or _snake(name)
        if name in known or usual not in known:
            continue
        value = spelling.members.pop(name)
        if usual in spelling.members:
            place, message = (
                f"{path}.{name}".lstrip("."),
                f'"{name}" is read as {usual}, which is given already.',
            )
            spelling.problems.append(
                Problem(place, "unknown_field", message, "Send only one of them.", id)
            )
        elif value is not None:
            spelling.members[usual] = value
            spelling.notes.append(f'{_before(path)}"{name}" was read as {usual}')
    return spelling


def _before(path: str) -> str:
    return f"{path}: " if path else ""


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower().replace("-", "_")


def _parse_text(spelling: Spelling, name: str, path: str, id: str | None) -> None:
    text = spelling.members.get(name)
    if not isinstance(text, str):
        return
    try:
        spelling.members[name] = loads(text)
        spelling.notes.append(f"{path} came as a JSON string; it was parsed")
    except NotStrict as error:
        del spelling.members[name]
        flaw = str(error) if str(error).startswith("not ") else f"not strict JSON: {error}"
        hint = "Send the value itself, not text."
        spelling.problems.append(
            Problem(path, "invalid_json", f"{name} is text that is {flaw}.", hint, id)
        )


def _listed(spelling: Spelling, place: str) -> None:
    for name in _LISTS:
        value = spelling.members.get(name)
        if isinstance(value, str):
            spelling.members[name] = _list_of(value)
            spelling.notes.append(f"{place}{name} was a string; it was taken as a list")


def _list_of(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return loads(text)
        except NotStrict:
            pass  # then it is an id, and the check reports that task as unknown
    return [text]
