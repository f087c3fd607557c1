"""Waiting for a run, while the client that waits hears of its progress."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import anyio
from mcp.server import ServerRequestContext

from ..core.results.result import RunResult
from ..core.scheduling.events import Status
from ..gateway import Gateway

log = logging.getLogger(__name__)

Context: TypeAlias = ServerRequestContext[Any, Any]

LAST_WORD_S = 0.2
"""How long an answer that is ready waits for the last progress to be sent."""


async def wait_for(
    ctx: Context, gateway: Gateway, run_id: str, seconds: float, *, task: str | None = None
) -> RunResult:
    """The run (or that *task* of it) once it has ended, or after *seconds*. Raises `UnknownRun`.

    Meanwhile the client hears of it, if it asked to.
    """
    if gateway.is_done(run_id) or not _wants_progress(ctx):
        return await _ended(gateway, run_id, seconds, task)
    async with _telling(ctx, gateway, run_id):
        return await _ended(gateway, run_id, seconds, task)


async def _ended(gateway: Gateway, run_id: str, seconds: float, task: str | None) -> RunResult:
    if task is None:
        return await gateway.wait(run_id, seconds)
    with anyio.move_on_after(seconds):
        async with aclosing(gateway.follow(run_id)) as news:  # type: ignore[type-var]  # it is an async generator
            async for _ in news:
                if _has_ended(gateway.result(run_id), task):
                    break
    return gateway.result(run_id)


def _has_ended(result: RunResult, task: str) -> bool:
    return any(one.id == task and Status(one.status).is_final for one in result.tasks)


def _wants_progress(ctx: Context) -> bool:
    return ctx.meta is not None and ctx.meta.get("progress_token") is not None


@asynccontextmanager
async def _telling(ctx: Context, gateway: Gateway, run_id: str) -> AsyncIterator[None]:
    """Beside the block, tell the client how far the run is. A client that does not read holds up nothing."""
    told = anyio.Event()

    async def tell() -> None:
        try:
            await _tell(ctx, gateway, run_id)
        except Exception:
            log.exception("progress.failed", extra={"run": run_id})
        finally:
            told.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tell)
        yield
        if gateway.is_done(run_id):
            with anyio.move_on_after(LAST_WORD_S):
                await told.wait()
        tasks.cancel_scope.cancel()


async def _tell(ctx: Context, gateway: Gateway, run_id: str) -> None:
    """The values only ever rise, as the protocol wants it: news without a settled task counts a fraction."""
    settled, heard = -1, 0
    async for progress in gateway.follow(run_id):
        heard = 0 if progress.settled > settled else heard + 1
        settled = progress.settled
        if not (heard and progress.finished):
            await ctx.session.report_progress(settled + heard / (heard + 1), progress.total, str(progress))
