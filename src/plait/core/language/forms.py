"""Problems of form: tasks of several kinds or of none, fields of the wrong type, ids used twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..values.problems import REMOVE, Fix, Op, Problem
from ..values.strict import short
from .coercion import meant_for

if TYPE_CHECKING:  # it imports these
    from .dag import Task

MAX_NESTING = 3
"""Most groups in each other."""
OF_CALLS = frozenset(
    {
        "arguments",
        "timeout_s",
        "retries",
        "allow_repeat",
        "repeat",
        "weight",
        "reads",
        "writes",
        "cache",
    }
)
"""The fields that say how a tool is called."""
_WORK = frozenset({"arguments", "repeat"})
"""The fields of calls that say what is called."""
OF_GROUPS = frozenset({"max_concurrency", "fail_fast"})
"""The fields that say how the items of a group run."""
EXAMPLE = 'Send {"tasks": [{"id": "a", "tool": "server:tool", "arguments": {…}}]}.'
_EXPECTED = {
    "string_type": "a string",
    "dict_type": "an object",
    "tuple_type": "a list",
    "bool_type": "true or false",
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_too_short": "a non-empty string",
}
HINTS = {
    "id": 'Give each task an id of its own, such as "a".',
    "tool": 'Name a tool as "server:tool", or write value for a value made of outputs.',
    "arguments": 'Send an object, such as {"path": "README.md"}.',
    "depends_on": 'Send a list of ids, such as ["a", "b"].',
    "return": 'Send a list of ids, or ["*"] for all.',
    "when": 'Send a condition as text: "a.count > `0`". Leave out a task that must not run.',
    "retries": 'Send a number, or {"max": 3, "on": ["timeout"], "delay_s": 0.5}.',
    "for_each": 'Send a list or an object, or a reference to one: "$OUTPUT[id].items".',
}


def one_of_its_kind(members: Set[str], path: str, id: str | None) -> Iterator[Problem]:
    """Find out what a task with these members does: it calls a tool, makes a value, or is a group
    of tasks."""
    kinds = [name for name in ("tool", "tasks", "value") if name in members]
    if "on_item_failure" in members and "for_each" not in members:
        message = "on_item_failure is for the items of for_each; this task has none."
        place = f"{path}.on_item_failure"
        yield Problem(place, "unknown_field", message, REMOVE.advice, id, REMOVE)
    match kinds:
        case []:
            place = f"{path}.tool"
            yield Problem(place, "missing_field", "tool is missing.", HINTS["tool"], id)
        case ["tool", *others] if others:
            message = "A task calls a tool, makes a value or is a group of tasks: one of them."
            hint = f"Put {others[0]} into a task of its own, or leave out one of the two."
            yield Problem(f"{path}.{others[0]}", "unknown_field", message, hint, id)
        case ["tool"]:
            yield from _not_for("a call", members & OF_GROUPS, "groups of tasks", path, id)
        case ["value"]:
            yield from _not_for("a value", members & OF_CALLS, "calls of tools", path, id)
            yield from _not_for("a value", members & OF_GROUPS, "groups of tasks", path, id)
        case _:
            yield from _not_for("a group", members & OF_CALLS, "calls of tools", path, id)


def _not_for(
    what: str, names: Set[str], others: str, path: str, id: str | None
) -> Iterator[Problem]:
    for name in sorted(names):
        message = f"{name} is for {others}; {what} takes none."
        fix: Fix | None = REMOVE
        hint = REMOVE.advice
        if name in _WORK:  # without it, something else would run
            hint, fix = f"Put {name} into a task that calls a tool.", None
        yield Problem(f"{path}.{name}", "unknown_field", message, hint, id, fix)


def nested(path: str, task: Task) -> Iterator[Problem]:
    if not task.tasks:
        yield Problem(
            f"{path}.tasks", "limit_exceeded", "A group has at least one task.", None, task.id
        )
    if path.count(".tasks[") >= MAX_NESTING:
        yield too_deep(path, task.id)


def too_deep(path: str, id: str | None) -> Problem:
    message = f"Groups nest at most {MAX_NESTING} deep."
    hint = "Put the inner tasks into the group around them, or send another DAG."
    return Problem(f"{path}.tasks", "limit_exceeded", message, hint, id)


def count(tasks: int, most: int, *, may_be_empty: bool) -> Iterator[Problem]:
    if not tasks and not may_be_empty:
        yield Problem("tasks", "limit_exceeded", "A DAG has at least one task.", "Send one.")
    if tasks > most:
        message = f"There are {tasks:,} tasks; at most {most:,} fit in one DAG."
        yield Problem("tasks", "limit_exceeded", message, "Split it, or use for_each.")


UNIONS = frozenset({"arguments", "for_each", "cache", "retries"})
"""Fields with several types: each of them reports a problem, with its own place."""


def fixed_field(model: type[BaseModel], name: str, value: Any, detail: ErrorDetails) -> Fix | None:
    """Return the value that *value* of the field *name* was certainly meant to be: one that the
    model takes."""
    if detail["type"] == "missing" or value is None:
        return None
    if name == "when" and value is True:
        return REMOVE
    expected = str(detail.get("ctx", {}).get("expected", ""))
    options = re.findall("'([^']+)'", expected)
    is_task = "tool" in model.model_fields
    minimal: dict[str, Any] = {"id": "a", "tool": "s:t"} if is_task else {"max": 1}
    if "return_" in model.model_fields:
        minimal = {"tasks": ()}
    for meant in meant_for(value, name, options):
        try:
            model.model_validate({**minimal, name: meant}, by_alias=True, by_name=False)
        except ValidationError:
            continue
        return Fix(Op.REPLACE, meant)
    return None


def without_invalid(
    members: dict[str, Any], error: ValidationError, problem: Callable[[ErrorDetails], Problem]
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the *members* that *error* does not complain of, and one problem for each place in the
    others."""
    found: dict[str, Problem] = {}
    details = error.errors(include_url=False)
    for detail in details:
        one = problem(detail)
        found.setdefault(one.path, one)
    wrong = {detail["loc"][0] for detail in details}
    return {name: value for name, value in members.items() if name not in wrong}, [*found.values()]


