"""Waiting for a run, while the client that waits hears of its progress.

A client that comes back with another request for the same, as those of 2026-07-28 do with their
answers, hears of it under the token of the request that waits at the time.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import anyio
from mcp.server import ServerRequestContext

from ..core.results.result import RunResult
from ..core.values.principal import Principal
from ..core.values.strict import JsonObject
from ..engine.gateway import Gateway

log = logging.getLogger(__name__)

RequestContext: TypeAlias = ServerRequestContext[Any, Any]

SendProgress: TypeAlias = Callable[[JsonObject], Awaitable[None]]
"""Tells a client how far a run is: the params of a `notifications/progress`, but for its token."""

LAST_WORD_S = 0.2
"""How long an answer that is ready waits for the last progress to be sent."""


async def wait_for(
    tell: SendProgress | None,
    gateway: Gateway,
    principal: Principal,
    run_id: str,
    seconds: float,
    *,
    task: str | None = None,
) -> RunResult:
    """The run (or that *task* of it) once it has ended, or after *seconds*. Raises `UnknownRun`.

    Meanwhile the client hears of it by *tell*; not at all, for None.
    """
    if gateway.is_done(run_id, principal) or tell is None:
        return await _ended(gateway, principal, run_id, seconds, task)
    async with _telling(tell, gateway, principal, run_id):
        return await _ended(gateway, principal, run_id, seconds, task)


async def _ended(
    gateway: Gateway, principal: Principal, run_id: str, seconds: float, task: str | None
) -> RunResult:
    if task is None:
        return await gateway.wait(run_id, seconds, principal)
    with anyio.move_on_after(seconds):
        async with aclosing(gateway.follow(run_id, principal)) as news:  # type: ignore[type-var]  # it is an async generator
            async for _ in news:
                if gateway.record(run_id, principal).tasks[task].status.is_final:
                    break
    return gateway.result(run_id, principal)


def telling(ctx: RequestContext) -> SendProgress | None:
    """Tells the client of *ctx* for as long as that one request is open; None where it did not ask
    to hear of it."""
    if ctx.meta is None or ctx.meta.get("progress_token") is None:
        return None

    async def tell(told: JsonObject) -> None:
        progress, total, message = told["progress"], told.get("total"), told.get("message")
        await ctx.session.report_progress(progress, total, message)  # type: ignore[arg-type]  # as `_tell` made them

    return tell


@asynccontextmanager
async def _telling(
    tell_client: SendProgress, gateway: Gateway, principal: Principal, run_id: str
) -> AsyncIterator[None]:
    """Beside the block, tell the client how far the run is. A client that does not read holds up
    nothing."""
    told = anyio.Event()

    async def tell() -> None:
        try:
            await _tell(tell_client, gateway, principal, run_id)
        except Exception:
            log.exception("progress.failed", extra={"run": run_id})
        finally:
            told.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tell)
        yield
        if gateway.is_done(run_id, principal):
            with anyio.move_on_after(LAST_WORD_S):
                await told.wait()
        tasks.cancel_scope.cancel()


async def _tell(tell: SendProgress, gateway: Gateway, principal: Principal, run_id: str) -> None:
    """The values only ever rise, as the protocol wants it: news without a settled task counts a
    fraction."""
    settled, heard = -1, 0
    async for progress in gateway.follow(run_id, principal):
        heard = 0 if progress.settled > settled else heard + 1
        settled = progress.settled
        if not (heard and progress.finished):
            value = settled + heard / (heard + 1)
            await tell({"progress": value, "total": progress.total, "message": str(progress)})
