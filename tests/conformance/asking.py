"""One request to the fixture server, and how it asks its client for more: at once in the handshake
era, in input-required rounds since 2026-07-28."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from .state import State


class InputNeeded(Exception):
    """Ends a request of the modern era with the requests that its client has to answer first."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__()
        self.result = result


@dataclass(frozen=True, slots=True)
class Request:
    """A request being served: what came with it, and the way back to its client."""

    context: ServerRequestContext[State]
    arguments: Mapping[str, Any]
    answers: types.InputResponses
    state: str | None

    @classmethod
    def of(
        cls,
        context: ServerRequestContext[State],
        params: types.CallToolRequestParams | types.GetPromptRequestParams,
    ) -> Request:
        return cls(
            context, params.arguments or {}, params.input_responses or {}, params.request_state
        )

    @property
    def modern(self) -> bool:
        return self.context.protocol_version in MODERN_PROTOCOL_VERSIONS

    def can(self, request: types.InputRequest) -> bool:
        """Whether the client declared what answering the request needs."""
        return self.context.session.check_client_capability(_needed(request))

    async def ask(
        self, requests: types.InputRequests, state: str | None = None
    ) -> types.InputResponses:
        """The client's answers by the requests' keys; `state` comes back with them in the modern
        era.

        Raises MCPError where the client declared no capability for a request or answered in another
        form, and InputNeeded where the modern era needs another round."""
        for request in requests.values():
            self._require(request)
        answers = self._carried(requests, state) if self.modern else await self._sent(requests)
        for key, request in requests.items():
            if not isinstance(answers[key], _answer_types(request)):
                raise MCPError(types.INVALID_PARAMS, f"{key}: not an answer to {request.method}")
        return answers

    def _require(self, request: types.InputRequest) -> None:
        if not self.can(request):
            needed = _needed(request).model_dump(by_alias=True, exclude_none=True)
            message = f"The client did not declare: {', '.join(needed)}"
            raise MCPError(
                types.MISSING_REQUIRED_CLIENT_CAPABILITY, message, {"requiredCapabilities": needed}
            )

    def _carried(self, requests: types.InputRequests, state: str | None) -> types.InputResponses:
        if not requests.keys() <= self.answers.keys():
            raise InputNeeded(
                types.InputRequiredResult(input_requests=requests, request_state=state)
            )
        return self.answers

    async def _sent(self, requests: types.InputRequests) -> types.InputResponses:
        return {key: await self._send(request) for key, request in requests.items()}

    async def _send(self, request: types.InputRequest) -> types.InputResponse:
        # Without its request's id it would go out on a stream of its own, which not every client
        # has opened.
        related = ServerMessageMetadata(related_request_id=self.context.request_id)
        return await self.context.session.send_request(
            request, _answer_types(request)[0], metadata=related
        )


def form(message: str, properties: dict[str, Any]) -> types.ElicitRequest:
    """Asks the user for all of the properties."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return types.ElicitRequest(
        params=types.ElicitRequestFormParams(message=message, requested_schema=schema)
    )


def sampling(prompt: str, max_tokens: int = 100) -> types.CreateMessageRequest:
    """Asks the client's model to go on from the prompt."""
    said = types.SamplingMessage(role="user", content=types.TextContent(text=prompt))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[said], max_tokens=max_tokens)
    )


def told(answer: types.InputResponse) -> str:
    """What an answer says: the values of a form, the text of a model, the URIs of roots; else how
    it ended."""
    match answer:
        case types.ElicitResult(action="accept", content=content):
            return ", ".join(str(value) for value in (content or {}).values())
        case types.ElicitResult(action=action):
            return action
        case types.ListRootsResult(roots=roots):
            return ", ".join(str(root.uri) for root in roots)
        case types.CreateMessageResult(content=types.TextContent(text=text)):
            return text
    return answer.model_dump_json(by_alias=True, exclude_none=True)


def _needed(request: types.InputRequest) -> types.ClientCapabilities:
    match request:
        case types.ElicitRequest():
            return types.ClientCapabilities(elicitation=types.ElicitationCapability())
        case types.CreateMessageRequest():
            return types.ClientCapabilities(sampling=types.SamplingCapability())
        case types.ListRootsRequest():
            return types.ClientCapabilities(roots=types.RootsCapability())


def _answer_types(request: types.InputRequest) -> tuple[type[types.InputResponse], ...]:
    match request:
        case types.ElicitRequest():
            return (types.ElicitResult,)
        case types.CreateMessageRequest():
            return (types.CreateMessageResult, types.CreateMessageResultWithTools)
        case types.ListRootsRequest():
            return (types.ListRootsResult,)
