"""Requests of clients of 2026-07-28 that wait for their client's input.

*The idea.* A server of the handshake era asks while a call is open. A client of 2026-07-28 is asked
by the *result* of its request, and answers with another request. So the call runs in a task of
ours. When its server asks, the client's request ends with the questions and a state, and the call
waits. The client sends its request again with answers and state, the answers go to the server, and
so on until the call has ended.

*The invariants.*

1. At most one request of the client waits for a call at a time. Between two of them, the call waits
   at most ten minutes.
2. A state leads to one call, once. `server.py` seals it, bound to its request and principal.
3. Each question is answered once or withdrawn. A withdrawn one raises `ClosedResourceError` for the
   asker, who may ask elsewhere.
4. A request that is cancelled cancels its call.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp import MCPError

from ...core.values.strict import JsonObject
from ...errors import CallError, RpcError
from ...waiting import Signal
from ..mcp_sdk import RequestContext
from .input_requests import ASK_S, MOST_QUESTIONS, InputRequest, checked_question, invalid_state
from .request_caller import RequestCaller

log = logging.getLogger(__name__)

Work: TypeAlias = Callable[[], Awaitable[JsonObject]]
"""Makes a result, and may meanwhile ask the client through its `RequestCaller`."""

STATE = "pending:"
"""Prefix of a state that leads to a pending request; its token follows."""
GATHER_S = 0.02
"""Delay of the first question, so that questions that come together are asked together."""
MOST_PENDING = 500
"""Most pending requests with open questions."""


@dataclass(slots=True)
class _Question:
    request: InputRequest
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: JsonObject | None = field(default_factory=dict)
    """None if it was withdrawn."""

    @property
    def is_open(self) -> bool:
        return not self.answered.is_set()

    def settle(self, answer: JsonObject | None) -> None:
        self.answer = answer
        self.answered.set()


class PendingRequests:
    """The requests that may wait for their client; each runs as a task of *tasks*."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._by_token: dict[str, PendingRequest] = {}
        self.asking: set[PendingRequest] = set()
        """The requests with an open question."""

    def __repr__(self) -> str:
        return f"<PendingRequests: {len(self._by_token)}>"

    @property
    def is_full(self) -> bool:
        return len(self.asking) >= MOST_PENDING

    async def result_for(
        self, ctx: RequestContext, caller: RequestCaller, work: Work
    ) -> JsonObject:
        """Return the result of the pending request that *ctx* continues, else of *work*, which is
        done for *caller*; either may be a result that asks the client. Raises as `begin`."""
        if (pending := self.find(ctx)) is not None:
            caller, result = pending.caller, await self.resume(pending, ctx)
        else:
            result = await (self.begin(caller, work) if caller.can_be_asked else work())
        await caller.flush()
        return result

    async def begin(self, caller: RequestCaller, work: Work) -> JsonObject:
        """Return the result of *work*, or a result that asks the client. Raises the errors of the
        work (`MCPError`, `CallError` or `RpcError`). Cancelling this cancels the work."""
        pending = PendingRequest(self, caller)
        self._tasks.start_soon(pending.run, work)
        return await self._next_result(pending)

    def find(self, ctx: RequestContext) -> PendingRequest | None:
        """Return the pending request that the state in *ctx* leads to; None without such a state.
        Raises `MCPError` if it has ended."""
        state = (ctx.params or {}).get("requestState")
        if not isinstance(state, str) or not state.startswith(STATE):
            return None
        if (pending := self._by_token.get(state.removeprefix(STATE))) is None:
            raise invalid_state()
        return pending

    async def resume(self, pending: PendingRequest, ctx: RequestContext) -> JsonObject:
        """Continue *pending* with the answers in *ctx*, as `begin`. Raises `MCPError` if they are
        invalid."""
        given = (ctx.params or {}).get("inputResponses")
        answers = given if isinstance(given, dict) else {}
        pending.check(answers)
        self._by_token.pop(pending.token)
        pending.continue_in(ctx, answers)
        return await self._next_result(pending)

    async def _next_result(self, pending: PendingRequest) -> JsonObject:
        await pending.wait_for_news()
        if pending.has_ended:
            return pending.take_result()
        token = secrets.token_hex(16)
        self._by_token[token] = pending
        pending.suspend(token, anyio.current_time() + ASK_S)
        return {
            "resultType": "input_required",
            "inputRequests": pending.open_questions(),
            "requestState": f"{STATE}{token}",
        }

    def has(self, token: str) -> bool:
        return token in self._by_token

    def forget(self, token: str) -> None:
        self._by_token.pop(token, None)


