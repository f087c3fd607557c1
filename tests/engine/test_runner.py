"""The runner carries out commands: each is answered exactly once, in time, whatever the tool
does."""

from __future__ import annotations

import itertools
import random
import sys
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.ports import Caller, CallId, ToolCall
from plait.core.scheduling.events import Aborted, CancelRequested, Event, Failure, Key, Status
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.notices import Changed, Finished, Notice, Progressed
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler, Step
from plait.core.tools.policy import Policy
from plait.core.tools.tool_stats import ToolStats
from plait.core.values.strict import JsonObject
from plait.engine.runner import CALLS_BEFORE_YIELD, Runner
from plait.errors import CallTimeout, ServerUnavailable, ToolError

from ..fakes import FakeCaller, FakeServers, tool

pytestmark = pytest.mark.virtual_time
MOST = sys.float_info.max


async def run(
    servers: FakeServers,
    document: dict[str, Any],
    notices: list[Notice] | None = None,
    learned: ToolStats | None = None,
    **run: Any,
) -> Run:
    """One run of *document*, driven to its end."""
    made = Run("r", check(read_dag(document), servers.catalog(), Policy()), **run)
    ended = anyio.Event()

    def observe(notice: Notice) -> None:
        if notices is not None:
            notices.append(notice)
        if isinstance(notice, Finished):
            ended.set()

    async with anyio.create_task_group() as tasks:
        runner = Runner(Scheduler(Limits(), learned), servers, tasks, [observe])
        runner.submit(made)
        await ended.wait()
        await runner.idle()
    return made


def sleeping(**seconds: float) -> FakeServers:
    servers = FakeServers()
    for name, duration in seconds.items():

        async def call(
            duration: float = duration, name: str = name, **arguments: Any
        ) -> dict[str, Any]:
            await anyio.sleep(duration)
            return {"name": name, **arguments}

        servers.add(tool(f"s:{name}", readOnlyHint=True), call)
    return servers


async def test_a_diamond_takes_as_long_as_its_longest_path():
    servers = sleeping(a=10, b=20, c=30, d=5)
    document = {
        "tasks": [
            {"id": "a", "tool": "s:a"},
            {"id": "b", "tool": "s:b", "arguments": {"from": "$OUTPUT[a].name"}},
            {"id": "c", "tool": "s:c", "depends_on": ["a"]},
            {"id": "d", "tool": "s:d", "depends_on": ["b", "c"]},
        ]
    }
    ended = await run(servers, document)
    assert ended.status == "success"
    assert ended.ended_at is not None
    assert ended.ended_at - ended.started_at == pytest.approx(45)
    assert ended.outputs["b"].value == {"name": "b", "from": "a"}


async def test_a_call_without_an_answer_ends_at_its_timeout_and_is_cancelled():
    servers = sleeping(long=1000)
    ended = await run(servers, {"tasks": [{"id": "a", "tool": "s:long", "timeout_s": 3}]})
    assert ended.states["a"].status is Status.TIMEOUT
    assert ended.ended_at == pytest.approx(ended.started_at + 3)
    assert servers.aborted == ["s:long"]


async def test_one_task_carries_out_many_calls_of_which_each_has_its_own_time():
    servers = sleeping(short=2, long=9)
    tasks = [
        {"id": f"t{n}", "tool": "s:short" if n % 3 else "s:long", "timeout_s": 3 + n % 2}
        for n in range(40)
    ]
    ended = await run(servers, {"max_concurrency": 1, "tasks": tasks})
    late = {f"t{n}" for n in range(0, 40, 3)}
    assert {id for id, state in ended.states.items() if state.status is Status.TIMEOUT} == late
    assert len(servers.aborted) == len(late)
    assert all(
        state.busy_s == pytest.approx(2) for id, state in ended.states.items() if id not in late
    )


async def test_the_timeout_of_a_run_cancels_what_runs_and_skips_the_rest():
    servers = sleeping(short=1, long=1000)
    document = {
        "timeout_s": 10,
        "tasks": [
            {"id": "a", "tool": "s:short"},
            {"id": "b", "tool": "s:long", "timeout_s": 500},
            {"id": "c", "tool": "s:short", "depends_on": ["b"]},
        ],
    }
    ended = await run(servers, document)
    assert ended.status == "timeout"
    assert {id: str(state.status) for id, state in ended.states.items()} == {
        "a": "success", "b": "cancelled", "c": "skipped",
    }  # fmt: skip
    assert servers.aborted == ["s:long"]


async def test_a_failure_that_may_pass_is_tried_again_after_a_growing_pause():
    servers = FakeServers()
    times: list[float] = []

    async def flaky() -> dict[str, Any]:
        times.append(anyio.current_time())
        if len(times) < 3:
            raise ServerUnavailable("not yet")
        return {"ok": True}

    servers.add(tool("s:flaky", readOnlyHint=True), flaky)
    ended = await run(
        servers, {"tasks": [{"id": "a", "tool": "s:flaky", "retries": 2}]}, jitter=lambda: 0.5
    )
    assert ended.status == "success"
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx(
        [0.5, 1.0]
    )
    assert ended.states["a"].attempts == 3


