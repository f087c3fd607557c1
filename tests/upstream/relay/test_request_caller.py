"""The client of one request gets its messages before the answer, and delays no more than these."""

from __future__ import annotations

import anyio
import mcp_types as types
import pytest

from plait.core.ports import RelayRequest
from plait.core.values.strict import JsonObject
from plait.upstream.calls import OpenCalls
from plait.upstream.relay.outbox import MOST_WAITING
from plait.upstream.relay.request_caller import FLUSH_S

from ..conftest import LEGACY, MODERN
from .downstream import (
    DONE,
    MESSAGE,
    UPDATED,
    FakeDownstream,
    a_message,
    a_resource,
    a_tool,
    connected,
    joined,
    later,
    relaying_server,
    saying,
)

pytestmark = pytest.mark.virtual_time


@pytest.fixture
def downstream() -> FakeDownstream:
    made = FakeDownstream()
    made.add(
        "a", tools=(a_tool("x"), a_tool("echo"), a_tool("slow")), resources=(a_resource("mem://r"),)
    )
    made.add("b", tools=(a_tool("x"),))
    made.on("a", "tools/call", DONE)
    return made


async def test_progress_is_passed_on_with_the_clients_token_before_the_result(
    downstream: FakeDownstream, era: str
):
    said: list[JsonObject] = [
        {"progress": 1, "total": 4.0, "message": "one", "x-odd": [None, 1.0], "_meta": {"a": 1}},
        {"progress": -0.5, "total": None, "message": 5},
        {"progress": 1.0},
        {"progress": 10**400},
    ]

    async def slow(request: RelayRequest) -> JsonObject:
        assert request.caller.wants_progress
        for told in said:
            request.caller.progress({"progressToken": 77, **told})
        return DONE

    downstream.on("a", "tools/call", slow)
    async with connected(downstream, era) as peer:
        await peer.request(
            "tools/call", {"name": "a__slow"}, meta={"progressToken": "mine"}, id="call"
        )
    assert peer.told("notifications/progress") == [
        {**told, "progressToken": "mine"} for told in said
    ]
    assert [type(told["progress"]) for told in peer.told("notifications/progress")] == [
        int,
        float,
        float,
        int,
    ]
    assert peer.log.index("call") > max(
        at for at, one in enumerate(peer.log) if one == "notifications/progress"
    )


async def test_without_a_token_no_progress_is_requested(downstream: FakeDownstream, era: str):
    async with connected(downstream, era) as peer:
        await peer.request("tools/call", {"name": "a__echo"})
    assert not downstream.requests[0].caller.wants_progress


async def test_progress_after_the_result_is_dropped(downstream: FakeDownstream, era: str):
    async with connected(downstream, era) as peer:
        await peer.request("tools/call", {"name": "a__echo"}, meta={"progressToken": 1})
        downstream.requests[0].caller.progress({"progress": 1})
        await peer.request("tools/call", {"name": "a__echo"})
    assert peer.told("notifications/progress") == []


async def test_an_update_below_a_watched_resource_has_the_clients_own_uri(
    downstream: FakeDownstream,
):
    async with connected(downstream, LEGACY) as peer:
        await peer.request("resources/subscribe", {"uri": "plait://servers/a/mem://r"})
        downstream.tell("a", UPDATED, {"uri": "mem://r/1"})
        downstream.tell("a", UPDATED, {"uri": "mem://rest"})
        downstream.tell("b", UPDATED, {"uri": "mem://r"})
        await later()
    assert peer.told(UPDATED) == [{"uri": "plait://servers/a/mem://r/1"}]


async def test_log_messages_go_to_clients_with_an_open_request_before_the_answer(
    downstream: FakeDownstream,
):
    message = a_message("info", **{"x-new": [1]})
    downstream.on("a", "tools/call", saying(downstream, message))
    async with (
        relaying_server(downstream) as server,
        joined(server) as one,
        joined(server) as other,
    ):
        await one.request("tools/call", {"name": "a__x"}, id="call")
        await later()
        assert one.told(MESSAGE) == [message]
        assert one.log.index(MESSAGE) < one.log.index("call")
        assert other.told(MESSAGE) == []
        downstream.tell("a", MESSAGE, message)  # no client has a request open now
        await later()
        assert other.told(MESSAGE) == [message]


@pytest.mark.parametrize("params", [{}, {"level": "loud"}, {"level": 5}, {"level": ["info"]}])
async def test_a_log_message_with_an_unknown_level_is_dropped(
    downstream: FakeDownstream, params: JsonObject
):
    downstream.on("a", "tools/call", saying(downstream, params))
    async with connected(downstream, LEGACY) as peer:
        downstream.tell("a", MESSAGE, params)
        await peer.request("tools/call", {"name": "a__x"})
        await later()
        assert peer.heard == []


async def test_each_session_gets_log_messages_from_its_own_level_on(downstream: FakeDownstream):
    async with (
        relaying_server(downstream) as server,
        joined(server) as loud,
        joined(server) as quiet,
    ):
        await loud.request("logging/setLevel", {"level": "debug"})
        await quiet.request("logging/setLevel", {"level": "error"})
        for level in ("debug", "warning", "error"):
            downstream.tell("a", MESSAGE, a_message(level))
        await later()
    assert [params["level"] for params in loud.told(MESSAGE)] == ["debug", "warning", "error"]
    assert [params["level"] for params in quiet.told(MESSAGE)] == ["error"]


@pytest.mark.parametrize(
    ("asked", "heard"),
    [(None, []), ("debug", ["debug", "error"]), ("error", ["error"]), ("emergency", [])],
)
async def test_a_request_of_2026_gets_log_messages_from_its_own_level_on(
    downstream: FakeDownstream, asked: str | None, heard: list[str]
):
    downstream.on("a", "tools/call", saying(downstream, a_message("debug"), a_message("error")))
    async with connected(downstream, MODERN) as peer:
        meta: JsonObject = {types.LOG_LEVEL_META_KEY: asked} if asked else {}
        await peer.request("tools/call", {"name": "a__x"}, meta=meta, id="call")
    assert [params["level"] for params in peer.told(MESSAGE)] == heard
    assert downstream.requests[0].meta == meta


async def test_a_client_that_does_not_read_delays_its_answer_by_at_most_a_second(
    downstream: FakeDownstream,
):
    calls = OpenCalls()
    downstream.on(
        "a", "tools/call", saying(downstream, *[a_message("info", n=n) for n in range(9)])
    )
    async with connected(downstream, LEGACY, calls=calls) as peer:
        peer.is_deaf = True
        await peer.begin("tools/call", {"name": "a__x"})
        await downstream.until(lambda: len(downstream.requests) == 1)
        began = anyio.current_time()
        await calls.wait_idle()
        assert anyio.current_time() - began == FLUSH_S


async def test_a_server_that_talks_without_end_does_not_delay_its_answer(
    downstream: FakeDownstream,
):
    async def talk(request: RelayRequest) -> JsonObject:
        for n in range(50_000):
            downstream.tell("a", MESSAGE, a_message("info", n=n))
        return DONE

    downstream.on("a", "tools/call", talk)
    async with connected(downstream, LEGACY) as peer:
        began = anyio.current_time()
        await peer.request("tools/call", {"name": "a__x"})
        assert anyio.current_time() - began <= FLUSH_S
    assert len(peer.told(MESSAGE)) <= MOST_WAITING + 1
    assert peer.told(MESSAGE)[-1]["n"] == 49_999
