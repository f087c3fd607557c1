"""Questions and log messages of a run's calls, which go only to the client that began the run.

A run outlives the request that began it, and its calls may ask something at any time. So each run
has a `RunWaiters`: the requests of its client that wait for the run. A question goes to the latest
of them; while there is none, it waits. Requests of other clients may wait for the run too, if their
principal may see it, but are asked nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio
import mcp_types as types

from ...core.ports import UNDECLARED, Caller
from ...core.values.principal import Principal
from ...core.values.strict import JsonObject
from ...errors import RpcError
from ...waiting import Signal
from ..mcp_sdk import RequestContext
from ..principals import client_of, stands_alone
from ..run_progress import SendProgress, progress_sender
from .input_requests import ASK_S, checked_question
from .request_caller import RequestCaller

MOST_ROUNDS = 8
"""Most times that a request of 2026-07-28 ends with questions to a person: the official client
gives up after ten. What is left is asked over the next request."""

_current: ContextVar[RequestCaller | None] = ContextVar("current request", default=None)


@contextmanager
def serving(request: RequestCaller) -> Iterator[None]:
    """Make *request* the current one inside the block."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


def has_client_left_it() -> bool:
    """Return whether the current request ended with a question that its client has not come back
    to answer."""
    request = _current.get()
    return request is not None and request.is_suspended


def progress_to(ctx: RequestContext) -> SendProgress | None:
    """Return what sends the client of *ctx* the progress of a run, also when the client has come
    back with another request; None if the client does not want it."""
    request = _current.get()
    if request is not None and request.can_be_asked and request.takes_input_requests:
        return request.report
    return progress_sender(ctx)


def waiters_of_new_run(ctx: RequestContext, principal: Principal) -> RunWaiters:
    """Return the waiters of a run that the client of *ctx* begins, on behalf of *principal*."""
    return RunWaiters(principal, _owner_of_runs(ctx, principal), _current.get())


def _owner_of_runs(ctx: RequestContext, principal: Principal) -> object:
    """Return the owner of the runs that *ctx* begins: its client, or without a connection its
    principal."""
    return principal if stands_alone(ctx) else client_of(ctx)


class RunWaiters(Caller):
    """The requests of *owner* that wait for a run that it began; the caller of the run's calls.

    The run was begun by *request*, or None where nothing is relayed.
    """

    takes_input_requests = False
    wants_progress = False

    def __init__(self, principal: Principal, owner: object, request: RequestCaller | None) -> None:
        self._principal = principal
        self._owner = owner
        self._connection = None if request is None else request.connection
        self._session = None if request is None else request.session
        self._capabilities = UNDECLARED if request is None else request.capabilities
        self._client_capabilities = None if request is None else request.client_capabilities
        self._can_be_asked = request is not None and request.can_be_asked
        self._waiting: list[RequestCaller] = []
        self._asking_person: dict[RequestCaller, set[anyio.CancelScope]] = {}
        """The questions to a person, by the requests over which they are asked."""
        self._dismissed: set[RequestCaller] = set()
        """The waiting requests over which a person did not want to answer."""
        self._open_questions = 0
        self._changed = Signal()

    def __repr__(self) -> str:
        return f"<RunWaiters: {len(self._waiting)} requests, {self._open_questions} questions>"

    @property
    def principal(self) -> Principal:
        return self._principal

    @property
    def connection(self) -> str | None:
        return self._connection

    @property
    def client(self) -> object:
        """The session that began the run. Without a session the run counts as a client of its own:
        two runs of the same owner may still be of two clients."""
        return self._session or self

    @property
    def capabilities(self) -> JsonObject:
        """The capabilities that the client declared when it began the run."""
        return self._capabilities

    @property
    def can_be_asked(self) -> bool:
        return self._can_be_asked

    @property
    def has_open_questions(self) -> bool:
        return self._open_questions > 0

    def is_for(self, ctx: RequestContext, principal: Principal) -> bool:
        """Return whether the request of *ctx*, by *principal*, comes from the run's client."""
        return self._owner == _owner_of_runs(ctx, principal)

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Let the current request wait for the run while the block runs."""
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
            self._dismissed.discard(request)
            for scope in self._asking_person.get(request, ()):
                scope.cancel()

    async def wait_answered(self) -> None:
        """Wait until no question is open: a request must not end before its client's answers."""
        while self._open_questions:
            await self._changed.wait()

    def check_question(self, method: str, params: JsonObject, /) -> None:
        checked_question(method, params, self._client_capabilities)

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        """Ask the latest request that can be asked. Raises `RpcError` after ten minutes without
        one."""
        while True:
            request = await self._wait_for_request()
            self._open_questions += 1
            try:
                return await request.ask(method, params)
            except anyio.ClosedResourceError:  # the request ended before the answer
                continue
            finally:
                self._open_questions -= 1
                self._changed.notify()

    @property
    def is_person_there(self) -> bool:
        return self._request_for_person() is not None

    @property
    def has_session(self) -> bool:
        return self._session is not None

    async def ask_person(self, method: str, params: JsonObject, /) -> JsonObject:
        """As `Caller.ask_person`. A request of the handshake era is not held open for the answer:
        when it ends, its question is taken back. One of 2026-07-28 ends with the question."""
        self.check_question(method, params)
        while True:
            while (request := self._request_for_person()) is None:
                await self._changed.wait()
            self._open_questions += request.takes_input_requests
            scope = anyio.CancelScope()
            self._asking_person.setdefault(request, set()).add(scope)
            try:
                with scope:
                    given = await request.ask(method, params)
                    if given.get("action") == "cancel":
                        self._dismissed.add(request)
                    return given
            except anyio.ClosedResourceError:  # the request ended before the answer
                self._dismissed.add(request)
            finally:
                self._asking_person[request].discard(scope)
                if not self._asking_person[request]:
                    del self._asking_person[request]
                self._open_questions -= request.takes_input_requests
                self._changed.notify()

    def _request_for_person(self) -> RequestCaller | None:
        for request in reversed(self._waiting):
            is_open = request.can_be_asked and request not in self._dismissed
            if is_open and request.suspensions < MOST_ROUNDS:
                return request
        return None

    def progress(self, params: JsonObject, /) -> None:
        """Drop it: clients follow the run as a whole (`run_progress.py`)."""

    def log(self, params: JsonObject, /) -> bool:
        """Send the message on the latest request that waits, or else to the session that began the
        run."""
        if self._waiting:
            return self._waiting[-1].log(params)
        return self._session is not None and self._session.log(params)

    async def _wait_for_request(self) -> RequestCaller:
        with anyio.move_on_after(ASK_S):
            while True:
                for request in reversed(self._waiting):
                    if request.can_be_asked:
                        return request
                await self._changed.wait()
        raise RpcError(
            types.REQUEST_TIMEOUT, "No client waits for this run any more, so none can be asked."
        )
