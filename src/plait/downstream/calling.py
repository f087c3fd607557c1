"""Calls of tools and relayed requests, sent on one connection; their failures are `CallError`s."""

from __future__ import annotations

from functools import partial

import anyio
from mcp import MCPError

from ..core.ports import Caller, RelayRequest, RpcError, ToolCall
from ..core.values.strict import Json, JsonObject, NotStrict, measure, present
from ..errors import InvalidArguments, InvalidOutput, ToolError
from .listings.subscriptions import ServerSubscriptions
from .session import ProtocolSession
from .transports.faults import SessionLost, lost, translated

MOST_ROUNDS = 10
"""How often one request may be sent again with answers to what its server asked."""
MOST_QUESTIONS = 32
"""How much may be asked in one round."""


async def call_tool(server: str, session: ProtocolSession, call: ToolCall) -> JsonObject:
    """The result of one `tools/call` as it came, its input requests answered.

    Raises `CallError`; `Unsent` if nothing of it reached the server.
    """
    params = call.params
    if params is None:
        params = {"name": call.tool.name, "arguments": call.arguments}
    return await _with_answers(
        server, session, "tools/call", params, call.caller, call.tool.full_name
    )


async def relay(
    server: str, session: ProtocolSession, request: RelayRequest, interests: ServerSubscriptions
) -> JsonObject:
    """The result of one relayed request as it came, its input requests answered. Raises
    `CallError`, and `RpcError` for what is refused here; `Unsent` if nothing of it reached the
    server."""
    method, caller = request.method, request.caller
    params: JsonObject = (
        {**request.params, "_meta": request.meta} if request.meta else request.params
    )
    if interests.are_told_by(method):
        return await interests.tell(
            session, method, params, partial(_sent, server, session, caller)
        )
    result = await _with_answers(server, session, method, params, caller, f"{server}: {method}")
    try:
        measure(result)
    except NotStrict as error:
        raise InvalidOutput(f"{server}: the server's answer cannot be passed on: {error}") from None
    return result


async def _with_answers(
    server: str,
    session: ProtocolSession,
    method: str,
    params: JsonObject,
    caller: Caller,
    name: str,
) -> JsonObject:
    """The result of a request. While that asks for input, the caller is asked, and the request is
    sent again with the answers; a caller who takes input requests is given the first of them.
    Errors call the request by its *name*."""
    first, rounds = params, 0
    while True:
        result = await _sent(server, session, caller, method, params)
        if result.get("resultType") != "input_required":
            return result
        questions = _questions(name, result, caller)
        if caller.takes_input_requests:
            return result
        if questions and not caller.can_be_asked:
            raise _unanswerable(name, caller)
        if rounds == MOST_ROUNDS:
            raise ToolError(f"{name} asked for input more than {MOST_ROUNDS} times")
        rounds += 1
        answers: JsonObject = {
            key: await _asked(name, caller, *question) for key, question in questions.items()
        }
        params = {
            **first,
            **present(inputResponses=answers, requestState=result.get("requestState")),
        }


async def _sent(
    server: str, session: ProtocolSession, caller: Caller, method: str, params: JsonObject
) -> JsonObject:
    try:
        return await session.request(method, params, caller)
    except MCPError as error:
        failure = translated(server, error.error, session.last_words())
        if isinstance(failure, SessionLost):
            session.retire()
        raise failure from error
    except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise lost(server, session.last_words()) from error
    except ValueError as error:  # the SDK cannot serialise it
        raise InvalidArguments(f"the arguments cannot be sent: {str(error)[:200]}") from error


def _questions(name: str, result: JsonObject, caller: Caller) -> dict[str, tuple[str, JsonObject]]:
    """The method and the params of each input request in *result*, all of which the caller may be
    asked. Raises `ToolError`."""
    requests = result.get("inputRequests")
    if requests is None:
        return {}
    if not isinstance(requests, dict) or len(requests) > MOST_QUESTIONS:
        raise _malformed(name)
    questions = {key: _question(name, request) for key, request in requests.items()}
    for method, params in questions.values():
        try:
            measure(params)
            caller.check_question(method, params)
        except NotStrict as error:
            raise ToolError(f"{name} asks with what is not strict JSON: {error}") from None
        except RpcError as error:
            raise _unanswered(name, error) from error
    return questions


def _question(name: str, request: Json) -> tuple[str, JsonObject]:
    match request:
        case {"method": str(method), "params": dict(params)}:
            return method, params
        case {"method": str(method), **others} if "params" not in others:
            return method, {}
    raise _malformed(name)


async def _asked(name: str, caller: Caller, method: str, params: JsonObject) -> JsonObject:
    try:
        return await caller.ask(method, params)
    except RpcError as error:
        raise _unanswered(name, error) from error


def _unanswerable(name: str, caller: Caller) -> ToolError:
    reason = (
        "nobody can be asked on the command line"
        if caller.client is None
        else "the client did not declare that it can be asked"
    )
    return ToolError(
        f"{name} asks for input, and {reason}",
        hint="Give it all it needs as arguments, or call it for a client that can be asked.",
    )


def _unanswered(name: str, error: RpcError) -> ToolError:
    return ToolError(f"{name} asked for input and got none: {error.message[:500]}", rpc_error=error)


def _malformed(name: str) -> ToolError:
    return ToolError(f"{name} asks in a form that the protocol does not have")
