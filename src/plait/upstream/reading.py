"""Outputs as clients read them: whole, narrowed by an expression, or page by page."""

from __future__ import annotations

import mcp_types as types

from ..core.results.result import RunResult, TaskResult
from ..core.scheduling.events import Status
from ..core.values.expressions import compile_expression, search
from ..core.values.principal import Principal
from ..core.values.problems import Problem, nearest, some_of
from ..core.values.strict import Json, JsonObject, dumps
from ..engine.gateway import Gateway
from ..errors import CallError, ExpressionFailed
from .answers import answer
from .budget import fit
from .cutting import longest_prefix, size_within
from .requests import GetRun, Refused


def output_answer(gateway: Gateway, principal: Principal, request: GetRun, limit: int) -> types.CallToolResult:
    """The output of one task, by select or page; or why there is none. Raises `UnknownRun` and `Refused`."""
    result = gateway.result(request.run_id, principal)
    task = find_task(result, request.task or "")
    frame: JsonObject = {"run_id": request.run_id, "task": task.id, "status": task.status}
    try:
        value = gateway.output(request.run_id, task.id, principal).value
    except CallError as error:
        return _no_output(frame, result, error, limit)
    if request.select is not None:
        value = _selected(request.select, value)
    if request.offset is None and request.limit is None:
        whole: JsonObject = {**frame, "chars": 0, "value": value}
        if size_within(whole, limit - 10) <= limit - 10:
            return answer({**whole, "chars": len(written(value))})
    return _page(frame, written(value), request, limit)


def find_task(result: RunResult, id: str) -> TaskResult:
    """The task of that *id*. Raises `Refused`, with the tasks that there are."""
    tasks = {task.id: task for task in result.tasks}
    if id in tasks:
        return tasks[id]
    near = nearest(id, tasks, 3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Its tasks: {some_of(tasks, 20)}."
    raise Refused([Problem("task", "unknown_task", f'{result.run_id} has no task "{id[:80]}".', hint)])


def output_sizes(gateway: Gateway, principal: Principal, result: RunResult) -> dict[str, int]:
    """The sizes in bytes of the outputs that *result* holds."""
    return {id: gateway.output(result.run_id, id, principal).size_bytes for id in result.outputs}


def written(value: Json) -> str:
    """The text that is paged: a text output as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else dumps(value)


def _selected(expression: str, value: Json) -> Json:
    try:
        return search(compile_expression(expression), value)
    except ExpressionFailed as error:
        raise Refused([Problem("select", error.code, f"{error.message}.", error.hint)]) from None


def _no_output(frame: JsonObject, result: RunResult, error: CallError, limit: int) -> types.CallToolResult:
    if not Status(str(frame["status"])).is_final:
        hint = f'No output yet: call get_run(run_id="{frame["run_id"]}", task="{frame["task"]}") again.'
        return answer({**frame, "hint": hint})
    errors: list[Json] = [told.document() for told in result.errors if told.id == frame["task"]]
    said: JsonObject = {"id": frame["task"], "code": "no_output", "message": error.message}
    return answer(fit({**frame, "errors": errors or [said]}, limit), is_error=True)


def _page(frame: JsonObject, text: str, request: GetRun, limit: int) -> types.CallToolResult:
    offset = min(request.offset or 0, len(text))
    page: JsonObject = {**frame, "chars": len(text), "offset": offset, "next_offset": 10**9, "text": ""}
    room = limit - len(dumps(page))
    wanted = text[offset : offset + min(request.limit or room, room)]
    part = longest_prefix(wanted, lambda head: len(dumps(head)) - 2 <= room)
    end = offset + len(part)
    return answer({**page, "next_offset": end if end < len(text) else None, "text": part})
