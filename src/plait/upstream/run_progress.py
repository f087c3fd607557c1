"""Waiting for a run while its client gets progress notifications.

A client that comes back with another request for the same run, as clients of 2026-07-28 do with
their answers, gets them with the token of the request that waits then.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from typing import TypeAlias

import anyio

from ..core.results.result import RunResult
from ..core.values.principal import Principal
from ..core.values.strict import JsonObject
from ..engine.gateway import Gateway
from .mcp_sdk import RequestContext

log = logging.getLogger(__name__)

SendProgress: TypeAlias = Callable[[JsonObject], Awaitable[None]]
"""Sends a client the progress of a run: the params of a `notifications/progress`, without token."""

FLUSH_S = 0.2
"""Longest delay of an answer for the last progress notification."""


async def wait_for(
    send: SendProgress | None,
    gateway: Gateway,
    principal: Principal,
    run_id: str,
    seconds: float,
    *,
    task: str | None = None,
) -> RunResult:
    """Wait until a run, or its *task*, has ended, at most *seconds*, and return its result.
    Meanwhile *send* sends the progress, if given. Raises `UnknownRun`."""
    if send is None or gateway.is_done(run_id, principal):
        reporting: AbstractAsyncContextManager[None] = nullcontext()
    else:
        reporting = _reporting(send, gateway, principal, run_id)
    async with reporting:
        if task is None:
            return await gateway.wait(run_id, seconds, principal)
        with anyio.move_on_after(seconds):
            async with aclosing(gateway.follow(run_id, principal)) as news:  # type: ignore[type-var]  # it is an async generator
                async for _ in news:
                    if gateway.record(run_id, principal).tasks[task].status.is_final:
                        break
        return gateway.result(run_id, principal)


def progress_sender(ctx: RequestContext) -> SendProgress | None:
    """Return what sends progress to the client of *ctx* while that request is open; None if it did
    not ask for progress."""
    if ctx.meta is None or ctx.meta.get("progress_token") is None:
        return None

    async def send(params: JsonObject) -> None:
        progress, total, message = params["progress"], params.get("total"), params.get("message")
        await ctx.session.report_progress(progress, total, message)  # type: ignore[arg-type]  # as `_reporting` made them

    return send


@asynccontextmanager
async def _reporting(
    send: SendProgress, gateway: Gateway, principal: Principal, run_id: str
) -> AsyncIterator[None]:
    """Send the progress of the run while the block runs. A client that does not read delays only
    its own answer, by at most `FLUSH_S`."""
    finished = anyio.Event()

    async def report() -> None:
        settled, unchanged = -1, 0
        try:
            async for progress in gateway.follow(run_id, principal):
                # Values must rise, so news without another settled task adds a fraction.
                unchanged = 0 if progress.settled > settled else unchanged + 1
                settled = progress.settled
                if not (unchanged and progress.finished):
                    value = settled + unchanged / (unchanged + 1)
                    message = str(progress)
                    await send({"progress": value, "total": progress.total, "message": message})
        except Exception:
            log.exception("progress.failed", extra={"run": run_id})
        finally:
            finished.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(report)
        yield
        if gateway.is_done(run_id, principal):
            with anyio.move_on_after(FLUSH_S):
                await finished.wait()
        tasks.cancel_scope.cancel()
