"""`plait run`: a run from its document to its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import anyio

from ..core.results.progress import Progress
from ..core.results.result import RunResult, TaskResult
from ..core.scheduling.events import Status
from ..engine.engine import STOP_S
from ..engine.gateway import Gateway
from .console import Stream
from .documents import Changes, Source, read_document
from .exits import exit_of
from .invocation import Invocation
from .live import run_rows, showing, starting_rows, starting_servers
from .looking import show_plan
from .report import AT_ONCE, Startup, abandoned, run_report, settled_line
from .style import Line

MAX_TASK_LINES = 200
"""Most tasks of a run that gets a line for the end of each; those of a larger run are counted."""
COUNT_LINES = 20


async def run_dag(
    gateway: Gateway, invocation: Invocation, source: Source, changes: Changes, *, is_whole: bool
) -> int:
    """Run the DAG in *source* to its end, or only plan it if it is a dry run."""
    invocation.document = source.name
    document = await invocation.work(partial(read_document, source, changes))
    if document.is_dry_run:
        return await show_plan(gateway, invocation, source.name, document)
    err = invocation.console.err
    unknown = [name for name, info in gateway.catalog().servers.items() if not info.is_known]
    before = anyio.current_time()
    needed: set[str] = set()
    startup = AT_ONCE
    run_id: str | None = None
    cleanup_s = 0.0
    latest: str | None = None

    def rows(run_id: str, seconds: float) -> list[Line]:
        running = run_rows(gateway.record(run_id), latest, starting_servers(gateway, needed))
        return [*starting_rows(gateway, seconds, needed), *running]

    def report(progress: Progress) -> None:
        nonlocal latest
        latest = progress.latest

    def show(result: RunResult) -> None:
        noted = replace(result, notes=(*document.notes, *result.notes))
        out = invocation.console.out
        if invocation.as_json:
            out.json(noted.document("full"))
        else:
            out.lines(run_report(noted, out.width, is_whole=is_whole, startup=startup))

    try:
        async with showing(err, partial(starting_rows, gateway)):
            await invocation.begin()
            submitted = await gateway.submit(document.value, invocation.caller)
            run_id, cleanup_s = submitted.run_id, submitted.dag.cleanup_s
            invocation.last_words = lambda: show(abandoned(gateway.result(submitted.run_id)))
        prepared_ms = (anyio.current_time() - before) * 1000
        needed |= {task.tool.partition(":")[0] for task in gateway.record(run_id).tasks.values()}
        started = tuple(name for name in unknown if name in needed)
        startup = Startup(prepared_ms, started) if started else AT_ONCE
        # All servers start at once, also those of later layers.
        async with showing(err, partial(rows, run_id), partial(gateway.settled, needed)):
            result = await _ended(gateway, run_id, None if invocation.as_json else err, report)
    except anyio.get_cancelled_exc_class():
        if run_id is not None:
            with anyio.CancelScope(shield=True):  # bounded by the gateway
                stopped = await gateway.cancel(run_id, seconds=STOP_S + cleanup_s)
                await invocation.work(partial(show, abandoned(stopped)))
        raise
    await invocation.work(partial(show, result))
    return exit_of(result)


async def _ended(
    gateway: Gateway, run_id: str, err: Stream | None, report: Callable[[Progress], None]
) -> RunResult:
    """Wait for the end of the run and return its result. *report* gets its progress; *err* shows
    its finished tasks."""
    shown: set[str] = set()
    next_count = 0.0
    async with aclosing(gateway.follow(run_id)) as news:  # type: ignore[type-var]  # it is an async generator
        async for progress in news:
            report(progress)
            if err is None:
                continue
            if progress.total <= MAX_TASK_LINES:
                _show_settled(gateway.result(run_id), shown, err)
            elif progress.settled >= next_count or progress.finished:
                err.line(str(progress))
                next_count = progress.settled + progress.total / COUNT_LINES
    return await gateway.wait(run_id)  # also for the end of one that another gateway goes on with


def _show_settled(result: RunResult, shown: set[str], err: Stream) -> None:
    """Show a line for each task that has finished since the last time, in that order."""
    settled = [
        task for task in result.tasks if task.id not in shown and Status(task.status).is_final
    ]
    shown.update(task.id for task in settled)
    err.lines(map(settled_line, _by_end(settled)))


def _by_end(tasks: Iterable[TaskResult]) -> list[TaskResult]:
    """Sort *tasks* by their ends; those that never started come last."""
    return sorted(
        tasks,
        key=lambda task: (task.start_ms is None, (task.start_ms or 0) + (task.duration_ms or 0)),
    )
