"""Tool calls and relayed requests on one session: input requests are answered, and whatever goes
wrong becomes a `CallError`."""

from __future__ import annotations

import json

import anyio
from mcp import MCPError

from ..core.ports import Caller, RelayRequest, ToolCall
from ..core.values.strict import Json, JsonObject, NotStrict, measure, present
from ..errors import ConnectionLost, InvalidArguments, InvalidOutput, RpcError, ToolError
from .server_requests.naming import with_named_questions
from .session import ProtocolSession
from .transports.faults import SAFE_TO_REPEAT, lost, translated

IDEMPOTENCY_KEY = "plait/idempotencyKey"
"""The member of `_meta` by which a server can know a call that is sent again."""
MOST_ROUNDS = 10
"""Most times that one request is sent again with answers to input requests."""
MOST_QUESTIONS = 32
"""Most input requests in one result."""
_NO = frozenset({"", "0", "false", "no", "none", "null"})


async def call_tool(server: str, session: ProtocolSession, call: ToolCall) -> JsonObject:
    """Send one `tools/call` and return its result, `well_formed`.

    Raises `CallError`; `Unsent` if nothing of it reached the server.
    """
    params = call.params
    if params is None:
        params = {"name": call.tool.name, "arguments": call.arguments}
        if not call.tool.is_read_only and (key := call.caller.idempotency_key) is not None:
            params["_meta"] = {IDEMPOTENCY_KEY: key}
    name = call.tool.full_name
    try:
        result = await request_answered(server, session, call.caller, name, "tools/call", params)
    except ConnectionLost as error:
        if call.policy.may_repeat:
            error.hint = SAFE_TO_REPEAT
        raise
    return well_formed(result)


def well_formed(result: JsonObject) -> JsonObject:
    """Return the result of a tool with `isError` as true or false, and content blocks that are
    objects: a text, number or list among them is a block of text. Else as it came."""
    failed, content = result.get("isError", False), result.get("content")
    if not isinstance(failed, bool):
        says_no = isinstance(failed, str) and failed.strip().lower() in _NO
        result = {**result, "isError": bool(failed) and not says_no}
    if isinstance(content, list) and not all(isinstance(block, dict) for block in content):
        result = {**result, "content": [_block(element) for element in content]}
    return result


def _block(element: Json) -> Json:
    if isinstance(element, dict):
        return element
    return {"type": "text", "text": element if isinstance(element, str) else json.dumps(element)}


async def relay(server: str, session: ProtocolSession, request: RelayRequest) -> JsonObject:
    """Send one relayed request and return its result as it came.

    Raises `CallError`; `Unsent` if nothing of it reached the server.
    """
    method, params = request.method, request.params
    if request.meta:
        params = {**params, "_meta": request.meta}
    name = f"{server}: {method}"
    result = await request_answered(server, session, request.caller, name, method, params)
    try:
        measure(result)
    except NotStrict as error:
        raise InvalidOutput(f"{server}: the server's answer cannot be passed on: {error}") from None
    return result


async def request_answered(
    server: str,
    session: ProtocolSession,
    caller: Caller,
    name: str,
    method: str,
    params: JsonObject,
) -> JsonObject:
    """Send a request, and while its result asks for input, ask the caller and send it again with
    the answers.

    A caller that takes input requests gets the first of those results instead. Errors call the
    request by its *name*. Raises `CallError`.
    """
    first = params
    for round in range(MOST_ROUNDS + 1):
        try:
            result = await session.request(method, params, caller, is_first=round == 0)
        except MCPError as error:
            raise translated(server, error.error, session.exit_reason()) from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise lost(server, session.exit_reason()) from error
        except ValueError as error:  # the SDK cannot serialise it
            raise InvalidArguments(f"the arguments cannot be sent: {str(error)[:200]}") from error
        if result.get("resultType") != "input_required":
            return result
        result = with_named_questions(server, result)
        questions = _read_questions(name, result, caller)
        if caller.takes_input_requests:
            return result
        if questions and not caller.can_be_asked:
            reason = (
                "the command line has no client to ask"
                if caller.client is None
                else "the client did not declare that it can be asked"
            )
            raise ToolError(
                f"{name} asks for input, and {reason}",
                hint="Give it everything as arguments, or call it for a client that can be asked.",
            )
        if round == MOST_ROUNDS:
            break
        answers: JsonObject = {}
        for key, (question, details) in questions.items():
            try:
                answers[key] = await caller.ask(question, details)
            except RpcError as error:
                raise _unanswered(name, error) from error
        state = result.get("requestState")
        params = {**first, **present(inputResponses=answers, requestState=state)}
    raise ToolError(f"{name} asked for input more than {MOST_ROUNDS} times")


def _read_questions(
    name: str, result: JsonObject, caller: Caller
) -> dict[str, tuple[str, JsonObject]]:
    """The method and the params of each input request in *result*. Raises `ToolError`, also if the
    caller may not be asked one of them."""
    requests = result.get("inputRequests")
    if requests is None:
        return {}
    malformed = ToolError(f"{name} asks in a form that the protocol does not have")
    if not isinstance(requests, dict) or len(requests) > MOST_QUESTIONS:
        raise malformed
    questions: dict[str, tuple[str, JsonObject]] = {}
    for key, request in requests.items():
        match request:
            case {"method": str(method), "params": dict(params)}:
                questions[key] = method, params
            case {"method": str(method), **others} if "params" not in others:
                questions[key] = method, {}
            case _:
                raise malformed
    for method, params in questions.values():
        try:
            measure(params)
            caller.check_question(method, params)
        except NotStrict as error:
            raise ToolError(f"{name} asks with params that are not strict JSON: {error}") from None
        except RpcError as error:
            raise _unanswered(name, error) from error
    return questions


def _unanswered(name: str, error: RpcError) -> ToolError:
    message = f"{name} asked for input and got none: {error.message[:500]}"
    return ToolError(message, rpc_error=error)
