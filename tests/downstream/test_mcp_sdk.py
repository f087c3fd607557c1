"""Contract of the downstream side with the SDK, beyond the SDK's public API.

A release of `mcp` that breaks it fails here first, with the sentence that no longer holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any, Self

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp import MCPError

from plait.downstream import mcp_sdk as sdk

CALLER: ContextVar[str] = ContextVar("caller", default="nobody")
SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {
            "type": "object",
            "properties": {"er": {"type": "boolean", "x-mcp-header": "Deeper"}},
        },
    },
}


class Stream:
    """What a dispatcher reads from or writes to: no more than it may ask of ours."""

    def __init__(self) -> None:
        self.send_item, self.items = anyio.create_memory_object_stream[Any](10)
        self.last_context: Any = None

    async def send(self, item: sdk.SessionMessage) -> None:
        await self.send_item.send(item)

    async def aclose(self) -> None:
        self.send_item.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self.items.__anext__()

    async def receive(self) -> Any:
        return await self.items.receive()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Server:
    """A server by hand at the other end of a dispatcher."""

    def __init__(self) -> None:
        self.says, self.hears = Stream(), Stream()
        self.asked: list[Any] = []
        self.told: list[Any] = []
        self.dispatcher: sdk.JSONRPCDispatcher[Any] = sdk.JSONRPCDispatcher(self.says, self.hears)

    async def heard(self) -> Any:
        """The next message to the server, with its metadata."""
        return await self.hears.items.receive()

    async def say(self, message: types.JSONRPCMessage) -> None:
        await self.says.send(sdk.SessionMessage(message))

    async def _answer(
        self,
        context: sdk.DispatchContext[sdk.TransportContext],
        method: str,
        params: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        self.asked.append((method, params, CALLER.get()))
        if method == "ping":
            return {"pong": True}
        raise MCPError(-32001, "No.", {"why": 1})

    async def _ignore(
        self,
        context: sdk.DispatchContext[sdk.TransportContext],
        method: str,
        params: Mapping[str, Any] | None,
    ) -> None: ...

    def _take(self, method: str, params: Mapping[str, Any] | None) -> bool:
        self.told.append((method, params))
        return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        async with anyio.create_task_group() as tasks:

            async def run(*, task_status: anyio.abc.TaskStatus[None]) -> None:
                await self.dispatcher.run(
                    self._answer, self._ignore, self._take, task_status=task_status
                )

            with self.says.send_item, self.says.items, self.hears.send_item, self.hears.items:
                await tasks.start(run)
                yield self
                tasks.cancel_scope.cancel()


async def answered(
    server: Server, params: Any, options: sdk.CallOptions, result: Any
) -> tuple[Any, Any]:
    """A request, as the server heard it, and its result once *result* was said."""
    got = list[Any]()

    async def ask() -> None:
        got.append(await server.dispatcher.send_raw_request("tools/call", params, options))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        heard = await server.heard()
        await server.say(types.JSONRPCResponse(jsonrpc="2.0", id=heard.message.id, result=result))
    return heard, got[0]


async def test_a_request_goes_out_raw_under_headers_and_its_result_comes_back_raw():
    async with Server().running() as server:
        params = {"name": "t", "unknown": [1], "_meta": {"progressToken": "ours"}}
        headers = {"mcp-method": "tools/call"}
        heard, result = await answered(server, params, {"headers": headers}, {"unknown": 5})
    assert heard.message.params == params
    assert heard.metadata.headers == headers
    assert result == {"unknown": 5}


async def test_an_error_is_raised_as_the_server_sent_it():
    async with Server().running() as server, anyio.create_task_group() as tasks:

        async def refuse() -> None:
            heard = await server.heard()
            error = types.ErrorData(code=-1, message="no", data={"a": 1})
            await server.say(types.JSONRPCError(jsonrpc="2.0", id=heard.message.id, error=error))

        tasks.start_soon(refuse)
        with pytest.raises(MCPError) as refused:
            await server.dispatcher.send_raw_request("ping", None, {})
    assert (refused.value.error.code, refused.value.error.message) == (-1, "no")
    assert refused.value.error.data == {"a": 1}


@pytest.mark.parametrize(
    ("options", "is_told"), [({}, True), ({"cancel_on_abandon": False}, False)]
)
async def test_an_abandoned_request_is_cancelled_at_the_server_unless_that_is_switched_off(
    options: sdk.CallOptions, is_told: bool
):
    async with Server().running() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.dispatcher.send_raw_request, "initialize", None, options)
            heard = [await server.heard()]
            tasks.cancel_scope.cancel()
        await server.dispatcher.notify("notifications/last", None, {"headers": {"a": "b"}})
        while heard[-1].message.method != "notifications/last":
            heard.append(await server.heard())
    methods = [item.message.method for item in heard]
    assert methods == [
        "initialize",
        *(["notifications/cancelled"] if is_told else []),
        "notifications/last",
    ]
    assert heard[-1].metadata.headers == {"a": "b"}


async def test_the_end_of_the_stream_fails_open_requests():
    async with Server().running() as server, anyio.create_task_group() as tasks:

        async def leave() -> None:
            await server.heard()
            await server.says.aclose()

        tasks.start_soon(leave)
        with pytest.raises(MCPError) as lost:
            await server.dispatcher.send_raw_request("ping", None, {})
    assert lost.value.error.code == types.CONNECTION_CLOSED


async def test_requests_of_the_server_are_answered_and_its_notifications_taken_in_order():
    async with Server().running() as server:
        for number in range(3):
            await server.say(
                types.JSONRPCNotification(jsonrpc="2.0", method="n", params={"number": number})
            )
        await server.say(types.JSONRPCRequest(jsonrpc="2.0", id="a", method="ping"))
        pong = (await server.heard()).message
        await server.say(
            types.JSONRPCRequest(jsonrpc="2.0", id="b", method="other", params={"x": 1})
        )
        refused = (await server.heard()).message
    assert [params["number"] for _, params in server.told] == [0, 1, 2]
    assert (pong.id, pong.result) == ("a", {"pong": True})
    assert (refused.id, refused.error.code, refused.error.data) == ("b", -32001, {"why": 1})
    assert [(method, params) for method, params, _ in server.asked] == [
        ("ping", None),
        ("other", {"x": 1}),
    ]


async def test_a_request_is_answered_in_the_context_that_its_stream_names():
    """So a question on the stream of a request is known to be for that request."""
    async with Server().running() as server:
        context = copy_context()
        context.run(CALLER.set, "somebody")
        server.says.last_context = context
        await server.say(types.JSONRPCRequest(jsonrpc="2.0", id=1, method="ping"))
        await server.heard()
    assert server.asked == [("ping", None, "somebody")]


def test_a_session_message_holds_a_message_and_optional_metadata():
    message = types.JSONRPCRequest(jsonrpc="2.0", id=1, method="ping")
    item = sdk.SessionMessage(message)
    assert (item.message, item.metadata) == (message, None)


def test_the_options_of_a_request_are_a_dictionary():
    assert sdk.CallOptions.__annotations__.keys() >= {"headers", "cancel_on_abandon"}


def test_a_context_names_its_request_and_transport():
    assert {"transport", "request_id", "can_send_request"} <= set(dir(sdk.DispatchContext))
    assert sdk.TransportContext(kind="x", can_send_request=True).headers is None


def test_an_id_is_the_same_as_string_and_as_number():
    assert [sdk.coerce_request_id(id) for id in ("7", 7, "a", "")] == [7, 7, "a", ""]


def test_headers_have_fixed_names_and_encoded_values():
    names = (sdk.MCP_PROTOCOL_VERSION_HEADER, sdk.MCP_METHOD_HEADER, sdk.MCP_NAME_HEADER)
    assert names == ("mcp-protocol-version", "mcp-method", "mcp-name")
    assert dict(sdk.NAME_BEARING_METHODS) == {
        "tools/call": "name",
        "prompts/get": "name",
        "resources/read": "uri",
    }
    assert sdk.encode_header_value("plain") == "plain"
    assert sdk.encode_header_value("ü") == "=?base64?w7w=?="


def test_arguments_that_a_schema_maps_to_headers_are_found_and_encoded():
    assert sdk.find_invalid_x_mcp_header(SCHEMA) is None
    assert sdk.find_invalid_x_mcp_header(None) is None
    assert sdk.find_invalid_x_mcp_header({"x-mcp-header": "Root"}) is not None
    wanted = sdk.x_mcp_header_map(SCHEMA)
    assert wanted == {("region",): "Region", ("deep", "er"): "Deeper"}
    headers = sdk.mcp_param_headers(wanted, {"region": "ü", "deep": {"er": True}})
    assert headers == {"Mcp-Param-Region": "=?base64?w7w=?=", "Mcp-Param-Deeper": "true"}
    assert sdk.mcp_param_headers(wanted, {"deep": 5}) == {}


class Http(httpx2.AsyncBaseTransport):
    """An HTTP server that answers each POST with `ping`'s result, and redirects each GET."""

    def __init__(self) -> None:
        self.posted: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            headers = {"location": request.url.params.get("to", "/there")}
            status = 200 if request.url.path == "/there" else 307
            return httpx2.Response(status, headers=headers, request=request)
        self.posted.append(request)
        answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
        return httpx2.Response(200, json=answer, request=request)


