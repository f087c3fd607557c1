"""One session: requests in the form of its era, and what the server sends by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError

from plait.core.ports import Ask
from plait.core.values.strict import JsonObject
from plait.downstream.eras.handshake import Era, Greeting
from plait.downstream.session import ProtocolSession, open_session
from plait.downstream.subscriptions import ServerSubscriptions
from plait.downstream.transports.direct import FIRST_ID
from plait.errors import HistoryUnavailable

from ..fakes import FakeCaller
from .scripted import ScriptedServer

CHANGING: JsonObject = {"tools": {"listChanged": True}, "prompts": {}}
GREETINGS = {
    Era.LEGACY: Greeting(Era.LEGACY, "2025-11-25", CHANGING),
    Era.MODERN: Greeting(Era.MODERN, "2026-07-28", CHANGING),
}
TOOLS_CHANGED = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
SUBSCRIPTION = {"io.modelcontextprotocol/subscriptionId": 7}
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
LEVEL = "io.modelcontextprotocol/logLevel"
CALL: JsonObject = {"name": "look", "arguments": {"region": "Zürich", "other": 1}}


class Opened:
    """A session with a server, and the notifications that it has passed on."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.subscriptions = ServerSubscriptions()
        self.notified: list[tuple[str, JsonObject]] = []
        self.session: ProtocolSession

    async def notify(self, method: str, **params: Any) -> None:
        await self.server.send(method=method, params=params)


@asynccontextmanager
async def opened(era: Era, **script: Any) -> AsyncIterator[Opened]:
    answers = {"tools/call": {"x-odd": 1}, **script}
    made = Opened(ScriptedServer(answers))
    opening = open_session(
        made.server,
        made.subscriptions,
        lambda *notice: made.notified.append(notice),
        server="s",
    )
    async with opening as made.session:
        made.session.adopt(GREETINGS[era])
        yield made


async def test_a_server_of_the_handshake_era_gets_requests_as_they_are():
    async with opened(Era.LEGACY) as made:
        assert await made.session.request("tools/call", CALL, FakeCaller()) == {"x-odd": 1}
        assert made.server.received == [("tools/call", CALL)]
        assert made.server.headers == [{"mcp-protocol-version": "2025-11-25"}]


async def test_a_server_of_2026_gets_with_each_request_what_its_client_can_do_and_wants():
    declared: JsonObject = {"sampling": {}}
    async with opened(Era.MODERN) as made:
        made.subscriptions.level = "info"
        caller = FakeCaller(capabilities=declared)
        await made.session.request("tools/call", {**CALL, "_meta": {"mine": 1}}, caller)
        ((_, params),) = made.server.received
        meta = params.pop("_meta")
        assert params == CALL
        assert (meta["mine"], meta[CLIENT_CAPABILITIES], meta[LEVEL]) == (1, declared, "info")
        await made.session.request("tools/call", {"_meta": {LEVEL: "error"}}, caller)
        assert made.server.received[1][1]["_meta"][LEVEL] == "error"  # the client's own


async def test_a_server_of_2026_gets_the_headers_that_its_tools_ask_for():
    region: JsonObject = {"type": "string", "x-mcp-header": "Region"}
    schema: JsonObject = {"type": "object", "properties": {"region": region}}
    async with opened(Era.MODERN) as made:
        made.session.read_headers([{"name": "look", "inputSchema": schema}])
        await made.session.request("tools/call", {**CALL, "arguments": {"region": "here"}})
    (sent,) = made.server.headers
    assert {name.lower(): value for name, value in sent.items()} == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "look",
        "mcp-param-region": "here",
    }


@pytest.mark.parametrize(
    ("params", "passed_on"),
    [
        ({"uri": "a"}, {"uri": "a"}),
        ({"uri": "a", "_meta": SUBSCRIPTION}, {"uri": "a"}),
        ({"_meta": {**SUBSCRIPTION, "mine": 1}}, {"_meta": {"mine": 1}}),
    ],
)
async def test_an_update_is_passed_on_without_the_id_of_our_own_stream(
    params: JsonObject, passed_on: JsonObject
):
    async with opened(Era.MODERN) as made:
        await made.notify(UPDATED, **params)
        await made.notify("notifications/of/nothing/known")
        assert made.notified == [(UPDATED, passed_on)]


async def test_changed_lists_are_noted_until_they_are_taken():
    async with opened(Era.LEGACY) as made:
        await made.notify(TOOLS_CHANGED, odd=1)
        await made.session.wait_changed()
        assert made.session.take_stale() == {"tools": {"odd": 1}}
        assert made.session.take_stale() == {}
        assert made.notified == []


