"""Notifications of servers reach the clients that want them, in both eras."""

from __future__ import annotations

import anyio
import mcp_types as types
import pytest
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY

from plait.core.ports import RelayRequest
from plait.core.values.strict import JsonObject
from plait.errors import RpcError
from plait.upstream.relay.outbox import PAUSE_S

from ..conftest import LEGACY, MODERN
from .downstream import (
    DONE,
    MESSAGE,
    UPDATED,
    FakeDownstream,
    RawClient,
    a_message,
    a_resource,
    a_tool,
    connected,
    joined,
    later,
    listen,
    relaying_server,
)

pytestmark = pytest.mark.virtual_time

CHANGED = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
}


@pytest.fixture
def downstream() -> FakeDownstream:
    made = FakeDownstream()
    made.add("a", tools=(a_tool("x"),), resources=(a_resource("mem://r"),))
    made.add("b", tools=(a_tool("x"),))
    return made


def changes(peer: RawClient) -> list[str]:
    """Return the notifications of changed lists that *peer* got."""
    return [method for method, _ in peer.heard if method in CHANGED]


@pytest.mark.parametrize("method", CHANGED)
async def test_every_session_is_notified_of_a_changed_list(downstream: FakeDownstream, method: str):
    async with (
        relaying_server(downstream) as server,
        joined(server, LEGACY) as one,
        joined(server, LEGACY) as other,
        joined(server, MODERN) as modern,
        joined(server, MODERN) as deaf,
    ):
        stream = await listen(modern, **{CHANGED[method]: True})
        await listen(deaf)
        downstream.tell("a", method)
        await later()
        assert [peer.told(method) for peer in (one, other, deaf)] == [[{}], [{}], []]
        assert modern.told(method) == [{"_meta": {SUBSCRIPTION_ID_META_KEY: stream}}]


@pytest.mark.parametrize("expose", ["all", "tools"])
async def test_a_denied_tool_is_a_change_of_the_tools_alone(
    downstream: FakeDownstream, expose: str
):
    denied: dict[tuple[str, str], str] = {}
    async with (
        relaying_server(
            downstream, expose=expose, denied_by=lambda *entry: denied.get(entry)
        ) as server,
        joined(server) as session,
        joined(server, MODERN) as modern,
    ):
        await listen(modern, **dict.fromkeys(CHANGED.values(), True))
        downstream.renew()
        await later()
        assert changes(session) == changes(modern) == []
        denied["a", "x"] = "a:*"
        downstream.renew()
        await later()
        assert changes(session) == changes(modern) == ["notifications/tools/list_changed"]
        assert [tool["name"] for tool in (await session.request("tools/list"))["tools"]][
            -1
        ] == "b__x"
        denied.clear()
        downstream.renew()
        await later()
        assert changes(session) == ["notifications/tools/list_changed"] * 2
        downstream.renew()
        await later()
        assert changes(session) == ["notifications/tools/list_changed"] * 2


async def test_an_announced_change_is_passed_on_once(downstream: FakeDownstream):
    async with connected(downstream, LEGACY) as peer:
        for method in CHANGED:
            downstream.tell("a", method)
            await later()
        assert changes(peer) == list(CHANGED)


async def test_the_lists_of_a_removed_server_are_announced_as_changed(
    downstream: FakeDownstream,
):
    async with connected(downstream, LEGACY) as peer:
        downstream.remove("a")
        downstream.renew()
        await later()
        assert sorted(changes(peer)) == [
            "notifications/resources/list_changed",
            "notifications/tools/list_changed",
        ]


async def test_a_change_that_renames_entries_of_another_list_announces_both(
    downstream: FakeDownstream,
):
    page = "ui://clock"
    downstream.add(
        "a",
        tools=(a_tool("x", _meta={"ui": {"resourceUri": page}}),),
        resources=(a_resource(page),),
    )
    async with connected(downstream, LEGACY) as peer:
        downstream.add("b", tools=(a_tool("x"),), resources=(a_resource(page),))
        downstream.tell("b", "notifications/resources/list_changed")
        await later()
        assert sorted(changes(peer)) == [
            "notifications/resources/list_changed",
            "notifications/tools/list_changed",
        ]


async def test_a_reverted_change_that_a_client_may_have_seen_is_announced(
    downstream: FakeDownstream,
):
    async with (
        relaying_server(downstream) as server,
        joined(server) as one,
        joined(server) as other,
    ):
        await later()
        downstream.add("b", tools=(a_tool("x"),), prompts=({"name": "p"},))
        await one.request("prompts/list")
        downstream.add("b", tools=(a_tool("x"),))
        downstream.renew()
        await later()
        assert changes(one) == changes(other) == ["notifications/prompts/list_changed"]


