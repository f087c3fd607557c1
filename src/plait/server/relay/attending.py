"""Whom the calls of a run may ask: the client whose request waits for that run at the moment.

A run outlives the request that began it, and its calls may ask something at any time. So each run has an `Attendance`:
requests that wait for the run attend to it, and a question goes to one of them. While none does, it waits for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio
import mcp_types as types

from ...core.ports import Ask, RpcError
from ...core.strict import JsonObject
from ..following import Context
from .asking import ASK_S, can_be_asked
from .eras import declared_by

_ask: ContextVar[Ask | None] = ContextVar("ask", default=None)


@contextmanager
def asking_by(ask: Ask) -> Iterator[None]:
    """Inside of the block, requests put questions to their client by *ask*."""
    token = _ask.set(ask)
    try:
        yield
    finally:
        _ask.reset(token)


def attendance_of(ctx: Context) -> Attendance | None:
    """For a run that the client of *ctx* begins; None where that client can be asked for nothing."""
    if _ask.get() is None or not can_be_asked(ctx.session.client_capabilities):
        return None
    return Attendance(declared_by(ctx))


class Attendance:
    """The requests that wait for one run; an `UpstreamClient`. *capabilities* are those of the client that began it."""

    def __init__(self, capabilities: JsonObject) -> None:
        self.capabilities = capabilities
        self._attending: list[Ask] = []
        self._open = 0
        self._changed = anyio.Event()

    def __repr__(self) -> str:
        return f"<Attendance: {len(self._attending)} requests, {self._open} questions>"

    @property
    def is_asking(self) -> bool:
        """Whether a question has been put and not been answered."""
        return self._open > 0

    @contextmanager
    def attended(self) -> Iterator[None]:
        """The present request waits for the run, as long as the block takes."""
        if (ask := _ask.get()) is None:
            yield
            return
        self._attending.append(ask)
        self._tell()
        try:
            yield
        finally:
            self._attending.remove(ask)

    async def quiet(self) -> None:
        """Wait until no question is open: a request must not end before the answers to what it was asked."""
        while self._open:
            await self._changed.wait()

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        """As `Ask`. Gives up after ten minutes without a request that could be asked."""
        with anyio.move_on_after(ASK_S):
            while not self._attending:
                await self._changed.wait()
        if not self._attending:
            raise RpcError(types.REQUEST_TIMEOUT, "No client waits for this run any more, so nobody can be asked.")
        self._open += 1
        try:
            return await self._attending[-1](method, params)
        finally:
            self._open -= 1
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
