"""The questions and log messages of a run's calls, which go to the client that began the run alone.

A run outlives the request that began it, and its calls may ask something at any time. So each run has
a `RunWaiters`: requests of its client that wait for the run attend to it, and a question goes to the
latest of them. While none does, the question waits. Requests of other clients may wait for the run too,
if their principal may see it, but are asked nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio
import mcp_types as types

from ...core.ports import Ask, OnLog, RpcError
from ...core.values.principal import Principal
from ...core.values.strict import JsonObject
from ...waiting import Signal
from ..principals import client_of, stands_alone
from ..run_progress import RequestContext, SendProgress, telling
from .eras import declared_by, is_modern
from .input_requests import ASK_S
from .request_scope import LegacySession, ProgressTo, RequestScope

_caller: ContextVar[RequestScope | None] = ContextVar("caller", default=None)
_ask: ContextVar[Ask | None] = ContextVar("ask", default=None)


@contextmanager
def told_by(caller: RequestScope) -> Iterator[None]:
    """Inside of the block, *caller* is told what calls log that are made for the present request."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


@contextmanager
def asking_by(ask: Ask) -> Iterator[None]:
    """Inside of the block, requests put questions to their client by *ask*."""
    token = _ask.set(ask)
    try:
        yield
    finally:
        _ask.reset(token)


def progress_to(ctx: RequestContext) -> SendProgress | None:
    """Tells the client of *ctx* how far a run is, also when it has come back with another request; None where it will
    not want to hear of it."""
    caller = _caller.get()
    may_come_back = caller is not None and _ask.get() is not None and is_modern(ctx)
    return caller.report if caller is not None and may_come_back else telling(ctx)


def attendance_of(ctx: RequestContext, principal: Principal) -> RunWaiters:
    """For a run that the client of *ctx* begins, on behalf of *principal*."""
    client = _client_of_runs(ctx, principal)
    if (caller := _caller.get()) is None:  # nobody relays
        return RunWaiters(principal, client, {}, can_be_asked=False)
    return RunWaiters(principal, client, declared_by(ctx), caller.session, can_be_asked=_ask.get() is not None)


def _client_of_runs(ctx: RequestContext, principal: Principal) -> object:
    """The client of the runs that *ctx* begins: its connection, or without one the principal."""
    return principal if stands_alone(ctx) else client_of(ctx)


class RunWaiters:
    """The requests of *client* that wait for a run that it began; an `UpstreamClient`. *capabilities*
    are those it declared then, *session* is None if it has none."""

    def __init__(
        self,
        principal: Principal,
        client: object,
        capabilities: JsonObject,
        session: LegacySession | None = None,
        *,
        can_be_asked: bool = True,
    ) -> None:
        self.principal = principal
        self.client = client
        self.capabilities = capabilities
        self.can_be_asked = can_be_asked
        self.on_log: OnLog = ProgressTo(session or self, self._log)
        self._session = session
        self._attending: list[Ask] = []
        self._told: list[RequestScope] = []
        self._open = 0
        self._changed = Signal()

    def __repr__(self) -> str:
        return f"<RunWaiters: {len(self._attending)} requests, {self._open} questions>"

    @property
    def is_asking(self) -> bool:
        """Whether a question has been put and not been answered."""
        return self._open > 0

    def is_for(self, ctx: RequestContext, principal: Principal) -> bool:
        """Whether the request of *ctx*, by *principal*, comes from the run's client."""
        return self.client == _client_of_runs(ctx, principal)

    @contextmanager
    def attended(self) -> Iterator[None]:
        """The present request waits for the run, as long as the block takes."""
        asks = [ask] if (ask := _ask.get()) is not None else []
        told = [caller] if (caller := _caller.get()) is not None else []
        self._attending += asks
        self._told += told
        self._changed.notify()
        try:
            yield
        finally:
            for ask in asks:
                self._attending.remove(ask)
            for caller in told:
                self._told.remove(caller)

    async def quiet(self) -> None:
        """Wait until no question is open: a request must not end before the answers to what it was asked."""
        while self._open:
            await self._changed.wait()

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        """As `Ask`. Gives up after ten minutes without a request that could be asked."""
        while True:
            ask = await self._attendant()
            self._open += 1
            try:
                return await ask(method, params)
            except anyio.ClosedResourceError:  # its request was given up before the answer
                continue
            finally:
                self._open -= 1
                self._changed.notify()

    async def _attendant(self) -> Ask:
        with anyio.move_on_after(ASK_S):
            while not self._attending:
                await self._changed.wait()
        if not self._attending:
            raise RpcError(types.REQUEST_TIMEOUT, "No client waits for this run any more, so nobody can be asked.")
        return self._attending[-1]

    def _log(self, params: JsonObject) -> None:
        """A call of the run logs. While no request waits for the run, the session that began it hears of it."""
        if self._told:
            self._told[-1].log(params)
        elif self._session is not None:
            self._session.log(params)