class PendingRequest:
    """One request that runs in a task of its own, and the questions that it has asked."""

    def __init__(self, all_pending: PendingRequests, caller: RequestCaller) -> None:
        self.caller = caller
        self.token = ""
        self._all = all_pending
        self._capabilities = caller.client_capabilities
        self._cancel_scope = anyio.CancelScope()
        self._questions: dict[str, _Question] = {}
        self._count = 0
        self._outcome: JsonObject | Exception | None = None
        self._changed = Signal()
        self._taken = anyio.Event()
        caller.ask_through(self._ask)

    # In its own task.

    async def run(self, work: Work) -> None:
        """Do *work*, and keep its result until a request of the client takes it or time is up."""
        try:
            with self._cancel_scope:
                try:
                    self._outcome = await work()
                except (RpcError, CallError, MCPError) as error:
                    self._outcome = error
                except Exception:
                    log.exception("request.failed")
                    self._outcome = RpcError(types.INTERNAL_ERROR, "Internal server error")
                self._changed.notify()
                if self._all.has(self.token):  # else a request of the client waits right now
                    await self._taken.wait()
        finally:
            if self._outcome is None:
                self._outcome = RpcError(types.INTERNAL_ERROR, "The gateway gave this request up.")
            self._withdraw()
            self._changed.notify()
            self._all.forget(self.token)

    async def _ask(self, method: str, params: JsonObject) -> JsonObject:
        request = checked_question(method, params, self._capabilities)
        is_full = self._all.is_full and self not in self._all.asking
        if is_full or len(self._questions) >= MOST_QUESTIONS:
            raise RpcError(types.INTERNAL_ERROR, "Too many questions wait for their answers.")
        self._count += 1
        key = f"q{self._count}"
        question = self._questions[key] = _Question(request)
        self._all.asking.add(self)
        self._changed.notify()
        try:
            await question.answered.wait()
        finally:
            del self._questions[key]
            if not self._is_asking:
                self._all.asking.discard(self)
        if question.answer is None:
            raise anyio.ClosedResourceError
        return question.answer

    def _withdraw(self) -> None:
        for question in self._questions.values():
            if question.is_open:
                question.settle(None)

    # In the tasks of the client's requests.

    @property
    def has_ended(self) -> bool:
        return self._outcome is not None

    def open_questions(self) -> JsonObject:
        return {
            key: question.request.as_input_request()
            for key, question in self._questions.items()
            if question.is_open
        }

    async def wait_for_news(self) -> None:
        """Wait until the work has ended or asks something, and then `GATHER_S` for further
        questions. Cancelling this cancels the work."""
        try:
            while not self._has_news:
                await self._changed.wait()
                with anyio.move_on_after(GATHER_S):
                    while self._is_asking and not self.has_ended:
                        await self._changed.wait()
        except anyio.get_cancelled_exc_class():
            self._cancel_scope.cancel()
            raise

    def take_result(self) -> JsonObject:
        """Return the result. Raises the error of the work."""
        self._taken.set()
        self._withdraw()
        assert self._outcome is not None
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def suspend(self, token: str, deadline: float) -> None:
        """Wait for the client, which has been asked and knows the *token*; cancelled at
        *deadline*."""
        self.token = token
        self.caller.continue_in(None)
        self._cancel_scope.deadline = deadline

    def check(self, answers: JsonObject) -> None:
        """Raise `MCPError` for an answer that does not fit its question."""
        for key, answer in answers.items():
            if key in self._questions:
                request = self._questions[key].request
                try:
                    request.check_answer(answer)
                except ValueError:
                    message = f"{key} is not an answer to {request.method}"
                    raise MCPError(types.INVALID_PARAMS, message) from None

    def continue_in(self, ctx: RequestContext, answers: JsonObject) -> None:
        """Continue with the client's request of *ctx*, whose *answers* were checked. Questions
        without an answer are asked again."""
        self._cancel_scope.deadline = math.inf
        self.caller.continue_in(ctx)
        self._capabilities = ctx.session.client_capabilities
        for key, answer in answers.items():
            question = self._questions.get(key)
            if question is not None and question.is_open and isinstance(answer, dict):
                question.settle(answer)

    @property
    def _has_news(self) -> bool:
        return self.has_ended or self._is_asking

    @property
    def _is_asking(self) -> bool:
        return any(question.is_open for question in self._questions.values())