@pytest.mark.parametrize(
    ("era", "method", "answer"),
    [
        (Era.LEGACY, "ping", {}),
        (Era.LEGACY, "tools/list", types.METHOD_NOT_FOUND),
        (Era.MODERN, "ping", types.METHOD_NOT_FOUND),
        (Era.MODERN, "roots/list", types.METHOD_NOT_FOUND),
    ],
)
async def test_only_a_server_of_the_handshake_era_may_ask_and_only_what_clients_answer(
    era: Era, method: str, answer: Any
):
    async with opened(era) as made:
        await made.server.send(id=1, method=method)
        (given,) = made.server.answers
        assert getattr(given, "code", {}) == answer


async def test_the_end_of_a_session_fails_its_open_requests_and_it_takes_no_more():
    async with opened(Era.LEGACY, **{"tools/call": None}) as made:
        assert made.session.is_usable
        codes: list[int] = []

        async def call() -> None:
            with pytest.raises(MCPError) as failure:
                await made.session.request("tools/call", CALL, FakeCaller())
            codes.append(failure.value.error.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            made.server.cut()
            await made.session.wait_changed()
        assert codes == [types.CONNECTION_CLOSED]
        assert (made.session.has_ended, made.session.is_usable) == (True, False)


@pytest.mark.virtual_time
@pytest.mark.parametrize(("is_answered", "waited_s"), [(True, 0), (False, 5)])
async def test_a_retired_session_takes_no_more_and_waits_for_open_requests_a_limited_time(
    is_answered: bool, waited_s: float
):
    async with (
        opened(Era.LEGACY, **{"tools/call": None}) as made,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(made.session.request, "tools/call", CALL, FakeCaller())
        await anyio.wait_all_tasks_blocked()
        made.session.retire()
        assert not made.session.is_usable
        began = anyio.current_time()
        if is_answered:
            tasks.start_soon(answer_first, made.server)
        await made.session.wait_answered(5)
        assert anyio.current_time() - began == waited_s
        tasks.cancel_scope.cancel()


async def answer_first(server: ScriptedServer) -> None:
    await server.send(id=FIRST_ID, result={})


async def test_a_retired_session_does_not_wait_for_requests_of_our_own():
    async with (
        opened(Era.LEGACY, **{"tools/list": None}) as made,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(made.session.request, "tools/list", {})
        await anyio.wait_all_tasks_blocked()
        made.session.retire()
        await made.session.wait_answered(60)
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_a_server_of_2026_is_asked_for_changes_of_its_lists_and_of_watched_resources():
    async with opened(Era.MODERN) as made:
        made.subscriptions.watch("note://1")
        async with made.session.following_changes():
            ((method, params),) = made.server.received
            wanted = {"toolsListChanged": True, "resourceSubscriptions": ["note://1"]}
            assert (method, params["notifications"]) == ("subscriptions/listen", wanted)
            acknowledged = "notifications/subscriptions/acknowledged"
            await made.notify(acknowledged, notifications={})
            stale = made.session.take_stale()
            assert stale == dict.fromkeys(("tools", "resources", "prompts"))
        await anyio.wait_all_tasks_blocked()
        assert made.server.received[-1][0] == "notifications/cancelled"


async def test_a_server_of_the_handshake_era_is_not_asked_for_changes():
    async with opened(Era.LEGACY) as made, made.session.following_changes():
        await anyio.wait_all_tasks_blocked()
        assert made.server.received == []


async def accept(method: str, params: JsonObject) -> JsonObject:
    return {"action": "accept", "content": {}}


async def think(method: str, params: JsonObject) -> JsonObject:
    await anyio.sleep_forever()
    raise AssertionError("it sleeps for ever")


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (think, "its server waits for the answer of another client to a question"),
        (accept, "its server may ask questions, and serves one client at a time for that"),
    ],
)
async def test_a_request_that_is_cancelled_before_its_turn_says_what_it_waited_for(
    ask: Ask, reason: str, is_first: bool
):
    one, other = FakeCaller(ask, client="one"), FakeCaller(accept, client="other")
    async with opened(Era.LEGACY, **{"tools/call": None}) as made:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.session.request, "tools/call", CALL, one)
            await anyio.wait_all_tasks_blocked()
            await made.server.send(method="elicitation/create", params={"message": "?"}, id=1)
            with anyio.move_on_after(1) as scope:
                await made.session.request("tools/call", CALL, other, is_first=is_first)
            tasks.cancel_scope.cancel()
        assert scope.cancelled_caught
    assert [method for method, _ in made.server.received].count("tools/call") == 1
    assert (one.unsent_reason, other.unsent_reason) == (None, reason if is_first else None)


@pytest.mark.parametrize("ask", [None, accept])
async def test_a_request_is_sent_only_once_its_caller_lets_it_leave(ask: Ask | None):
    class Held(FakeCaller):
        async def leave(self) -> None:
            assert not made.server.received
            raise HistoryUnavailable("the disk is full")

    async with opened(Era.LEGACY) as made:
        with pytest.raises(HistoryUnavailable):
            await made.session.request("tools/call", CALL, Held(ask))
        assert made.server.received == []
