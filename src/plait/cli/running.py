"""`plait run`: a run from its document to its result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import anyio

from ..core.results.progress import Progress
from ..core.results.result import RunResult, TaskResult
from ..core.scheduling.events import Status
from ..core.tools.approving import FLAG
from ..engine.engine import STOP_S
from ..engine.gateway import Gateway
from .approving import Asking, show_result
from .console import Stream
from .documents import Changes, Source, read_document
from .exits import Misused
from .invocation import Invocation
from .live import run_rows, showing, starting_rows, starting_servers
from .looking import show_plan
from .report import AT_ONCE, Startup, abandoned, settled_line
from .reporting import Report, make
from .style import Line

MAX_TASK_LINES = 200
"""Most tasks of a run that gets a line for the end of each; those of a larger run are counted."""
COUNT_LINES = 20


async def run_dag(
    gateway: Gateway,
    invocation: Invocation,
    source: Source,
    changes: Changes,
    *,
    is_whole: bool,
    says_yes: bool = False,
    reports: Sequence[Report] = (),
) -> int:
    """Run the DAG in *source* to its end, and write *reports* of it; or only plan it if it is a dry
    run. A person at the terminal is asked for its calls, unless the command *says_yes* to them.
    Raises `Misused` if that does not count."""
    if says_yes and FLAG not in gateway.approving.ways:
        text = 'it counts only where the settings say so: [policy] approve = ["flag", …].'
        raise Misused(text, hint="--approve")
    asking = Asking(gateway, invocation, says_yes=says_yes)
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
    remark: str | None = None
    cleanup_s = 0.0

    def rows(run_id: str, seconds: float) -> list[Line]:
        if asking.is_open:
            return []
        starting = starting_servers(gateway, needed)
        running = run_rows(gateway.record(run_id), progressing.latest, starting)
        return [*starting_rows(gateway, seconds, needed), *running]

    progressing = _Progressing(gateway, None if invocation.as_json else err)

    def show(result: RunResult) -> None:
        remarks = [] if remark is None else [remark]
        noted = replace(result, notes=(*document.notes, *result.notes, *remarks))
        try:
            show_result(invocation, asking, noted, is_whole=is_whole, startup=startup)
        finally:  # what is printed may have no reader
            if reports:
                invocation.deliver(make(reports, noted, invocation.secrets))

    try:
        try:
            async with showing(err, partial(starting_rows, gateway)):
                await invocation.begin()
                submitted = await gateway.submit(document.value, invocation.caller, is_awaited=True)
                run_id, cleanup_s = submitted.run_id, submitted.dag.cleanup_s
                remark = submitted.remark
                invocation.last_words = lambda: show(abandoned(gateway.result(submitted.run_id)))
            prepared_ms = (anyio.current_time() - before) * 1000
            needed |= {
                task.tool.partition(":")[0] for task in gateway.record(run_id).tasks.values()
            }
            started = tuple(name for name in unknown if name in needed)
            startup = Startup(prepared_ms, started) if started else AT_ONCE
            # All servers start at once, also those of later layers.
            async with showing(err, partial(rows, run_id), partial(gateway.settled, needed)):
                result = await asking.ended(run_id, progressing.take)
        except anyio.get_cancelled_exc_class():
            if run_id is not None and not asking.is_left(run_id):
                with anyio.CancelScope(shield=True):  # bounded by the gateway
                    stopped = await gateway.cancel(run_id, seconds=STOP_S + cleanup_s)
                    await invocation.work(partial(show, abandoned(stopped)))
            raise
        await invocation.work(partial(show, result))
    finally:
        if run_id is not None:
            gateway.answered(run_id)
    return asking.exit_of(result)


class _Progressing:
    """Shows the tasks of a run as they finish on *err*, if it is given."""

    def __init__(self, gateway: Gateway, err: Stream | None) -> None:
        self._gateway, self._err = gateway, err
        self.latest: str | None = None
        """The latest progress of a call."""
        self._shown: set[str] = set()
        self._next_count = 0.0

    def take(self, progress: Progress) -> None:
        self.latest = progress.latest
        if self._err is None:
            return
        if progress.total <= MAX_TASK_LINES:
            _show_settled(self._gateway.result(progress.run_id), self._shown, self._err)
        elif progress.settled >= self._next_count or progress.finished:
            self._err.line(str(progress))
            self._next_count = progress.settled + progress.total / COUNT_LINES


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
