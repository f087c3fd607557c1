"""Calls of tools and relayed requests, sent on one connection; what goes wrong is told in the caller's terms."""

from __future__ import annotations

import anyio
import mcp_types as types
from mcp import MCPError

from ..core.downstream import RelayRequest
from ..core.ports import Ask, RpcError, ToolCall
from ..core.values.strict import Json, JsonObject, NotStrict, measure, present
from ..errors import CallError, InvalidArguments, InvalidOutput, ToolError
from .listings.subscriptions import ServerSubscriptions
from .session import ProtocolSession
from .transports.faults import SessionLost, lost, translated

MOST_ROUNDS = 10
"""How often one call may be sent again with answers to what its server asked."""
MOST_QUESTIONS = 32
"""How much may be asked in one round."""


async def call_tool(server: str, wire: ProtocolSession, call: ToolCall) -> JsonObject:
    """The result of one `tools/call` as it came; what its server asks meanwhile is put to `call.ask`.

    Raises `CallError`; `Unsent` where the server has nothing of it.
    """
    params: JsonObject = {"name": call.tool.name, "arguments": call.arguments}
    for _ in range(MOST_ROUNDS + 1):
        result = await _sent(server, wire, call, params)
        if result.get("resultType") != "input_required":
            return result
        if call.ask is None:
            raise _unanswerable(call)
        params = {**params, **await _answers(call, call.ask, result)}
    raise ToolError(f"{call.tool.full_name} asked for input more than {MOST_ROUNDS} times")


async def relay(
    server: str, wire: ProtocolSession, request: RelayRequest, interests: ServerSubscriptions
) -> JsonObject:
    """The result of one relayed request as it came. Raises `RpcError` as the server said it, and `CallError` for what
    went wrong on the way; `Unsent` where the server has nothing of it."""
    params: JsonObject = {**request.params, "_meta": request.meta} if request.meta else request.params

    async def send(method: str, params: JsonObject) -> JsonObject:
        return await wire.request(
            method,
            params,
            on_progress=request.on_progress,
            ask=request.ask,
            capabilities=request.capabilities,
            on_log=request.on_log,
        )

    try:
        if interests.are_told_by(request.method):
            return await interests.tell(wire, request.method, params, send)
        return _strict(server, await send(request.method, params))
    except MCPError as error:
        raise _told_of(server, error, wire) from error
    except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise lost(server, wire.last_words()) from error


async def _sent(server: str, wire: ProtocolSession, call: ToolCall, params: JsonObject) -> JsonObject:
    try:
        return await wire.request(
            "tools/call",
            params,
            on_progress=call.on_progress,
            ask=call.ask,
            capabilities=call.capabilities,
            on_log=call.on_log,
        )
    except MCPError as error:
        failure = translated(server, error.error, wire.last_words())
        if isinstance(failure, SessionLost):
            wire.retire()
        raise failure from error
    except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise lost(server, wire.last_words()) from error
    except ValueError as error:  # the SDK cannot serialise it
        raise InvalidArguments(f"the arguments cannot be sent: {str(error)[:200]}") from error


def _unanswerable(call: ToolCall) -> ToolError:
    has_client = call.on_log is not None
    reason = (
        "the client did not declare that it can be asked" if has_client else "nobody can be asked on the command line"
    )
    return ToolError(
        f"{call.tool.full_name} asks for input, and {reason}",
        hint="Give it all it needs as arguments, or call it for a client that can be asked.",
    )


async def _answers(call: ToolCall, ask: Ask, result: JsonObject) -> JsonObject:
    """What the next request of a call carries, once all that *result* asks for has been answered."""
    asked = result.get("inputRequests") or {}
    if not isinstance(asked, dict) or len(asked) > MOST_QUESTIONS:
        raise ToolError(f"{call.tool.full_name} asks in a form that the protocol does not have")
    answers: JsonObject = {key: await _answer(call, ask, question) for key, question in asked.items()}
    return present(inputResponses=answers, requestState=result.get("requestState"))


async def _answer(call: ToolCall, ask: Ask, question: Json) -> JsonObject:
    match question:
        case {"method": str(method), "params": dict(params)}:
            return await _asked(call, ask, method, params)
        case {"method": str(method)}:
            return await _asked(call, ask, method, {})
    raise ToolError(f"{call.tool.full_name} asks in a form that the protocol does not have")


async def _asked(call: ToolCall, ask: Ask, method: str, params: JsonObject) -> JsonObject:
    try:
        measure(params)
        return await ask(method, params)
    except NotStrict as error:
        raise ToolError(f"{call.tool.full_name} asks with what is not strict JSON: {error}") from None
    except RpcError as error:
        raise ToolError(f"{call.tool.full_name} asked for input and got none: {error.message[:500]}") from error


def _told_of(server: str, error: MCPError, wire: ProtocolSession) -> RpcError | CallError:
    """What a relayed request failed of: the server's own error as it is, or what went wrong on the way."""
    failure = translated(server, error.error, wire.last_words())
    if isinstance(failure, SessionLost):
        wire.retire()
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
