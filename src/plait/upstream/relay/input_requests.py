"""Requests of downstream servers for input of the upstream client: elicitation, sampling and roots.

A client of the handshake era is asked at once, on the stream of the request that the question
belongs to (`ask_directly`). Clients of 2026-07-28 are asked by results (`pending.py`). A client is
asked only what it has declared that it can answer, and every question is checked first.
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

from ...core.values.strict import Json, JsonObject
from ...errors import RpcError
from ..mcp_sdk import RequestContext, ServerMessageMetadata

ASK_S = 600.0
"""Time for a person or a model upstream to answer."""
MOST_QUESTIONS = 32
"""Most questions that one request may have open at once."""
_SERVER = "server:"
"""Prefix of the state of a request that a server gave; the server's name follows."""

_QUESTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "elicitation/create": types.ElicitRequest,
    "sampling/createMessage": types.CreateMessageRequest,
    "roots/list": types.ListRootsRequest,
}


@dataclass(frozen=True, slots=True)
class InputRequest:
    """One request of a downstream server, valid in the protocol."""

    method: str
    params: JsonObject

    @classmethod
    def read(cls, method: str, params: JsonObject) -> Self:
        """Read a request. Raises `RpcError` for anything that a client may not be asked."""
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

    def missing(self, capabilities: types.ClientCapabilities | None) -> JsonObject:
        """Return the capabilities that the client needs to answer and does not have, as clients
        declare them; empty if it has them all."""
        has = capabilities or types.ClientCapabilities()
        match self.method:
            case "elicitation/create":
                return _missing_elicitation(has.elicitation, self.params.get("mode", "form"))
            case "sampling/createMessage":
                with_tools = bool({"tools", "toolChoice"} & self.params.keys())
                if has.sampling is None or (with_tools and has.sampling.tools is None):
                    return {"sampling": {"tools": {}} if with_tools else {}}
                return {}
        return {} if has.roots is not None else {"roots": {}}

    def check_answer(self, answer: Json) -> None:
        """Raise `ValueError` if *answer* does not fit this kind of question."""
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
    """Return the question. Raises `RpcError` if a client with *capabilities* cannot answer it."""
    question = InputRequest.read(method, params)
    if missing := question.missing(capabilities):
        raise missing_capability(missing)
    return question


def missing_capability(missing: JsonObject) -> RpcError:
    message = f"The client did not declare what this needs: {', '.join(sorted(missing))}"
    return RpcError(
        types.MISSING_REQUIRED_CLIENT_CAPABILITY, message, {"requiredCapabilities": missing}
    )


async def ask_for_roots(session: ServerSession, method: str, params: JsonObject) -> JsonObject:
    """Ask a client of the handshake era that has roots, outside of its requests, and return its
    answer. Raises `RpcError`. The caller bounds the time."""
    return await _ask(session, InputRequest.read(method, params), None)


async def ask_directly(ctx: RequestContext, method: str, params: JsonObject) -> JsonObject:
    """Ask a client of the handshake era on the stream of the request of *ctx*, and return its
    answer. Raises `RpcError`, also after ten minutes without an answer."""
    question = InputRequest.read(method, params)
    has = ctx.session.client_capabilities
    if missing := question.missing(has):  # refused as a client of that era would refuse it
        is_partly_there = any(getattr(has, name, None) is not None for name in missing)
        code = types.INVALID_PARAMS if is_partly_there else types.METHOD_NOT_FOUND
        raise RpcError(code, missing_capability(missing).message)
    return await _ask(
        ctx.session, question, ServerMessageMetadata(related_request_id=ctx.request_id)
    )


async def _ask(
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
    """Return *result* of *server*; if it asks for input, with a state that leads back to
    *server*."""
    state = result.get("requestState")
    if result.get("resultType") != "input_required" or not isinstance(state, str):
        return result
    return {**result, "requestState": f"{_SERVER}{server}:{state}"}


def with_own_state(server: str, params: JsonObject) -> JsonObject:
    """Return *params* for *server*, with the state as *server* gave it. Raises `MCPError` for a
    state of another server."""
    state = params.get("requestState")
    if state is None:
        return params
    start = f"{_SERVER}{server}:"
    if not isinstance(state, str) or not state.startswith(start):
        raise invalid_state()
    return {**params, "requestState": state.removeprefix(start)}


def invalid_state() -> MCPError:
    """Return the SDK's error for a state, in the same words for every reason, so that trying states
    reveals nothing."""
    reason = {"reason": "invalid_request_state"}
    return MCPError(types.INVALID_PARAMS, "Invalid or expired requestState", reason)


def _missing_elicitation(has: types.ElicitationCapability | None, mode: Json) -> JsonObject:
    if has is None:
        return {"elicitation": {"url": {}} if mode == "url" else {}}
    if mode == "url":
        return {} if has.url is not None else {"elicitation": {"url": {}}}
    is_form = has.form is not None or has.url is None
    return {} if is_form else {"elicitation": {"form": {}}}


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))[:100]}: {first['msg'][:200]}"


class _Request(BaseModel):
    """A request to the client as a server sent it. The SDK's own models would drop unknown
    members."""

    method: str
    params: dict[str, Any] | None


class _Answer(RootModel[dict[str, Any]]):
    """An answer of the client, as it sent it."""
