"""The resources, templates, prompts and completions that the conformance suite reads by name."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import mcp_types as types
from mcp import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from .asking import Request, form, told
from .samples import PNG, embedded, image, text
from .tools import WATCHED

TEMPLATE = re.compile("test://template/([^/]+)/data")
WORDS = ["paris", "park", "party", "test", "testing", "text"]
# The code of the handshake era for a resource that is not there; since 2026-07-28 it is that of
# invalid parameters.
NOT_FOUND_IN_THE_HANDSHAKE_ERA = -32002

TEXTS = {
    "test://static-text": "This is the content of the static text resource.",
    WATCHED: "Watch me.",
}
RESOURCES = [
    types.Resource(
        uri="test://static-text",
        name="static-text",
        description="A text that never changes.",
        mime_type="text/plain",
    ),
    types.Resource(
        uri="test://static-binary",
        name="static-binary",
        description="A red pixel.",
        mime_type="image/png",
    ),
    types.Resource(
        uri=WATCHED, name="watched-resource", description="Can be watched.", mime_type="text/plain"
    ),
]
TEMPLATES = [
    types.ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="template",
        description="The data of an id.",
        mime_type="application/json",
    )
]


def read(uri: str, protocol_version: str) -> types.ReadResourceResult:
    """Raises MCPError with the code of the era where there is no such resource."""
    content = _content(uri)
    if content is None:
        modern = protocol_version in MODERN_PROTOCOL_VERSIONS
        code = types.INVALID_PARAMS if modern else NOT_FOUND_IN_THE_HANDSHAKE_ERA
        raise MCPError(code, "Resource not found", {"uri": uri})
    return types.ReadResourceResult(contents=[content])


def _content(uri: str) -> types.TextResourceContents | types.BlobResourceContents | None:
    if uri == "test://static-binary":
        return types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    if said := TEXTS.get(uri):
        return types.TextResourceContents(uri=uri, mime_type="text/plain", text=said)
    return _from_template(uri)


def _from_template(uri: str) -> types.TextResourceContents | None:
    if not (matched := TEMPLATE.fullmatch(uri)):
        return None
    data = {"id": matched[1], "templateTest": True, "data": f"Data for ID: {matched[1]}"}
    return types.TextResourceContents(uri=uri, mime_type="application/json", text=json.dumps(data))


Write = Callable[[Request], Awaitable[list[types.ContentBlock]]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as it is listed, and what its messages hold; each is the user's."""

    name: str
    description: str
    write: Write
    arguments: tuple[str, ...] = ()

    @property
    def listed(self) -> types.Prompt:
        arguments = [
            types.PromptArgument(name=name, description=name, required=True)
            for name in self.arguments
        ]
        return types.Prompt(
            name=self.name, description=self.description, arguments=arguments or None
        )

    async def get(self, request: Request) -> types.GetPromptResult:
        content = await self.write(request)
        return types.GetPromptResult(
            messages=[types.PromptMessage(role="user", content=part) for part in content]
        )


async def simple(_: Request) -> list[types.ContentBlock]:
    return [text("This is a simple prompt for testing.")]


async def with_arguments(request: Request) -> list[types.ContentBlock]:
    first, second = request.arguments.get("arg1"), request.arguments.get("arg2")
    return [text(f"Prompt with arguments: arg1='{first}', arg2='{second}'")]


async def with_resource(request: Request) -> list[types.ContentBlock]:
    uri = str(request.arguments.get("resourceUri"))
    resource = embedded(uri, "Embedded resource content for testing.")
    return [resource, text("Please process the embedded resource above.")]


async def with_image(_: Request) -> list[types.ContentBlock]:
    return [image(), text("Please analyze the image above.")]


async def asking_first(request: Request) -> list[types.ContentBlock]:
    question = form("What context should the prompt use?", {"context": {"type": "string"}})
    answers = await request.ask({"user_context": question})
    return [text(f"Go on from this: {told(answers['user_context'])}")]


PROMPTS = [
    Prompt("test_simple_prompt", "A prompt without arguments.", simple),
    Prompt(
        "test_prompt_with_arguments",
        "A prompt with two arguments.",
        with_arguments,
        ("arg1", "arg2"),
    ),
    Prompt(
        "test_prompt_with_embedded_resource",
        "A prompt about a resource.",
        with_resource,
        ("resourceUri",),
    ),
    Prompt("test_prompt_with_image", "A prompt about an image.", with_image),
    Prompt("test_input_required_result_prompt", "A prompt that asks the user first.", asking_first),
]


def complete(begun: str) -> types.Completion:
    """The words that go on from what was typed, of every argument alike."""
    values = [word for word in WORDS if word.startswith(begun)]
    return types.Completion(values=values, total=len(values), has_more=False)
