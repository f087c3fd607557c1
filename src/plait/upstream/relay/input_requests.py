"""What downstream servers ask of the upstream client: elicitation, sampling and roots, checked
before it is put.

A question that a server of the handshake era asks is put to a client of that era at once, on the
stream of the request that it belongs to (`ask_directly`). Clients of 2026-07-28 are asked in rounds
(`parking.py`). Both only ever see what they have declared that they can answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, cast

import mcp_types as types
from mcp import MCPError, ServerSession
from mcp_types import methods
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from pydantic import BaseModel, RootModel, ValidationError

from ...core.ports import RpcError
from ...core.values.strict import Json, JsonObject
from ..mcp_sdk import ServerMessageMetadata
from ..run_progress import RequestContext

ASK_S = 600.0
"""How long a person or a model upstream may take to answer."""
MOST_QUESTIONS = 32
"""How many questions one request may have open at once."""
_SERVER = "server:"
"""How the state of a request begins that a server gave; the server's name follows."""

_QUESTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "elicitation/create": types.ElicitRequest,
    "sampling/createMessage": types.CreateMessageRequest,
    "roots/list": types.ListRootsRequest,
}


@dataclass(frozen=True, slots=True)
class InputRequest:
    """One request of a downstream server, known to be what the protocol has."""

    method: str
    params: JsonObject

    @classmethod
    def read(cls, method: str, params: JsonObject) -> Self:
        """Raises `RpcError` for anything that a client may not be asked."""
        model = _QUESTIONS.get(method)
        if model is None:
            raise RpcError(types.METHOD_NOT_FOUND, "Method not found", method[:200])
        try:
            model.model_validate(
                {"method": method, "params": params} if params else {"method": method},
                by_name=False,
            )
        except ValidationError as error:
            raise RpcError(types.INVALID_PARAMS, f"{method}: {_first(error)}") from None
        return cls(method, params)

    def lacking(self, capabilities: types.ClientCapabilities | None) -> JsonObject:
        """The capabilities that it takes to answer, as clients declare them; empty where the client
        has them."""
        has = capabilities or types.ClientCapabilities()
        match self.method:
            case "elicitation/create":
                return _elicitation(has.elicitation, self.params.get("mode", "form"))
            case "sampling/createMessage":
                return _sampling(has.sampling, {"tools", "toolChoice"} & self.params.keys())
        return {} if has.roots is not None else {"roots": {}}

    def check_answer(self, answer: Json) -> None:
        """Raises `ValueError` for what answers no question of this kind."""
        if not isinstance(answer, dict):
            raise ValueError("an answer is an object")
        methods.validate_client_result(self.method, LATEST_HANDSHAKE_VERSION, answer)

    def as_input_request(self) -> JsonObject:
        return (
            {"method": self.method, "params": self.params}
            if self.params
            else {"method": self.method}
        )


def checked_question(
    method: str, params: JsonObject, capabilities: types.ClientCapabilities | None
) -> InputRequest:
    """A question that a client with *capabilities* can answer. Raises `RpcError` for any other."""
    question = InputRequest.read(method, params)
    if lacking := question.lacking(capabilities):
        raise missing_capability(lacking)
    return question


def can_be_asked(capabilities: types.ClientCapabilities | None) -> bool:
    """Whether the client can answer anything at all."""
    has = capabilities
    return has is not None and not (
        has.elicitation is None and has.sampling is None and has.roots is None
    )


def missing_capability(lacking: JsonObject) -> RpcError:
    message = f"The client did not declare what this needs: {', '.join(sorted(lacking))}"
    return RpcError(
        types.MISSING_REQUIRED_CLIENT_CAPABILITY, message, {"requiredCapabilities": lacking}
    )


def has_roots(ctx: RequestContext) -> bool:
    """Whether the client can be asked for roots."""
    has = ctx.session.client_capabilities
    return has is not None and has.roots is not None


async def ask_for_roots(session: ServerSession, method: str, params: JsonObject) -> JsonObject:
    """The answer of a client of the handshake era that has roots, to a question that belongs to
    none of its requests. Raises `RpcError`. The caller bounds the time."""
    return await _put(session, InputRequest.read(method, params), None)


async def ask_directly(ctx: RequestContext, method: str, params: JsonObject) -> JsonObject:
    """The answer of a client of the handshake era. Raises `RpcError`, also when it takes longer
    than ten minutes."""
    question = InputRequest.read(method, params)
    has = ctx.session.client_capabilities
    if lacking := question.lacking(has):  # as a client of that era would answer itself
        is_partly_there = any(getattr(has, name, None) is not None for name in lacking)
        code = types.INVALID_PARAMS if is_partly_there else types.METHOD_NOT_FOUND
        raise RpcError(code, missing_capability(lacking).message)
    return await _put(
        ctx.session, question, ServerMessageMetadata(related_request_id=ctx.request_id)
    )


async def _put(
    session: ServerSession, question: InputRequest, related: ServerMessageMetadata | None
) -> JsonObject:
    request = cast(
        types.ServerRequest, _Request(method=question.method, params=question.params or None)
    )
    try:
        return (await session.send_request(request, _Answer, ASK_S, related)).root
    except MCPError as error:
        raise RpcError(error.code, error.message, error.data) from error
    except ValidationError as error:
        raise RpcError(
            types.INTERNAL_ERROR, f"The client's answer is invalid: {_first(error)}"
        ) from None


def with_state_of(server: str, result: JsonObject) -> JsonObject:
    """*result* of *server*, which asks its client for input, with a state that leads back to that
    server."""
    state = result.get("requestState")
    if result.get("resultType") != "input_required" or not isinstance(state, str):
        return result
    return {**result, "requestState": f"{_SERVER}{server}:{state}"}


def with_own_state(server: str, params: JsonObject) -> JsonObject:
    """*params* for *server*, with the state as it gave it. Raises `MCPError` for a state of another
    server."""
    state = params.get("requestState")
    if state is None:
        return params
    start = f"{_SERVER}{server}:"
    if not isinstance(state, str) or not state.startswith(start):
        raise invalid_state()
    return {**params, "requestState": state.removeprefix(start)}


def invalid_state() -> MCPError:
    """The same words for every reason, as the SDK has them: who tries states learns nothing."""
    reason = {"reason": "invalid_request_state"}
    return MCPError(types.INVALID_PARAMS, "Invalid or expired requestState", reason)


def _elicitation(has: types.ElicitationCapability | None, mode: Json) -> JsonObject:
    if has is None:
        return {"elicitation": {"url": {}} if mode == "url" else {}}
    if mode == "url":
        return {} if has.url is not None else {"elicitation": {"url": {}}}
    is_form = has.form is not None or has.url is None
    return {} if is_form else {"elicitation": {"form": {}}}


def _sampling(has: types.SamplingCapability | None, with_tools: set[str]) -> JsonObject:
    needs: JsonObject = {"tools": {}} if with_tools else {}
    if has is None or (with_tools and has.tools is None):
        return {"sampling": needs}
    return {}


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))[:100]}: {first['msg'][:200]}"


class _Request(BaseModel):
    """A request to the client as it came from a server; the SDK's own models would drop what they
    do not know."""

    method: str
    params: dict[str, Any] | None


class _Answer(RootModel[dict[str, Any]]):
    """An answer of the client, as it came."""