async def test_without_the_tools_of_servers_their_changes_are_not_announced(
    downstream: FakeDownstream,
):
    async with (
        relaying_server(downstream, expose="dag") as server,
        joined(server) as one,
        joined(server, MODERN) as two,
    ):
        await listen(two, toolsListChanged=True)
        downstream.add("a", tools=(a_tool("x"), a_tool("y")), resources=(a_resource("mem://r"),))
        downstream.tell("a", "notifications/tools/list_changed")
        await later()
        assert changes(one) == []
        downstream.tell("a", "notifications/prompts/list_changed")
        await later()
    assert changes(one) == ["notifications/prompts/list_changed"]
    assert (
        one.told("notifications/tools/list_changed")
        == two.told("notifications/tools/list_changed")
        == []
    )


async def test_a_burst_of_changes_is_sent_once_and_later_changes_again(
    downstream: FakeDownstream,
):
    method = "notifications/tools/list_changed"
    async with connected(downstream, LEGACY) as peer:
        began = anyio.current_time()
        while anyio.current_time() < began + 20 * PAUSE_S:
            for _ in range(50):
                downstream.tell("a", method)
            await anyio.sleep(PAUSE_S / 10)
        await later()
    assert 2 <= len(peer.told(method)) <= 22


async def test_an_update_has_the_uri_that_the_watching_client_uses(
    downstream: FakeDownstream,
):
    downstream.add("b", resources=(a_resource("mem://r"),))
    own, others = "plait://servers/a/mem://r", "plait://servers/b/mem://r"
    async with (
        relaying_server(downstream) as server,
        joined(server) as one,
        joined(server) as other,
        joined(server, MODERN) as modern,
    ):
        await one.request("resources/subscribe", {"uri": own})
        await other.request("resources/subscribe", {"uri": others})
        stream = await listen(modern, resourceSubscriptions=[own])
        downstream.tell("a", UPDATED, {"uri": "mem://r", "x-new": 1})
        await later()
        assert one.told(UPDATED) == [{"uri": own, "x-new": 1}]
        assert other.told(UPDATED) == []
        assert modern.told(UPDATED) == [{"uri": own, "_meta": {SUBSCRIPTION_ID_META_KEY: stream}}]


async def test_a_stream_may_watch_by_a_wrapped_uri(
    downstream: FakeDownstream,
):
    async with connected(downstream, MODERN) as peer:
        await listen(peer, resourceSubscriptions=["plait://servers/a/mem://r"])
        downstream.tell("a", UPDATED, {"uri": "mem://r"})
        await later()
    assert [params["uri"] for params in peer.told(UPDATED)] == ["plait://servers/a/mem://r"]


async def test_updates_reach_a_watcher_even_if_a_second_server_now_lists_the_uri(
    downstream: FakeDownstream,
):
    async with (
        relaying_server(downstream) as server,
        joined(server) as one,
        joined(server, MODERN) as modern,
    ):
        await one.request("resources/subscribe", {"uri": "mem://r"})
        await listen(modern, resourceSubscriptions=["mem://r"])
        downstream.tell("a", UPDATED, {"uri": "mem://r"})
        await later()
        downstream.add("b", resources=(a_resource("mem://r"),))
        downstream.tell("a", UPDATED, {"uri": "mem://r"})
        await later()
    assert [params["uri"] for params in one.told(UPDATED)] == ["mem://r", "mem://r"]
    assert modern.told(UPDATED)[0]["uri"] == "mem://r"


@pytest.mark.parametrize("params", [{}, {"uri": 5}, {"uri": None}, {"uri": ["mem://r"]}])
async def test_invalid_and_unknown_notifications_are_dropped(
    downstream: FakeDownstream, params: JsonObject
):
    async with connected(downstream, LEGACY) as peer:
        await peer.request("resources/subscribe", {"uri": "mem://r"})
        downstream.tell("a", UPDATED, params)
        downstream.tell("a", "notifications/of/the/future", {"x": 1})
        await later()
        assert peer.heard == []


async def test_sessions_are_notified_of_a_complete_elicitation(downstream: FakeDownstream):
    async with connected(downstream, LEGACY) as peer:
        downstream.tell("a", "notifications/elicitation/complete", {"elicitationId": "e1"})
        await later()
    assert peer.heard == [("notifications/elicitation/complete", {"elicitationId": "e1"})]


async def test_every_server_is_notified_of_changed_roots(downstream: FakeDownstream):
    async with connected(downstream, LEGACY) as peer:
        await peer.notify("notifications/roots/list_changed")
        await later()
    assert sorted(downstream.notified) == [
        (server, "notifications/roots/list_changed", {}) for server in "ab"
    ]


# Roots that servers ask for outside of any request.

ROOTS: JsonObject = {"roots": [{"uri": "file:///a", "x-odd": [1]}], "x-odd": 1}
ROOTS_CHANGED = "notifications/roots/list_changed"