async def test_a_fault_of_ours_fails_its_own_task_alone(caplog: pytest.LogCaptureFixture):
    servers = sleeping(fine=1)

    async def broken() -> dict[str, Any]:
        raise ZeroDivisionError("a secret detail")

    servers.add("s:broken", broken)
    ended = await run(
        servers, {"tasks": [{"id": "a", "tool": "s:broken"}, {"id": "b", "tool": "s:fine"}]}
    )
    error = ended.states["a"].error
    assert error is not None
    assert error.code == "internal"
    assert "secret" not in error.message
    assert [vars(record)["id"] for record in caplog.records] == [error.message.split()[-1]]
    assert ended.states["b"].status is Status.SUCCESS


async def test_an_observer_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture):
    servers = sleeping(a=1)
    made = Run(
        "r", check(read_dag({"tasks": [{"id": "a", "tool": "s:a"}]}), servers.catalog(), Policy())
    )

    def broken(notice: Notice) -> None:
        raise RuntimeError("observer")

    async with anyio.create_task_group() as tasks:
        runner = Runner(Scheduler(Limits()), servers, tasks, [broken])
        runner.submit(made)
        await runner.idle()
    assert made.status == "success"
    assert "observer.crashed" in caplog.text


async def test_notices_come_in_the_order_in_which_things_happened():
    notices: list[Notice] = []
    await run(
        sleeping(a=2, b=1),
        {"tasks": [{"id": "a", "tool": "s:a"}, {"id": "b", "tool": "s:b"}]},
        notices,
    )
    ends = [
        notice.key.task
        for notice in notices
        if isinstance(notice, Changed) and notice.after.is_final
    ]
    assert ends == ["b", "a"]
    times = [notice.at for notice in notices if not isinstance(notice, Progressed)]
    assert times == sorted(times)


async def test_calls_that_are_answered_at_once_let_others_have_their_turn():
    servers = FakeServers()
    servers.add("s:now", dict)
    document = {"tasks": [{"id": f"t{number}", "tool": "s:now"} for number in range(1_000)]}
    made = Run("r", check(read_dag(document), servers.catalog(), Policy()))
    turns: list[int] = []

    async def watch() -> None:
        while not made.is_done:
            turns.append(len(servers.calls))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        runner = Runner(Scheduler(Limits(8)), servers, tasks)
        runner.submit(made)
        await watch()
        await runner.idle()
    assert (
        max(after - before for before, after in itertools.pairwise(turns)) <= 8 * CALLS_BEFORE_YIELD
    )


async def test_a_call_knows_its_run_its_attempt_and_its_client():
    servers = FakeServers()
    calls: list[ToolCall] = []

    async def call_tool(call: ToolCall) -> JsonObject:
        calls.append(call)
        if call.id.attempt == 1:
            raise ServerUnavailable("not yet")
        return {}

    servers.add(tool("s:do", readOnlyHint=True), dict)
    caller = FakeCaller()
    document = {"tasks": [{"id": "a", "tool": "s:do", "for_each": [{}, {}], "retries": 1}]}
    made = Run("r", check(read_dag(document), servers.catalog(), Policy()))
    async with anyio.create_task_group() as group:
        runner = Runner(Scheduler(Limits(1)), call_tool, group)
        runner.submit(made, caller)
        await runner.idle()
    assert {call.id for call in calls} == {
        CallId("r", "a", item, attempt) for item in (0, 1) for attempt in (1, 2)
    }
    assert {call.caller.client for call in calls} == {caller.client}


@pytest.mark.parametrize("seed", range(12))
async def test_each_of_many_calls_has_its_own_end_whatever_becomes_of_the_others(seed: int):
    """Some answer in time, some are late, some fail, some are aborted with their run; one task
    carries out many."""
    chooser = random.Random(seed)
    servers = FakeServers()
    ended: list[str] = []

    async def call(id: str, seconds: float, is_good: bool) -> dict[str, Any]:
        await anyio.sleep(seconds)
        ended.append(id)
        if not is_good:
            raise ToolError("no")
        return {"id": id}

    servers.add(tool("s:call", closed=False), call)
    fates: dict[str, str] = {}
    tasks: list[dict[str, Any]] = []
    for number in range(200):
        id, seconds, is_good = (
            f"t{number}",
            chooser.choice([0, 0, 1, 2, 5, 9.5]),
            chooser.random() < 0.8,
        )
        fates[id] = "timeout" if seconds > 3 else "success" if is_good else "failed"
        arguments = {"id": id, "seconds": seconds, "is_good": is_good}
        tasks.append({"id": id, "tool": "s:call", "timeout_s": 3, "arguments": arguments})
    limit = chooser.choice([1, 2, 7, 64])
    made = await run(
        servers,
        {"tasks": tasks, "max_concurrency": limit, "timeout_s": chooser.choice([4.3, 40.7, 4000])},
    )
    for id, state in made.states.items():
        known = {fates[id]} if made.status != "timeout" else {fates[id], "cancelled", "skipped"}
        assert str(state.status) in known
    assert sorted(ended) == sorted(
        id for id, state in made.states.items() if str(state.status) in {"success", "failed"}
    )
    sent = [id for id, state in made.states.items() if state.attempts]
    assert len(servers.calls) == len(sent)
    assert len(servers.aborted) == len(sent) - len(ended)


