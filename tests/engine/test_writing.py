"""A run goes on from what is in the history of the one before it, and nothing is sent twice."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import anyio
import pytest

from plait.core.history import (
    CallKey,
    Effect,
    Kind,
    RunQuery,
)
from plait.core.history_store import TakenOver
from plait.core.ports import Caller
from plait.core.results.record import RunStatus
from plait.core.scheduling.events import Status
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.rates import Rate
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.values.strict import JsonObject
from plait.engine.gateway import Gateway, GatewayLimits
from plait.engine.writing import Kept
from plait.errors import InvalidDag, StaleApproval
from plait.stores.history.log import Entry
from plait.stores.history.memory import MemoryHistory
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeCaller, tool
from .dying import World, task

pytestmark = pytest.mark.virtual_time


async def test_a_run_goes_on_without_sending_anything_twice():
    world = World()
    world.hangs = {("read", 2)}
    tasks = [
        task("one", "write", 1),
        task("two", "read", 2, depends_on=["one"]),
        task("three", "write", "$OUTPUT[two].n"),
        task("four", "write", "${OUTPUT[one].n}th"),
    ]
    run_id = await world.interrupted({"tasks": tasks, "return": ["one", "three"]})
    result = await world.gone_on(run_id)
    assert result.status is RunStatus.SUCCESS
    assert result.outputs == {"one": {"n": 1}, "three": {"n": 2}}
    assert world.writes == Counter([1, 2, "1th"])
    assert result.run_id != run_id


async def test_a_write_in_the_air_is_in_doubt_and_what_needs_it_is_skipped():
    world = World()
    world.hangs = {("write", 1)}
    run_id = await world.interrupted(
        {"tasks": [task("one", "write", 1), task("two", "write", "$OUTPUT[one].n")]}
    )
    result = await world.gone_on(run_id)
    assert result.record.tasks["one"].error is not None
    assert result.record.tasks["one"].error.code == "in_doubt"
    assert result.record.tasks["two"].status is Status.SKIPPED
    assert world.writes == Counter([1])


@pytest.mark.parametrize(
    ("says", "sent", "output"),
    [
        ({"one": "retry"}, 2, {"n": 1}),
        ({"*": "retry"}, 2, {"n": 1}),
        ({"one": {"done": {"n": 7}}}, 1, {"n": 7}),
        ({"one": "done"}, 1, None),
    ],
)
async def test_what_is_said_about_a_call_in_doubt_decides_it(says: Any, sent: int, output: Any):
    world = World()
    world.hangs = {("write", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "write", 1)]})
    result = await world.gone_on(run_id, in_doubt=says)
    assert result.status is RunStatus.SUCCESS
    assert result.outputs == {"one": output}
    assert world.writes == Counter({1: sent})
    async with world.gateway() as (gateway, _):
        later = await gateway.wait(result.run_id)
    assert later.outputs == {"one": output}


async def test_an_idempotent_write_in_doubt_is_sent_again():
    world = World()
    world.hangs = {("put", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "put", 1)]})
    result = await world.gone_on(run_id)
    assert (result.status, world.log) == (RunStatus.SUCCESS, [("put", 1)] * 2)


async def test_items_go_on_one_by_one():
    world = World()
    world.hangs = {("write", 3)}
    document = {
        "tasks": [task("all", "write", "$ITEM", for_each=[1, 2, 3, 4])],
        "max_concurrency": 1,
    }
    run_id = await world.interrupted(document)
    result = await world.gone_on(run_id, in_doubt={"all": {"done": {"n": "three"}}})
    assert result.outputs == {"all": [{"n": 1}, {"n": 2}, {"n": "three"}, {"n": 4}]}
    assert world.writes == Counter([1, 2, 3, 4])


async def test_items_of_groups_retries_and_pages_go_on_where_they_were():
    world = World()
    world.failures = {("flaky", 2): 1}
    world.hangs = {("write", "b3")}
    document: dict[str, Any] = {
        "tasks": [
            {
                "id": "each",
                "for_each": [1, 2, 3],
                "tasks": [
                    task("a", "write", "a$ITEM"),
                    task("b", "write", "b$ITEM", depends_on=["a"]),
                ],
            },
            task(
                "again", "flaky", 2, retries={"max": 2, "on": ["tool_error"]}, depends_on=["each"]
            ),
        ],
        "max_concurrency": 1,
    }
    run_id = await world.interrupted(document)
    result = await world.gone_on(run_id, in_doubt={"*": "retry"})
    assert result.status is RunStatus.SUCCESS
    assert world.writes == Counter(["a1", "a2", "a3", "b1", "b2", "b3", "b3"])


async def test_a_call_that_failed_is_tried_again_only_as_often_as_its_retries_say():
    world = World()
    world.failures = {("put", 1): 3}
    retries = {"max": 2, "delay_s": 2, "on": ["tool_error"]}
    run_id = await world.interrupted({"tasks": [task("one", "put", 1, retries=retries)]}, 1)
    assert len(world.log) == 1
    result = await world.gone_on(run_id)
    assert (result.status, len(world.log)) == (RunStatus.FAILED, 3)


async def test_what_was_answered_waits_for_neither_slots_nor_rates_nor_pauses():
    world = World()
    world.limits = GatewayLimits(Limits(1, rates=(("s", Rate(1, 1.0)),)))
    world.add("poll", lambda n: {"n": n, "next": n + 1 if n < 4 else None})
    world.hangs = {("write", "last")}
    repeat = {"set": {"n": "next"}, "every_s": 60}
    document: dict[str, Any] = {
        "tasks": [
            task("all", "read", "$ITEM", for_each=[*range(20)]),
            task("poll", "poll", 0, repeat=repeat, allow_repeat=True),
            task("last", "write", "last", depends_on=["all", "poll"]),
        ]
    }
    run_id = await world.interrupted(document, 275)
    assert world.log[-1] == ("write", "last")
    began = anyio.current_time()
    result = await world.gone_on(run_id, in_doubt={"last": "retry"})
    assert (result.status, len(world.log)) == (RunStatus.SUCCESS, 27)
    assert anyio.current_time() - began < 2


async def test_answers_come_again_in_their_order_so_that_the_same_is_cancelled():
    world = World()
    world.delays = {("put", 1): 1, ("fail", 2): 2, ("put", 3): 3}
    world.hangs = {("write", "clean")}
    document: dict[str, Any] = {
        "tasks": [
            task("fails", "fail", 2),
            task("late", "put", 3),
            task("early", "put", 1),
            task("clean", "write", "clean", depends_on=["fails"], trigger_rule="always"),
        ],
        "fail_fast": True,
    }
    run_id = await world.interrupted(document, 10)
    result = await world.gone_on(run_id, in_doubt={"clean": "retry"})
    statuses = {task.id: str(task.status) for task in result.tasks}
    assert statuses == {
        "fails": "failed",
        "late": "cancelled",
        "early": "success",
        "clean": "success",
    }
    assert world.writes == Counter({"clean": 2})


async def test_what_timed_out_is_not_sent_again_and_the_time_between_counts():
    world = World()
    world.hangs = {("write", 1), ("read", 2)}
    document = {
        "tasks": [
            task("one", "write", 1, timeout_s=1),
            task("two", "read", 2, trigger_rule="all_done", depends_on=["one"]),
        ]
    }
    run_id = await world.interrupted(document)
    result = await world.gone_on(run_id)
    statuses = [one.status for one in result.record.tasks.values()]
    assert statuses == [Status.TIMEOUT, Status.SUCCESS]
    assert world.writes == Counter([1])


async def test_a_cancelled_run_has_ended_and_nothing_goes_on_from_it_by_itself():
    world = World()
    world.hangs = {("write", 1)}
    async with world.gateway() as (gateway, history):
        submitted = await gateway.submit({"tasks": [task("one", "write", 1)]})
        await gateway.wait(submitted.run_id, 1)
        await gateway.cancel(submitted.run_id)
        history.die()
    again = await world.gone_on(submitted.run_id)
    assert (again.run_id, again.status) == (submitted.run_id, RunStatus.CANCELLED)
    assert world.writes == Counter([1])


async def test_a_word_about_a_call_holds_for_the_calls_before_it_alone():
    world = World()
    world.hangs = {("write", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "write", 1)]})
    world.hangs = {("write", 1)}
    await world.interrupted({"tasks": [], "resume_from": run_id, "in_doubt": {"one": "retry"}})
    result = await world.gone_on(run_id)
    assert (result.status, world.writes) == (RunStatus.FAILED, Counter({1: 2}))
    assert result.record.tasks["one"].error is not None
    assert result.record.tasks["one"].error.code == "in_doubt"


class LateHistory(MemoryHistory):
    """A history that says that a run was taken over a moment after it was."""

    async def go_on(self, *given: Any, **more: Any) -> TakenOver:
        taken = await super().go_on(*given, **more)
        await anyio.sleep(1)
        return taken


async def test_a_run_that_is_taken_over_for_a_caller_who_leaves_meanwhile_has_an_end():
    world = World()
    world.hangs = {("read", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "read", 1)]})
    world.hangs = {("read", 1)}
    history = LateHistory(world.shelf)
    async with Gateway(world.servers, world.servers, InMemoryRuns(), history=history) as gateway:
        with anyio.move_on_after(0.5):
            await gateway.execute({"tasks": [], "resume_from": run_id})
        await anyio.sleep(5)
        statuses = {run.id: run.status for run in await history.runs(RunQuery())}
    assert statuses.pop(run_id) == "interrupted"
    assert [*statuses.values()] == ["cancelled"]


async def test_a_run_that_could_not_be_written_says_so_and_nothing_goes_on_from_it():
    world = World()
    world.hangs = {("read", 1), ("write", 2)}
    after = {"depends_on": ["one"], "trigger_rule": "all_done"}
    async with world.gateway() as (gateway, history):
        tasks = [task("one", "read", 1, timeout_s=2), task("two", "write", 2, **after)]
        submitted = await gateway.submit({"tasks": tasks})
        await gateway.wait(submitted.run_id, 1)
        history.trouble = "the disk is full"
        result = await gateway.wait(submitted.run_id, 2)
        assert result.document()["history_lost"] is True
        history.trouble = None
        history.die()
    with pytest.raises(InvalidDag, match="not all that it did was written"):
        await world.gone_on(submitted.run_id)
    assert world.writes == Counter([2])


async def test_a_run_for_power_cuts_is_refused_before_anything_is_sent_where_it_cannot_be_written():
    world = World()
    async with world.gateway() as (gateway, history):
        history.trouble = "the disk is full"
        with pytest.raises(InvalidDag, match="the disk is full") as caught:
            await gateway.execute({"tasks": [task("one", "write", 1)], "durable": "power"})
        assert caught.value.problems[0].code == "history_unavailable"
        result = await gateway.execute({"tasks": [task("one", "write", 2)]})
    assert (result.status, world.log) == (RunStatus.SUCCESS, [("write", 2)])


async def test_without_values_the_history_has_neither_arguments_nor_outputs():
    world = World()
    history = MemoryHistory(world.shelf)
    limits = GatewayLimits(kept=Kept.WITHOUT_VALUES)
    servers = world.servers
    async with Gateway(servers, servers, InMemoryRuns(), history=history, limits=limits) as gateway:
        tasks = [task("one", "write", "secret"), {"id": "two", "value": {"of": "$OUTPUT[one].n"}}]
        result = await gateway.execute({"tasks": tasks, "return": ["*"]})
    assert "secret" in str(result.outputs)
    kept = await history.run(result.run_id)
    assert kept is not None
    assert "secret" not in str(kept)
    assert "secret" not in str(await history.calls(result.run_id, values=True))
    assert "secret" not in str(await history.settled(result.run_id))
    async with world.gateway() as (gateway, _):
        later = await gateway.wait(result.run_id)
    assert (later.status, later.outputs) == (RunStatus.SUCCESS, {})


async def test_a_desk_without_history_writes_nothing():
    world = World()
    history = MemoryHistory(world.shelf)
    limits = GatewayLimits(kept=Kept.NOT)
    servers = world.servers
    async with Gateway(servers, servers, InMemoryRuns(), history=history, limits=limits) as gateway:
        await gateway.execute({"tasks": [task("one", "write", 1)]})
        await gateway.call("s", "write", {"name": "write", "arguments": {"n": 2}})
    assert world.shelf.runs == {}


async def test_a_call_by_name_is_an_entry_of_its_own():
    world = World()
    async with world.gateway() as (gateway, history):
        await gateway.call("s", "write", {"name": "write", "arguments": {"n": 1}})
        await gateway.call("s", "fail", {"name": "fail", "arguments": {"n": 2}})
        entries = await history.runs(RunQuery(kind=Kind.CALL))
        assert [(entry.name, entry.status) for entry in entries] == [
            ("s:fail", "failed"),
            ("s:write", "success"),
        ]
        [call] = await history.calls(entries[1].id, values=True)
        assert (call.key, call.effect, call.arguments) == (
            CallKey("s:write"),
            Effect.WRITE,
            {"n": 1},
        )
        assert call.output is not None
        assert call.sent_at is not None


async def test_a_call_has_the_same_key_whenever_it_is_sent_and_each_call_its_own():
    world = World()
    world.hangs = {("put", 2)}
    world.failures = {("put", 1): 1}
    retries = {"max": 1, "on": ["tool_error"], "delay_s": 0.1}
    document = {"tasks": [task("all", "put", "$ITEM", for_each=[1, 2, 2], retries=retries)]}
    run_id = await world.interrupted(document)
    await world.gone_on(run_id)
    async with world.gateway() as (gateway, _):
        await gateway.call("s", "put", {"name": "put", "arguments": {"n": 3}})
        world.add("page", lambda n: {"next": n + 1 if n < 12 else None}, idempotentHint=True)
        pages = task("pages", "page", 10, repeat={"set": {"n": "next"}})
        assert (await gateway.execute({"tasks": [pages]})).status is RunStatus.SUCCESS
    by_n = {n: [key for of, key in world.keys if of == n] for n in (1, 2, 3)}
    assert [(len(keys), len(set(keys))) for keys in by_n.values()] == [(2, 1), (4, 2), (1, 1)]
    assert by_n[3] == [None]
    assert len({key for of, key in world.keys if of in (10, 11, 12)}) == 3


async def test_a_word_about_a_call_in_doubt_can_be_said_when_the_run_has_ended():
    world = World()
    world.hangs = {("write", 1)}
    tasks = [task("one", "write", 1), task("two", "write", "$OUTPUT[one].n"), task("three", "put")]
    run_id = await world.interrupted({"tasks": tasks, "return": ["two"]})
    ended = await world.gone_on(run_id)
    assert ended.status is RunStatus.PARTIAL
    result = await world.gone_on(ended.run_id, in_doubt={"one": {"done": {"n": 7}}})
    assert (result.status, result.outputs) == (RunStatus.SUCCESS, {"two": {"n": 7}})
    assert world.log == [("write", 1), ("put", None), ("write", 7)]
    again = await world.gone_on(run_id, in_doubt={"one": "retry"})
    assert again.run_id == result.run_id


async def test_a_word_about_all_calls_holds_where_an_older_one_about_the_task_is_used_up():
    world = World()
    document = {"tasks": [task("one", "write", 1)]}
    world.hangs = {("write", 1)}
    run_id = await world.interrupted(document)
    for says in ({"one": "retry"}, {"*": "retry"}):
        world.hangs = {("write", 1)}
        await world.interrupted({"tasks": [], "resume_from": run_id, "in_doubt": says})
    result = await world.gone_on(run_id, in_doubt={"*": {"done": {"n": 3}}})
    assert (result.outputs, world.writes) == ({"one": {"n": 3}}, Counter({1: 3}))


async def test_a_run_that_was_cancelled_and_interrupted_then_only_cleans_up():
    world = World()
    world.hangs = {("write", 1), ("put", 9)}
    after: dict[str, Any] = {"depends_on": ["one"]}
    tasks = [
        task("one", "write", 1),
        task("two", "write", 2, trigger_rule="all_done", **after),
        task("clean", "put", 9, trigger_rule="always", **after),
    ]
    async with world.gateway() as (gateway, history):
        submitted = await gateway.submit({"tasks": tasks})
        await gateway.wait(submitted.run_id, 1)
        await gateway.cancel(submitted.run_id, seconds=1)
        history.die()
    world.hangs.clear()
    result = await world.gone_on(submitted.run_id)
    assert result.status is RunStatus.CANCELLED
    assert world.log == [("write", 1), ("put", 9), ("put", 9)]
    assert result.record.tasks["one"].error is not None
    assert result.record.tasks["one"].error.code == "cancelled"


async def test_a_call_that_leaves_a_second_time_is_written_once():
    world = World()

    async def twice(caller: Caller, **_: object) -> dict[str, bool]:
        await caller.leave()  # as after a connection that nothing could be sent on
        return {"ok": True}

    world.servers.add(tool("s:twice"), twice)
    async with world.gateway() as (gateway, history):
        result = await gateway.execute({"tasks": [{"id": "a", "tool": "s:twice"}]})
        assert len(await history.calls(result.run_id)) == 1
    [kept] = world.shelf.runs.values()
    assert [type(entry.row).__name__ for entry in kept.entries].count("Intent") == 1


async def test_what_an_earlier_document_did_answers_no_call_of_another():
    world = World()
    tasks = [task("one", "read", 1), task("two", "fail", 2)]
    async with world.gateway() as (gateway, _):
        first = await gateway.execute({"tasks": tasks})
    world.hangs = {("read", 3)}
    repaired = [task("wait", "read", 3), task("two", "write", 2, depends_on=["wait"])]
    run_id = await world.interrupted({"tasks": repaired, "resume_from": first.run_id})
    result = await world.gone_on(run_id)
    assert result.status is RunStatus.SUCCESS
    assert world.writes == Counter([2])


async def test_the_time_since_a_run_was_interrupted_counts(monkeypatch: pytest.MonkeyPatch):
    world = World()
    world.hangs = {("read", 1)}
    tasks = [task("one", "read", 1), task("two", "write", 2, depends_on=["three"])]
    tasks += [task("three", "put", 3), task("four", "write", 4)]
    run_id = await world.interrupted({"tasks": tasks, "timeout_s": 60, "max_concurrency": 1})
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    before = list(world.log)
    assert ("read", 1) in before
    result = await world.gone_on(run_id)
    assert result.status is not RunStatus.SUCCESS
    assert result.record.tasks["two"].status is not Status.SUCCESS
    assert world.log == before
    assert not world.writes


async def test_an_answer_goes_out_after_the_commit_of_what_it_holds():
    class Late(MemoryHistory):
        def add(self, entry: Entry, *, is_urgent: bool = False) -> None:
            self._waiting.append(entry)  # only who waits for a commit gets one

    world = World()
    world.hangs = {("read", 1)}
    servers, history = world.servers, Late(world.shelf)
    async with Gateway(servers, servers, InMemoryRuns(), history=history) as gateway:
        submitted = await gateway.submit({"tasks": [task("one", "read", 1)]})
        await gateway.wait(submitted.run_id, 0)
        history.die()
    async with world.gateway() as (gateway, _):
        assert (await gateway.wait(submitted.run_id)).status is RunStatus.INTERRUPTED


async def test_a_run_goes_on_with_the_settings_that_it_began_with():
    world = World()
    world.hangs = {("read", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "read", 1)]})
    async with world.gateway() as (gateway, _):
        gateway.origin = "other.toml"
        assert await gateway.go_on_with_interrupted() == []
        with pytest.raises(InvalidDag, match="with other settings") as caught:
            await gateway.execute({"tasks": [], "resume_from": run_id})
    assert caught.value.problems[0].code == "plan_changed"


async def test_tasks_of_a_group_without_items_are_written_as_others_are(
    caplog: pytest.LogCaptureFixture,
):
    world = World()
    skipped = task("c", "put", "$OUTPUT[a].n", when="a.n > 3")
    tasks = [task("a", "read", 1), task("b", "fail", "$OUTPUT[a].n"), skipped]
    async with world.gateway() as (gateway, _):
        result = await gateway.execute({"tasks": [{"id": "g", "tasks": tasks}]})
    assert result.status is RunStatus.FAILED
    assert caplog.messages == []


ASK = Policy(tables=(Rules(ask=("s:write",)),))
HELD: dict[str, Any] = {
    "tasks": [
        task("r", "read", 7),
        task("w", "write", "$OUTPUT[r].n"),
        task("v", "write", 8),
        task("z", "read", "$OUTPUT[w].n"),
    ]
}


async def test_a_run_that_waits_for_a_person_survives_the_death_of_its_gateway():
    world = World()
    world.policy = ASK
    run_id = await world.interrupted(HELD)
    async with world.gateway() as (gateway, _):
        record = await gateway.recall(run_id)
        assert record.status is RunStatus.WAITING
        assert record.approval is not None
        assert [call["task"] for call in record.approval["calls"]] == ["w", "v"]
        later = await gateway.approve(run_id, record.approval["digest"])
        result = await gateway.wait(later)
    assert (result.status, later == run_id) == (RunStatus.SUCCESS, False)
    assert world.writes == Counter([7, 8])
    assert world.log.count(("read", 7)) == 2  # r, once for both runs, and z


async def test_a_gateway_that_ends_leaves_a_run_that_waits_to_the_next():
    world = World()
    world.policy = ASK
    async with world.gateway() as (gateway, history):
        first = await gateway.execute(HELD)
        assert first.status is RunStatus.WAITING
    history.die()  # as the process ends
    async with world.gateway() as (gateway, _):
        record = await gateway.recall(first.run_id)
        assert record.status is RunStatus.WAITING
        assert record.approval is not None
        later = await gateway.approve(first.run_id, record.approval["digest"], ["v"])
        result = await gateway.wait(later)
        with pytest.raises(StaleApproval):
            await gateway.approve(first.run_id, record.approval["digest"])
    assert (result.status, world.writes) == (RunStatus.PARTIAL, Counter([8]))
    assert [error.code for error in result.errors] == ["approval_denied", "dependency_failed"]


async def test_an_equal_document_goes_on_with_a_run_that_was_left_waiting():
    world = World()
    world.policy = ASK
    run_id = await world.interrupted(HELD)
    async with world.gateway() as (gateway, _):
        again = await gateway.execute(HELD)
        assert (again.status, again.run_id == run_id) == (RunStatus.WAITING, False)
        approval = gateway.approval(again.run_id)
        assert approval is not None
        await gateway.approve(again.run_id, approval.digest)
        result = await gateway.wait(again.run_id)
        assert (result.status, world.writes) == (RunStatus.SUCCESS, Counter([7, 8]))
        assert world.log.count(("read", 7)) == 2
        new = await gateway.execute(HELD)  # all was answered, so this is meant
        assert (new.status, new.run_id in {run_id, again.run_id}) == (RunStatus.WAITING, False)


async def test_an_equal_document_under_other_settings_does_not_go_on_with_a_run_that_was_left():
    world = World()
    world.policy = ASK
    run_id = await world.interrupted(HELD)
    async with world.gateway() as (gateway, _):
        gateway.origin = "/other/servers.toml"
        new = await gateway.execute(HELD)
        assert (new.status, new.record.dag.resume_from) == (RunStatus.WAITING, None)
        assert new.run_id != run_id


async def test_a_gateway_that_stops_twice_leaves_a_run_that_waits_as_it_is():
    world = World()
    world.policy = ASK
    async with world.gateway() as (gateway, history):
        first = await gateway.execute(HELD)
        gateway.cancel_all()
        gateway.cancel_all()
    history.die()
    async with world.gateway() as (gateway, _):
        assert (await gateway.recall(first.run_id)).status is RunStatus.WAITING


async def test_a_yes_that_comes_once_a_run_is_left_to_others_sends_nothing(
    caplog: pytest.LogCaptureFixture,
):
    """The gateway ends, and waits for what another run cleans up."""

    class Slow(FakeCaller):
        async def ask_person(self, method: str, params: JsonObject) -> JsonObject:
            await anyio.sleep(10)
            return {"action": "accept", "content": {"answer": "yes"}}

    world = World()
    world.policy = ASK
    world.hangs, world.delays = {("read", 1)}, {("put", 2): 4}
    clean = task("clean", "put", 2, depends_on=["hang"], trigger_rule="always")
    async with world.gateway() as (gateway, history):
        await gateway.submit({"tasks": [task("hang", "read", 1), clean]})
        stopped = {"tasks": [task("w", "write", 9, trigger_rule="always")], "cleanup_s": 2}
        timed = await gateway.submit({**stopped, "timeout_s": 8})
        held = await gateway.submit(HELD, Slow())
        await anyio.sleep(1)
        await gateway.cancel(timed.run_id, seconds=0)
        await anyio.sleep(8)
    history.die()
    assert (world.log[-1], world.writes) == (("put", 2), Counter())
    assert caplog.messages == []
    async with world.gateway() as (gateway, _):
        record = await gateway.recall(held.run_id)
        assert record.approval is not None
        later = await gateway.approve(held.run_id, record.approval["digest"])
        assert (await gateway.wait(later)).status is RunStatus.SUCCESS
    assert world.writes == Counter([7, 8])


async def test_an_answer_reaches_a_run_of_another_process():
    world = World()
    world.policy = ASK
    async with world.gateway() as (gateway, _), world.gateway() as (other, _):
        first = await gateway.execute(HELD)
        record = await other.recall(first.run_id)
        assert record.approval is not None
        with pytest.raises(StaleApproval):
            await other.approve(first.run_id, "0" * 64)
        assert await other.approve(first.run_id, record.approval["digest"]) == first.run_id
        result = await gateway.wait(first.run_id)
    assert (result.status, world.writes) == (RunStatus.SUCCESS, Counter([7, 8]))


async def test_a_question_that_was_withdrawn_is_in_the_history_as_that():
    world = World()
    world.policy = Policy(tables=(Rules(ask=("write",)),))
    tasks = [task("w", "write", 7), task("p", "put", 8)]
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": tasks})
        world.servers.add(tool("s:put", description="another"), print)
        gateway.engine.tools_changed()
        await anyio.sleep(1)
        approval = gateway.approval(held.run_id)
        assert approval is not None
        await gateway.approve(held.run_id, approval.digest)
        result = await gateway.wait(held.run_id)
    assert [error.code for error in result.errors] == ["tool_changed"]
    assert world.writes == Counter([7])


@pytest.mark.parametrize("first", ["v", "w"])
async def test_of_two_answers_at_once_from_two_processes_the_loser_knows_that_it_lost(first: str):
    world = World()
    world.policy = ASK
    said: dict[str, str] = {}

    async def answer(gateway: Gateway, run_id: str, digest: str, place: str) -> None:
        try:
            await gateway.approve(run_id, digest, [place])
        except StaleApproval as error:
            said[place] = str(error)
        else:
            said[place] = "counted"

    async with (
        world.gateway() as (gateway, _),
        world.gateway() as (one, _),
        world.gateway() as (two, _),
    ):
        held = await gateway.execute(HELD)
        digest = (await one.recall(held.run_id)).approval["digest"]  # type: ignore[index]  # it waits
        await two.recall(held.run_id)
        places = [first, *{"v", "w"} - {first}]
        async with anyio.create_task_group() as tasks:
            for process, place in zip((one, two), places, strict=True):
                tasks.start_soon(answer, process, held.run_id, digest, place)
        await gateway.wait(held.run_id)
    [winner] = world.writes
    won = {7: "w", 8: "v"}[winner]
    assert said.pop(won) == "counted"
    assert "Another answer came first" in said.popitem()[1]


async def test_a_yes_that_was_given_before_a_crash_is_kept_and_good_for_what_was_not_sent():
    world = World()
    world.policy = ASK
    world.hangs = {("write", 7)}
    world.limits = GatewayLimits(Limits(1))
    async with world.gateway() as (gateway, history):
        first = await gateway.execute(HELD)
        approval = gateway.approval(first.run_id)
        assert approval is not None
        await gateway.approve(first.run_id, approval.digest)
        await gateway.wait(first.run_id, 5)
        history.die()
    assert world.writes == Counter([7])
    world.hangs.clear()
    result = await world.gone_on(first.run_id)
    assert world.writes == Counter([7, 8])  # 8 was approved and not sent; 7 is in doubt
    assert {error.code for error in result.errors} == {"in_doubt", "dependency_failed"}


async def test_a_no_that_was_given_before_a_crash_is_kept_and_nobody_is_asked_again():
    world = World()
    world.policy = ASK
    world.hangs = {("read", 5)}
    each = task("each", "write", "$ITEM", for_each=[1, 2])
    document = {"tasks": [each, task("v", "write", 8), task("hang", "read", 5)]}
    async with world.gateway() as (gateway, history):
        submitted = await gateway.submit(document)
        await anyio.sleep(31)  # it asks although something else goes on
        approval = gateway.approval(submitted.run_id)
        assert approval is not None
        await gateway.approve(submitted.run_id, approval.digest, ["each[1]"])
        await gateway.wait(submitted.run_id, 5)
        history.die()
    assert world.writes == Counter([2])
    world.hangs.clear()
    result = await world.gone_on(submitted.run_id)
    assert (result.status, world.writes) == (RunStatus.PARTIAL, Counter([2]))
    assert {error.code for error in result.errors} == {"approval_denied"}
    assert result.record.tasks["v"].attempts == 0  # nothing was sent


async def test_a_call_in_doubt_needs_another_yes_to_be_sent_again():
    world = World()
    world.policy = ASK
    world.hangs = {("write", 7)}
    async with world.gateway() as (gateway, history):
        first = await gateway.execute(HELD)
        approval = gateway.approval(first.run_id)
        assert approval is not None
        await gateway.approve(first.run_id, approval.digest)
        await gateway.wait(first.run_id, 5)
        history.die()
    world.hangs.clear()
    result = await world.gone_on(first.run_id, in_doubt={"w": "retry"})
    assert result.status is RunStatus.WAITING
    assert result.record.approval is not None
    assert [call["task"] for call in result.record.approval["calls"]] == ["w"]
    assert world.writes == Counter([7, 8])


async def test_a_preview_is_applied_by_the_next_gateway():
    world = World()
    run_id = await world.interrupted({**HELD, "preview": True})
    assert world.writes == Counter()
    async with world.gateway() as (gateway, _):
        submitted = await gateway.submit({"tasks": [], "apply": run_id})
        result = await gateway.wait(submitted.run_id)
    assert (result.status, world.writes) == (RunStatus.SUCCESS, Counter([7, 8]))
