"""One request of a client, and as many requests to its server as it takes when the client is asked something meanwhile.

| client | server of the handshake era | server of 2026-07-28 |
| --- | --- | --- |
| handshake era | its questions are put at once | they are put, and the request is sent again with the answers |
| 2026-07-28 | the request waits in a task of ours (`parking.py`) | they are the client's result, and so is its state |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

import anyio
import mcp_types as types

from ...core.ports import RelayRequest, RpcError, Turn, Visit
from ...core.values.strict import JsonObject
from ..run_progress import RequestContext
from .eras import is_modern
from .input_requests import InputRequest, ask_directly, missing_capability, read_questions
from .notifications import TransportState
from .pending import STATE, PendingRequest, PendingRequests, Work, invalid_state
from .request_scope import RequestScope
from .turns import asking_in, is_well, turn_of

MOST_ROUNDS = 10
"""How often one request may be sent again with answers; the SDK's own client allows as many."""
LONGEST_S = 3_600.0
"""What no client waits longer for, its turn and its own answers included."""
_SERVER = "server:"

Send: TypeAlias = Callable[[RelayRequest], Awaitable[JsonObject]]


def held_for(ctx: RequestContext, parking: PendingRequests) -> PendingRequest | None:
    """The work that waits for this request. Raises `MCPError` where it says that some does, and none does any more."""
    state = (ctx.params or {}).get("requestState")
    return parking.held(state.removeprefix(STATE)) if isinstance(state, str) and state.startswith(STATE) else None


async def resume(ctx: RequestContext, parking: PendingRequests, held: PendingRequest) -> JsonObject:
    """The result of work that waited for the answers in *ctx*; or a result that asks again."""
    answers = (ctx.params or {}).get("inputResponses")
    return await parking.resume(held, ctx, answers if isinstance(answers, dict) else {})


async def begin(ctx: RequestContext, parking: PendingRequests, caller: RequestScope, work: Work) -> JsonObject:
    """The result of *work*, which may ask the client of *ctx* by *caller*; or a result that asks it."""
    return await (parking.begin(caller, work) if is_modern(ctx) else work())


def out_of_time(request: RelayRequest) -> RpcError:
    return RpcError(types.REQUEST_TIMEOUT, f"{request.server} did not answer within {LONGEST_S:g} s")


class InputRounds:
    """Relays requests by *send*, each to its end or to a question for its client. A call of a tool waits for its turn
    by *visit*; while its client is asked something, others may have its room."""

    def __init__(self, send: Send, visit: Visit) -> None:
        self._send = send
        self._visit = visit

    async def run(
        self, ctx: RequestContext, live: TransportState, caller: RequestScope, request: RelayRequest
    ) -> JsonObject:
        """The result for the client. Raises `RpcError` and `MCPError`."""
        relay = self._ask_client if is_modern(ctx) else self._answer_server

        async def work() -> JsonObject:
            with anyio.move_on_after(LONGEST_S):
                async with turn_of(request, self._visit) as turn:
                    result = await relay(ctx, asking_in(turn, request), turn)
                    if is_well(result):
                        turn.went_well()
                    return result
            raise out_of_time(request)

        return await (begin(ctx, live.parking, caller, work) if caller.can_be_asked else work())

    async def _ask_client(self, ctx: RequestContext, request: RelayRequest, turn: Turn) -> JsonObject:
        """For a client of 2026-07-28: what its server asks is its result, with a state that leads back there."""
        result = await self._send(_with_own_state(request))
        if result.get("resultType") != "input_required":
            return result
        _check(ctx, result)
        state = result.get("requestState")
        return {**result, "requestState": f"{_SERVER}{request.server}:{state}"} if isinstance(state, str) else result

    async def _answer_server(self, ctx: RequestContext, request: RelayRequest, turn: Turn) -> JsonObject:
        """For a client of the handshake era: it is asked what its server asks, one thing after the other."""
        params = request.params
        for _ in range(MOST_ROUNDS):
            result = await self._send(replace(request, params=params))
            if result.get("resultType") != "input_required":
                return result
            questions = _check(ctx, result)
            with turn.paused():
                answers: JsonObject = {key: await ask_directly(ctx, q.method, q.params) for key, q in questions.items()}
            params = {**request.params, "inputResponses": answers}
            if (state := result.get("requestState")) is not None:
                params["requestState"] = state
        raise RpcError(types.INTERNAL_ERROR, f"The server asked for input more than {MOST_ROUNDS} times.")


def _check(ctx: RequestContext, result: JsonObject) -> dict[str, InputRequest]:
    """The questions in *result*. Raises `RpcError` for any that the client did not say it can answer."""
    questions = read_questions(result)
    for question in questions.values():
        if lacking := question.lacking(ctx.session.client_capabilities):
            raise missing_capability(lacking)
    return questions


def _with_own_state(request: RelayRequest) -> RelayRequest:
    """*request* with the state as its server gave it. Raises `MCPError` for one that another server gave."""
    state = request.params.get("requestState")
    if state is None:
        return request
    start = f"{_SERVER}{request.server}:"
    if not isinstance(state, str) or not state.startswith(start):
        raise invalid_state()
    return replace(request, params={**request.params, "requestState": state.removeprefix(start)})
