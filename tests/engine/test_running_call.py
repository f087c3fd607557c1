"""The clock and the room of a call rest while its client is asked something or its server is not
there yet."""

from __future__ import annotations

import sys
from typing import Any

import anyio
import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.ports import NO_CLIENT
from plait.core.scheduling.events import Event, Key, Paused, Resumed, Status
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.notices import Notice, Progressed
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.policy import Policy
from plait.core.tools.tool_stats import ToolStats
from plait.core.values.strict import JsonObject
from plait.engine.runner import Runner
from plait.engine.running_call import LONGEST_QUESTION_S, RunningCall

from ..fakes import FakeCaller, FakeServers, tool
from .test_runner import run, sleeping

pytestmark = pytest.mark.virtual_time
MOST = sys.float_info.max


async def test_the_time_of_a_call_begins_when_its_server_is_there():
    servers = FakeServers()

    async def late(waiting: Any) -> dict[str, Any]:
        with waiting():
            await anyio.sleep(20)
        await anyio.sleep(2)
        return {"ok": True}

    servers.add(tool("s:late"), late)
    learned = ToolStats()
    ended = await run(
        servers, {"tasks": [{"id": "a", "tool": "s:late", "timeout_s": 3}]}, learned=learned
    )
    state = ended.states["a"]
    assert state.status is Status.SUCCESS
    assert state.busy_s == pytest.approx(2)
    assert state.attempts == 1
    (wait,) = state.waits
    assert (wait.why, wait.on) == ("server", "s")
    assert wait.seconds == pytest.approx(20)
    assert learned.seconds(servers.catalog().tools["s:late"]) == pytest.approx(2)


async def test_a_call_that_is_late_once_its_server_is_there_is_out_of_time():
    servers = FakeServers()

    async def late(waiting: Any) -> None:
        with waiting():
            await anyio.sleep(20)
        await anyio.sleep(4)

    servers.add(tool("s:late"), late)
    ended = await run(servers, {"tasks": [{"id": "a", "tool": "s:late", "timeout_s": 3}]})
    assert ended.states["a"].status is Status.TIMEOUT
    assert ended.ended_at == pytest.approx(ended.started_at + 23)


async def test_a_run_that_is_cancelled_while_a_call_waits_for_its_server_ends():
    servers = FakeServers()

    async def never(waiting: Any) -> None:
        with waiting():
            await anyio.sleep_forever()

    servers.add(tool("s:never"), never)
    ended = await run(servers, {"timeout_s": 5, "tasks": [{"id": "a", "tool": "s:never"}]})
    assert ended.status == "timeout"
    assert servers.aborted == ["s:never"]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ({"progress": 1, "total": 2, "message": "half"}, (1, 2, "half")),
        ({"progress": -0.5, "total": "2", "message": None, "x": [1]}, (-0.5, None, None)),
        ({"progress": 10**400, "total": -(10**400), "message": 5}, (MOST, -MOST, None)),
    ],
)
async def test_a_calls_own_progress_is_told(said: dict[str, Any], heard: tuple[object, ...]):
    servers = FakeServers()

    async def counting(on_progress: Any) -> dict[str, Any]:
        on_progress(said)
        return {}

    servers.add("s:counting", counting)
    notices: list[Notice] = []
    await run(servers, {"tasks": [{"id": "a", "tool": "s:counting"}]}, notices)
    told = [notice for notice in notices if isinstance(notice, Progressed)]
    assert [
        (notice.key.task, notice.progress, notice.total, notice.message) for notice in told
    ] == [("a", *heard)]


