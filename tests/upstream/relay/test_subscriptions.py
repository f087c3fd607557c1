"""Each client watches a resource once at its server, as long as its session or stream wants it."""

from __future__ import annotations

import anyio
import mcp_types as types
import pytest

from plait.core.ports import RelayRequest
from plait.core.values.strict import JsonObject
from plait.errors import RpcError
from plait.upstream.relay import subscriptions

from ..conftest import LEGACY, MODERN
from .downstream import (
    EVERYTHING,
    FakeDownstream,
    a_resource,
    connected,
    joined,
    later,
    listen,
    relaying_server,
)

pytestmark = pytest.mark.virtual_time

ON, OFF = "resources/subscribe", "resources/unsubscribe"
R: JsonObject = {"uri": "mem://r"}


@pytest.fixture
def downstream() -> FakeDownstream:
    made = FakeDownstream()
    made.add("a", resources=(a_resource("mem://r"), a_resource("mem://s")))
    return made


def told(downstream: FakeDownstream) -> list[tuple[str, object]]:
    return [(request.method, request.params["uri"]) for request in downstream.requests]


async def test_each_client_watches_a_resource_once(downstream: FakeDownstream):
    async with (
        relaying_server(downstream) as server,
        joined(server) as one,
        joined(server) as other,
    ):
        for peer, method in (
            (one, ON),
            (other, ON),
            (one, ON),
            (one, OFF),
            (one, OFF),
            (other, OFF),
            (one, ON),
        ):
            assert await peer.request(method, R) == {}
        assert [method for method, _ in told(downstream)] == [ON, ON, OFF, OFF, ON]


async def test_the_resources_of_a_client_that_leaves_are_unsubscribed(downstream: FakeDownstream):
    async with relaying_server(downstream) as server, joined(server) as stays:
        await stays.request(ON, R)
        async with joined(server) as leaves:
            await leaves.request(ON, R)
            await leaves.request(ON, {"uri": "mem://s"})
            await leaves.leave()
            await downstream.until(lambda: told(downstream)[-1] == (OFF, "mem://s"))
        assert told(downstream)[3:] == [(OFF, "mem://r"), (OFF, "mem://s")]
        await stays.request(OFF, R)
        assert told(downstream)[5:] == [(OFF, "mem://r")]


async def test_a_stream_of_2026_watches_while_it_is_open(downstream: FakeDownstream):
    downstream.add("b")
    async with (
        relaying_server(downstream) as server,
        joined(server, MODERN) as peer,
        joined(server) as other,
    ):
        await other.request(ON, {"uri": "mem://s"})
        stream = await listen(
            peer,
            resourceSubscriptions=["mem://r", "mem://r", "mem://s", "mem://none", "plait://guide"],
        )
        assert told(downstream)[1:] == [(ON, "mem://r"), (ON, "mem://s")]
        await peer.cancel(stream)
        await later()
        assert told(downstream)[3:] == [(OFF, "mem://r"), (OFF, "mem://s")]


async def test_a_stream_stays_open_for_servers_without_subscriptions(
    downstream: FakeDownstream,
):
    downstream.add("a", capabilities={"resources": {}}, resources=(a_resource("mem://r"),))
    downstream.add("b", capabilities=EVERYTHING, resources=(a_resource("mem://b"),))
    downstream.on("b", ON, RpcError(types.INTERNAL_ERROR, "no"))
    async with connected(downstream, MODERN) as peer:
        stream = await listen(
            peer, resourceSubscriptions=["mem://r", "mem://b"], toolsListChanged=True
        )
        downstream.tell("a", "notifications/tools/list_changed")
        await later()
        assert peer.told("notifications/tools/list_changed") != []
        assert stream not in peer.log
    assert told(downstream) == [(ON, "mem://b")]


async def test_a_stream_that_ends_with_its_transport_leaves_nothing_watched(
    downstream: FakeDownstream,
):
    async with relaying_server(downstream) as server:
        async with joined(server, MODERN) as peer:
            await listen(peer, resourceSubscriptions=["mem://r", "mem://s"])
            await peer.leave()
            await downstream.until(lambda: len(downstream.requests) == 4)
        assert told(downstream)[2:] == [(OFF, "mem://r"), (OFF, "mem://s")]


