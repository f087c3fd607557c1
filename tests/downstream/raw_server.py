"""A server that sends what the SDK's models would drop, and asks.

    raw_server.py stdio|http|sse JOURNAL [--fail METHOD]

It serves both eras. Over HTTP it prints its URL. What it is asked to do is chosen by the name of
the tool.
"""

from __future__ import annotations

import argparse
import json
import socket
import warnings
from typing import Any, cast

import anyio
import mcp_types as types
import uvicorn
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
)
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.message import ServerMessageMetadata
from pydantic import BaseModel, RootModel
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

Context = ServerRequestContext[Any]
TOOLS = ["ask", "change", "hang", "log", "params", "refuse", "steps", "touch"]
ODD: dict[str, Any] = {"x-odd": {"deep": [1, None, {"a": 1.5}]}}
SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
OTHERS: dict[str, list[dict[str, Any]]] = {
    "resources": [
        {"uri": f"note://{number}", "name": f"note {number}", **ODD} for number in range(3)
    ],
    "resourceTemplates": [{"uriTemplate": "note://{number}", "name": "notes", **ODD}],
    "prompts": [{"name": "greet", "arguments": [{"name": "who", "x-odd": True}], **ODD}],
}
MEMBERS = {
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}
PROGRESS = "notifications/progress"
MODERN = "2026-07-28"

parser = argparse.ArgumentParser()
parser.add_argument("transport")
parser.add_argument("journal")
parser.add_argument(
    "--fail", action="append", default=[], help="a method that is answered with an error"
)
parser.add_argument(
    "--roots", action="store_true", help="ask for roots once connected, and when they have changed"
)
options = parser.parse_args()
bus = InMemorySubscriptionBus()


class RawRequest(BaseModel):
    method: str
    params: dict[str, Any] | None = None


class RawAnswer(RootModel[dict[str, Any]]):
    pass


class Raw(Server[Any]):
    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> Any:
        return super().create_initialization_options(
            NotificationOptions(True, True, True), {"odd": {"kept": True}}
        )


def note(event: object) -> None:
    with open(options.journal, "a") as file:
        file.write(json.dumps(event) + "\n")


async def unused(context: Context, params: Any) -> Any:
    raise AssertionError("the middleware answers")


async def answer(context: Context, call_next: Any) -> Any:
    """The SDK's own answers are not asked for: what is given here goes out as it is."""
    params = dict(context.params or {})
    if context.method == "notifications/roots/list_changed":
        note("roots changed")
    if options.roots and context.method in {
        "notifications/initialized",
        "notifications/roots/list_changed",
    }:
        note(["roots", await ask_for_roots(context)])
    if context.request_id is None or context.method in {
        "initialize",
        "server/discover",
        "subscriptions/listen",
        "ping",
    }:
        return await call_next(context)
    if context.method in options.fail:
        raise MCPError(-32603, "the database is down")
    result = await _result(context, params)
    if context.protocol_version != MODERN:
        return result
    is_list = context.method in MEMBERS or context.method in {"tools/list", "resources/read"}
    hint = {"ttlMs": 0, "cacheScope": "private"} if is_list else {}
    return {"resultType": "complete", **hint, **result}


