"""The tools that the conformance suite calls by name and that answer by themselves: contents,
errors, logs, progress, schemas, headers and announcements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.subscriptions import (
    PromptsListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)

from .asking import Request
from .samples import audio, embedded, image, text
from .state import is_heard, session_of

NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
WATCHED = "test://watched-resource"

# Keywords that a server or a gateway loses which reads a schema into a model of its own.
WIDE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

Answer = types.CallToolResult | Sequence[types.ContentBlock]
Run = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Fixture:
    """A tool as it is listed, and what a call of it does."""

    name: str
    description: str
    run: Run
    schema: Mapping[str, Any]

    @property
    def listed(self) -> types.Tool:
        return types.Tool(
            name=self.name, description=self.description, input_schema=dict(self.schema)
        )

    async def call(self, request: Request) -> types.CallToolResult:
        answer = await self.run(request)
        return (
            answer
            if isinstance(answer, types.CallToolResult)
            else types.CallToolResult(content=list(answer))
        )


def fixture(
    name: str, description: str, run: Run, schema: Mapping[str, Any] = NO_ARGUMENTS
) -> Fixture:
    return Fixture(name, description, run, schema)


def strings(**described: str) -> dict[str, Any]:
    """The schema of an object whose properties are all strings and all required."""
    properties = {name: {"type": "string", "description": said} for name, said in described.items()}
    return {"type": "object", "properties": properties, "required": list(described)}


def always(*content: types.ContentBlock) -> Run:
    """A tool that gives the same content whatever it is asked."""

    async def run(_: Request) -> Answer:
        return content

    return run


async def fail(_: Request) -> Answer:
    return types.CallToolResult(
        content=[text("This tool intentionally returns an error for testing")], is_error=True
    )


async def log_thrice(request: Request) -> Answer:
    """Sends its messages without a pause, which is harder on whoever relays them than the pauses
    the suite suggests."""
    for said in ["Tool execution started", "Tool processing data", "Tool execution completed"]:
        await log(request, said)
    return [text("Three messages were logged.")]


async def log_once(request: Request) -> Answer:
    await log(request, "A call was served")
    return [text("One message was logged, if the client asked for it.")]


async def log(request: Request, said: str) -> None:
    if is_heard(request.context, "info"):
        await request.context.session.send_log_message(
            "info", said, logger="everything", related_request_id=request.context.request_id
        )


async def progress(request: Request) -> Answer:
    for percent in [0, 50, 100]:
        await request.context.session.report_progress(percent, 100, f"{percent} of 100")
    return [text("Progress was reported.")]


async def reconnect(request: Request) -> Answer:
    """Closes the stream of its own call: the client finds the answer when it connects again."""
    if request.context.close_sse_stream is not None:
        await request.context.close_sse_stream()
    return [text("The stream was closed before this answer.")]


async def region(request: Request) -> Answer:
    return [text(f"region: {request.arguments.get('region', 'none')}")]


async def change_tools(request: Request) -> Answer:
    await announce(request, ToolsListChanged(), types.ToolListChangedNotification())
    return [text("Told that the tools changed.")]


async def change_prompts(request: Request) -> Answer:
    await announce(request, PromptsListChanged(), types.PromptListChangedNotification())
    return [text("Told that the prompts changed.")]


async def change_resource(request: Request) -> Answer:
    context = request.context
    updated = types.ResourceUpdatedNotification(
        params=types.ResourceUpdatedNotificationParams(uri=WATCHED)
    )
    watched = (session_of(context), WATCHED) in context.lifespan_context.watched
    await announce(request, ResourceUpdated(WATCHED), updated if watched else None)
    return [text(f"Told that {WATCHED} changed.")]


async def announce(
    request: Request, event: ServerEvent, notification: types.ServerNotification | None
) -> None:
    """Tells the modern era's listeners, and in the handshake era the session that called."""
    await request.context.lifespan_context.bus.publish(event)
    if notification is not None and not request.modern:
        await request.context.session.send_notification(notification)


REGION = {
    "type": "object",
    "properties": {
        "region": {
            "type": "string",
            "description": "Sent as a header too",
            "x-mcp-header": "Region",
        }
    },
}

FIXTURES = [
    fixture(
        "test_simple_text", "Text.", always(text("This is a simple text response for testing."))
    ),
    fixture("test_image_content", "An image.", always(image())),
    fixture("test_audio_content", "A sound.", always(audio())),
    fixture(
        "test_embedded_resource",
        "An embedded resource.",
        always(embedded("test://embedded-resource", "This is an embedded resource content.")),
    ),
    fixture(
        "test_multiple_content_types",
        "Text, an image and an embedded resource.",
        always(
            text("Multiple content types test:"),
            image(),
            embedded(
                "test://mixed-content-resource", '{"test":"data","value":123}', "application/json"
            ),
        ),
    ),
    fixture("test_error_handling", "Always fails.", fail),
    fixture("test_tool_with_logging", "Logs three messages.", log_thrice),
    fixture("test_logging_tool", "Logs one message.", log_once),
    fixture("test_tool_with_progress", "Reports progress three times.", progress),
    fixture("test_reconnection", "Answers after it closed its stream.", reconnect),
    fixture(
        "json_schema_2020_12_tool",
        "Tool with JSON Schema 2020-12 features",
        always(text("Ok.")),
        WIDE_SCHEMA,
    ),
    fixture("test_region_header", "Has an argument that is a header too.", region, REGION),
    fixture("test_trigger_tool_change", "Tells that the tools changed.", change_tools),
    fixture("test_trigger_prompt_change", "Tells that the prompts changed.", change_prompts),
    fixture("test_trigger_resource_change", f"Tells that {WATCHED} changed.", change_resource),
]
