"""Calls of tools and relayed requests, sent on one connection; what goes wrong is told in the caller's terms."""

from __future__ import annotations

import anyio
import mcp_types as types
from mcp import MCPError

from ..core.ports import RelayRequest, RpcError, ToolCall
from ..core.values.strict import Json, JsonObject, NotStrict, measure, present
from ..errors import CallError, InvalidArguments, InvalidOutput, ToolError
from .listings.subscriptions import ServerSubscriptions
from .session import ProtocolSession
from .transports.faults import SessionLost, lost, translated

MOST_ROUNDS = 10
"""How often one call may be sent again with answers to what its server asked."""
MOST_QUESTIONS = 32
"""How much may be asked in one round."""


async def call_tool(server: str, session: ProtocolSession, call: ToolCall) -> JsonObject:
    """The result of one `tools/call` as it came. If it asks for input, the caller is asked, and the
    call is sent again with the answers.

    Raises `CallError`; `Unsent` if nothing of it reached the server.
    """
    params: JsonObject = {"name": call.tool.name, "arguments": call.arguments}
    for _ in range(MOST_ROUNDS + 1):
        result = await _sent(server, session, call, params)
        if result.get("resultType") != "input_required":
            return result
        if not call.caller.can_be_asked:
            raise _unanswerable(call)
        params = {**params, **await _answers(call, result)}
    raise ToolError(f"{call.tool.full_name} asked for input more than {MOST_ROUNDS} times")


async def relay(
    server: str, session: ProtocolSession, request: RelayRequest, interests: ServerSubscriptions
) -> JsonObject:
    """The result of one relayed request as it came. Raises `RpcError` as the server said it, and
    `CallError` for what went wrong on the way; `Unsent` if nothing of it reached the server."""
    params: JsonObject = {**request.params, "_meta": request.meta} if request.meta else request.params

    async def send(method: str, params: JsonObject) -> JsonObject:
        return await session.request(method, params, request.caller)

    try:
        if interests.are_told_by(request.method):
            return await interests.tell(session, request.method, params, send)
        return _strict(server, await send(request.method, params))
    except MCPError as error:
        raise _told_of(server, error, session) from error
    except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise lost(server, session.last_words()) from error


async def _sent(server: str, session: ProtocolSession, call: ToolCall, params: JsonObject) -> JsonObject:
    try:
        return await session.request("tools/call", params, call.caller)
    except MCPError as error:
        failure = translated(server, error.error, session.last_words())
        if isinstance(failure, SessionLost):
            session.retire()
        raise failure from error
    except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise lost(server, session.last_words()) from error
    except ValueError as error:  # the SDK cannot serialise it
        raise InvalidArguments(f"the arguments cannot be sent: {str(error)[:200]}") from error


def _unanswerable(call: ToolCall) -> ToolError:
    reason = (
        "nobody can be asked on the command line"
        if call.caller.client is None
        else "the client did not declare that it can be asked"
    )
    return ToolError(
        f"{call.tool.full_name} asks for input, and {reason}",
        hint="Give it all it needs as arguments, or call it for a client that can be asked.",
    )


async def _answers(call: ToolCall, result: JsonObject) -> JsonObject:
    """What the next request of a call carries, once all that *result* asks for has been answered."""
    asked = result.get("inputRequests") or {}
    if not isinstance(asked, dict) or len(asked) > MOST_QUESTIONS:
        raise ToolError(f"{call.tool.full_name} asks in a form that the protocol does not have")
    answers: JsonObject = {key: await _answer(call, question) for key, question in asked.items()}
    return present(inputResponses=answers, requestState=result.get("requestState"))


async def _answer(call: ToolCall, question: Json) -> JsonObject:
    match question:
        case {"method": str(method), "params": dict(params)}:
            return await _asked(call, method, params)
        case {"method": str(method)}:
            return await _asked(call, method, {})
    raise ToolError(f"{call.tool.full_name} asks in a form that the protocol does not have")


async def _asked(call: ToolCall, method: str, params: JsonObject) -> JsonObject:
    try:
        measure(params)
        return await call.caller.ask(method, params)
    except NotStrict as error:
        raise ToolError(f"{call.tool.full_name} asks with what is not strict JSON: {error}") from None
    except RpcError as error:
        raise ToolError(f"{call.tool.full_name} asked for input and got none: {error.message[:500]}") from error


def _told_of(server: str, error: MCPError, session: ProtocolSession) -> RpcError | CallError:
    """What a relayed request failed of: the server's own error as it is, or what went wrong on the way."""
    failure = translated(server, error.error, session.last_words())
    if isinstance(failure, SessionLost):
        session.retire()
    if failure.rpc_code is None:
        return failure
    return RpcError(error.error.code, error.error.message, error.error.data)


def _strict(server: str, result: JsonObject) -> JsonObject:
    """*result*, if it can be passed on: decoders let pass what no encoder takes."""
    try:
        measure(result)
    except NotStrict as error:
        raise InvalidOutput(f"{server}: the server's answer cannot be passed on: {error}") from None
    return result


def as_rpc_error(error: CallError) -> RpcError:
    """*error*, which did not come from the server itself, for a client: CONNECTION_CLOSED (-32000) where the server
    could not be reached or went away, INVALID_PARAMS for what cannot be sent, INTERNAL_ERROR for an answer that cannot
    be used."""
    codes = {
        "server_unavailable": types.CONNECTION_CLOSED,
        "connection_lost": types.CONNECTION_CLOSED,
        "invalid_arguments": types.INVALID_PARAMS,
    }
    return RpcError(codes.get(error.code, types.INTERNAL_ERROR), error.message)