async def test_a_client_that_asks_twice_at_once_watches_once(downstream: FakeDownstream):
    go = anyio.Event()

    async def slowly(request: RelayRequest) -> JsonObject:
        await go.wait()
        return {}

    downstream.on("a", ON, slowly)
    async with connected(downstream, LEGACY) as peer:
        keys = [await peer.begin(ON, R) for _ in range(2)]
        await downstream.until(lambda: len(downstream.requests) == 2)
        go.set()
        for key in keys:
            await peer.answer_to(key)
        await peer.request(OFF, R)
        assert told(downstream) == [(ON, "mem://r")] * 2 + [(OFF, "mem://r")] * 2


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_a_client_that_leaves_while_it_subscribes_watches_nothing(
    downstream: FakeDownstream, era: str
):
    downstream.on("a", ON, lambda request: anyio.sleep_forever())
    async with relaying_server(downstream) as server, joined(server, era) as peer:
        if era == LEGACY:
            await peer.begin(ON, R)
        else:
            await peer.begin(
                "subscriptions/listen", {"notifications": {"resourceSubscriptions": ["mem://r"]}}
            )
        await downstream.until(lambda: len(downstream.requests) == 1)
        await peer.leave()
        await downstream.until(lambda: len(downstream.aborted) == 1)
    assert told(downstream) == [(ON, "mem://r")]


async def test_watching_a_resource_of_ours_reaches_no_server(downstream: FakeDownstream):
    async with connected(downstream, LEGACY) as peer:
        assert await peer.request(ON, {"uri": "plait://guide"}) == {}
        assert await peer.request(OFF, {"uri": "plait://guide"}) == {}
    async with connected(downstream, MODERN) as peer:
        await listen(peer, resourceSubscriptions=["plait://guide"])
    assert downstream.requests == []


async def test_an_unknown_resource_cannot_be_watched(downstream: FakeDownstream):
    downstream.add("b", resources=(a_resource("mem://b"),))
    async with connected(downstream, LEGACY) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request(ON, {"uri": "mem://none"})
        assert await peer.request(OFF, {"uri": "mem://none"}) == {}
    assert caught.value.code == -32002
    assert downstream.requests == []


async def test_a_refused_subscription_is_an_error_and_the_next_client_tries_again(
    downstream: FakeDownstream,
):
    downstream.on("a", ON, RpcError(-31000, "full"))
    async with connected(downstream, LEGACY) as peer:
        for _ in range(2):
            with pytest.raises(RpcError, match="full"):
                await peer.request(ON, R)
        downstream.on("a", ON, {})
        await peer.request(ON, R)
        await peer.request(OFF, R)
    assert told(downstream) == [(ON, "mem://r")] * 3 + [(OFF, "mem://r")]


async def test_one_uri_of_two_servers_is_watched_separately(downstream: FakeDownstream):
    downstream.add("b", resources=(a_resource("mem://r"),))
    async with connected(downstream, LEGACY) as peer:
        for server in "ab":
            await peer.request(ON, {"uri": f"plait://servers/{server}/mem://r"})
        await peer.request(OFF, {"uri": "plait://servers/a/mem://r"})
        methods = [(request.server, request.method) for request in downstream.requests]
    assert methods == [("a", ON), ("b", ON), ("a", OFF)]


async def test_above_the_limit_a_client_can_watch_no_more_resources(
    downstream: FakeDownstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(subscriptions, "MOST_WATCHED", 3)
    uris = [f"mem://{n}" for n in range(4)]
    async with (
        relaying_server(downstream) as server,
        joined(server) as peer,
        joined(server, MODERN) as modern,
    ):
        for uri in uris[:3]:
            await peer.request(ON, {"uri": uri})
        with pytest.raises(RpcError, match="No more than 3") as caught:
            await peer.request(ON, {"uri": uris[3]})
        await peer.request(OFF, {"uri": uris[0]})
        await peer.request(ON, {"uri": uris[3]})
        with pytest.raises(RpcError, match="No more than 3"):
            await modern.request(
                "subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}}
            )
        assert [uri for method, uri in told(downstream)[-3:] if method == OFF] == uris[:3]
    assert caught.value.code == types.INVALID_PARAMS
