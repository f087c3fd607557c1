"""Work that outlives the request it was begun for, so that a client of 2026-07-28 can be asked
something.

Servers of the handshake era ask while a call is open; clients of 2026-07-28 are asked by the result
of a request, and answer with another one. So the call is made by a task of ours. When its server
asks, the client's request ends with the question and a state, and the call waits. The client sends
its request again with the answer and the state, the answer goes to the server, and so on until the
call has ended. The state is good for one request, and for ten minutes; the server's upstream side
seals it, bound to the request (`upstream.py`).
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

from ...core.ports import RpcError
from ...core.values.strict import JsonObject
from ...errors import CallError
from ...waiting import Signal
from ..run_progress import RequestContext
from .input_requests import ASK_S, MOST_QUESTIONS, InputRequest, checked_question, invalid_state
from .request_scope import RequestScope

log = logging.getLogger(__name__)

Work: TypeAlias = Callable[[], Awaitable[JsonObject]]
"""Something that ends with a result, and that may ask the client meanwhile by its
`RequestScope`."""

STATE = "parked:"
"""How the state of a request begins that has work waiting for it; the token under which it waits
follows."""
GATHER_S = 0.02
"""How long a client is not told of the first question, so that those that come with it are asked
with it."""
MOST_PARKED = 500
"""How many pieces of work may wait for their clients at once."""


@dataclass(slots=True)
class _Asked:
    question: InputRequest
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: JsonObject | None = field(default_factory=dict)
    """None where the client is not asked it any more."""

    @property
    def is_open(self) -> bool:
        return not self.answered.is_set()

    def settle(self, answer: JsonObject | None) -> None:
        self.answer = answer
        self.answered.set()


class PendingRequests:
    """All work that may wait for its client, run as tasks of *tasks*."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._parked: dict[str, PendingRequest] = {}
        self.asking: set[PendingRequest] = set()
        """Those with a question that is open: parked, or about to be."""

    def __repr__(self) -> str:
        return f"<Parking: {len(self._parked)} waiting for their clients>"

    @property
    def is_full(self) -> bool:
        return len(self.asking) >= MOST_PARKED

    async def begin(self, caller: RequestScope, work: Work) -> JsonObject:
        """The result of *work*, or a result that asks the client. Raises what the work raises, but
        for `MCPError` no more than `RpcError`. Cancelling the caller cancels the work."""
        held = PendingRequest(self, caller)
        self._tasks.start_soon(held.do, work)
        return await self._next(held)

    def held_for(self, ctx: RequestContext) -> PendingRequest | None:
        """The work that waits for the request of *ctx*, if that says so. Raises `MCPError` if none
        does any more."""
        state = (ctx.params or {}).get("requestState")
        if not isinstance(state, str) or not state.startswith(STATE):
            return None
        if (held := self._parked.get(state.removeprefix(STATE))) is None:
            raise invalid_state()
        return held

    async def resume(self, held: PendingRequest, ctx: RequestContext) -> JsonObject:
        """As `begin`, for work that waits for the answers in *ctx*. Raises `MCPError` for invalid
        ones."""
        given = (ctx.params or {}).get("inputResponses")
        answers = given if isinstance(given, dict) else {}
        held.check(answers)
        self._parked.pop(held.token)
        held.take_up(ctx, answers)
        return await self._next(held)

    async def _next(self, held: PendingRequest) -> JsonObject:
        await held.news()
        if held.has_ended:
            return held.fetch()
        token = secrets.token_hex(16)
        self._parked[token] = held
        held.leave(token, anyio.current_time() + ASK_S)
        state = f"{STATE}{token}"
        return {
            "resultType": "input_required",
            "inputRequests": held.open_questions(),
            "requestState": state,
        }

    def has(self, token: str) -> bool:
        return token in self._parked

    def forget(self, token: str) -> None:
        self._parked.pop(token, None)


