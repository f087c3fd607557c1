"""`plait run` and `plait call`: a run from its document to its result."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace

import anyio
import typer

from ..core.results.result import RunResult, TaskResult
from ..core.scheduling.events import Status
from ..core.values.strict import JsonObject, NotStrict, loads
from ..engine.gateway import Gateway
from .console import Stream
from .documents import Changes, Source, literal, read_document
from .exits import exit_of
from .looking import show_plan
from .report import Startup, errors_report, notes_report, run_report, settled_line
from .session import Session
from .style import pretty

CALL = "call"
MAX_TASK_LINES = 200
"""Most tasks of a run that gets a line for the end of each; those of a larger run are counted."""
COUNT_LINES = 20


async def run_dag(
    gateway: Gateway, session: Session, source: Source, changes: Changes, *, is_whole: bool
) -> int:
    """Run the DAG in *source* to its end, or only plan it if it is a dry run."""
    document = read_document(source, changes)
    if document.is_dry_run:
        return await show_plan(gateway, session, source.name, document)
    unknown = [name for name, info in gateway.catalog().servers.items() if not info.is_known]
    before = anyio.current_time()
    run_id = (await gateway.submit(document.value)).run_id
    prepared_ms = (anyio.current_time() - before) * 1000
    needed = {task.tool.partition(":")[0] for task in gateway.record(run_id).tasks.values()}
    started = tuple(name for name in unknown if name in needed)
    startup = Startup(prepared_ms, started) if started else Startup()

    def show(result: RunResult) -> None:
        noted = replace(result, notes=(*document.notes, *result.notes))
        out = session.console.out
        if session.as_json:
            out.json(noted.document("full"))
        else:
            out.lines(run_report(noted, out.width, is_whole=is_whole, startup=startup))

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.settled, needed)  # also those of later layers, at once
            result = await _ended(gateway, run_id, None if session.as_json else session.console.err)
            tasks.cancel_scope.cancel()
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):  # bounded by the gateway
            show(await gateway.cancel(run_id))
        raise
    show(result)
    return exit_of(result)


async def call_tool(gateway: Gateway, session: Session, tool: str, arguments: JsonObject) -> int:
    """Call *tool* once, and show its result: text as it is, anything else as JSON."""
    result = await gateway.execute(
        {"tasks": [{"id": CALL, "tool": tool, "arguments": literal(arguments)}]}
    )
    out, err = session.console.out, session.console.err
    if session.as_json:
        out.json(result.document("full"))
        return exit_of(result)
    if CALL in result.outputs:
        out.lines((line,) for line in pretty(result.outputs[CALL], out.width))
    err.lines(notes_report(result.notes))
    err.lines(errors_report(result.errors))
    return exit_of(result)


def read_arguments(text: str) -> JsonObject:
    """Parse the arguments of a call, as they were typed. Raises `typer.BadParameter`."""
    example = """Write a JSON object, such as '{"path": "README.md"}'."""
    try:
        value = loads(text)
    except NotStrict as error:
        raise typer.BadParameter(f"this is {error}. {example}", param_hint="JSON") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"this is not a JSON object. {example}", param_hint="JSON")
    return value


async def _ended(gateway: Gateway, run_id: str, err: Stream | None) -> RunResult:
    """Wait for the end of the run and return its result; show its progress on *err*."""
    if err is None:
        return await gateway.wait(run_id)
    shown: set[str] = set()
    next_count = 0.0
    async with aclosing(gateway.follow(run_id)) as news:  # type: ignore[type-var]  # it is an async generator
        async for progress in news:
            if progress.total <= MAX_TASK_LINES:
                _show_settled(gateway.result(run_id), shown, err)
            elif progress.settled >= next_count or progress.finished:
                err.line(str(progress))
                next_count = progress.settled + progress.total / COUNT_LINES
    return gateway.result(run_id)


def _show_settled(result: RunResult, shown: set[str], err: Stream) -> None:
    """Show a line for each task that has finished since the last time, in that order."""
    settled = [
        task for task in result.tasks if task.id not in shown and Status(task.status).is_final
    ]
    shown.update(task.id for task in settled)
    err.lines(
        settled_line(task, [error for error in result.errors if error.id == task.id])
        for task in _by_end(settled)
    )


def _by_end(tasks: Iterable[TaskResult]) -> list[TaskResult]:
    """Sort *tasks* by their ends; those that never started come last."""
    return sorted(
        tasks,
        key=lambda task: (task.start_ms is None, (task.start_ms or 0) + (task.duration_ms or 0)),
    )
