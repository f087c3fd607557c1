"""Contract of the upstream side with the SDK, beyond the SDK's public API.

A release of `mcp` that breaks it fails here first, with the sentence that no longer holds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.server import Server
from starlette.applications import Starlette
from starlette.routing import Route

from plait.upstream import mcp_sdk as sdk

VERSION = "2026-07-28"
META = {
    types.PROTOCOL_VERSION_META_KEY: VERSION,
    types.CLIENT_CAPABILITIES_META_KEY: {"roots": {}},
    types.CLIENT_INFO_META_KEY: {"name": "test", "version": "1"},
}
HEADERS = {"mcp-protocol-version": VERSION, "mcp-method": "tools/list"}
HANDSHAKE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"roots": {}},
    "clientInfo": {"name": "test", "version": "1"},
}
SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


class Client:
    """The client at the other end: an `Outbound` for the connection and a `DispatchContext` for its
    requests."""

    def __init__(self, request_id: int | None = 1) -> None:
        self.request_id = request_id
        self.transport = sdk.TransportContext(
            kind="test", can_send_request=True, headers={"a": "b"}
        )
        self.can_send_request = True
        self.message_metadata: sdk.MessageMetadata = None
        self.cancel_requested = anyio.Event()
        self.told: list[tuple[str, Any]] = []
        self.asked: list[tuple[str, Any, Any]] = []

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: sdk.CallOptions | None = None
    ) -> dict[str, Any]:
        self.asked.append((method, params, opts))
        return {"roots": []}

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: sdk.CallOptions | None = None
    ) -> None:
        self.told.append((method, params))

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        self.told.append(("progress", progress))


def lists_tools(
    seen: Callable[[sdk.RequestContext], Any] = lambda ctx: None,
) -> Server[Any]:
    async def listed(ctx: sdk.RequestContext, params: Any) -> types.ListToolsResult:
        result = seen(ctx)
        if inspect.isawaitable(result):
            await result
        return types.ListToolsResult(tools=[])

    return Server("test", on_list_tools=listed)


async def serve(
    server: Server[Any], client: Client, method: str, params: dict[str, Any], **options: Any
) -> dict[str, Any]:
    """Serve one request alone, as its envelope says."""
    route = sdk.classify_inbound_request({"method": method, "params": params})
    assert isinstance(route, sdk.InboundModernRoute)
    options = {"lifespan": None, **options}
    return await sdk.serve_alone(server, client, method, params, route, **options)


async def greeted(server: Server[Any], client: Client) -> sdk.ServerRunner[Any]:
    """A connection of the handshake era on which the handshake is done."""
    connection = sdk.Connection.for_loop(client, session_id="s1")
    runner = sdk.ServerRunner(
        server, connection, None, init_options=server.create_initialization_options()
    )
    await runner.on_request(client, "initialize", HANDSHAKE)
    return runner


async def test_a_runner_serves_a_connection_from_its_handshake_on():
    client, server = Client(), lists_tools()
    connection = sdk.Connection.for_loop(client, session_id="s1")
    runner = sdk.ServerRunner(server, connection, None)
    assert (connection.outbound, connection.session_id, connection.client_params) == (
        client,
        "s1",
        None,
    )
    with pytest.raises(MCPError) as early:
        await runner.on_request(client, "tools/list", None)
    assert early.value.error.code == types.INVALID_PARAMS
    greeting = await runner.on_request(client, "initialize", HANDSHAKE)
    assert greeting["protocolVersion"] == connection.protocol_version == "2025-11-25"
    assert connection.client_params is not None
    assert await runner.on_request(client, "tools/list", None) == {"tools": []}
    await runner.on_notify(client, "notifications/initialized", None)
    assert connection.initialized.is_set()


async def test_two_requests_on_one_connection_have_that_connection():
    seen = list[sdk.Connection]()
    runner = await greeted(
        lists_tools(lambda ctx: seen.append(sdk.connection_of(ctx))), client := Client()
    )
    await runner.on_request(client, "tools/list", None)
    await runner.on_request(client, "tools/list", None)
    assert seen == [runner.connection, runner.connection]


async def test_a_request_served_alone_has_a_connection_of_its_own_which_is_closed_after_it():
    closed, seen = anyio.Event(), list[sdk.RequestContext]()

    def see(ctx: sdk.RequestContext) -> None:
        sdk.connection_of(ctx).exit_stack.callback(closed.set)
        seen.append(ctx)

    params, client = {"_meta": META}, Client()
    given = await serve(lists_tools(see), client, "tools/list", params, lifespan="lifespan")
    assert given["tools"] == []
    assert closed.is_set()
    [ctx] = seen
    assert (ctx.method, ctx.params, ctx.request_id) == ("tools/list", params, 1)
    assert (ctx.protocol_version, ctx.lifespan_context) == (VERSION, "lifespan")
    assert ctx.session.client_capabilities is not None
    assert ctx.session.client_capabilities.roots is not None
    assert not sdk.connection_of(ctx).has_standalone_channel


async def test_a_request_served_alone_notifies_its_client_where_there_is_a_way():
    seen = list[sdk.Connection]()
    server = lists_tools(lambda ctx: seen.append(sdk.connection_of(ctx)))
    outbound = sdk.NotifyOnlyOutbound(Client())
    await serve(server, Client(), "tools/list", {"_meta": META}, outbound=outbound)
    assert [each.outbound for each in seen] == [outbound]


def test_an_invalid_value_in_an_envelope_counts_as_absent():
    connection = sdk.Connection.from_envelope(
        VERSION, 5, "none", outbound=sdk.NotifyOnlyOutbound(Client())
    )
    assert (connection.client_params, connection.client_capabilities) == (None, None)
    assert isinstance(connection.outbound, sdk.NotifyOnlyOutbound)
    assert connection.initialized.is_set()


def test_a_connection_knows_whether_it_leads_to_its_client_and_may_be_a_key_that_does_not_keep_it():
    alone = sdk.Connection.from_envelope(VERSION, None, {})
    notified = sdk.Connection.from_envelope(
        VERSION, None, {}, outbound=sdk.NotifyOnlyOutbound(Client())
    )
    connected = sdk.Connection.for_loop(Client())
    assert [each.has_standalone_channel for each in (alone, notified, connected)] == [
        False,
        True,
        True,
    ]
    for each in (connected, notified.outbound):
        assert WeakKeyDictionary({each: 1})[each] == 1


async def test_a_notify_only_outbound_sends_no_requests_and_no_list_changes():
    client = Client()
    outbound = sdk.NotifyOnlyOutbound(client)
    with pytest.raises(sdk.NoBackChannelError):
        await outbound.send_raw_request("roots/list", None)
    await outbound.notify("notifications/tools/list_changed", None)
    await outbound.notify("notifications/message", {"level": "info"})
    assert client.told == [("notifications/message", {"level": "info"})]
    assert isinstance(client, sdk.Outbound)


def test_without_a_back_channel_a_request_raises_an_error():
    assert isinstance(sdk.NoBackChannelError("roots/list"), MCPError)


async def test_a_connection_is_closed_even_when_cancelled_and_its_errors_go_to_the_log():
    connection, closed = sdk.Connection.for_loop(Client()), list[str]()

    async def close() -> None:
        await anyio.lowlevel.checkpoint()
        closed.append("closed")

    def fail() -> None:
        raise ValueError

    connection.exit_stack.push_async_callback(close)
    connection.exit_stack.callback(fail)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await sdk.aclose_shielded(connection)
    assert closed == ["closed"]


async def test_middleware_sees_requests_as_they_came_the_first_outermost_and_may_answer_itself():
    order, server = list[Any](), lists_tools()

    def noting(name: str) -> sdk.ServerMiddleware[Any]:
        async def middleware(ctx: sdk.RequestContext, call_next: sdk.CallNext) -> sdk.HandlerResult:
            order.append((name, ctx.method, ctx.params))
            if ctx.method == "ours/own":
                return {"as": "it is", "resultType": 5}
            return await call_next(ctx)

        return middleware

    runner = await greeted(server, client := Client())
    server.middleware += [noting("first"), noting("second")]
    await runner.on_request(client, "tools/list", {"unknown": 1})
    assert order == [
        ("first", "tools/list", {"unknown": 1}),
        ("second", "tools/list", {"unknown": 1}),
    ]
    assert await runner.on_request(client, "ours/own", None) == {"as": "it is", "resultType": 5}
    with pytest.raises(MCPError) as missing:
        await runner.on_request(client, "nobody/has", None)
    assert missing.value.error.code == types.METHOD_NOT_FOUND
    await runner.on_notify(client, "notifications/roots/list_changed", None)
    assert order[-1] == ("second", "notifications/roots/list_changed", None)


def test_the_one_middleware_that_a_new_server_has_traces_and_no_other_is_removed_with_it():
    server = lists_tools()
    assert [type(each).__name__ for each in server.middleware] == ["OpenTelemetryMiddleware"]

    async def ours(ctx: sdk.RequestContext, call_next: sdk.CallNext) -> sdk.HandlerResult:
        return await call_next(ctx)

    server.middleware.insert(0, ours)
    middleware = server.middleware
    sdk.remove_tracing(server)
    assert server.middleware is middleware
    assert middleware == [ours]


async def test_a_question_is_sent_raw_with_its_timeout_and_its_answer_gets_the_given_type():
    answers = list[Any]()

    async def ask(ctx: sdk.RequestContext) -> None:
        request = types.ListRootsRequest()
        related = sdk.ServerMessageMetadata(related_request_id=ctx.request_id)
        answers.append(await ctx.session.send_request(request, types.ListRootsResult, 7, related))
        answers.append(await ctx.session.send_request(request, types.ListRootsResult, 7, None))

    connected = Client(None)
    runner = await greeted(lists_tools(ask), connected)
    asking = Client(5)
    await runner.on_request(asking, "tools/list", None)
    assert answers == [types.ListRootsResult(roots=[])] * 2
    for client in (
        asking,
        connected,
    ):  # with a related request on its own stream, else on that of the connection
        [(method, _, options)] = client.asked
        assert method == "roots/list"
        assert options is not None
        assert options["timeout"] == 7


async def test_notifications_go_on_the_stream_of_their_request():
    async def tell(ctx: sdk.RequestContext) -> None:
        await ctx.session.report_progress(1, 2, "half")
        notice = types.ToolListChangedNotification()
        await ctx.session.send_notification(notice, related_request_id=ctx.request_id)
        await ctx.session.send_notification(notice)

    connected = Client(None)
    runner = await greeted(lists_tools(tell), connected)
    asking = Client(5)
    await runner.on_request(asking, "tools/list", {"_meta": {"progressToken": "t"}})
    changed = "notifications/tools/list_changed"
    assert [method for method, _ in asking.told] == ["progress", changed]
    assert [method for method, _ in connected.told] == [changed]


def test_a_protocol_error_is_sent_unchanged_and_any_other_without_its_message():
    refused = MCPError(-32001, "No.", {"why": 1})
    assert sdk.modern_error_data(refused) == types.ErrorData(
        code=-32001, message="No.", data={"why": 1}
    )
    hidden = sdk.modern_error_data(ValueError("a secret"))
    assert hidden.code == types.INTERNAL_ERROR
    assert "secret" not in hidden.message


def test_a_transport_says_what_it_is_and_its_headers():
    context = sdk.TransportContext(kind="x", can_send_request=False)
    assert (context.kind, context.can_send_request, context.headers) == ("x", False, None)


def test_ids_that_are_written_as_text_or_number_are_the_same():
    assert [sdk.coerce_request_id(id) for id in ("7", 7, "a", "")] == [7, 7, "a", ""]


@pytest.mark.parametrize(
    ("params", "token"),
    [
        ({"_meta": {"progressToken": 5}}, 5),
        ({"_meta": {"progressToken": True}}, None),
        ({"_meta": 1}, None),
        (None, None),
    ],
)
def test_the_token_for_progress_is_a_number_or_a_text(params: Any, token: Any):
    assert sdk.progress_token_from_params(params) == token


@pytest.mark.parametrize(
    ("params", "id"), [({"requestId": "x"}, "x"), ({"requestId": True}, None), (None, None)]
)
def test_a_cancellation_names_the_id_of_its_request(params: Any, id: Any):
    assert sdk.cancelled_request_id_from_params(params) == id


def test_the_options_of_a_question_are_a_dictionary_with_an_id_and_a_time():
    assert sdk.CallOptions.__annotations__.keys() >= {"request_id", "timeout"}


# How requests of 2026-07-28 are checked.


def test_a_request_with_an_envelope_is_routed_by_it():
    body = {"method": "tools/list", "params": {"_meta": META}}
    for headers in (None, HEADERS):
        route = sdk.classify_inbound_request(body, headers=headers)
        assert isinstance(route, sdk.InboundModernRoute)
        assert route.protocol_version == VERSION
        assert route.client_info == META[types.CLIENT_INFO_META_KEY]
        assert route.client_capabilities == {"roots": {}}


@pytest.mark.parametrize(
    ("meta", "headers", "code"),
    [
        (None, HEADERS, types.INVALID_PARAMS),
        (META, {**HEADERS, "mcp-method": "tools/call"}, types.HEADER_MISMATCH),
        (
            {**META, types.PROTOCOL_VERSION_META_KEY: "2099-01-01"},
            None,
            types.UNSUPPORTED_PROTOCOL_VERSION,
        ),
    ],
)
def test_a_request_that_contradicts_itself_is_rejected(meta: Any, headers: Any, code: int):
    rejection = sdk.classify_inbound_request(
        {"method": "tools/list", "params": {"_meta": meta}}, headers=headers
    )
    assert isinstance(rejection, sdk.InboundLadderRejection)
    assert rejection.code == code
    assert rejection.message


def test_a_rejection_has_a_code_a_message_and_perhaps_data():
    rejection = sdk.InboundLadderRejection(-1, "no")
    assert (rejection.code, rejection.message, rejection.data) == (-1, "no", None)


def test_a_version_that_is_not_served_is_rejected_with_those_that_are():
    assert sdk.unsupported_protocol_version_rejection(VERSION) is None
    rejection = sdk.unsupported_protocol_version_rejection("2099-01-01")
    assert rejection is not None
    assert rejection.code == types.UNSUPPORTED_PROTOCOL_VERSION
    assert rejection.data == {"supported": [VERSION], "requested": "2099-01-01"}


def test_a_duplicated_routing_header_is_found():
    assert (
        sdk.find_duplicated_routing_header([("Mcp-Method", "a"), ("mcp-method", "a")])
        == "mcp-method"
    )
    assert sdk.find_duplicated_routing_header([("mcp-method", "a"), ("x", "1"), ("x", "2")]) is None
    assert sdk.MCP_PROTOCOL_VERSION_HEADER == "mcp-protocol-version"


def test_an_argument_that_a_schema_wants_in_a_header_must_equal_the_body():
    assert (
        sdk.validate_mcp_param_headers(SCHEMA, {"region": "eu"}, {"Mcp-Param-Region": "eu"}) is None
    )
    for headers in ({}, {"mcp-param-region": "us"}):
        rejection = sdk.validate_mcp_param_headers(SCHEMA, {"region": "eu"}, headers)
        assert rejection is not None
        assert rejection.code == types.HEADER_MISMATCH


def test_each_error_code_that_is_the_clients_fault_has_an_http_status():
    assert sdk.ERROR_CODE_HTTP_STATUS[types.METHOD_NOT_FOUND] == 404
    for code in (
        types.PARSE_ERROR,
        types.INVALID_REQUEST,
        types.INVALID_PARAMS,
        types.HEADER_MISMATCH,
    ):
        assert sdk.ERROR_CODE_HTTP_STATUS[code] == 400
    assert types.INTERNAL_ERROR not in sdk.ERROR_CODE_HTTP_STATUS


# What the SDK serves for us.


async def test_a_stream_of_changes_acknowledges_and_then_sends_the_requested_ones():
    bus = sdk.InMemorySubscriptionBus()
    server, client = lists_tools(), Client("listen-1")  # type: ignore[arg-type]  # ids may be texts
    server.add_request_handler(
        "subscriptions/listen", types.SubscriptionsListenRequestParams, sdk.ListenHandler(bus)
    )
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["x://a"]}
    params = {"_meta": META, "notifications": wanted}
    events: list[sdk.ServerEvent] = [
        sdk.PromptsListChanged(),
        sdk.ResourcesListChanged(),
        sdk.ToolsListChanged(),
        sdk.ResourceUpdated("x://b"),
        sdk.ResourceUpdated("x://a"),
    ]

    async def listen() -> None:
        await serve(server, client, "subscriptions/listen", params)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        for event in events:
            await bus.publish(event)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert [method for method, _ in client.told] == [
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
        "notifications/resources/updated",
    ]
    for _, told in client.told:
        assert told["_meta"]["io.modelcontextprotocol/subscriptionId"] == "listen-1"


async def test_the_state_of_a_request_goes_out_sealed_and_is_valid_for_that_request_alone():
    states = list[Any]()

    async def asks(ctx: sdk.RequestContext, call_next: sdk.CallNext) -> sdk.HandlerResult:
        states.append((ctx.params or {}).get("requestState"))
        return {"resultType": "input_required", "inputRequests": {}, "requestState": "plain"}

    server = lists_tools()
    security = sdk.RequestStateSecurity.ephemeral(ttl=60)
    server.middleware += [sdk.RequestStateBoundary(security, default_audience="test"), asks]

    async def call(name: str, **more: Any) -> dict[str, Any]:
        params = {"_meta": META, "name": name, "arguments": {}, **more}
        return await serve(server, Client(), "tools/call", params)

    sealed = (await call("a"))["requestState"]
    assert "plain" not in sealed
    await call("a", requestState=sealed)
    assert states == [None, "plain"]
    for name, state in (("b", sealed), ("a", f"{sealed}x")):
        with pytest.raises(MCPError) as refused:
            await call(name, requestState=state)
        assert refused.value.error.code == types.INVALID_PARAMS
    assert len(states) == 2


async def test_legacy_sse_is_an_endpoint_for_the_stream_and_one_to_post_to():
    transport = sdk.SseServerTransport("/messages/", max_request_body_size=10)
    assert isinstance(Starlette(routes=[Route("/", transport.handle_post_message)]), Starlette)
    assert list(inspect.signature(transport.connect_sse).parameters) == ["scope", "receive", "send"]
    sent = list[Any]()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/messages/",
        "query_string": b"",
        "headers": [],
    }
    await transport.handle_post_message(scope, receive, send)
    assert sent[0]["status"] == 400  # a session has to be named


# The test of these tests.


def test_each_name_imported_from_the_sdk_is_tested_here():
    text = Path(__file__).read_text()
    assert [name for name in sdk.__all__ if f"sdk.{name}" not in text] == []
