"""Arguments of a tool that stand next to `tool` instead of in `arguments`.

The reader of documents knows no tools, so it takes such a member for a misspelt or needless field.
Here the tool is known: the fix puts all of them where they belong. A rename stays within one
object, so it is the whole task that is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ..language.dag import TASK_FIELDS
from ..language.spelling import Stray
from ..language.variants import OF_A_TASK
from ..tools.catalog import Catalog, Tool
from ..values.problems import MAX_FIX_CHARS, Fix, Op, Problem, slip_of, written
from ..values.strict import JsonObject, dumps
from .keywords import Part, declared, required_of
from .types import Types

_TASK = re.compile(r"tasks\[\d+\](?:\.tasks\[\d+\])*")
"""The place of a task."""


def with_strays_moved(
    problems: Iterable[Problem],
    strays: Mapping[str, tuple[JsonObject, Mapping[str, Stray]]],
    catalog: Catalog,
) -> list[Problem]:
    """Return *problems* with the fixes of members that belong into `arguments`. *strays* has the
    members of tasks as they were understood, and those of them that are unknown, by path.

    A fix that replaces a whole task keeps the members that have no fix, so they are refused again
    and do not get lost."""
    found = list(problems)
    of_lists = {
        f"{path}.filter"
        for path, (_, unknown) in strays.items()
        if "filter" in unknown and unknown["filter"].read_as == "for_each"
    }
    unfixed = [one for one in found if one.fix is None or one.path in of_lists]
    for path, (members, unknown) in strays.items():
        name = members.get("tool")
        tool = catalog.find(name) if isinstance(name, str) else None
        arguments = members.get("arguments", {})
        if tool is None or not isinstance(arguments, dict):
            continue
        types = Types()
        forms = types.forms(Part(tool.input.definition, tool.input.definition))
        free = declared(forms).keys() - arguments.keys()
        needed = {name for form in forms for name in required_of(form)}
        moved = {name: stray for name, stray in unknown.items() if name in free}
        doubtful = {
            name for name, stray in moved.items() if name not in needed and _is_field(name, stray)
        }
        if moved:
            found = _moved(found, path, members, moved, doubtful, tool)
    return [_without_loss(problem, unfixed, strays) for problem in found]


def _without_loss(
    problem: Problem,
    unfixed: Iterable[Problem],
    strays: Mapping[str, tuple[JsonObject, Mapping[str, Stray]]],
) -> Problem:
    """Return *problem* with what its fix would lose of the task that it replaces: the fields of the
    *unfixed* problems, or without a fix where they are not at hand."""
    fix = problem.fix
    if fix is None or not _TASK.fullmatch(fix.path or "") or not isinstance(fix.to, dict):
        return problem
    path, task = fix.path or "", dict(fix.to)
    arguments = task.get("arguments")
    moved: JsonObject = arguments if isinstance(arguments, dict) else {}
    _, unknown = strays.get(path, ({}, {}))
    places = {f"{path}{written((name,))}": name for name in unknown}
    for other in unfixed:
        if not other.path.startswith((f"{path}.", f"{path}[")) or other.path == problem.path:
            continue
        name = places.get(other.path) or re.split(r"[.[]", other.path[len(path) + 1 :])[0]
        if other.path in places:
            if name not in moved or moved[name] != unknown[name].value:
                task.setdefault(name, unknown[name].value)
        elif name in TASK_FIELDS and (name not in task or name == "tasks"):
            return replace(problem, fix=None)
    if len(dumps(task)) > MAX_FIX_CHARS:
        return replace(problem, fix=None)
    return replace(problem, fix=replace(fix, to=task))


def _is_field(name: str, stray: Stray) -> bool:
    """Return whether *name* may as well be meant as the field that it was read as."""
    return bool(stray.read_as) and (
        name in OF_A_TASK
        or stray.read_as.startswith(name)
        or slip_of(name, [stray.read_as]) is not None
    )


def _moved(
    problems: list[Problem],
    path: str,
    members: JsonObject,
    moved: Mapping[str, Stray],
    doubtful: Collection[str],
    tool: Tool,
) -> list[Problem]:
    """Return *problems* with one fix for all members that are *moved*. It holds the task at *path*
    as it was understood, so other fixes of names of its fields are in it."""
    guessed = {stray.read_as for stray in moved.values()}
    values: JsonObject = {name: stray.value for name, stray in moved.items()}
    arguments = members.get("arguments", {})
    assert isinstance(arguments, dict)
    task: JsonObject = {name: value for name, value in members.items() if name not in guessed}
    task["arguments"] = {**arguments, **values}
    fix: Fix | None = Fix(Op.REPLACE, task, path)
    if doubtful or len(dumps(task)) > MAX_FIX_CHARS:
        fix = None
    is_fixed = fix is not None
    strays = {f"{path}{written((name,))}": name for name in moved}
    settled = [
        *(f"{path}.{name}" for name in guessed if name and is_fixed),
        *(f"{path}.arguments{written((name,))}" for name in moved if is_fixed),
    ]
    kept: list[Problem] = []
    for problem in problems:
        if problem.path in strays and problem.code == "unknown_field":
            name = strays[problem.path]
            message = f'"{name[:80]}" is an argument of {tool.full_name}, not a field of a task.'
            hint = "Write it into arguments."
            if name in doubtful:
                hint = f'Write it into arguments, or name it "{moved[name].read_as}".'
            if name in doubtful and moved[name].read_as == "for_each" and "for_each" in members:
                hint = "Write it into arguments, or as a filter into for_each."
            kept.append(replace(problem, message=message, hint=hint, fix=fix))
            fix = None
        elif any(problem.path == place for place in settled):
            continue  # it goes with the fix
        elif is_fixed and problem.code == "unknown_field" and problem.path.startswith(f"{path}."):
            kept.append(replace(problem, fix=None))
        else:
            kept.append(problem)
    return kept
