"""Reading outputs: whole, narrowed by an expression, or page by page."""

from __future__ import annotations

import mcp_types as types

from ..core.results.record import RunRecord, TaskRecord
from ..core.results.result import errors_of
from ..core.tools.output import Output
from ..core.values.principal import Principal
from ..core.values.problems import Problem, nearest, some_of
from ..core.values.strict import Json, JsonObject, NotStrict, dumps, measure
from ..engine.gateway import Gateway
from ..errors import CallError, ExpressionFailed
from .answers import answer
from .budget import PREVIEW, fit
from .cutting import LEAST_SHOWN, cut, longest_prefix, size_within
from .links import AddressOf, as_it_is, output_with_addresses
from .outlines import outline
from .requests import GetRun, Refused


def output_answer(
    gateway: Gateway,
    principal: Principal,
    request: GetRun,
    limit: int,
    address_of: AddressOf = as_it_is,
) -> types.CallToolResult:
    """Answer with the output of one task, narrowed by `select` or as a page: whole or, where it
    does not fit, as a preview with a call that reads on; or with the reason why it has no output.
    Raises `UnknownRun` and `Refused`."""
    record = gateway.record(request.run_id, principal)
    task = find_task(record, request.task or "")
    frame: JsonObject = {"run_id": request.run_id, "task": task.id, "status": str(task.status)}
    try:
        output = gateway.output(request.run_id, task.id, principal)
    except CallError as error:
        return _no_output(frame, task, error, limit)
    value = output.value
    if request.select is not None:
        value = _selected(request.select, output, task.id, record.began)
    value = output_with_addresses(value, task.tool, address_of)
    if request.offset is None and request.limit is None:
        whole: JsonObject = {**frame, "chars": 0, "value": value}
        if size_within(whole, limit - 10) <= limit - 10:
            return answer({**whole, "chars": len(written(value))})
        about = outline(request.run_id, task.id, value, request.select)
        preview: JsonObject = {**frame, "chars": len(written(value)), **about, "value": ""}
        room = limit - len(dumps(preview))
        if room >= LEAST_SHOWN:
            return answer({**preview, "value": cut(value, min(PREVIEW, room))})
    return _page(frame, written(value), request, limit)


def _selected(text: str, output: Output, id: str, began: float | None) -> Json:
    """Apply the expression *text* to *output*, of the task *id* of a run that began then. Raises
    `Refused`."""
    from ..core.expressions.queries import Query

    query = Query(output.value, is_wrapped=output.is_wrapped, own=id, start=began)
    try:
        value = query.ask(text)
        measure(value)
    except NotStrict as error:
        message = f"Its result is not strict JSON: {error}."
        raise Refused([Problem("select", ExpressionFailed.code, message)]) from None
    except ExpressionFailed as error:
        raise Refused(query.problems(text, error, "select")) from None
    if problems := query.slips(text, value, "select"):
        raise Refused(problems)
    return value


def find_task(record: RunRecord, id: str) -> TaskRecord:
    """Find the task with that *id*. Raises `Refused`, which names the tasks of the run."""
    if id in record.tasks:
        return record.tasks[id]
    near = nearest(id, record.tasks, 3)
    hint = (
        f"Did you mean {' or '.join(near)}?" if near else f"Its tasks: {some_of(record.tasks, 20)}."
    )
    raise Refused([Problem("task", "unknown_task", f'{record.id} has no task "{id[:80]}".', hint)])


def written(value: Json) -> str:
    """Return the text of an output: text as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else dumps(value)


def _no_output(
    frame: JsonObject, task: TaskRecord, error: CallError, limit: int
) -> types.CallToolResult:
    if not task.status.is_final:
        hint = f'No output yet: call get_run(run_id="{frame["run_id"]}", task="{task.id}") again.'
        return answer({**frame, "hint": hint})
    errors: list[Json] = [error.document() for error in errors_of(task)]
    no_output: JsonObject = {"id": task.id, "code": "no_output", "message": error.message}
    return answer(fit({**frame, "errors": errors or [no_output]}, limit), is_error=True)


def _page(frame: JsonObject, text: str, request: GetRun, limit: int) -> types.CallToolResult:
    offset = min(request.offset or 0, len(text))
    page: JsonObject = {
        **frame,
        "chars": len(text),
        "offset": offset,
        "next_offset": 10**9,
        "text": "",
    }
    room = limit - len(dumps(page))
    wanted = text[offset : offset + min(request.limit or room, room)]
    part = longest_prefix(wanted, lambda head: len(dumps(head)) - 2 <= room)
    end = offset + len(part)
    return answer({**page, "next_offset": end if end < len(text) else None, "text": part})