def problem_of(detail: ErrorDetails, path: str, id: str | None, fix: Fix | None) -> Problem:
    name = str(detail["loc"][0])
    field = name + "".join(f"[{step}]" for step in detail["loc"][1:] if isinstance(step, int))
    place = f"{path}.{field}".lstrip(".")
    match detail["type"]:
        case "missing":
            return Problem(place, "missing_field", f"{name} is missing.", HINTS.get(name), id)
        case "string_pattern_mismatch":
            hint = (
                "An id is 1 to 64 letters (A to Z), digits, _, - or ., and starts with a "
                "letter, a digit or _."
            )
            message = f"Invalid id {short(detail['input'])}."
            return Problem(place, "invalid_id", message, fix.advice if fix else hint, None, fix)
    message = f"{field} must be {_expected(name, detail)}; it is {short(detail['input'])}."
    code = "limit_exceeded" if detail["type"] == "string_too_long" else "wrong_type"
    advice = fix.advice if fix is not None else HINTS.get(name)
    return Problem(place, code, message, advice, id, fix)


def _expected(name: str, detail: ErrorDetails) -> str:
    """Describe what would be right."""
    limits = detail.get("ctx", {})
    match detail["type"]:
        case _ if name == "for_each":
            return "a list, an object, or one reference to either"
        case "greater_than":
            return f"above {limits['gt']:g}"
        case "greater_than_equal":
            return f"at least {limits['ge']:g}"
        case "less_than_equal":
            return f"at most {limits['le']:g}"
        case "string_too_long":
            return f"at most {limits['max_length']:,} characters"
        case "literal_error":
            return str(limits["expected"]).replace("'", '"')
    return _EXPECTED.get(detail["type"]) or detail["msg"]


def duplicates(
    tasks: Sequence[Task],
    path: str = "tasks",
    places: Sequence[int] | None = None,
    inner: Mapping[str, Sequence[int]] | None = None,
    before: str = "",
    taken: dict[str, str] | None = None,
) -> list[Problem]:
    """Find the tasks whose id another has: in the same group, or as the path of ids that names a
    task in a group (`group.task`)."""
    first: dict[str, str] = {} if taken is None else taken
    problems: list[Problem] = []
    if not before and len({one.id for one in tasks if one.tasks is None}) == len(tasks):
        return problems  # as in most documents
    places = range(len(tasks)) if places is None else places
    for place, task in zip(places, tasks, strict=True):
        where, whole_id = f"{path}[{place}]", f"{before}{task.id}"
        if whole_id in first:
            message = f'The id "{whole_id}" is taken by {first[whole_id]}.'
            hint = "Give each task its own id."
            problems.append(Problem(f"{where}.id", "duplicate_id", message, hint, task.id))
        first.setdefault(whole_id, where)
        if task.tasks is not None:
            within = f"{where}.tasks"
            problems += duplicates(
                task.tasks, within, (inner or {}).get(within), inner, f"{whole_id}.", first
            )
    return problems