class PendingRequest:
    """One piece of work, and the questions it has asked."""

    def __init__(self, parking: PendingRequests, caller: RequestScope) -> None:
        self.caller = caller
        self.token = ""
        self._parking = parking
        self._capabilities = caller.client_capabilities
        self._scope = anyio.CancelScope()
        self._asked: dict[str, _Asked] = {}
        self._count = 0
        self._outcome: JsonObject | Exception | None = None
        self._changed = Signal()
        self._fetched = anyio.Event()
        caller.ask_by(self._ask)

    async def do(self, work: Work) -> None:
        """The task: does the work, and keeps what came of it until it is fetched or given up."""
        try:
            with self._scope:
                self._outcome = await self._tried(work)
                self._changed.notify()
                if self._parking.has(
                    self.token
                ):  # else a request of the client waits for it at this moment
                    await self._fetched.wait()
        finally:
            if self._outcome is None:
                self._outcome = RpcError(types.INTERNAL_ERROR, "The gateway gave this request up.")
            self._withdraw()
            self._changed.notify()
            self._parking.forget(self.token)

    async def _tried(self, work: Work) -> JsonObject | Exception:
        try:
            return await work()
        except (RpcError, CallError, MCPError) as error:
            return error
        except Exception:
            log.exception("request.failed")
            return RpcError(types.INTERNAL_ERROR, "Internal server error")

    async def _ask(self, method: str, params: JsonObject) -> JsonObject:
        question = checked_question(method, params, self._capabilities)
        is_full = self._parking.is_full and self not in self._parking.asking
        if is_full or len(self._asked) >= MOST_QUESTIONS:
            raise RpcError(types.INTERNAL_ERROR, "Too many questions wait for their answers.")
        return await self._answer(question)

    async def _answer(self, question: InputRequest) -> JsonObject:
        self._count += 1
        key, asked = f"q{self._count}", _Asked(question)
        self._asked[key] = asked
        self._parking.asking.add(self)
        self._changed.notify()
        try:
            await asked.answered.wait()
        finally:
            del self._asked[key]
            if not self._is_asking:
                self._parking.asking.discard(self)
        if asked.answer is None:
            raise anyio.ClosedResourceError
        return asked.answer

    def _withdraw(self) -> None:
        """The client will not come back: what it was not asked yet, or has not answered, it is
        asked elsewhere."""
        for asked in self._asked.values():
            if asked.is_open:
                asked.settle(None)

    # The side of the client's requests.

    @property
    def has_ended(self) -> bool:
        return self._outcome is not None

    def open_questions(self) -> JsonObject:
        return {
            key: asked.question.as_input_request()
            for key, asked in self._asked.items()
            if asked.is_open
        }

    async def news(self) -> None:
        """Wait until the work has ended or asks something, and a moment longer for what else it
        asks. Who is cancelled here cancels the work."""
        try:
            while not self.has_ended and not self._is_asking:
                await self._changed.wait()
                with anyio.move_on_after(GATHER_S):
                    await self._gathered()
        except anyio.get_cancelled_exc_class():
            self._scope.cancel()
            raise

    def fetch(self) -> JsonObject:
        self._fetched.set()
        self._withdraw()
        assert self._outcome is not None
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def leave(self, token: str, until: float) -> None:
        """The client has been asked: the work waits for it under *token*, but no longer than
        *until*."""
        self.token = token
        self.caller.turn_to(None)
        self._scope.deadline = until

    def check(self, answers: JsonObject) -> None:
        """Raises `MCPError` for an answer that does not fit its question."""
        for key, answer in answers.items():
            if key in self._asked:
                try:
                    self._asked[key].question.check_answer(answer)
                except ValueError:
                    message = f"{key} is not a answer to {self._asked[key].question.method}"
                    raise MCPError(types.INVALID_PARAMS, message) from None

    def take_up(self, ctx: RequestContext, answers: JsonObject) -> None:
        """The client is back, with *answers* that were checked. What it left out is asked again."""
        self._scope.deadline = math.inf
        self.caller.turn_to(ctx)
        self._capabilities = ctx.session.client_capabilities
        for key, answer in answers.items():
            asked = self._asked.get(key)
            if asked is not None and asked.is_open and isinstance(answer, dict):
                asked.settle(answer)

    @property
    def _is_asking(self) -> bool:
        return any(asked.is_open for asked in self._asked.values())

    async def _gathered(self) -> None:
        while self._is_asking and not self.has_ended:
            await self._changed.wait()
