"""The questions and log messages of a run's calls, which go to the client that began the run alone.

A run outlives the request that began it, and its calls may ask something at any time. So each run
has a `RunWaiters`: requests of its client that wait for the run attend to it, and a question goes
to the latest of them. While none does, the question waits. Requests of other clients may wait for
the run too, if their principal may see it, but are asked nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio
import mcp_types as types

from ...core.ports import UNDECLARED, Caller, RpcError
from ...core.values.principal import Principal
from ...core.values.strict import JsonObject
from ...waiting import Signal
from ..principals import client_of, stands_alone
from ..run_progress import RequestContext, SendProgress, telling
from .eras import is_modern
from .input_requests import ASK_S, checked_question
from .request_scope import RequestScope

_current: ContextVar[RequestScope | None] = ContextVar("current request", default=None)


@contextmanager
def serving(request: RequestScope) -> Iterator[None]:
    """Inside of the block, *request* is the one that is being answered."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


def progress_to(ctx: RequestContext) -> SendProgress | None:
    """Sends the client of *ctx* the progress of a run, also when it has come back with another
    request; None if it will not want it."""
    request = _current.get()
    may_come_back = request is not None and request.can_be_asked and is_modern(ctx)
    return request.report if request is not None and may_come_back else telling(ctx)


def waiters_of_new_run(ctx: RequestContext, principal: Principal) -> RunWaiters:
    """For a run that the client of *ctx* begins, on behalf of *principal*."""
    return RunWaiters(principal, _client_of_runs(ctx, principal), _current.get())


def _client_of_runs(ctx: RequestContext, principal: Principal) -> object:
    """The client of the runs that *ctx* begins: its connection, or without one the principal."""
    return principal if stands_alone(ctx) else client_of(ctx)


class RunWaiters(Caller):
    """The requests of *owner* that wait for a run that it began; the caller of the run's calls. The
    run was begun by *request*, None if nothing is relayed."""

    takes_input_requests = False
    wants_progress = False

    def __init__(self, principal: Principal, owner: object, request: RequestScope | None) -> None:
        self._principal = principal
        self._owner = owner
        self._session = None if request is None else request.session
        self._capabilities = UNDECLARED if request is None else request.capabilities
        self._client_capabilities = None if request is None else request.client_capabilities
        self._can_be_asked = request is not None and request.can_be_asked
        self._waiting: list[RequestScope] = []
        self._open = 0
        self._changed = Signal()

    def __repr__(self) -> str:
        return f"<RunWaiters: {len(self._waiting)} requests, {self._open} questions>"

    @property
    def principal(self) -> Principal:
        return self._principal

    @property
    def client(self) -> object:
        """The session that began the run. Without one, the run is taken for a client of its own:
        two that have the same owner may still be of two clients."""
        return self._session or self

    @property
    def capabilities(self) -> JsonObject:
        """Those of the client that began the run, as it declared them then."""
        return self._capabilities

    @property
    def can_be_asked(self) -> bool:
        return self._can_be_asked

    @property
    def is_asking(self) -> bool:
        """Whether a question has been put and not been answered."""
        return self._open > 0

    def is_for(self, ctx: RequestContext, principal: Principal) -> bool:
        """Whether the request of *ctx*, by *principal*, comes from the run's client."""
        return self._owner == _client_of_runs(ctx, principal)

    @contextmanager
    def attended(self) -> Iterator[None]:
        """The current request waits for the run, as long as the block takes."""
        request = _current.get()
        if request is None:
            yield
            return
        self._waiting.append(request)
        self._changed.notify()
        try:
            yield
        finally:
            self._waiting.remove(request)

    async def quiet(self) -> None:
        """Wait until no question is open: a request must not end before the answers to what it was
        asked."""
        while self._open:
            await self._changed.wait()

    def check_question(self, method: str, params: JsonObject, /) -> None:
        checked_question(method, params, self._client_capabilities)

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        """As `Caller.ask`. Gives up after ten minutes without a request that can be asked."""
        while True:
            request = await self._latest()
            self._open += 1
            try:
                return await request.ask(method, params)
            except anyio.ClosedResourceError:  # the request was given up before the answer
                continue
            finally:
                self._open -= 1
                self._changed.notify()

    def progress(self, params: JsonObject, /) -> None:
        """Drop it: clients follow the run as a whole (`run_progress.py`)."""

    def log(self, params: JsonObject, /) -> bool:
        """While no request waits for the run, the session that began it hears of it."""
        if self._waiting:
            return self._waiting[-1].log(params)
        return self._session is not None and self._session.log(params)

    async def _latest(self) -> RequestScope:
        """The latest request that can be asked; waits for one."""
        with anyio.move_on_after(ASK_S):
            while True:
                for request in reversed(self._waiting):
                    if request.can_be_asked:
                        return request
                await self._changed.wait()
        raise RpcError(
            types.REQUEST_TIMEOUT, "No client waits for this run any more, so nobody can be asked."
        )
