"""Definitions of other engines that texts use: `vars`, `inputs`, `register`.

Such a field is unknown, and without it the text that uses it (`hello {{vars.name}}`) would go out
as it stands. So it is not simply left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..values.problems import REMOVE, Problem, written
from .spelling import NAMES_OF_ITEMS, Stray, snake_case

MAX_CHARS = 10_000
"""Most characters of a text that are searched for uses."""
_USE = re.compile(
    r"(?:\$\{\{|\{\{[{=-]?|\$[({]?|#\{|[{%]|<[<%]=?|\[\[)\s{0,9}\$?(?P<path>[A-Za-z_][\w.-]{0,200})"
)
_OURS = frozenset({"OUTPUT", "STATUS", "ERROR", "ITEM", "INDEX", "ARGUMENTS", "OMIT"})
_NAME = re.compile(r"[A-Za-z_][\w-]{0,63}")


def without_those_used(
    problems: Iterable[Problem],
    strays: Iterable[tuple[str, Mapping[str, Stray]]],
    document: Any,
    ids: Collection[str],
) -> list[Problem]:
    """Return *problems* without the fixes that leave out what texts of *document* use. *strays* has
    the unknown members, by the path of what they are in; *ids* are those of all tasks."""
    found = list(problems)
    if not any(map(_is_left_out, found)):
        return found
    used = set(_used(document, ids))
    values = {
        f"{path}{written((name,))}".lstrip("."): (name, stray.value)
        for path, unknown in strays
        for name, stray in unknown.items()
    }
    for index, problem in enumerate(found):
        if not _is_left_out(problem) or problem.path not in values:
            continue
        name, value = values[problem.path]
        if used.isdisjoint(_names(name, value)) or snake_case(name) in NAMES_OF_ITEMS:
            continue
        what = "its values"
        if problem.id is not None and isinstance(value, str):
            what = f"$OUTPUT[{problem.id}]"
        hint = f"Texts use it, and they would go out as they stand: write {what} there."
        found[index] = replace(problem, hint=hint, fix=None)
    return found


def _is_left_out(problem: Problem) -> bool:
    return problem.code == "unknown_field" and (problem.fix is None or problem.fix == REMOVE)


def _names(name: str, value: Any) -> set[str]:
    """Return the names by which texts use the field *name*, in lower case."""
    names = {name, name.removesuffix("s")}
    if isinstance(value, str) and _NAME.fullmatch(value) is not None:
        names.add(value)
    elif isinstance(value, dict):
        names.update(value)
    return {one.casefold() for one in names}


def _used(document: Any, ids: Collection[str]) -> Iterator[str]:
    """Yield the names, in lower case, that texts of *document* use as other engines do; those of
    tasks are references."""
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str):
            for use in _USE.finditer(value[:MAX_CHARS]):
                path = use["path"]
                first = path.partition(".")[0]
                if first not in _OURS and first not in ids and path not in ids:
                    yield from path.casefold().split(".")
