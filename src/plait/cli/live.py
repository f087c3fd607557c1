"""Rows for whatever runs, redrawn in place below all lines: on a terminal alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

from ..core.scheduling.events import Status
from ..core.tools.catalog import ServerState
from ..core.values.problems import some_of
from .console import Stream
from .report import MARKS
from .style import Line, Look, Styled, counted, milliseconds

if TYPE_CHECKING:
    from ..core.results.record import RunRecord, TaskRecord
    from ..engine.gateway import Gateway

Rows: TypeAlias = "Callable[[float], list[Line]]"
"""Makes the rows for the seconds that have passed."""

FIRST_S = 0.3
"""Seconds until the first rows: what takes less shows none."""
EVERY_S = 0.2
MAX_RUNNING = 8
MAX_NAMED = 5


@asynccontextmanager
async def showing(
    err: Stream, rows: Rows, *others: Callable[[], Coroutine[Any, Any, object]]
) -> AsyncIterator[None]:
    """Redraw *rows* on *err*, and do *others*, until the block ends. An error of the block is
    raised as it is."""
    began = anyio.current_time()

    async def draw() -> None:
        await anyio.sleep(FIRST_S)
        while True:
            err.redraw(rows(anyio.current_time() - began))
            await anyio.sleep(EVERY_S)

    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            for job in (*([draw] if err.can_redraw else []), *others):
                tasks.start_soon(job)
            try:
                yield
            except Exception as error:
                failure = error
            finally:
                tasks.cancel_scope.cancel()
    finally:
        err.redraw(())  # after all that draws has ended
    if failure is not None:
        raise failure


def starting_rows(
    gateway: Gateway, seconds: float, servers: Collection[str] | None = None
) -> list[Line]:
    """Show which of *servers* (None: all) are starting."""
    starting = starting_servers(gateway, servers)
    if not starting:
        return []
    mark = MARKS["running"]
    return [(mark, f" starting {some_of(starting, MAX_NAMED)}  {milliseconds(seconds * 1000)}")]


def starting_servers(gateway: Gateway, servers: Collection[str] | None = None) -> list[str]:
    """List those of *servers* (None: all) that are starting."""
    return [
        info.name
        for info in gateway.catalog().servers.values()
        if info.state is ServerState.CONNECTING and (servers is None or info.name in servers)
    ]


def run_rows(record: RunRecord, latest: str | None, starting: Collection[str] = ()) -> list[Line]:
    """Show the tasks of *record* that run, with the *latest* progress of a call, and how far the
    run is. Calls of servers that are *starting* are not sent yet."""
    tasks = record.tasks.values()
    running = [
        task
        for task in tasks
        if task.status is Status.RUNNING and task.tool.partition(":")[0] not in starting
    ]
    rows = [row(record, task, task.id, latest) for task in running[:MAX_RUNNING]]
    if left := len(running) - len(rows):
        rows.append((Styled(f"  … {counted(left, 'more task')} running", Look.DIM),))
    done = sum(task.status.is_final for task in tasks)
    passed = milliseconds(record.elapsed_s * 1000)
    summary = f"  {done:,} of {len(tasks):,} done · {passed} · ^C stops"
    return [*rows, (Styled(summary, Look.DIM),)]


def row(record: RunRecord, task: TaskRecord, name: str, latest: str | None) -> Line:
    """Show a *task* that runs as *name*, with the *latest* progress if that is its own."""
    facts: list[str | Styled] = [] if name == task.tool else [Styled(f"  {task.tool}", Look.DIM)]
    if task.start_s is not None:
        facts.append(f"  {milliseconds((record.elapsed_s - task.start_s) * 1000)}")
    if task.items is not None:
        facts.append(f"  {task.items.settled:,} of {len(task.items.statuses):,}")
    if latest is not None and latest.startswith(f"{task.id}: "):
        facts.append(f"  {latest.removeprefix(f'{task.id}: ')}")
    return (MARKS["running"], f" {name}", *facts)
