"""Variant spellings of documents and tasks, replaced by those of the contract.

Those that the contract lists are understood, each with a note: `tasks` or `arguments` as a JSON
string, `tasks` as a map, `args` for `arguments`, numbers as ids. The names that other engines have
(`steps`, `if`) are here; `spelling.py` finds the fields that are meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..values import near_json
from ..values.problems import MAX_FIX_CHARS, MAX_GUESSES, REMOVE, Fix, Op, Problem
from ..values.strict import Json, NotStrict, dumps, short
from .json_text import fix_of, flaw_of, read_text
from .references import is_one
from .spelling import Spelling, Stray, snake_case, spelled

UNDERSTOOD: Mapping[str, str] = {
    **dict.fromkeys(("args", "params", "parameters", "input", "inputs"), "arguments"),
    **dict.fromkeys(("needs", "after", "dependencies", "deps"), "depends_on"),
}
"""Other names of fields of a task that are read as those."""

OF_A_TASK: Mapping[str, str] = {
    **dict.fromkeys(("task_id", "step_id", "node_id", "step", "key"), "id"),
    **dict.fromkeys(("tool_name", "function", "action", "operation", "uses", "call"), "tool"),
    **dict.fromkeys(
        ("tool_args", "tool_input", "tool_arguments", "tool_params", "kwargs", "with"), "arguments"
    ),
    **dict.fromkeys(
        ("requires", "depends", "wait_for", "run_after", "upstream", "prerequisites"), "depends_on"
    ),
    **dict.fromkeys(("if", "condition", "only_if", "run_if"), "when"),
    **dict.fromkeys(("loop", "map", "items", "with_items", "over", "matrix"), "for_each"),
    **dict.fromkeys(("transform", "jmespath", "filter"), "select"),
    **dict.fromkeys(("on_item_error", "on_item_failed", "on_item_fail"), "on_item_failure"),
    **dict.fromkeys(("max_retries", "attempts", "retry", "retry_policy"), "retries"),
}
"""Names that other engines have for fields of a task."""
OF_A_VALUE = frozenset({"output", "outputs", "result", "results", "return", "returns"})
"""Names of other engines for what a task without a tool makes."""
_VALUE_TOOLS = frozenset({"value", "output", "result", "return", "set", "none"})
"""Names that stand for a tool in a task that makes a value. A tool has its server before it."""
IN_A_GROUP = ("steps", "do", "body", "subtasks", "actions", "jobs")
"""Names that other engines have for the tasks of a group."""
OF_A_DAG: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("steps", "plan", "dag", "nodes", "jobs", "graph", "workflow", "pipeline"),
            *("actions", "calls", "tool_calls", "operations"),
        ),
        "tasks",
    ),
    **dict.fromkeys(("outputs", "output", "results", "returns"), "return"),
    **dict.fromkeys(
        ("parallelism", "concurrency", "max_parallel", "workers", "max_workers"), "max_concurrency"
    ),
    **dict.fromkeys(("title", "label"), "name"),
}
"""Names that other engines have for fields of a DAG."""
_LISTS = ("depends_on", "return")


def dag_spelling(
    members: Mapping[str, Any], known: frozenset[str], *, guesses: int = MAX_GUESSES
) -> Spelling:
    """Spell the members of a document; *known* are its fields. The nearest name, which is slow to
    search, is found for at most *guesses* unknown ones."""
    foreign, notes = OF_A_DAG, list[str]()
    if _is_one_task(members):
        own = known - {"timeout_s", *(("name",) if "id" not in members else ())}
        run = {name: one for name, one in members.items() if snake_case(name) in own}
        members = {**run, "tasks": [{k: one for k, one in members.items() if k not in run}]}
        notes = ["a single task was sent; it was taken as tasks"]
    if "tasks" not in members:
        foreign = {**OF_A_DAG, **{name: "tasks" for name in members if _holds_tasks(members[name])}}
    spelling = spelled(members, known, {}, foreign, "", None, guesses)
    spelling.notes[:0] = notes
    _parse_text(spelling, "tasks", "tasks", None)
    _unpack(spelling, known)
    _listed(spelling, "")
    tasks = spelling.members.get("tasks")
    if isinstance(tasks, dict):
        if ("tool" in tasks and "id" in tasks) or isinstance(tasks.get("tool"), str):
            spelling.members["tasks"] = [tasks]
            spelling.notes.append("tasks was one task; it was taken as a list of one")
        else:
            spelling.members["tasks"] = [_with_id(id, task) for id, task in tasks.items()]
            spelling.notes.append("tasks was a map; its keys were taken as ids")
    return spelling


def task_spelling(
    members: Mapping[str, Any],
    known: frozenset[str],
    path: str,
    id: str | None,
    *,
    guesses: int = MAX_GUESSES,
) -> Spelling:
    """Spell the members of a task as `dag_spelling` does those of a document."""
    called = _of_a_function_call(members, path, id)
    if called is not None or (called := _of_a_value_tool(members, known, path, id)) is not None:
        return called
    foreign = dict(OF_A_TASK)
    if members.keys().isdisjoint({"tool", "tasks"}):
        foreign |= dict.fromkeys(IN_A_GROUP, "tasks")
    meant = {foreign.get(name) or foreign.get(snake_case(name)) or name: name for name in members}
    free = next((field for field in ("tool", "id") if field not in meant), None)
    if free == "tool" and ("value" in meant or "tasks" in meant):
        free = None
        if "tasks" in meant and "value" not in meant:
            foreign |= dict.fromkeys(OF_A_VALUE, "value")
    elif free == "tool" and len(outputs := [name for name in members if name in OF_A_VALUE]) == 1:
        foreign[outputs[0]], free = "value", None
    if free is not None:
        foreign["name"] = free
    if id is None and isinstance(named := members.get(meant.get("id", "")), str):
        id = named
    of_items = "filter" in members and "for_each" in meant
    rest = {name: value for name, value in members.items() if name != "filter" or not of_items}
    spelling = spelled(rest, known, UNDERSTOOD, foreign, path, id, guesses)
    if of_items:
        spelling.problems.insert(0, _filter_of_items(members, meant["for_each"], path, id))
        spelling.strays["filter"] = Stray(members["filter"], "for_each")
    _without_server(members, spelling, path, id)
    if isinstance(number := spelling.members.get("id"), int) and not isinstance(number, bool):
        spelling.members["id"] = str(number)
        spelling.notes.append(f'{path}.id: {number} was read as "{number}"')
    _parse_arguments(spelling, f"{path}.arguments", id)
    _parse_items(spelling, f"{path}.for_each")
    _listed(spelling, f"{path}: ")
    return spelling


def _of_a_function_call(members: Mapping[str, Any], path: str, id: str | None) -> Spelling | None:
    """Read a task that is written as a model's call of a function: `{"id", "type": "function",
    "function": {"name", "arguments"}}`."""
    match members.get("function"):
        case {"name": str(name), **rest}:
            arguments: Any = rest.get("arguments", {})
        case _:
            return None
    if not members.keys() <= {"id", "type", "function"}:
        return None
    if isinstance(arguments, str):
        try:
            arguments = near_json.read(arguments)[0] if arguments.strip() else {}
        except NotStrict:
            return None
    task: dict[str, Json] = {} if id is None else {"id": id}
    task |= {"tool": name, "arguments": arguments}
    fix = Fix(Op.REPLACE, task, path) if len(dumps(task)) <= MAX_FIX_CHARS else None
    message = "A task names its tool and arguments without a function around them."
    hint = fix.advice if fix is not None else 'Write {"id": …, "tool": …, "arguments": {…}}.'
    problem = Problem(f"{path}.function", "unknown_field", message, hint, id, fix)
    return Spelling(task, problems=[problem])


def _of_a_value_tool(
    members: Mapping[str, Any], known: frozenset[str], path: str, id: str | None
) -> Spelling | None:
    """Read a task that makes a value as if a tool of that name did: `{"tool": "value"}`, with the
    value as its arguments or in its own field."""
    tool = members.get("tool")
    if not isinstance(tool, str) or tool.strip().lower() not in _VALUE_TOOLS:
        return None
    task = {name: value for name, value in members.items() if name != "tool"}
    fix: Fix | None = REMOVE
    if "value" not in task:
        name = next((name for name in task if UNDERSTOOD.get(name, name) == "arguments"), "")
        if not isinstance(arguments := task.pop(name, None), dict):
            return None
        task["value"] = arguments["value"] if arguments.keys() == {"value"} else arguments
        fix = Fix(Op.REPLACE, task, path) if len(dumps(task)) <= MAX_FIX_CHARS else None
    spelling = task_spelling(task, known, path, id)
    message = f"A task that makes a value has no tool, and needs no {short(tool)}."
    hint = fix.advice if fix is not None else 'Write {"id": …, "value": …}, without a tool.'
    spelling.problems.insert(0, Problem(f"{path}.tool", "unknown_tool", message, hint, id, fix))
    return spelling


def _filter_of_items(members: Mapping[str, Any], items: str, path: str, id: str | None) -> Problem:
    """Report the `filter` of a task whose `for_each` is named *items*: a filter of its list."""
    each, given, fix = members[items], members["filter"], None
    hint = 'Filter the list: "for_each": "${OUTPUT[id].items | [?open]}".'
    if isinstance(each, str) and isinstance(given, str) and is_one(each) and "??" not in each:
        condition = re.sub(r"\$ITEM(?![\w.\[])", "@", given.replace("$ITEM.", ""))
        inside = each.removeprefix("${").removeprefix("$").removesuffix("}")
        task = {name: value for name, value in members.items() if name != "filter"}
        task[items] = f"${{{inside} | [?{condition}]}}"
        if _is_condition(condition) and len(dumps(task)) <= MAX_FIX_CHARS:
            hint = f'Leave filter out, and write "for_each": {dumps(task[items])}.'
            fix = Fix(Op.REPLACE, task, path)
    message = "A filter of the items is written into for_each; select reads the answers."
    return Problem(f"{path}.filter", "unknown_field", message, hint, id, fix)


def _is_condition(text: str) -> bool:
    from ..expressions.evaluation import expression
    from ..expressions.problems import InvalidExpression

    try:
        return not expression(f"[?{text}]").references
    except InvalidExpression:
        return False


def _with_id(id: str, task: Any) -> Any:
    return {**task, "id": id} if isinstance(task, dict) else task


def _without_server(
    members: Mapping[str, Any], spelling: Spelling, path: str, id: str | None
) -> None:
    """Put a `server` that stands in a field of its own into the name of the tool."""
    server, tool = members.get("server"), spelling.members.get("tool")
    if not (isinstance(server, str) and isinstance(tool, str) and server) or ":" in tool:
        return
    spelling.members["tool"] = full = f"{server}:{tool}"
    fix = Fix(Op.REPLACE, full)
    message = "A tool is named with its server."
    spelling.problems.append(Problem(f"{path}.tool", "unknown_tool", message, fix.advice, id, fix))


def _parse_text(spelling: Spelling, name: str, path: str, id: str | None) -> None:
    text = spelling.members.get(name)
    if not isinstance(text, str):
        return
    try:
        spelling.members[name], notes = read_text(text, path)
    except NotStrict as error:
        del spelling.members[name]
        flaw, fix = flaw_of(error), fix_of(error)
        hint = "Send the value itself, not text."
        if fix is not None:
            hint += f" {fix.advice}"
        spelling.problems.append(
            Problem(path, "invalid_json", f"{name} is text that is {flaw}.", hint, id, fix)
        )
    else:
        spelling.notes += notes


def _parse_arguments(spelling: Spelling, path: str, id: str | None) -> None:
    """Read arguments that came as text, or as an empty list: some clients have no empty object."""
    arguments = spelling.members.get("arguments")
    if arguments == [] or (isinstance(arguments, str) and not arguments.strip()):
        spelling.members["arguments"] = {}
        what = "an empty list" if arguments == [] else "empty text"
        spelling.notes.append(f"{path} was {what}; it was taken as {{}}")
    elif isinstance(arguments, str) and is_one(arguments.strip()):
        spelling.members["arguments"] = arguments.strip()
    elif isinstance(arguments, str) and arguments.lstrip().startswith("$"):
        del spelling.members["arguments"]
        message = f"arguments must be an object, or one reference to one; it is {short(arguments)}."
        hint = 'Give each argument its own reference: {"path": "$OUTPUT[id].path"}.'
        spelling.problems.append(Problem(path, "wrong_type", message, hint, id))
    else:
        _parse_text(spelling, "arguments", path, id)


def _parse_items(spelling: Spelling, path: str) -> None:
    """Read a list or an object that came as JSON text: in the schemas of models a field has one
    type."""
    items = spelling.members.get("for_each")
    if not isinstance(items, str) or not items.lstrip().startswith(("[", "{")):
        return
    try:
        value, notes = read_text(items, path)
    except NotStrict:
        return  # the check says what it must be
    if isinstance(value, list | dict):
        spelling.members["for_each"] = value
        spelling.notes += notes


def _unpack(spelling: Spelling, known: frozenset[str]) -> None:
    """Take out a whole document that stands where its tasks should."""
    inner = spelling.members.get("tasks")
    if not isinstance(inner, dict) or not _holds_tasks(inner):
        return
    if not inner.keys() <= known or (inner.keys() - {"tasks"}) & spelling.members.keys():
        return
    spelling.members |= inner
    spelling.notes.append("tasks was a whole document; its fields were taken")
    _parse_text(spelling, "tasks", "tasks", None)


def _is_one_task(members: Mapping[str, Any]) -> bool:
    """Return whether *members*, of a whole document, are those of a task: a call, or a value."""
    if not members.keys().isdisjoint({"tasks", *IN_A_GROUP}) or any(
        map(_holds_tasks, members.values())
    ):
        return False
    return isinstance(members.get("tool"), str) or {"id", "value"} <= members.keys()


def _holds_tasks(value: Any) -> bool:
    """Return whether *value* is a document in itself, or a list of tasks."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(task, dict) and "tool" in task for task in value)
    tasks = value.get("tasks") if isinstance(value, dict) else None
    return isinstance(tasks, list | str) or (isinstance(tasks, dict) and "tool" not in tasks)


def _listed(spelling: Spelling, place: str) -> None:
    for name in _LISTS:
        value = spelling.members.get(name)
        if isinstance(value, str) or _is_number(value):
            spelling.members[name] = value = _list_of(str(value))
            spelling.notes.append(f"{place}{name} was a string; it was taken as a list")
        if isinstance(value, list) and any(map(_is_number, value)):
            spelling.members[name] = [str(id) if _is_number(id) else id for id in value]
            spelling.notes.append(f"{place}the numbers in {name} were read as ids")


def _is_number(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _list_of(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return near_json.read(text)[0]
        except NotStrict:
            pass  # then it is an id, and the check reports that task as unknown
    ids = [id.strip() for id in text.split(",")]
    return ids if len(ids) > 1 and all(ids) and "$" not in text else [text]
