"""Calls of tools by name keep the limits, rates and claims that calls of runs keep, in both
eras."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.server import Server

from plait.core.ports import RelayRequest
from plait.core.scheduling.direct_calls import LONGEST_S
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.rates import Rate
from plait.core.tools.policy import Policy, Rule
from plait.core.tools.tool_stats import ToolStats
from plait.core.values.strict import JsonObject
from plait.engine.gateway import Gateway, GatewayLimits
from plait.errors import RpcError, ServerUnavailable
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.principals import always_user
from plait.upstream.relay.input_requests import ASK_S
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.server import build_server

from ...fakes import FakeServers
from ..conftest import LEGACY, MODERN
from .downstream import (
    DONE,
    FORM,
    FakeDownstream,
    RawClient,
    a_resource,
    a_tool,
    by_origin,
    joined,
    relaying_server,
)
from .test_input_requests import ADA, ASK, asking, question, requiring

pytestmark = [pytest.mark.virtual_time, pytest.mark.parametrize("era", [LEGACY, MODERN])]

ONE_AT_A = Limits(servers=(("a", 1),))
AT_X: JsonObject = {"path": "x"}
WRITES = Rule("a:*", writes=("file:{path}",))


@pytest.fixture
def downstream() -> FakeDownstream:
    made = FakeDownstream()
    for server in "ab":
        made.add(
            server,
            tools=(a_tool("do"), a_tool("ask")),
            prompts=({"name": "p"},),
            resources=(a_resource("m://r"),),
        )
        made.on(server, "tools/call", lasting(1))
    return made


def lasting(seconds: float) -> Callable[[RelayRequest], Any]:
    async def answer(request: RelayRequest) -> JsonObject:
        await anyio.sleep(seconds)
        return DONE

    return answer


def served(
    downstream: FakeDownstream,
    limits: Limits | None = None,
    *rules: Rule,
    servers: FakeServers | None = None,
    learned: ToolStats | None = None,
) -> AbstractAsyncContextManager[Server[Any]]:
    limited = GatewayLimits(limits or Limits())
    return relaying_server(
        downstream, servers, limits=limited, policy=Policy(rules), learned=learned
    )


async def called(peer: RawClient, tool: str = "a__do", **arguments: Any) -> float:
    """When the call was answered."""
    assert (await peer.call(tool, arguments))["content"] == DONE["content"]
    return anyio.current_time()


async def all_called(peer: RawClient, *calls: dict[str, Any]) -> list[float]:
    """When each of these calls, which come in at once, was answered."""
    times: list[float] = []

    async def call(arguments: dict[str, Any]) -> None:
        times.append(await called(peer, **arguments))

    async with anyio.create_task_group() as tasks:
        for arguments in calls:
            tasks.start_soon(call, arguments)
    return times


async def test_one_call_at_a_time_reaches_a_server_that_takes_one(
    downstream: FakeDownstream, era: str
):
    async with served(downstream, ONE_AT_A) as server, joined(server, era) as peer:
        assert await all_called(peer, {}, {}, {"tool": "b__do"}) == [1, 1, 2]


async def test_clients_share_the_limits(downstream: FakeDownstream, era: str):
    async with (
        served(downstream, ONE_AT_A) as server,
        joined(server, era) as one,
        joined(server, era) as other,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(called, one)
        await downstream.until(lambda: len(downstream.requests) == 1)
        assert await called(other) == 2


async def test_clients_of_one_user_take_turns(downstream: FakeDownstream, era: str):
    call_tool = by_origin(FakeServers(), downstream)
    limits = GatewayLimits(ONE_AT_A)
    async with Gateway(FakeServers(), call_tool, InMemoryRuns(), limits=limits) as gateway:
        relaying = RelayConfig(downstream, expose="all", denied_by=gateway.denied_by)
        one, other = (
            build_server(gateway, relaying=relaying, principal_of=always_user, connection=name)
            for name in ("one", "other")
        )
        async with (
            joined(one, era) as many,
            joined(other, era) as few,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(all_called, many, {}, {}, {}, {})
            await anyio.sleep(1.5)
            assert await all_called(few, {}, {}) == [3, 5]


async def test_a_call_by_name_waits_for_a_run_that_has_the_room(
    downstream: FakeDownstream, era: str
):
    servers = FakeServers()
    is_called = anyio.Event()

    async def do() -> JsonObject:
        is_called.set()
        await anyio.sleep(3)
        return {}

    servers.add("a:do", do)
    dag: JsonObject = {"tasks": [{"id": "t", "tool": "a:do"}]}
    async with (
        served(downstream, ONE_AT_A, servers=servers) as server,
        joined(server, era) as peer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(peer.call, "execute_dag", dag)
        await is_called.wait()
        assert await called(peer) == 4


async def test_the_rate_of_a_server_holds(downstream: FakeDownstream, era: str):
    limits = Limits(rates=(("a", Rate(1, 5.0)),))
    async with served(downstream, limits) as server, joined(server, era) as peer:
        assert await all_called(peer, {}, {}, {}) == [1, 6, 11]


async def test_two_calls_that_write_the_same_go_one_after_the_other(
    downstream: FakeDownstream, era: str
):
    async with served(downstream, None, WRITES) as server, joined(server, era) as peer:
        assert await all_called(peer, {"path": "x"}, {"path": "x"}, {"path": "y"}) == [1, 1, 2]


async def test_a_request_other_than_a_tool_call_does_not_wait_for_a_slot(
    downstream: FakeDownstream, era: str
):
    async with (
        served(downstream, ONE_AT_A) as server,
        joined(server, era) as peer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(called, peer)
        await downstream.until(lambda: len(downstream.requests) == 1)
        await peer.request("prompts/get", {"name": "a__p"})
        await peer.request("resources/read", {"uri": "plait://servers/a/m://r"})
        assert anyio.current_time() == 0


@pytest.mark.parametrize("answers", [{}, {ASK: ADA}], ids=["silent", "can be asked"])
async def test_a_call_that_is_cancelled_while_it_waits_is_never_sent(
    downstream: FakeDownstream, era: str, answers: dict[str, Any]
):
    async with (
        served(downstream, ONE_AT_A) as server,
        joined(server, era, answers=answers) as peer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(called, peer)
        await downstream.until(lambda: len(downstream.requests) == 1)
        with anyio.move_on_after(0.5):
            await called(peer, path="gone")
        assert await called(peer) == 2
    assert len(downstream.requests) == 2


async def test_the_time_in_line_counts_within_the_hour_that_a_request_may_take(
    downstream: FakeDownstream, era: str
):
    downstream.on("a", "tools/call", lasting(LONGEST_S - 10))
    async with (
        served(downstream, ONE_AT_A) as server,
        joined(server, era) as peer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(called, peer)
        await downstream.until(lambda: len(downstream.requests) == 1)
        with pytest.raises(RpcError) as caught:
            await called(peer)
        assert (caught.value.code, anyio.current_time()) == (types.REQUEST_TIMEOUT, LONGEST_S)
        downstream.on("a", "tools/call", DONE)
        assert await called(peer) == LONGEST_S


async def test_no_call_is_sent_before_the_retry_after_of_a_server(
    downstream: FakeDownstream, era: str
):
    def busy(request: RelayRequest) -> JsonObject:
        downstream.on("a", "tools/call", DONE)
        raise ServerUnavailable("busy", retry_after_s=30.0)

    downstream.on("a", "tools/call", busy)
    async with served(downstream) as server, joined(server, era) as peer:
        with pytest.raises(RpcError, match="busy"):
            await called(peer)
        assert await called(peer) == 30


ENDS = [({}, 1), ({"isError": False}, 1), ({"isError": True}, 0)]


@pytest.mark.parametrize(("end", "counts"), ENDS)
async def test_the_duration_of_a_successful_call_is_learned(
    downstream: FakeDownstream, era: str, end: JsonObject, counts: int
):
    learned = ToolStats()
    downstream.on("a", "tools/call", {**DONE, **end})
    async with served(downstream, learned=learned) as server, joined(server, era) as peer:
        await called(peer)
    assert learned.seen == counts


# While the client is asked something.


async def test_a_call_that_ends_with_a_question_counts_as_cancelled(
    downstream: FakeDownstream, era: str
):
    learned = ToolStats()
    downstream.on("a", "tools/call", requiring(k=question(ASK, FORM)))
    async with (
        served(downstream, learned=learned) as server,
        joined(server, era, answers={ASK: ADA}) as peer,
    ):
        await peer.call("a__ask")
    assert learned.seen == 1


async def slow_ada(params: JsonObject) -> JsonObject:
    await anyio.sleep(60)
    return ADA


@pytest.mark.parametrize("asks", [asking(ASK, FORM), requiring(k=question(ASK, FORM))])
async def test_a_call_whose_client_is_asked_holds_no_slot(
    downstream: FakeDownstream, era: str, asks: Any
):
    async with (
        served(downstream, ONE_AT_A) as server,
        joined(server, era, answers={ASK: slow_ada}) as peer,
        joined(server, era) as other,
        anyio.create_task_group() as tasks,
    ):
        downstream.on("a", "tools/call", asks)
        tasks.start_soon(peer.call, "a__ask")
        await peer.until(lambda: bool(peer.asked))
        downstream.on("a", "tools/call", lasting(1))
        assert await called(other) == pytest.approx(1, abs=0.1)
        downstream.on("a", "tools/call", DONE)


async def test_a_call_whose_client_is_asked_keeps_its_claims(downstream: FakeDownstream, era: str):
    async with (
        served(downstream, None, WRITES) as server,
        joined(server, era, answers={ASK: slow_ada}) as peer,
        joined(server, era) as other,
        anyio.create_task_group() as tasks,
    ):
        downstream.on("a", "tools/call", asking(ASK, FORM))
        tasks.start_soon(peer.call, "a__ask", AT_X)
        await peer.until(lambda: bool(peer.asked))
        downstream.on("a", "tools/call", DONE)
        assert await called(other, path="y") < 1
        assert await called(other, path="x") == pytest.approx(60, abs=0.1)


async def test_a_call_whose_client_never_answers_releases_its_claims(
    downstream: FakeDownstream, era: str
):
    async def never(params: JsonObject) -> JsonObject:
        await anyio.sleep_forever()
        raise AssertionError

    async with (
        served(downstream, ONE_AT_A, WRITES) as server,
        joined(server, era, answers={ASK: never}) as peer,
        joined(server, era) as other,
        anyio.create_task_group() as tasks,
    ):
        downstream.on("a", "tools/call", asking(ASK, FORM))
        tasks.start_soon(peer.call, "a__ask", AT_X)
        await peer.until(lambda: bool(peer.asked))
        downstream.on("a", "tools/call", DONE)
        assert await called(other, path="x") == pytest.approx(ASK_S, abs=0.1)
        tasks.cancel_scope.cancel()


async def test_a_question_that_is_refused_does_not_release_the_slot(
    downstream: FakeDownstream, era: str
):
    async def ask_and_go_on(request: RelayRequest) -> JsonObject:
        await anyio.sleep(0.5)
        if request.caller.can_be_asked:
            with pytest.raises(RpcError):
                await request.caller.ask(ASK, FORM)
        await anyio.sleep(0.5)
        return DONE

    downstream.on("a", "tools/call", ask_and_go_on)
    async with served(downstream, ONE_AT_A) as server, joined(server, era) as peer:
        assert await all_called(peer, {}, {}) == [1, 2]