async def _result(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    match context.method:
        case "tools/list":
            if (can := context.session.client_capabilities) is not None:
                note(
                    [
                        "listed for",
                        can.model_dump(mode="json", by_alias=True, exclude_none=True).get(
                            "extensions"
                        ),
                    ]
                )
            first = not params.get("cursor")
            names = TOOLS[:3] if first else TOOLS[3:]
            tools = [{"name": name, "inputSchema": SCHEMA, **ODD} for name in names]
            return {"tools": tools, **({"nextCursor": "2"} if first else {})}
        case method if method in MEMBERS:
            return {MEMBERS[method]: OTHERS[MEMBERS[method]]}
        case "tools/call":
            return await call(context, params["name"], params.get("arguments") or {}, params)
        case "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel":
            note(
                [context.method, {name: value for name, value in params.items() if name != "_meta"}]
            )
            return {}
        case "completion/complete" if "questions" in params:
            return {"completion": {"values": []}, "answers": await ask(context, params, params)}
        case method:
            return {
                "method": method,
                "params": params,
                "contents": [],
                "messages": [],
                "completion": {"values": []},
                **ODD,
            }


async def call(
    context: Context, name: str, arguments: dict[str, Any], params: dict[str, Any]
) -> dict[str, Any]:
    done: dict[str, Any] = {"content": [], **ODD}
    session = context.session
    match name:
        case "params":
            headers = dict(context.request.headers) if context.request is not None else {}
            return {**done, "structuredContent": {"params": params, "headers": headers}}
        case "refuse":
            raise MCPError(-32042, "not today", {"why": [1, None]})
        case "hang":
            note(f"{arguments['tag']} started")
            try:
                await anyio.sleep_forever()
            finally:
                note(f"{arguments['tag']} cancelled")
        case "steps":
            for step in range(1, 6):
                token = params["_meta"]["progressToken"]
                told = {
                    "progressToken": token,
                    "progress": step,
                    "total": 5.0,
                    "message": f"step {step}",
                    **ODD,
                }
                await session.send_notification(
                    cast("Any", RawRequest(method=PROGRESS, params=told)), context.request_id
                )
        case "log":
            await session.send_log_message(
                "warning", {"n": 1}, "raw", related_request_id=context.request_id
            )
        case "touch":
            await bus.publish(ResourceUpdated(arguments["uri"]))
            await session.send_resource_updated(arguments["uri"])
        case "change":
            if not arguments.get("only_say_so"):
                OTHERS["prompts"].append({"name": f"new{len(OTHERS['prompts'])}"})
            await bus.publish(PromptsListChanged())
            await session.send_prompt_list_changed()
        case "ask":
            return {**done, "structuredContent": {"answers": await ask(context, arguments, params)}}
    return done


async def ask(context: Context, arguments: dict[str, Any], params: dict[str, Any]) -> Any:
    note(f"{arguments.get('tag')} asks")
    answers: list[Any] = []
    for method, question in arguments["questions"]:
        request: Any = RawRequest(method=method, params=question or None)
        loose = arguments.get("loose")
        related = ServerMessageMetadata(related_request_id=None if loose else context.request_id)
        try:
            sent = await context.session.send_request(request, RawAnswer, 30, related)
            answers.append(sent.root)
        except MCPError as error:
            answers.append(
                {"code": error.error.code, "message": error.error.message, "data": error.error.data}
            )
    return answers


async def ask_for_roots(context: Context) -> Any:
    """Over HTTP the client may not listen yet: then what it is asked is lost, and asked again."""
    request: Any = RawRequest(method="roots/list")
    while True:
        try:
            return (await context.session.send_request(request, RawAnswer, 1)).root
        except MCPError as error:
            if error.error.code != types.REQUEST_TIMEOUT:
                return error.error.code


async def rounds(context: Context, call_next: Any) -> Any:
    """Questions in the words of 2026-07-28."""
    params = dict(context.params or {})
    is_asked = context.method == "tools/call" and params.get("name") == "ask"
    if context.protocol_version != MODERN or not is_asked:
        return await call_next(context)
    arguments = params["arguments"]
    number = int(str(params.get("requestState", "0")))
    if number >= len(arguments["questions"]):
        got = params.get("inputResponses")
        return {
            "resultType": "complete",
            "content": [],
            "structuredContent": {"answers": got},
            **ODD,
        }
    method, question = arguments["questions"][number]
    asked = {"q": {"method": method, **({"params": question} if question else {})}}
    return {"resultType": "input_required", "inputRequests": asked, "requestState": str(number + 1)}


def build() -> Raw:
    server = Raw(
        "raw",
        version="1",
        title="Raw",
        instructions="Ask for what you want.",
        get_tool_input_schema=lambda name: SCHEMA,
        on_list_tools=unused,
        on_call_tool=unused,
        on_list_resources=unused,
        on_list_resource_templates=unused,
        on_read_resource=unused,
        on_subscribe_resource=unused,
        on_unsubscribe_resource=unused,
        on_subscriptions_listen=ListenHandler(bus),
        on_list_prompts=unused,
        on_get_prompt=unused,
        on_completion=unused,
    )
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, unused)
    middleware: list[Any] = [rounds, answer]
    server.middleware.extend(middleware)
    return server


async def serve_stdio() -> None:
    server = build()
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def sse_app() -> Starlette:
    server, transport = build(), SseServerTransport("/messages/")

    async def connect(request: Any) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as (
            reading,
            writing,
        ):
            await server.run(reading, writing, server.create_initialization_options())
        return Response()

    return Starlette(
        routes=[Route("/sse", connect), Mount("/messages/", app=transport.handle_post_message)]
    )


def http_app() -> Starlette:
    return build().streamable_http_app()


def main() -> None:
    warnings.filterwarnings("ignore", category=MCPDeprecationWarning)
    note("started")
    if options.transport == "stdio":
        anyio.run(serve_stdio)
        return
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        http_app() if options.transport == "http" else sse_app(),
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    print(url + ("/mcp" if options.transport == "http" else "/sse"), flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