async def test_a_call_that_answers_though_it_was_told_to_end_takes_no_other_with_it():
    servers = sleeping(short=1)

    async def stubborn() -> dict[str, Any]:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(9)
        return {"late": True}

    servers.add(tool("s:stubborn"), stubborn)
    tasks = [
        {"id": "a", "tool": "s:stubborn", "timeout_s": 3},
        {"id": "b", "tool": "s:short", "timeout_s": 3},
    ]
    ended = await run(servers, {"max_concurrency": 1, "tasks": tasks})
    assert ended.states["b"].status is Status.SUCCESS


async def test_what_is_aborted_before_it_is_sent_is_never_sent():
    servers = sleeping(long=1000)
    scheduler = Heard(Limits())
    made = Run(
        "r",
        check(read_dag({"tasks": [{"id": "a", "tool": "s:long"}]}), servers.catalog(), Policy()),
    )
    async with anyio.create_task_group() as tasks:
        runner = Runner(scheduler, servers, tasks)
        runner.submit(made)
        runner.cancel("r")
        await runner.idle()
    assert servers.calls == []
    assert scheduler.heard == [CancelRequested("r"), Aborted(Key("r", "a"))]
    assert repr(runner) == "<Runner: 0 commands to be answered, 0 of them aborted>"


async def test_an_aborted_call_is_told_as_that_and_not_as_late():
    servers = sleeping(long=1000)
    scheduler = Heard(Limits())
    made = Run(
        "r",
        check(read_dag({"tasks": [{"id": "a", "tool": "s:long"}]}), servers.catalog(), Policy()),
    )
    async with anyio.create_task_group() as tasks:
        runner = Runner(scheduler, servers, tasks)
        runner.submit(made)
        await anyio.sleep(1)
        runner.cancel("r")
        await runner.idle()
    assert servers.aborted == ["s:long"]
    assert scheduler.heard == [CancelRequested("r"), Aborted(Key("r", "a"))]
    assert repr(runner) == "<Runner: 0 commands to be answered, 0 of them aborted>"


class Heard(Scheduler):
    """Remembers the events."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.heard: list[Event] = []

    def handle(self, event: Event, now: float) -> Step:
        self.heard.append(event)
        return super().handle(event, now)


async def test_a_run_whose_calls_are_made_in_several_steps_makes_all_of_them():
    servers = sleeping(a=1)
    task = {"tool": "s:a", "for_each": list(range(1_000))}
    document = {"tasks": [{"id": f"t{number}", **task} for number in range(5)]}
    made = await run(servers, document)
    assert (made.status, len(servers.calls)) == ("success", 5_000)


async def held(caller: Caller, seconds: float) -> dict[str, Any]:
    """Wait to be sent for *seconds*, then for an answer that does not come."""
    try:
        await anyio.sleep(seconds)
    except anyio.get_cancelled_exc_class():
        caller.not_sent("it had to wait")
        raise
    await anyio.sleep_forever()
    raise AssertionError("it sleeps for ever")


@pytest.mark.parametrize(
    "more", [{}, {"for_each": [100], "arguments": {"seconds": "$ITEM"}}], ids=["task", "item"]
)
async def test_a_call_that_was_never_sent_does_not_say_that_it_got_no_answer(more: dict[str, Any]):
    servers = FakeServers()
    servers.add("s:held", held)
    called = {"tool": "s:held", "timeout_s": 2}
    late = {"id": "late", **called, "arguments": {"seconds": 100}, **more}
    sent = {"id": "sent", **called, "arguments": {"seconds": 1}}
    # the one task that carries them out one after the other remembers nothing
    ended = await run(servers, {"tasks": [late, sent], "max_concurrency": 1})
    error = ended.states["late"].error
    assert error is not None
    assert "s:held was not sent in 2 s: it had to wait" in error.message
    hint = "Give it more time with timeout_s, or do without it."
    expected = Failure.of(CallTimeout("s:held gave no answer in 2 s", hint=hint))
    assert ended.states["sent"].error == expected
