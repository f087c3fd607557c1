"""Resources that clients watch are watched at their servers, once for all clients, and as long as
anybody does."""

from __future__ import annotations

from itertools import cycle

import anyio
import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import MCPError

from plait.core.ports import RelayRequest
from plait.core.tools.naming import Entry
from plait.core.values.strict import JsonObject
from plait.errors import RpcError
from plait.upstream.relay import subscriptions
from plait.upstream.relay.subscriptions import WatchedResources

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


async def test_a_server_is_subscribed_for_the_first_client_and_unsubscribed_for_the_last(
    downstream: FakeDownstream,
):
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
        assert told(downstream) == [(ON, "mem://r"), (OFF, "mem://r"), (ON, "mem://r")]


async def test_the_resources_of_a_client_that_leaves_are_unsubscribed(downstream: FakeDownstream):
    async with relaying_server(downstream) as server, joined(server) as stays:
        await stays.request(ON, R)
        async with joined(server) as leaves:
            await leaves.request(ON, R)
            await leaves.request(ON, {"uri": "mem://s"})
            await leaves.leave()
            await downstream.until(lambda: told(downstream)[-1] == (OFF, "mem://s"))
        assert (OFF, "mem://r") not in told(downstream)


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
        assert told(downstream) == [(ON, "mem://s"), (ON, "mem://r")]
        await peer.cancel(stream)
        await later()
        assert told(downstream)[2:] == [(OFF, "mem://r")]


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
        await downstream.until(lambda: len(downstream.requests) == 1)
        go.set()
        for key in keys:
            await peer.answer_to(key)
        await peer.request(OFF, R)
        assert told(downstream) == [(ON, "mem://r"), (OFF, "mem://r")]


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


async def test_above_the_limit_no_more_resources_are_watched(
    downstream: FakeDownstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(subscriptions, "MOST_WATCHED", 3)
    async with connected(downstream, LEGACY) as peer:
        for n in range(3):
            await peer.request(ON, {"uri": f"mem://{n}"})
        with pytest.raises(RpcError, match="No more than 3") as caught:
            await peer.request(ON, {"uri": "mem://3"})
        await peer.request(OFF, {"uri": "mem://0"})
        await peer.request(ON, {"uri": "mem://3"})
    assert caught.value.code == types.INVALID_PARAMS


async def test_unsubscribing_for_a_client_that_left_takes_bounded_time(
    downstream: FakeDownstream,
):
    downstream.on("a", OFF, lambda request: anyio.sleep_forever())
    async with relaying_server(downstream) as server, joined(server) as stays:
        async with joined(server) as leaves:
            await leaves.request(ON, R)
            await leaves.leave()
            await downstream.until(lambda: told(downstream)[-1][0] == OFF)
            began = anyio.current_time()
        assert anyio.current_time() - began <= subscriptions.UNSUBSCRIBE_S
        assert "tools" in await stays.request("tools/list")


entries = st.sampled_from([("a", "x"), ("a", "y"), ("b", "x")])
steps = st.lists(
    st.tuples(entries, st.sampled_from([ON, OFF, "refuse"]), st.integers(0, 3)), max_size=30
)


@given(steps)
def test_in_the_end_the_server_is_subscribed_exactly_for_the_watched_resources(
    steps: list[tuple[Entry, str, int]],
):
    anyio.run(_walk, steps)


async def _walk(steps: list[tuple[Entry, str, int]]) -> None:
    """Clients come and go while requests take their time and fail; a server's belief is the last
    that it accepted."""
    believed: dict[Entry, bool] = {}
    wanted: dict[Entry, int] = {}
    refusing: set[Entry] = set()
    delays = cycle([turns for *_, turns in steps] or [0])

    async def send(request: RelayRequest) -> JsonObject:
        entry = (request.server, str(request.params["uri"]))
        for _ in range(next(delays)):
            await anyio.lowlevel.checkpoint()
        if entry in refusing and request.method == ON:
            raise RpcError(-1, "refused")
        assert believed.get(entry, False) is not (request.method == ON)
        believed[entry] = request.method == ON
        return {}

    async def add(entry: Entry) -> None:
        try:
            await resources.add(entry)
        except (RpcError, MCPError):
            return
        wanted[entry] = wanted.get(entry, 0) + 1

    resources = WatchedResources(send)
    async with anyio.create_task_group() as tasks:
        for entry, step, turns in steps:
            if step == "refuse":
                refusing ^= {entry}
            elif step == ON:
                tasks.start_soon(add, entry)
            elif wanted.get(entry):
                wanted[entry] -= 1
                tasks.start_soon(resources.remove, entry)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
    assert {entry for entry, is_on in believed.items() if is_on} == {
        entry for entry, n in wanted.items() if n
    }
    assert repr(resources) == f"<WatchedResources: {sum(map(bool, wanted.values()))}>"