async def test_a_client_that_has_roots_is_asked_for_them_outside_of_its_requests(
    downstream: FakeDownstream,
):
    async with connected(downstream, LEGACY, answers={"roots/list": ROOTS}) as peer:
        (ask,) = downstream.clients
        assert ask is not None
        assert await ask("roots/list", {}) == ROOTS
        with pytest.raises(RpcError) as caught:
            await ask("roots/list", {"_meta": 5})
    assert caught.value.code == types.INVALID_PARAMS
    assert peer.asked == [("roots/list", {})]


@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {}, "sampling": {}}])
async def test_a_client_without_roots_is_not_asked_for_them(
    downstream: FakeDownstream, capabilities: JsonObject
):
    async with connected(downstream, LEGACY, capabilities=capabilities):
        assert downstream.clients == [None]


async def test_a_client_of_2026_cannot_be_asked_outside_of_its_requests(downstream: FakeDownstream):
    async with connected(downstream, MODERN, answers={"roots/list": ROOTS}) as peer:
        await peer.request("tools/call", {"name": "a__x"})
        assert downstream.clients == []


async def test_clients_that_have_left_are_not_asked(downstream: FakeDownstream):
    async with relaying_server(downstream) as server, joined(server) as stays:
        async with joined(server, answers={"roots/list": ROOTS}) as leaves:
            await leaves.leave()
            await downstream.until(lambda: downstream.clients == [None])
        await stays.request("ping")


async def test_servers_that_asked_for_roots_are_notified_of_a_client_that_has_them(
    downstream: FakeDownstream,
):
    downstream.have_asked = ["b"]
    async with (
        relaying_server(downstream) as server,
        joined(server, answers={"roots/list": ROOTS}) as leaves,
    ):
        await downstream.until(lambda: bool(downstream.notified))
        assert downstream.notified == [("b", ROOTS_CHANGED, {})]
        async with joined(server):
            await leaves.leave()
            await later()
    assert downstream.notified == [("b", ROOTS_CHANGED, {})] * 3


async def test_servers_that_did_not_ask_for_roots_are_not_notified(downstream: FakeDownstream):
    async with connected(downstream, LEGACY, answers={"roots/list": ROOTS}):
        await later()
    assert downstream.notified == []


# Log messages.


async def test_a_client_with_two_open_requests_gets_a_message_once(downstream: FakeDownstream):
    go = anyio.Event()

    async def held(request: RelayRequest) -> JsonObject:
        await go.wait()
        return DONE

    downstream.on("a", "tools/call", held)
    async with connected(downstream, LEGACY) as peer:
        calls = [await peer.begin("tools/call", {"name": "a__x"}) for _ in range(2)]
        await downstream.until(lambda: len(downstream.requests) == 2)
        downstream.tell("a", MESSAGE, a_message("info"))
        downstream.tell("b", MESSAGE, a_message("error"))
        go.set()
        for call in calls:
            await peer.answer_to(call)
        await later()
    assert [params["level"] for params in peer.told(MESSAGE)] == ["info", "error"]


async def test_a_log_message_outside_of_requests_goes_to_every_session(downstream: FakeDownstream):
    async with (
        relaying_server(downstream) as server,
        joined(server) as one,
        joined(server) as other,
        joined(server, MODERN) as modern,
    ):
        downstream.tell("a", MESSAGE, a_message("info"))
        await later()
        assert one.told(MESSAGE) == other.told(MESSAGE) == [a_message("info")]
        assert modern.heard == []


async def test_the_log_level_of_each_session_counts_until_it_leaves(downstream: FakeDownstream):
    async with (
        relaying_server(downstream) as server,
        joined(server) as one,
        joined(server) as other,
    ):
        for peer, level in ((one, "warning"), (other, "error"), (one, "debug")):
            assert await peer.request("logging/setLevel", {"level": level}) == {}
        await one.leave()
        await downstream.until(lambda: len(downstream.clients) == 1)
        assert [level for _, level in downstream.levels] == ["warning", "error", "debug", None]
        first, second = downstream.levels[0][0], downstream.levels[1][0]
        assert [client for client, _ in downstream.levels] == [first, second, first, first]
        assert first is not second


@pytest.mark.parametrize("params", [{}, {"level": "loud"}, {"level": 5}])
async def test_an_invalid_log_level_is_refused(downstream: FakeDownstream, params: JsonObject):
    async with connected(downstream, LEGACY) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("logging/setLevel", params)
    assert caught.value.code == types.INVALID_PARAMS
    assert [level for _, level in downstream.levels if level] == []


async def test_a_client_of_2026_cannot_set_a_log_level_for_all_requests(downstream: FakeDownstream):
    async with connected(downstream, MODERN) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("logging/setLevel", {"level": "debug"})
    assert caught.value.code == types.METHOD_NOT_FOUND
    assert downstream.levels == []


# Clients that do not read, and servers without measure.
