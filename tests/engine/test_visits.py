"""Calls that belong to no run: they stand in line with those of runs, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from plait.core.ports import RpcError
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.rates import Rate
from plait.core.tools.policy import Policy, Rule
from plait.core.tools.tool_stats import ToolStats
from plait.engine.gateway import Gateway, GatewayLimits
from plait.engine.lookups import AS_WRITTEN
from plait.errors import CallError, ConnectionLost, ServerUnavailable
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, tool

pytestmark = pytest.mark.virtual_time

PATH = {"path": {"type": "string"}}
ONE_AT_S = Limits(servers=(("s", 1),))


class Visits:
    """Calls of tools of a gateway that belong to no run, and when each was let in."""

    def __init__(self, servers: FakeServers, gateway: Gateway, tasks: TaskGroup) -> None:
        self.servers = servers
        self.gateway = gateway
        self.tasks = tasks
        self.log: list[tuple[str, float]] = []
        self.left = 0

    async def do(self, id: str = "", **_: Any) -> dict[str, Any]:
        """A call of a run."""
        self.note(id)
        await anyio.sleep(1)
        return {}

    async def call(self, name: str, tool: str = "s:do", seconds: float = 1.0, **arguments: Any) -> None:
        server, _, of_server = tool.partition(":")
        async with self.gateway.visit(server, of_server, arguments) as turn:
            self.note(name)
            await anyio.sleep(seconds)
            turn.went_well()
        self.left += 1

    def note(self, name: str) -> None:
        self.log.append((name, anyio.current_time()))

    async def begin(self, *names: str, tool: str = "s:do", seconds: float = 1.0, **arguments: Any) -> None:
        """Calls of these names come in, one after the other."""
        for name in names:
            self.tasks.start_soon(partial(self.call, name, tool, seconds, **arguments))
            await anyio.wait_all_tasks_blocked()

    async def run(self, *ids: str, tool: str = "s:do", **more: Any) -> Any:
        """The result of a run of these tasks."""
        tasks = [{"id": id, "tool": tool, "arguments": {"id": id}, **more} for id in ids]
        return await self.gateway.execute({"tasks": tasks})


@asynccontextmanager
async def visiting(limits: Limits | None = None, *rules: Rule, **options: Any) -> AsyncIterator[Visits]:
    """Visits to a gateway over servers whose calls take a second, and are noted too."""
    servers = FakeServers()

    async def do(**arguments: Any) -> dict[str, Any]:
        return await visits.do(**arguments)

    servers.add(tool("s:do", readOnlyHint=True, closed=False), do)
    servers.add(tool("t:do", readOnlyHint=True, closed=False), do)
    servers.add(tool("s:read", PATH, closed=False, readOnlyHint=True), do)
    servers.add(tool("s:write", PATH, closed=False), do)
    options |= {"policy": Policy(rules), "limits": GatewayLimits(limits or Limits())}
    async with Gateway(servers, servers, InMemoryRuns(), **options) as gateway, anyio.create_task_group() as tasks:
        visits = Visits(servers, gateway, tasks)
        yield visits


async def test_visits_wait_for_room_in_the_order_in_which_they_came():
    async with visiting(ONE_AT_S) as visits:
        await visits.begin("a", "b", "c")
    assert visits.log == [("a", 0), ("b", 1), ("c", 2)]


async def test_a_visit_has_no_room_where_a_call_of_a_run_has_it_nor_the_other_way_round():
    async with visiting(ONE_AT_S) as visits:
        visits.tasks.start_soon(visits.run, "first")
        await anyio.wait_all_tasks_blocked()
        await visits.begin("visit", seconds=2)
        await visits.run("second")
    assert visits.log == [("first", 0), ("visit", 1), ("second", 3)]


async def test_a_full_server_holds_up_no_visit_to_another():
    async with visiting(ONE_AT_S) as visits:
        await visits.begin("a", "b")
        await visits.begin("elsewhere", tool="t:do")
    assert ("elsewhere", 0) in visits.log


async def test_the_limit_of_the_gateway_holds_for_visits():
    async with visiting(Limits(2)) as visits:
        await visits.begin("a", "b", "c")
    assert visits.log == [("a", 0), ("b", 0), ("c", 1)]


async def test_where_both_wait_visits_and_calls_of_runs_take_turns():
    async with visiting(ONE_AT_S) as visits:
        await visits.begin("v1", "v2", "v3")
        await visits.run("r1", "r2", "r3")
    assert [name for name, _ in visits.log] == ["v1", "r1", "v2", "r2", "v3", "r3"]


@pytest.mark.parametrize("elsewhere", [0, 20])
async def test_visitors_that_always_come_again_keep_no_run_waiting(elsewhere: int):
    """However many calls of runs start *elsewhere* meanwhile."""

    async def come_again(name: str) -> None:
        while anyio.current_time() < 20:
            await visits.call(name)

    async with visiting(ONE_AT_S) as visits:
        for name in ("v1", "v2"):
            visits.tasks.start_soon(come_again, name)
        if elsewhere:
            tasks = [{"id": f"t{number}", "tool": "t:do"} for number in range(elsewhere)]
            await visits.gateway.submit({"tasks": tasks, "max_concurrency": 1})
        await anyio.wait_all_tasks_blocked()
        await visits.run("r1", "r2", "r3")
        assert anyio.current_time() <= 7


@pytest.mark.parametrize(("priority", "order"), [(1, ["a", "run", "b"]), (-1, ["a", "b", "run"])])
async def test_a_visit_is_as_urgent_as_a_task_of_priority_0(priority: int, order: list[str]):
    async with visiting(ONE_AT_S) as visits:
        await visits.begin("a")
        visits.tasks.start_soon(lambda: visits.run("x", "run", priority=priority))
        await anyio.wait_all_tasks_blocked()
        await visits.begin("b")
    names = [name for name, _ in visits.log if name != "x"]
    assert names == order


async def test_the_rate_of_a_server_holds_for_visits():
    async with visiting(Limits(rates=(("s", Rate(1, 2.0)),))) as visits:
        await visits.begin("a", "b", "c")
    assert visits.log == [("a", 0), ("b", 2), ("c", 4)]


async def test_the_limit_that_tools_share_and_the_weight_of_a_tool_hold_for_visits():
    rules = (Rule("?:do", max_concurrency=2), Rule("t:do", weight=2))
    async with visiting(None, *rules) as visits:
        await visits.begin("a", "b", "c")
        await visits.begin("wide", tool="t:do")
    assert visits.log == [("a", 0), ("b", 0), ("c", 1), ("wide", 2)]


async def test_limits_hold_for_tools_that_are_not_in_the_catalogue_too():
    async with visiting(ONE_AT_S) as visits:
        await visits.begin("a", "b", tool="s:unheard")
    assert visits.log == [("a", 0), ("b", 1)]


TOUCHES = [
    ("s:write", "x", "s:write", "x", 1),
    ("s:write", "x", "s:read", "x", 1),
    ("s:read", "x", "s:write", "x/y", 1),
    ("s:read", "x", "s:read", "x", 0),
    ("s:write", "x", "s:write", "y", 0),
    ("s:write", ["x"], "s:write", 5, 0),
]


@pytest.mark.parametrize(("first", "of", "second", "other", "waits_s"), TOUCHES)
async def test_what_visits_touch_keeps_them_apart(first: str, of: Any, second: str, other: Any, waits_s: float):
    async with visiting() as visits:
        await visits.begin("first", tool=first, path=of)
        await visits.begin("second", tool=second, path=other)
    assert visits.log == [("first", 0), ("second", waits_s)]


async def test_what_a_tool_touches_is_told_from_its_definition_as_it_is_now():
    async with visiting() as visits:
        await visits.begin("a", "b", tool="s:do", path="x")
        visits.servers.add(tool("s:do", PATH, closed=False), visits.do)
        await visits.begin("c", "d", tool="s:do", path="x")
    assert visits.log == [("a", 0), ("b", 0), ("c", 0), ("d", 1)]


async def test_where_conflicts_are_not_looked_for_nothing_is_kept_apart():
    async with visiting(resolver=None) as visits:
        await visits.begin("a", "b", tool="s:write", path="x")
    assert visits.log == [("a", 0), ("b", 0)]


async def test_a_run_and_a_visit_that_write_the_same_go_one_after_the_other_and_the_run_is_told():
    async with visiting() as visits:
        await visits.begin("visit", tool="s:write", path="x", seconds=2)
        document = {"tasks": [{"id": "w", "tool": "s:write", "arguments": {"path": "x", "id": "w"}}]}
        result = await visits.gateway.execute(document)
    assert visits.log == [("visit", 0), ("w", 2)]
    [wait] = result.metrics.waits
    assert (wait.why, wait.on, wait.ms) == ("conflict", "a call of s:write", 2000)


@pytest.mark.parametrize("tool", ["s:do", "s:write"])
async def test_a_visitor_that_is_cancelled_while_it_waits_leaves_the_line(tool: str):
    async with visiting(ONE_AT_S if tool == "s:do" else None) as visits:
        await visits.begin("a", tool=tool, path="x", seconds=3)
        with anyio.move_on_after(1):
            await visits.call("gone", tool, path="x")
        await visits.begin("b", tool=tool, path="x")
    assert visits.log == [("a", 0), ("b", 3)]
    assert visits.left == 2


async def test_one_that_is_cancelled_when_its_turn_comes_gives_it_to_the_next():
    async with visiting(ONE_AT_S) as visits:
        await visits.begin("a")
        with anyio.CancelScope() as scope:
            visits.tasks.start_soon(_cancel_at, scope, 1.0)
            await visits.call("gone")
        await visits.begin("b")
    assert [name for name, _ in visits.log if name != "gone"] == ["a", "b"]
    assert visits.log[-1] == ("b", 1)


async def _cancel_at(scope: anyio.CancelScope, time: float) -> None:
    await anyio.sleep_until(time)
    scope.cancel()


async def test_many_that_gave_up_leave_nothing_in_the_line():
    async with visiting(ONE_AT_S) as visits:
        await visits.begin("a", seconds=5)
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as tasks:
                for number in range(500):
                    tasks.start_soon(visits.call, str(number))
        await visits.begin("b")
        assert "2 visits, 1 calls in flight" in repr(visits.gateway)
    assert visits.log == [("a", 0), ("b", 5)]
    assert "0 visits, 0 calls in flight" in repr(visits.gateway)


async def test_while_its_client_is_asked_a_visit_holds_no_room_but_what_it_touches():
    async with visiting(ONE_AT_S) as visits, visits.gateway.visit("s", "write", {"path": "x"}) as turn:
        with turn.paused():
            await visits.begin("reads", tool="s:read", path="x")
            await visits.begin("does")
            await anyio.sleep(10)
        await visits.begin("later")
        await anyio.sleep(10)
    assert visits.log == [("does", 0), ("reads", 20), ("later", 21)]


async def test_two_questions_at_once_are_one_pause():
    async with visiting(ONE_AT_S) as visits, visits.gateway.visit("s", "do", {}) as turn:
        with turn.paused():
            with turn.paused():
                pass
            await visits.begin("a")
            await anyio.sleep(5)
    assert visits.log == [("a", 0)]


async def test_a_server_that_asks_for_quiet_is_left_alone_by_visits():
    async with visiting() as visits:
        with pytest.raises(RpcError):
            async with visits.gateway.visit("s", "do", {}):
                raise RpcError(-32000, "busy") from ServerUnavailable("busy", retry_after_s=7.0)
        await visits.begin("a")
    assert visits.log == [("a", 7)]


def _caused(cause: Exception) -> RpcError:
    error = RpcError(-32000, "as it is told to the client")
    error.__cause__ = cause
    return error


FAILURES: list[tuple[Exception, int]] = [
    (_caused(ConnectionLost("gone")), 7),
    (ConnectionLost("gone"), 7),
    (RpcError(-32603, "the server's own words"), 8),
    (_caused(CallError("refused")), 8),
]
"""What a call by name fails of, and the slots of its server after it, which had eight."""


@pytest.mark.parametrize(("failure", "slots"), FAILURES)
async def test_an_adaptive_limit_hears_of_the_failures_of_a_server(failure: Exception, slots: int):
    async with visiting(Limits(8, (("s", "auto"),))) as visits:
        with pytest.raises(type(failure)):
            async with visits.gateway.visit("s", "do", {}):
                raise failure
        await visits.begin(*map(str, range(8)))
    assert sum(at == 0 for _, at in visits.log) == slots


async def test_what_a_call_took_is_learned_without_the_time_in_which_its_client_was_asked():
    learned = ToolStats()
    async with visiting(learned=learned) as visits:
        async with visits.gateway.visit("s", "do", {}) as turn:
            await anyio.sleep(2)
            with turn.paused():
                await anyio.sleep(100)
            turn.went_well()
        async with visits.gateway.visit("s", "do", {}):  # refused by the server, or asked for input
            await anyio.sleep(9)
        assert learned.seconds(visits.gateway.catalog().tools["s:do"]) == 2
    assert learned.seen == 1


async def test_new_limits_hold_for_visits_that_wait():
    async with visiting(ONE_AT_S) as visits:
        await visits.begin("a", "b", "c", seconds=9)
        await anyio.sleep(1)
        visits.gateway.change(Policy(), GatewayLimits(Limits(servers=(("s", 2),))), AS_WRITTEN)
        await visits.begin("d", seconds=9)
    assert visits.log == [("a", 0), ("b", 1), ("c", 9), ("d", 10)]


async def test_new_rules_hold_for_visits_from_then_on():
    async with visiting() as visits:
        await visits.begin("a")
        visits.gateway.change(Policy((Rule("s:do", max_concurrency=1),)), GatewayLimits(), AS_WRITTEN)
        await visits.begin("b", "c")
    assert visits.log == [("a", 0), ("b", 0), ("c", 1)]