class Person:
    """A client that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[tuple[str, JsonObject]] = []
        self.was_cancelled = False
        self.caller = FakeCaller(self.ask, client=self, capabilities={"elicitation": {}})

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        self.asked.append((method, params))
        try:
            await anyio.sleep(self.seconds)
        except anyio.get_cancelled_exc_class():
            self.was_cancelled = True
            raise
        return {"action": "accept"}


async def ask_twice(ask: Any) -> list[JsonObject]:
    answers: list[JsonObject] = []

    async def put(number: int) -> None:
        answers.append(await ask("elicitation/create", {"number": number}))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(put, 1)
        tasks.start_soon(put, 2)
    return answers


async def run_with(
    person: Person | None, servers: FakeServers, *tasks: dict[str, Any], most: int = 1
) -> Run:
    made = Run("r", check(read_dag({"tasks": list(tasks)}), servers.catalog(), Policy()))
    async with anyio.create_task_group() as group:
        scheduler = Scheduler(Limits(most))
        runner = Runner(scheduler, servers, group)
        runner.submit(made, NO_CLIENT if person is None else person.caller)
        await runner.idle()
    assert (scheduler.in_flight, scheduler.limits.gateways[""].taken) == (0, 0)
    return made


def asking(work_s: float) -> FakeServers:
    servers = sleeping(other=3)

    async def call(ask: Any, capabilities: JsonObject) -> dict[str, Any]:
        await anyio.sleep(work_s)
        answers = await ask_twice(ask) if ask is not None else []
        await anyio.sleep(work_s)
        return {"answers": answers, "can": list(capabilities)}

    servers.add(tool("s:asks"), call)
    return servers


async def test_a_call_that_asks_its_client_leaves_its_room_to_others_meanwhile():
    made = await run_with(
        Person(100),
        asking(work_s=1),
        {"id": "a", "tool": "s:asks", "priority": 1},
        {"id": "b", "tool": "s:other"},
    )
    assert made.outputs["a"].value == {
        "answers": [{"action": "accept"}] * 2,
        "can": ["elicitation"],
    }
    assert (made.states["b"].started_at, made.states["b"].ended_at) == (1, 4)
    assert made.states["a"].ended_at == 102


async def test_the_time_of_a_call_stands_still_while_its_client_is_asked():
    task = {"id": "a", "tool": "s:asks", "timeout_s": 5}
    assert (await run_with(Person(100), asking(work_s=2), task)).status == "success"
    late = await run_with(Person(100), asking(work_s=3), task)
    assert late.states["a"].status is Status.TIMEOUT
    assert late.ended_at == late.started_at + 105


async def test_a_client_that_never_answers_does_not_hold_a_call_for_ever():
    late = await run_with(
        Person(float("inf")), asking(work_s=1), {"id": "a", "tool": "s:asks", "timeout_s": 5}
    )
    assert (late.states["a"].status, late.states["a"].ended_at) == (
        Status.TIMEOUT,
        1 + LONGEST_QUESTION_S,
    )


async def test_a_run_without_a_client_has_nobody_to_ask():
    made = await run_with(None, asking(work_s=1), {"id": "a", "tool": "s:asks"})
    assert made.outputs["a"].value == {"answers": [], "can": []}


async def test_a_cancelled_run_asks_no_more():
    person, servers = Person(100), asking(work_s=1)
    made = Run(
        "r",
        check(read_dag({"tasks": [{"id": "a", "tool": "s:asks"}]}), servers.catalog(), Policy()),
    )
    async with anyio.create_task_group() as group:
        scheduler = Scheduler(Limits(1))
        runner = Runner(scheduler, servers, group)
        runner.submit(made, person.caller)
        await anyio.sleep(10)
        assert (len(person.asked), scheduler.limits.gateways[""].taken) == (2, 0)
        runner.cancel("r")
        await runner.idle()
    assert person.was_cancelled
    assert (made.status, scheduler.in_flight, scheduler.limits.gateways[""].taken) == (
        "cancelled",
        0,
        0,
    )


async def test_a_question_that_outlives_its_call_touches_the_time_of_no_other():
    """A scope serves many calls, one after the other."""
    events: list[Event] = []
    may_answer = anyio.Event()

    async def answer(method: str, params: JsonObject) -> JsonObject:
        await may_answer.wait()
        return {}

    key = Key("r", "a")
    with anyio.CancelScope(deadline=5) as scope:
        call = RunningCall(key, FakeCaller(answer), scope, events.append, lambda notice: None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.ask, "roots/list", {})
            await anyio.sleep(1)
            assert scope.deadline == LONGEST_QUESTION_S
            call.end()
            scope.deadline = 7  # of the next call
            may_answer.set()
        assert scope.deadline == 7
    assert events == [Paused(key), Resumed(key)]


async def test_a_running_call_is_of_the_client_that_it_is_made_for():
    caller = FakeCaller(client="mine", capabilities={"roots": {}}, takes_input_requests=True)
    call = RunningCall(
        Key("", "s:do", 1), caller, anyio.CancelScope(), lambda event: None, lambda notice: None
    )
    assert (call.client, call.principal, call.capabilities) == (
        "mine",
        caller.principal,
        {"roots": {}},
    )
    assert (call.can_be_asked, call.takes_input_requests, call.wants_progress) == (
        False,
        True,
        False,
    )


async def test_the_progress_of_a_task_is_always_wanted_for_its_run_may_be_followed():
    call = RunningCall(
        Key("r", "a"), FakeCaller(), anyio.CancelScope(), lambda event: None, lambda notice: None
    )
    assert call.wants_progress


async def test_a_call_that_never_reaches_its_server_says_that_it_was_not_sent():
    servers = FakeServers()

    async def never(waiting: Any) -> None:
        with waiting():
            await anyio.sleep_forever()

    servers.add(tool("s:never"), never)
    ended = await run(servers, {"tasks": [{"id": "a", "tool": "s:never", "timeout_s": 3}]})
    assert (ended.states["a"].status, servers.aborted) == (Status.TIMEOUT, ["s:never"])
    error = ended.states["a"].error
    assert error is not None
    assert error.message == "s:never was not sent in 3 s: its server was not reached"
    assert error.hint == "Nothing was sent, so it can safely be sent again later."
