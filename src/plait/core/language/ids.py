"""Ids of tasks that are missing or invalid: their fixes, where no other task is meant by them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..values.problems import MAX_FIX_CHARS, Fix, Op, Problem
from ..values.strict import dumps


def give_id(
    problems: list[Problem], tasks: object, document: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    """Add the fix to the problem that the only one of *tasks* has no id, if that is all that is
    wrong with it and any id will do: nothing in *options* may mean a task by another one."""
    own = [index for index, one in enumerate(problems) if one.path.startswith("tasks[0]")]
    returned = options.get("return") or ["a"]
    match tasks:
        case [dict(task)] if "tasks" not in task and "resume_from" not in options:
            pass
        case _:
            return
    if [(problems[n].path, problems[n].code) for n in own] != [("tasks[0].id", "missing_field")]:
        return
    if not isinstance(returned, list) or len(returned) != 1 or not isinstance(returned[0], str):
        return
    with_id = {"id": returned[0], **{name: one for name, one in task.items() if name != "id"}}
    fix = Fix(Op.REPLACE, with_id, "tasks[0]")
    if isinstance(document.get("tasks"), dict):
        fix = Fix(Op.REPLACE, [with_id], "tasks")
    elif "tasks" not in document and task.keys() <= document.keys():
        rest = {name: one for name, one in document.items() if name not in task}
        fix = Fix(Op.REPLACE, {**rest, "tasks": [with_id]}, "$")
    if len(dumps(fix.to)) <= MAX_FIX_CHARS:
        problems[own[0]] = replace(problems[own[0]], fix=fix)


def keep_apart(problems: list[Problem], meant_by: Mapping[str, str]) -> None:
    """Take the fix from invalid ids that would be those of other tasks with it. *meant_by* has the
    ids of all tasks, by place and without spaces around them."""
    number = Counter(meant_by.values())
    for index, problem in enumerate(problems):
        meant = meant_by.get(problem.path, "")
        if problem.code == "invalid_id" and problem.fix is not None and number[meant] > 1:
            hint = f'Without its spaces it is another task\'s id too, "{meant}": give each its own.'
            problems[index] = replace(problem, hint=hint, fix=None)