async def test_streamable_http_posts_with_our_client_and_reads_the_answer():
    http = Http()
    async with (
        httpx2.AsyncClient(transport=http, headers={"a": "b"}) as client,
        sdk.streamable_http_client("http://x/mcp", http_client=client, max_sse_event_size=None) as (
            read,
            write,
        ),
    ):
        with anyio.fail_after(10):
            await write.send(
                sdk.SessionMessage(types.JSONRPCRequest(jsonrpc="2.0", id=1, method="ping"))
            )
            got = await read.receive()
    assert isinstance(got, sdk.SessionMessage)
    assert isinstance(got.message, types.JSONRPCResponse)
    assert http.posted[0].headers["a"] == "b"


@pytest.mark.parametrize(
    ("to", "status"), [("/there", 200), ("http://x/there", 200), ("http://y/there", 307)]
)
async def test_a_redirect_is_followed_at_the_same_origin_alone(to: str, status: int):
    async with (
        httpx2.AsyncClient(transport=Http()) as client,
        sdk.stream_within_origin(
            client, "GET", f"http://x/sse?to={to}", headers={"a": "b"}
        ) as response,
    ):
        assert response.status_code == status
        assert response.is_redirect is (status == 307)


def test_a_stream_is_anything_with_these_methods():
    both = {"aclose", "__aenter__", "__aexit__"}
    assert vars(sdk.ReadStream).keys() >= {"receive", "__aiter__", "__anext__", *both}
    assert vars(sdk.WriteStream).keys() >= {"send", *both}


def test_every_imported_name_of_the_sdk_is_tested_here():
    text = Path(__file__).read_text()
    assert [name for name in sdk.__all__ if f"sdk.{name}" not in text] == []
