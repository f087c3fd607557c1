"""Direct calls: they stand in line with the calls of runs, and are reported as those are, in
virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from plait.core.ports import NO_CLIENT, Caller, CallId, ToolCall
from plait.core.scheduling.direct_calls import LONGEST_S
from plait.core.scheduling.events import Status
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.notices import Changed, Notice, Progressed
from plait.core.scheduling.rates import Rate
from plait.core.tools.policy import Policy, Rule
from plait.core.tools.tool_stats import ToolStats
from plait.core.values.strict import JsonObject
from plait.engine.gateway import Gateway, GatewayLimits
from plait.engine.lookups import AS_WRITTEN
from plait.errors import (
    CallError,
    CallTimeout,
    ConnectionLost,
    InternalError,
    InvalidOutput,
    ProtocolError,
    RpcError,
    ServerUnavailable,
)
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeCaller, FakeServers, text, tool

pytestmark = pytest.mark.virtual_time

PATH = {"path": {"type": "string"}}
ONE_AT_S = Limits(servers=(("s", 1),))
DONE: JsonObject = {"content": [], "x-new": 1}


class Desk:
    """A gateway over tools whose calls take a second, and when each call was sent. Calls do as
    `behaves` says."""

    def __init__(
        self, servers: FakeServers, gateway: Gateway, tasks: TaskGroup, notices: list[Notice]
    ) -> None:
        self.servers = servers
        self.gateway = gateway
        self.tasks = tasks
        self.notices = notices
        self.log: list[tuple[str, float]] = []
        self.calls: list[ToolCall] = []
        self.answered = 0
        self.behaves: Callable[[ToolCall], Any] | None = None

    async def call_tool(self, call: ToolCall) -> JsonObject:
        self.calls.append(call)
        self.log.append((str(call.arguments.get("id")), anyio.current_time()))
        if self.behaves is not None:
            result: JsonObject = await self.behaves(call)
            return result
        await anyio.sleep(float(str(call.arguments.get("seconds", 1))))
        return DONE

    async def call(
        self,
        id: str,
        tool: str = "s:do",
        caller: Caller = NO_CLIENT,
        seconds: float = 1.0,
        **arguments: Any,
    ) -> JsonObject:
        """The result of a call by name."""
        server, _, name = tool.partition(":")
        params: JsonObject = {
            "name": name,
            "arguments": {"id": id, "seconds": seconds, **arguments},
        }
        result = await self.gateway.call(server, name, params, caller)
        self.answered += 1
        return result

    async def begin(self, *ids: str, tool: str = "s:do", **arguments: Any) -> None:
        """Calls by name come in, one after the other."""
        for id in ids:
            self.tasks.start_soon(partial(self.call, id, tool, **arguments))
            await anyio.wait_all_tasks_blocked()

    async def run(self, *ids: str, tool: str = "s:do", **more: Any) -> Any:
        """The result of a run of these tasks."""
        tasks = [{"id": id, "tool": tool, "arguments": {"id": id}, **more} for id in ids]
        return await self.gateway.execute({"tasks": tasks})

    def changes(self) -> list[tuple[str, Status, Status, int, str | None, float]]:
        """What observers heard of calls since this was asked before, without the names of the
        calls."""
        heard = [
            (one.tool, one.before, one.after, one.attempt, one.code, one.at)
            for one in self.notices
            if isinstance(one, Changed)
        ]
        self.notices.clear()
        return heard


@asynccontextmanager
async def calling(
    limits: Limits | None = None, *rules: Rule, **options: Any
) -> AsyncIterator[Desk]:
    servers, notices = FakeServers(), list[Notice]()

    async def call_tool(call: ToolCall) -> JsonObject:
        return await desk.call_tool(call)

    servers.add(tool("s:do", readOnlyHint=True, closed=False), dict)
    servers.add(tool("t:do", readOnlyHint=True, closed=False), dict)
    servers.add(tool("s:read", PATH, closed=False, readOnlyHint=True), dict)
    servers.add(tool("s:write", PATH, closed=False), dict)
    options |= {
        "policy": Policy(rules),
        "limits": GatewayLimits(limits or Limits()),
        "observers": [notices.append],
    }
    async with (
        Gateway(servers, call_tool, InMemoryRuns(), **options) as gateway,
        anyio.create_task_group() as tasks,
    ):
        desk = Desk(servers, gateway, tasks, notices)
        yield desk


async def test_calls_by_name_wait_for_room_in_the_order_in_which_they_came():
    async with calling(ONE_AT_S) as desk:
        await desk.begin("a", "b", "c")
    assert desk.log == [("a", 0), ("b", 1), ("c", 2)]


async def test_a_call_by_name_has_no_room_where_a_call_of_a_run_has_it_nor_the_other_way_round():
    async with calling(ONE_AT_S) as desk:
        desk.tasks.start_soon(desk.run, "first")
        await anyio.wait_all_tasks_blocked()
        await desk.begin("visit", seconds=2)
        await desk.run("second")
    assert desk.log == [("first", 0), ("visit", 1), ("second", 3)]


async def test_a_full_server_holds_up_no_call_of_another():
    async with calling(ONE_AT_S) as desk:
        await desk.begin("a", "b")
        await desk.begin("elsewhere", tool="t:do")
    assert ("elsewhere", 0) in desk.log


async def test_the_limit_of_the_gateway_holds_for_calls():
    async with calling(Limits(2)) as desk:
        await desk.begin("a", "b", "c")
    assert desk.log == [("a", 0), ("b", 0), ("c", 1)]


async def test_where_both_wait_calls_and_calls_of_runs_take_turns():
    async with calling(ONE_AT_S) as desk:
        await desk.begin("v1", "v2", "v3")
        await desk.run("r1", "r2", "r3")
    assert [name for name, _ in desk.log] == ["v1", "r1", "v2", "r2", "v3", "r3"]


@pytest.mark.parametrize("elsewhere", [0, 20])
async def test_calls_by_name_that_always_come_again_keep_no_run_waiting(elsewhere: int):
    """However many calls of runs start *elsewhere* meanwhile."""

    async def come_again(name: str) -> None:
        while anyio.current_time() < 20:
            await desk.call(name)

    async with calling(ONE_AT_S) as desk:
        for name in ("v1", "v2"):
            desk.tasks.start_soon(come_again, name)
        if elsewhere:
            tasks = [{"id": f"t{number}", "tool": "t:do"} for number in range(elsewhere)]
            await desk.gateway.submit({"tasks": tasks, "max_concurrency": 1})
        await anyio.wait_all_tasks_blocked()
        await desk.run("r1", "r2", "r3")
        assert anyio.current_time() <= 7


@pytest.mark.parametrize("priority", [1, -1])
async def test_no_priority_of_a_task_changes_the_turns_of_calls_by_name(priority: int):
    async with calling(ONE_AT_S) as desk:
        await desk.begin("a")
        desk.tasks.start_soon(lambda: desk.run("x", "y", priority=priority))
        await anyio.wait_all_tasks_blocked()
        await desk.begin("b", "c")
    assert [name for name, _ in desk.log] == ["a", "x", "b", "y", "c"]


async def test_the_rate_of_a_server_holds_for_calls():
    async with calling(Limits(rates=(("s", Rate(1, 2.0)),))) as desk:
        await desk.begin("a", "b", "c")
    assert desk.log == [("a", 0), ("b", 2), ("c", 4)]


async def test_the_limit_that_tools_share_and_the_weight_of_a_tool_hold_for_calls():
    rules = (Rule("?:do", max_concurrency=2), Rule("t:do", weight=2))
    async with calling(None, *rules) as desk:
        await desk.begin("a", "b", "c")
        await desk.begin("wide", tool="t:do")
    assert desk.log == [("a", 0), ("b", 0), ("c", 1), ("wide", 2)]


async def test_limits_hold_for_tools_that_are_not_in_the_catalogue_too():
    async with calling(ONE_AT_S) as desk:
        await desk.begin("a", "b", tool="s:unheard")
    assert desk.log == [("a", 0), ("b", 1)]


TOUCHES = [
    ("s:write", "x", "s:write", "x", 1),
    ("s:write", "x", "s:read", "x", 1),
    ("s:read", "x", "s:write", "x/y", 1),
    ("s:read", "x", "s:read", "x", 0),
    ("s:write", "x", "s:write", "y", 0),
    ("s:write", ["x"], "s:write", 5, 0),
]


@pytest.mark.parametrize(("first", "of", "second", "other", "waits_s"), TOUCHES)
async def test_what_calls_touch_keeps_them_apart(
    first: str, of: Any, second: str, other: Any, waits_s: float
):
    async with calling() as desk:
        await desk.begin("first", tool=first, path=of)
        await desk.begin("second", tool=second, path=other)
    assert desk.log == [("first", 0), ("second", waits_s)]


async def test_what_a_tool_touches_is_told_from_its_definition_as_it_is_now():
    async with calling() as desk:
        await desk.begin("a", "b", tool="s:do", path="x")
        desk.servers.add(tool("s:do", PATH, closed=False), dict)
        await desk.begin("c", "d", tool="s:do", path="x")
    assert desk.log == [("a", 0), ("b", 0), ("c", 0), ("d", 1)]


async def test_where_conflicts_are_not_looked_for_nothing_is_kept_apart():
    async with calling(resolver=None) as desk:
        await desk.begin("a", "b", tool="s:write", path="x")
    assert desk.log == [("a", 0), ("b", 0)]


async def test_a_run_and_a_call_by_name_that_write_the_same_resource_go_one_after_the_other():
    async with calling() as desk:
        await desk.begin("visit", tool="s:write", path="x", seconds=2)
        document = {
            "tasks": [{"id": "w", "tool": "s:write", "arguments": {"path": "x", "id": "w"}}]
        }
        result = await desk.gateway.execute(document)
    assert desk.log == [("visit", 0), ("w", 2)]
    [wait] = result.metrics.waits
    assert (wait.why, wait.on, wait.ms) == ("conflict", "a call of s:write", 2000)


@pytest.mark.parametrize("tool", ["s:do", "s:write"])
async def test_a_call_that_is_cancelled_while_it_waits_leaves_the_line(tool: str):
    async with calling(ONE_AT_S if tool == "s:do" else None) as desk:
        await desk.begin("a", tool=tool, path="x", seconds=3)
        with anyio.move_on_after(1):
            await desk.call("gone", tool, path="x")
        await desk.begin("b", tool=tool, path="x")
    assert desk.log == [("a", 0), ("b", 3)]
    assert desk.answered == 2


async def test_one_that_is_cancelled_when_its_turn_comes_gives_it_to_the_next():
    async with calling(ONE_AT_S) as desk:
        await desk.begin("a")
        with anyio.CancelScope() as scope:
            desk.tasks.start_soon(_cancel_at, scope, 1.0)
            await desk.call("gone")
        await desk.begin("b")
    assert [name for name, _ in desk.log if name != "gone"] == ["a", "b"]
    assert desk.log[-1] == ("b", 1)


async def _cancel_at(scope: anyio.CancelScope, time: float) -> None:
    await anyio.sleep_until(time)
    scope.cancel()


async def test_many_that_gave_up_leave_nothing_in_the_line():
    async with calling(ONE_AT_S) as desk:
        await desk.begin("a", seconds=5)
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as tasks:
                for number in range(500):
                    tasks.start_soon(desk.call, str(number))
        await desk.begin("b")
        assert "2 direct calls, 1 calls in flight" in repr(desk.gateway)
    assert desk.log == [("a", 0), ("b", 5)]
    assert "0 direct calls, 0 calls in flight" in repr(desk.gateway)


# While the client is asked something.


async def asking(call: ToolCall) -> JsonObject:
    await anyio.sleep(1)
    await call.caller.ask("elicitation/create", {})
    await anyio.sleep(1)
    return DONE


def person(seconds: float) -> FakeCaller:
    """A client that takes its time to answer."""

    async def answer(method: str, params: JsonObject) -> JsonObject:
        await anyio.sleep(seconds)
        return {}

    return FakeCaller(answer)


async def test_while_its_client_is_asked_a_call_holds_no_room_but_what_it_accesses():
    async with calling(ONE_AT_S) as desk:
        desk.behaves = asking
        await desk.begin("asks", tool="s:write", caller=person(10), path="x")
        desk.behaves = None
        await desk.begin("reads", tool="s:read", path="x")
        await desk.begin("does")
        await anyio.sleep(10)
        await desk.begin("later")
    assert desk.log == [("asks", 0), ("does", 1), ("later", 10), ("reads", 12)]


async def test_two_questions_at_once_are_one_pause():
    async def ask_twice(call: ToolCall) -> JsonObject:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(call.caller.ask, "roots/list", {})
        await anyio.sleep(9)
        return DONE

    async with calling(ONE_AT_S) as desk:
        desk.behaves = ask_twice
        await desk.begin("asks", caller=person(5))
        desk.behaves = None
        await desk.begin("a", "b", seconds=7)
    assert [(id, round(at)) for id, at in desk.log] == [("asks", 0), ("a", 0), ("b", 14)]


async def test_what_a_call_took_is_learned_without_the_time_in_which_its_client_was_asked():
    learned = ToolStats()
    async with calling(learned=learned) as desk:
        desk.behaves = asking
        await desk.call("a", caller=person(100))
        assert learned.seconds(desk.gateway.catalog().tools["s:do"]) == 2
    assert learned.seen == 1


async def test_the_time_of_a_call_stands_still_while_its_client_is_asked():
    async def slow(call: ToolCall) -> JsonObject:
        await asking(call)
        await anyio.sleep(LONGEST_S - 3)
        return DONE

    async with calling() as desk:
        desk.behaves = slow
        assert await desk.call("a", caller=person(300)) == DONE
        assert anyio.current_time() == LONGEST_S - 1 + 300


# How a call ends.


async def test_a_call_is_sent_as_its_client_sent_it_and_its_result_comes_back_as_it_is():
    params: JsonObject = {"name": "do", "x-new": [1], "_meta": {"trace": 1}}
    result: JsonObject = {"content": [{"type": "hologram"}], "_meta": {"k": 1}, "x-new": None}

    async def answer(call: ToolCall) -> JsonObject:
        return result

    async with calling() as desk:
        desk.behaves = answer
        for number in (1, 2):
            assert await desk.gateway.call("s", "do", params) is result
            assert desk.calls[-1].params is params
            assert desk.calls[-1].id == CallId("", "s:do", number, 1)


async def raising(error: Exception, call: ToolCall) -> JsonObject:
    raise error


FAILURES: list[tuple[CallError, int]] = [
    (ConnectionLost("gone"), 7),
    (CallTimeout("late"), 7),
    (ProtocolError("s: no", rpc_error=RpcError(-32042, "no", {"why": 1})), 8),
    (CallError("refused"), 8),
]
"""What a call fails of, and the slots of its server after it, which had eight."""


@pytest.mark.parametrize(("failure", "slots"), FAILURES)
async def test_a_failure_is_the_callers_and_an_adaptive_limit_hears_of_those_of_the_server(
    failure: CallError, slots: int
):
    async with calling(Limits(8, (("s", "auto"),))) as desk:
        desk.behaves = partial(raising, failure)
        with pytest.raises(type(failure)) as raised:
            await desk.call("fails")
        assert raised.value is failure
        desk.behaves = None
        began = anyio.current_time()
        await desk.begin(*map(str, range(8)))
    assert [at for _, at in desk.log[1:]].count(began) == slots


async def test_a_server_that_asks_for_quiet_is_left_alone():
    async with calling() as desk:
        desk.behaves = partial(raising, ServerUnavailable("busy", retry_after_s=7.0))
        with pytest.raises(ServerUnavailable):
            await desk.call("a")
        desk.behaves = None
        await desk.call("b")
    assert desk.log == [("a", 0), ("b", 7)]


async def test_a_fault_of_ours_fails_the_call_and_is_logged_under_an_id(
    caplog: pytest.LogCaptureFixture,
):
    async with calling() as desk:
        desk.behaves = partial(raising, ValueError("/etc/secret"))
        with pytest.raises(InternalError, match="the log names it") as raised:
            await desk.call("a")
    assert "secret" not in str(raised.value)
    assert "/etc/secret" in caplog.text


async def test_an_answer_that_cannot_be_passed_on_is_a_failure():
    async def answer(call: ToolCall) -> JsonObject:
        return {"content": [], "x": float("nan")}

    async with calling() as desk:
        desk.behaves = answer
        with pytest.raises(InvalidOutput, match="s:do gave an answer that cannot be passed on"):
            await desk.call("a")


@pytest.mark.parametrize("result", [text("no", is_error=True), {"resultType": "input_required"}])
async def test_how_long_a_call_took_is_learned_only_where_it_went_well(result: JsonObject):
    async def answer(call: ToolCall) -> JsonObject:
        return result

    learned = ToolStats()
    async with calling(learned=learned) as desk:
        desk.behaves = answer
        assert await desk.call("a") == result
    assert learned.seen == 0


async def test_the_time_in_line_counts_within_the_hour_that_a_call_may_take():
    async with calling(ONE_AT_S) as desk:
        await desk.begin("a", seconds=LONGEST_S - 10)
        with pytest.raises(CallTimeout, match="s:do gave no answer in 3600 s"):
            await desk.call("b", seconds=11)
        assert anyio.current_time() == LONGEST_S
        with pytest.raises(CallTimeout):
            await desk.call("c", seconds=LONGEST_S + 1)
    assert [id for id, _ in desk.log] == ["a", "b", "c"]


WAITED = "s:do was not sent in 3600 s: other calls have its slots or its resources"


async def test_who_waits_in_line_too_long_was_never_sent():
    long = {
        "id": "long",
        "tool": "s:do",
        "arguments": {"id": "long", "seconds": 5_000},
        "timeout_s": 9_000,
    }
    async with calling(ONE_AT_S) as desk:
        await desk.gateway.submit({"tasks": [long], "timeout_s": 9_000})
        with pytest.raises(CallTimeout, match=WAITED):
            await desk.call("late")
        assert anyio.current_time() == LONGEST_S
        assert "1 runs, 0 direct calls, 1 calls in flight" in repr(desk.gateway)
        await desk.call("next")
    assert [id for id, _ in desk.log] == ["long", "next"]
    moves = [
        (str(one.after), one.code)
        for one in desk.notices
        if isinstance(one, Changed) and one.key.item == 2
    ]
    assert moves == [("ready", None), ("failed", "timeout")]


async def test_a_call_that_waits_at_its_server_too_long_was_never_sent():
    async def wait(call: ToolCall) -> JsonObject:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            call.caller.not_sent("it had to wait")
            raise
        raise AssertionError("it sleeps for ever")

    async with calling() as desk:
        desk.behaves = wait
        with pytest.raises(CallTimeout, match="s:do was not sent in 3600 s: it had to wait"):
            await desk.call("late")


async def test_progress_is_a_notice_and_the_clients_if_it_wants_it():
    async def count(call: ToolCall) -> JsonObject:
        if call.caller.wants_progress:
            call.caller.progress({"progress": 1, "total": 2, "x-new": 1})
        return DONE

    heard: list[JsonObject] = []
    async with calling() as desk:
        desk.behaves = count
        await desk.call("a", caller=FakeCaller(on_progress=heard.append))
        await desk.call("b", caller=FakeCaller())
    told = [
        (notice.key.run, notice.progress, notice.total)
        for notice in desk.notices
        if isinstance(notice, Progressed)
    ]
    assert (told, heard) == ([("", 1, 2)], [{"progress": 1, "total": 2, "x-new": 1}])


# What observers hear.


async def erring(call: ToolCall) -> JsonObject:
    await anyio.sleep(2)
    return text("no", is_error=True)


async def late(call: ToolCall) -> JsonObject:
    await anyio.sleep_forever()
    raise AssertionError


ENDS: list[Callable[[ToolCall], Any] | None] = [
    None,
    erring,
    late,
    partial(raising, ConnectionLost("gone")),
    asking,
]


@pytest.mark.parametrize("behaves", ENDS)
async def test_observers_hear_of_a_call_by_name_what_they_hear_of_a_task(behaves: Any):
    async with calling() as desk:
        desk.behaves = behaves
        with suppress(CallError):
            await desk.call("a", caller=person(3))
        by_name = desk.changes()
        began = anyio.current_time()
        document = {
            "tasks": [{"id": "a", "tool": "s:do", "timeout_s": LONGEST_S}],
            "timeout_s": 2 * LONGEST_S,
        }
        await desk.gateway.execute(document, person(3))
        of_task = [(*change[:-1], change[-1] - began) for change in desk.changes()]
    assert by_name == of_task
    assert [str(change[2]) for change in by_name][:2] == ["ready", "running"]


async def test_they_hear_of_one_that_is_cancelled_what_they_hear_of_a_cancelled_task():
    async with calling() as desk:
        with anyio.move_on_after(0.5):
            await desk.call("a")
        by_name = desk.changes()
        run = await desk.gateway.submit({"tasks": [{"id": "a", "tool": "s:do"}]})
        await anyio.sleep(0.5)
        await desk.gateway.cancel(run.run_id)
        of_task = [(*change[:-1], change[-1] - 0.5) for change in desk.changes()]
    assert by_name == of_task
    assert [change[4] for change in by_name] == [None, None, "cancelled"]


async def test_they_hear_of_one_in_line_that_it_was_cancelled_and_never_sent():
    async with calling(ONE_AT_S) as desk:
        await desk.begin("a", seconds=9)
        desk.notices.clear()
        with anyio.move_on_after(0.5):
            await desk.call("b")
    assert [(str(change[2]), change[3], change[4]) for change in desk.changes()[:2]] == [
        ("ready", 0, None),
        ("cancelled", 0, "cancelled"),
    ]


async def test_a_call_that_asks_its_client_by_its_result_has_ended_without_success():
    async def answer(call: ToolCall) -> JsonObject:
        return {"resultType": "input_required", "requestState": "s"}

    async with calling() as desk:
        desk.behaves = answer
        await desk.call("a")
    assert desk.changes()[-1][2:5] == ("cancelled", 1, "input_required")


# New settings.


async def test_new_limits_hold_for_calls_that_wait():
    async with calling(ONE_AT_S) as desk:
        await desk.begin("a", "b", "c", seconds=9)
        await anyio.sleep(1)
        desk.gateway.change(Policy(), GatewayLimits(Limits(servers=(("s", 2),))), AS_WRITTEN)
        await desk.begin("d", seconds=9)
    assert desk.log == [("a", 0), ("b", 1), ("c", 9), ("d", 10)]


async def test_new_rules_hold_for_calls_from_then_on():
    async with calling() as desk:
        await desk.begin("a")
        desk.gateway.change(Policy((Rule("s:do", max_concurrency=1),)), GatewayLimits(), AS_WRITTEN)
        await desk.begin("b", "c")
    assert desk.log == [("a", 0), ("b", 0), ("c", 1)]
