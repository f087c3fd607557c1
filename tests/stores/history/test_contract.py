"""The promises of every history: one file of tests, for the file and for its twin in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plait.core.audit import AuditRow, ChainCheck, What
from plait.core.history import (
    ASKED,
    CANCEL,
    DECIDED,
    Admission,
    Answered,
    CallKey,
    Durable,
    Effect,
    Ending,
    Happened,
    Intent,
    Kind,
    Limits,
    Outcome,
    Post,
    RunQuery,
    Settled,
)
from plait.core.history_store import History
from plait.core.results.figures import by_server
from plait.core.scheduling.events import Failure, Status
from plait.core.tools.output import Output
from plait.core.values.principal import USER, Principal
from plait.core.values.strict import Json, JsonObject
from plait.errors import HistoryLost, HistoryUnavailable

from .worlds import BEGAN, DAY, World, admit, call, end

ALICE, BOB = Principal("alice"), Principal("bob")
FAILURE = Failure("timeout", "no answer in 2 s", "Give it more time.", True, None)


async def test_what_is_committed_survives_and_what_is_not_does_not(world: World):
    first = await world.open()
    log = world.begin(first)
    call(log, "a", {"n": 1})
    assert await log.committed()
    call(log, "b", {"n": 2})
    await world.kill(first)
    chain = await world.chain(await world.open(), log.id)
    assert chain.head.entry.status == "interrupted"
    assert chain.head.document == {"tasks": [{"id": "a"}]}
    assert {key.task: kept.output for key, kept in chain.calls.items()} == {
        "a": Output.of({"n": 1})
    }


async def test_a_run_of_a_living_process_is_running_and_not_taken_over(world: World):
    first, second = await world.open(), await world.open()
    log = world.begin(first)
    await log.committed()
    assert (await world.chain(second, log.id)).head.entry.status == "running"
    assert await world.resume(second, log.id, says={"a": "retry"}, anew=True) == (log.id, None)


async def test_one_of_many_resumers_takes_over_and_the_others_get_its_run(world: World):
    first = await world.open()
    log = world.begin(first)
    await log.committed()
    await world.kill(first)
    others = [await world.open() for _ in range(3)]
    chains = [await world.chain(other, log.id) for other in others]
    taken = await asyncio.gather(
        *[
            other.go_on(chain, world.beginning())
            for other, chain in zip(others, chains, strict=True)
        ]
    )
    winners = [one for one in taken if one.log is not None]
    assert len(winners) == 1
    assert {one.run_id for one in taken} == {winners[0].run_id}


async def test_a_call_with_an_intent_and_no_outcome_is_in_doubt(world: World):
    first = await world.open()
    log = world.begin(first)
    admit(log, "sent", Effect.WRITE, arguments={"to": "you"})
    admit(log, "read", Effect.READ)
    call(log, "done", 7, Effect.IDEMPOTENT)
    await log.committed()
    await world.kill(first)
    chain = await world.chain(await world.open(), log.id)
    assert {key.task: kept.code for key, kept in chain.calls.items()} == {
        "sent": None,
        "done": "success",
    }
    sent = chain.calls[CallKey("sent")]
    assert (sent.effect, sent.arguments, sent.tool) == (Effect.WRITE, {"to": "you"}, "s:write")
    assert chain.root == log.id
    assert not chain.has_restarted


async def test_any_run_of_a_chain_leads_to_the_last_with_all_that_any_of_them_did(world: World):
    first = await world.open()
    log = world.begin(first)
    call(log, "a", 1)
    await log.committed()
    await world.kill(first)
    second = await world.open()
    went_on = (await world.resume(second, log.id)).log
    assert went_on is not None
    assert went_on.root == log.id
    call(went_on, "b", 2, Effect.WRITE)
    await went_on.committed()
    await world.kill(second)
    third = await world.open()
    chain = await world.chain(third, log.id)
    assert chain.head.entry.id == went_on.id
    assert chain.head.entry.resumed_from == log.id
    assert {key.task: kept.run for key, kept in chain.calls.items()} == {
        "a": log.id,
        "b": went_on.id,
    }
    last = (await world.resume(third, log.id)).log
    assert last is not None
    call(last, "c", 3)
    await last.committed()
    numbers = [kept.admitted for kept in (await world.chain(third, log.id)).calls.values()]
    assert numbers == sorted(set(numbers))


async def test_who_read_a_chain_before_another_went_on_gets_that_run(world: World):
    first = await world.open()
    log = world.begin(first)
    await log.committed()
    await world.kill(first)
    slow, fast = await world.open(), await world.open()
    seen = await world.chain(slow, log.id)
    taken = await world.resume(fast, log.id)
    await world.kill(fast)
    assert await slow.go_on(seen, world.beginning()) == (taken.run_id, None)


async def test_a_chain_that_ended_goes_on_only_if_something_new_is_said(world: World):
    history = await world.open()
    log = world.begin(history)
    end(log, "failed")
    await log.committed()
    assert await world.resume(history, log.id) == (log.id, None)
    assert (await world.resume(history, log.id, anew=True)).log is not None


async def test_a_new_start_of_the_machine_leaves_a_chain_uncertain_for_good(world: World):
    first = await world.open()
    log = world.begin(first)
    call(log, "before")
    await log.committed()
    await world.kill(first)
    world.restart_machine()
    second = await world.open()
    assert (await world.chain(second, log.id)).has_restarted
    went_on = (await world.resume(second, log.id)).log
    assert went_on is not None
    call(went_on, "after")
    await went_on.committed()
    await world.kill(second)
    third = await world.open()
    chain = await world.chain(third, log.id)
    assert chain.has_restarted
    assert chain.uncertain == {CallKey("after")}


@pytest.mark.parametrize("durable", [Durable.POWER, Durable.PROCESS])
async def test_a_run_that_survives_power_cuts_is_certain_after_one(world: World, durable: Durable):
    first = await world.open()
    log = world.begin(first, durable=durable)
    await log.committed()
    await world.kill(first)
    world.restart_machine()
    chain = await world.chain(await world.open(), log.id)
    assert chain.has_restarted is (durable is Durable.PROCESS)


async def test_an_ended_run_is_certain_after_a_power_cut(world: World):
    first = await world.open()
    log = world.begin(first)
    end(log)
    await log.committed()
    await world.kill(first)
    world.restart_machine()
    assert not (await world.chain(await world.open(), log.id)).has_restarted


async def test_a_word_about_a_task_in_doubt_outlives_the_process_that_was_given_it(world: World):
    first = await world.open()
    log = world.begin(first)
    admit(log, "w")
    await log.committed()
    await world.kill(first)
    second = await world.open()
    await world.resume(second, log.id, says={"w": {"done": 5}})
    await world.kill(second)
    third = await world.open()
    assert (await world.chain(third, log.id)).said == {"w": {"done": 5}}
    await world.resume(third, log.id, says={"w": "retry"})
    assert (await world.chain(third, log.id)).said == {"w": "retry"}


async def test_a_run_whose_disk_fails_goes_on_is_lost_and_stays_so(world: World):
    first = await world.open()
    log = world.begin(first)
    assert await log.committed()
    world.break_disk(first)
    admit(log, "w")
    await log.secure()
    assert log.is_lost
    assert not await log.committed()
    assert first.trouble
    await world.kill(first)
    second = await world.open()
    chain = await world.chain(second, log.id)
    assert chain.head.entry.is_lost
    with pytest.raises(HistoryLost, match="not all that it did was written"):
        await second.go_on(chain, world.beginning())


async def test_no_call_leaves_if_its_loss_cannot_be_noted(world: World):
    history = await world.open()
    log = world.begin(history)
    world.break_disk(history)
    world.break_runtime(history)
    admit(log, "w")
    with pytest.raises(HistoryUnavailable, match="written nowhere"):
        await log.secure()


async def test_no_call_of_a_run_that_is_to_survive_a_power_cut_leaves_unwritten(world: World):
    history = await world.open()
    world.break_disk(history)
    log = world.begin(history, durable=Durable.POWER)
    with pytest.raises(HistoryUnavailable, match="power cut"):
        await log.secure()


async def test_a_run_that_survives_nothing_is_written_when_it_has_ended(world: World):
    history = await world.open()
    log = world.begin(history, durable=Durable.OFF)
    call(log, "a", "x", Effect.WRITE)
    await log.secure()
    assert await log.committed()
    assert await history.run(log.id) is None
    end(log)
    assert await log.committed()
    assert [kept.output for kept in await history.calls(log.id, values=True)] == [Output.of("x")]


async def test_a_disk_that_is_well_again_writes_new_runs(world: World):
    history = await world.open()
    world.break_disk(history)
    lost = world.begin(history)
    assert not await lost.committed()
    world.repair_disk(history)
    log = world.begin(history)
    assert await log.committed()
    assert history.trouble is None
    end(lost)
    assert not await lost.committed()
    await world.settle(history)
    kept = await history.run(lost.id)
    assert kept is not None
    assert kept.entry.is_lost
    assert kept.record == {"id": lost.id, "status": "success"}


@pytest.mark.parametrize("size", [0, 10, 250, 260, 100_000, 3_000_000])
async def test_outputs_of_all_sizes_come_back_whole(world: World, size: int):
    history = await world.open()
    log = world.begin(history)
    value: Json = {"text": "é" * (size // 2), "n": [1, 2.5, None, True, 2**70]}
    picture: JsonObject = {"type": "image", "data": "A" * size, "mimeType": "image/png"}
    call(log, "plain", value, arguments={"text": "é" * size})
    key = admit(log, "picture", Effect.READ)
    output = Output(value, (picture,), 2, True, 7, (1, 0))
    log.put(Outcome(key, 1, 0.1, output))
    assert await log.committed()
    plain, shown = await history.calls(log.id, values=True)
    assert plain.output == Output.of(value)
    assert plain.arguments == {"text": "é" * size}
    assert shown.output == output


async def test_a_call_is_kept_with_all_that_is_known_of_it(world: World):
    history = await world.open()
    log = world.begin(history)
    key = CallKey("g.t", 3, (1, 2), 4)
    call(log, "g.t", error=FAILURE, key=key, at=1.25, took_s=0.5, arguments={"q": "x"})
    call(log, "g.t", 5, key=key, attempt=2, at=2.0)
    log.put(Admission(CallKey("hit"), 1, 3.0, "s:read", Effect.READ, {}))
    log.put(Outcome(CallKey("hit"), 1, 3.0, Output.of(1), cached=True))
    await log.committed()
    failed, again, hit = await history.calls(log.id, values=True)
    assert (failed.key, failed.attempt, failed.code, failed.error) == (key, 1, "timeout", FAILURE)
    assert (failed.admitted_at, failed.sent_at, failed.ended_at) == (1.25, 1.25, 1.75)
    assert (again.key, again.attempt, again.output) == (key, 2, Output.of(5))
    assert (hit.sent_at, hit.cached, hit.code) == (None, True, "success")
    assert [(one.admitted, one.ended) for one in (failed, again, hit)] == [(1, 2), (3, 4), (5, 6)]
    assert failed.arguments_digest != again.arguments_digest
    without = await history.calls(log.id)
    assert [(one.arguments, one.output) for one in without] == [(None, None)] * 3
    assert without[0].arguments_digest == failed.arguments_digest


async def test_a_question_is_open_until_it_was_answered(world: World):
    first = await world.open()
    log = world.begin(first)
    await log.committed()
    assert await first.question(log.id) is None
    log.put(Happened(1.0, ASKED, None, {"digest": "x"}))
    await log.committed()
    assert await first.question(log.id) == {"digest": "x"}
    log.put(Happened(2.0, DECIDED, None, {"approved": []}))
    log.put(Happened(3.0, "woke", CallKey("a")))
    await log.committed()
    assert await first.question(log.id) is None
    log.put(Happened(4.0, ASKED, None, {"digest": "y"}))
    await log.committed()
    await world.kill(first)
    assert await (await world.open()).question(log.id) == {"digest": "y"}
    assert await (await world.open()).question("r_unknown") is None


async def test_events_that_end_no_call_are_kept_in_their_places(world: World):
    history = await world.open()
    log = world.begin(history)
    call(log, "a")
    log.put(Happened(1.5, "woke", CallKey("a", 1, (2,))))
    call(log, "b")
    log.put(Happened(2.5, "cancel_requested", detail={"at_once": True}))
    await log.committed()
    events = await history.events(log.id)
    assert [(one.number, one.event) for one in events] == [
        (3, Happened(1.5, "woke", CallKey("a", 1, (2,)))),
        (6, Happened(2.5, "cancel_requested", None, {"at_once": True})),
    ]


async def test_the_output_of_a_task_is_that_of_its_call_unless_it_settled_with_another(
    world: World,
):
    history = await world.open()
    log = world.begin(history)
    call(log, "a", error=FAILURE)
    call(log, "a", {"n": 1}, attempt=2)
    call(log, "s", {"n": 2})
    log.put(Settled("s", 0.5, Status.SUCCESS, None, Output.of(2)))
    log.put(Settled("skipped", 0.5, Status.SKIPPED, Failure("condition", "no")))
    call(log, "items", 1, key=CallKey("items", 0))
    await log.committed()
    assert await history.output(log.id, "a") == Output.of({"n": 1})
    assert await history.output(log.id, "s") == Output.of(2)
    assert await history.output(log.id, "skipped") is None
    assert await history.output(log.id, "items") is None
    assert await history.output("r_none", "a") is None
    assert await history.settled(log.id) == [
        Settled("s", 0.5, Status.SUCCESS, None, Output.of(2)),
        Settled("skipped", 0.5, Status.SKIPPED, Failure("condition", "no")),
    ]


async def test_a_run_that_went_on_has_the_outputs_of_the_runs_before_it(world: World):
    first = await world.open()
    log = world.begin(first)
    call(log, "a", 1)
    log.put(Settled("s", 0.5, Status.SUCCESS, None, Output.of(2)))
    await log.committed()
    await world.kill(first)
    second = await world.open()
    went_on = (await world.resume(second, log.id)).log
    assert went_on is not None
    call(went_on, "b", 3)
    await went_on.committed()
    found = [await second.output(went_on.id, task) for task in ("a", "s", "b")]
    assert found == [Output.of(1), Output.of(2), Output.of(3)]
    assert await second.output(log.id, "b") is None


async def test_without_values_all_else_is_kept_and_nothing_goes_on_from_it(world: World):
    first = await world.open()
    log = world.begin(first, keeps_values=False)
    call(log, "a", "secret", arguments={"x": "secret"})
    log.put(Settled("s", 0.5, Status.SUCCESS, None, Output.of("secret")))
    await log.committed()
    await world.kill(first)
    second = await world.open()
    [kept] = await second.calls(log.id, values=True)
    assert (kept.code, kept.output, kept.arguments) == ("success", None, None)
    assert kept.arguments_digest
    assert await second.output(log.id, "a") is None
    assert await second.output(log.id, "s") is None
    with pytest.raises(HistoryLost, match="not kept"):
        await world.resume(second, log.id)


async def test_runs_are_listed_by_what_is_asked_the_latest_first(world: World):
    history = await world.open()
    for number, (status, owner, tool, kind) in enumerate(
        [
            ("success", ALICE, "git:log", Kind.DAG),
            ("partial", ALICE, "git:commit", Kind.DAG),
            ("success", BOB, "web:get", Kind.CALL),
        ]
    ):
        log = world.begin(
            history,
            principal=owner,
            kind=kind,
            began=BEGAN + number,
            document_digest=f"d{number}",
        )
        call(log, "t", tool=tool)
        end(log, status, failed=int(status == "partial"))
        await log.committed()
    running = world.begin(history, began=BEGAN + 3)
    await running.committed()

    async def found(**query: object) -> list[str]:
        return [entry.id for entry in await history.runs(RunQuery(**query))]  # type: ignore[arg-type]  # rows of this test

    assert await found() == ["r_4", "r_3", "r_2", "r_1"]
    assert await found(limit=2) == ["r_4", "r_3"]
    assert await found(principal=ALICE) == ["r_2", "r_1"]
    assert await found(kind=Kind.CALL) == ["r_3"]
    assert await found(failed=True) == ["r_2"]
    assert await found(status="running") == ["r_4"]
    assert await found(since=BEGAN + 1) == ["r_4", "r_3"]
    assert await found(tool="git:*") == ["r_2", "r_1"]
    assert await found(tool="git:[!l]*") == ["r_2"]
    assert await found(tool="nothing*") == []
    assert await found(document_digest="d1") == ["r_2"]
    assert await found(document_digest="d1", principal=BOB) == []
    assert await found(prefix="r_3") == ["r_3"]
    assert await found(prefix="R") == []


async def test_a_run_whose_answer_may_be_lost_is_listed_until_it_is_answered(world: World):
    first = await world.open()

    async def ended(effect: Effect, **fields: Any) -> str:
        log = world.begin(first, **fields)
        call(log, "a", 1, effect)
        end(log)
        assert await log.committed()
        return log.id

    lost = await ended(Effect.WRITE, is_awaited=True, document_digest="this")
    put = await ended(Effect.IDEMPOTENT, is_awaited=True)
    await ended(Effect.READ, is_awaited=True)
    await ended(Effect.WRITE)
    answered = world.begin(first, is_awaited=True)
    call(answered, "a", 1, Effect.WRITE)
    end(answered)
    await answered.committed()
    answered.put(Answered())
    at_once = world.begin(first, is_awaited=True)
    call(at_once, "a", 1, Effect.WRITE)
    end(at_once)
    at_once.put(Answered())
    interrupted = world.begin(first, is_awaited=True)
    call(interrupted, "a", 1, Effect.WRITE)
    await world.settle(first)
    other = await world.open()
    unanswered = RunQuery(is_unanswered=True)
    assert await other.runs(unanswered) == []  # they may still be answered
    await world.kill(first)
    assert [run.id for run in await other.runs(unanswered)] == [put, lost]
    assert [run.id for run in await other.runs(unanswered._replace(document_digest="this"))] == [
        lost
    ]
    assert await other.runs(unanswered._replace(principal=BOB)) == []
    assert await other.runs(unanswered._replace(since=BEGAN)) == []
    assert len(await other.runs(unanswered._replace(since=BEGAN - 1))) == 2
    went_on = world.beginning(is_awaited=True)
    taken = await other.go_on(await world.chain(other, interrupted.id), went_on)
    assert taken.log is not None
    call(taken.log, "b", 1, Effect.WRITE)
    end(taken.log)
    await taken.log.committed()
    await world.kill(other)
    third = await world.open()
    assert [run.id for run in await third.runs(unanswered)] == [went_on.id, put, lost]
    await third.answered(put)
    await third.answered("r_unknown")
    assert [run.id for run in await third.runs(unanswered)] == [went_on.id, lost]
    world.break_disk(third)
    with pytest.raises(HistoryLost):
        await third.answered(lost)


async def test_an_interrupted_run_is_listed_as_such_and_as_failed(world: World):
    first = await world.open()
    log = world.begin(first, document_digest="d")
    await log.committed()
    await world.kill(first)
    second = await world.open()
    for query in (
        RunQuery(status="interrupted"),
        RunQuery(failed=True),
        RunQuery(status="interrupted", document_digest="d", principal=USER, since=BEGAN - 1),
    ):
        assert [entry.status for entry in await second.runs(query)] == ["interrupted"]
    assert await second.runs(RunQuery(status="running")) == []


async def test_all_that_a_run_began_and_ended_with_is_kept(world: World):
    history = await world.open()
    beginning = world.beginning(
        kind=Kind.DAG,
        durable=Durable.POWER,
        principal=ALICE,
        client="c1",
        desk="/work",
        name="nightly",
        document_digest="dd",
        catalog_digest="cd",
        deadline=BEGAN + 60,
        document={"tasks": ["x" * 500]},
    )
    log = history.begin(beginning)
    log.put(Ending(2.5, "partial", {"record": 1}, 12, 3))
    await log.committed()
    kept = await history.run(log.id, ALICE)
    assert kept is not None
    entry = kept.entry
    assert (kept.document, kept.record) == (beginning.document, {"record": 1})
    assert (entry.client, entry.desk, entry.name) == ("c1", "/work", "nightly")
    assert (entry.document_digest, entry.catalog_digest) == ("dd", "cd")
    assert (entry.began, entry.ended, entry.deadline) == (BEGAN, BEGAN + 2.5, BEGAN + 60)
    assert (entry.calls, entry.failed, entry.status) == (12, 3, "partial")
    assert (entry.kind, entry.durable) == (Kind.DAG, Durable.POWER)
    assert (entry.is_lost, entry.has_values, entry.why_final) == (False, True, None)


async def test_a_foreign_run_looks_like_one_that_never_was(world: World):
    history = await world.open()
    log = world.begin(history, principal=ALICE)
    await log.committed()
    assert await history.run(log.id, BOB) is None
    assert await history.chain(log.id, BOB) is None
    assert await history.run("r_none", ALICE) is None
    assert await history.chain("r_none", ALICE) is None
    assert await history.run(log.id, ALICE) is not None


async def test_statistics_are_kept_from_attempts_for_each_tool_and_server(world: World):
    first, second = await world.open(), await world.open()
    log, other = world.begin(first), world.begin(second)
    for number in range(99):
        call(log, f"t{number}", tool="s:read", took_s=(number + 1) / 1_000)
    call(log, "late", error=FAILURE, tool="s:read", took_s=0.1)
    log.put(Admission(CallKey("hit"), 1, 3.0, "s:read", Effect.READ, {}))
    log.put(Outcome(CallKey("hit"), 1, 3.0, Output.of(1), cached=True))
    call(other, "w", tool="s:write", took_s=1.0)
    await log.committed()
    await other.committed()
    read, write = await first.statistics()
    assert (read.name, read.count, read.failures) == ("s:read", 100, {"timeout": 1})
    assert (round(read.min_ms), round(read.max_ms), round(read.mean_ms, 1)) == (1, 100, 50.5)
    assert read.percentile_ms(0.5) == pytest.approx(50, rel=0.06)
    assert read.percentile_ms(0.95) == pytest.approx(95, rel=0.06)
    [server] = by_server([read, write])
    assert (server.name, server.count, round(server.max_ms)) == ("s", 101, 1_000)


async def test_retention_deletes_the_oldest_and_leaves_what_runs(world: World):
    history = await world.open()
    running = world.begin(history, began=BEGAN - 40 * DAY)
    kept = [running.id]
    for number in range(6):
        log = world.begin(history, began=BEGAN - 40 * DAY + number)
        call(log, "a", "x" * 500)
        end(log)
        await log.committed()
        kept.append(log.id)
    by_name = world.begin(history, kind=Kind.CALL, began=BEGAN - 50 * DAY)
    end(by_name)
    await by_name.committed()
    assert await history.trim(Limits(keep_days=60, keep_runs=4)) == 3
    left = [entry.id for entry in await history.runs(RunQuery(kind=Kind.DAG))]
    assert left == [kept[6], kept[5], kept[4], running.id]
    assert await history.run(by_name.id) is not None
    assert await history.trim(Limits(keep_days=60, keep_calls=0)) == 1
    assert await history.run(by_name.id) is None
    assert await history.trim(Limits(keep_days=30)) == 3
    assert [entry.id for entry in await history.runs(RunQuery())] == [running.id]
    assert await history.trim(Limits(keep_days=0, keep_bytes=0)) == 0


async def test_retention_deletes_interrupted_runs_and_whole_chains(world: World):
    first = await world.open()
    log = world.begin(first, began=BEGAN - 40 * DAY)
    await log.committed()
    await world.kill(first)
    second = await world.open()
    taken = (await world.resume(second, log.id)).log
    assert taken is not None
    assert await second.trim(Limits()) == 0
    end(taken)
    await taken.committed()
    assert await second.trim(Limits()) == 0
    world.now = BEGAN + 40 * DAY
    assert await second.trim(Limits()) == 1
    assert await second.runs(RunQuery()) == []


async def test_a_chain_that_was_deleted_meanwhile_does_not_go_on(world: World):
    first = await world.open()
    log = world.begin(first)
    end(log)
    await log.committed()
    chain = await world.chain(first, log.id)
    await first.trim(Limits(keep_runs=0))
    with pytest.raises(HistoryLost, match="not kept any more"):
        await first.go_on(chain, world.beginning(), anew=True)


async def test_what_is_posted_reaches_the_process_of_the_run_once_and_in_order(world: World):
    first, second, other = await world.open(), await world.open(), await world.open()
    log, others = world.begin(first), world.begin(other)
    await log.committed()
    await others.committed()
    posts = [Post(log.id, CANCEL, ALICE), Post(log.id, "approve", BOB, {"call": [1, "é"]})]
    for post in posts:
        assert await second.post(post)
    assert await second.post(Post(others.id, CANCEL, ALICE))
    assert await taken(first) == posts
    assert await taken(other) == [Post(others.id, CANCEL, ALICE)]
    assert await second.post(posts[1])
    assert await taken(first) == posts[1:]


async def test_nothing_is_posted_to_a_run_that_does_not_go_on(world: World):
    first, second = await world.open(), await world.open()
    ended, cut = world.begin(first), world.begin(first)
    end(ended)
    await ended.committed()
    await cut.committed()
    await world.kill(first)
    for run_id in (ended.id, cut.id, "r_none"):
        assert not await second.post(Post(run_id, CANCEL, USER))


async def test_a_post_that_cannot_be_written_is_not_lost_in_silence(world: World):
    first, second = await world.open(), await world.open()
    log = world.begin(first)
    await log.committed()
    world.break_disk(second)
    with pytest.raises(HistoryLost):
        await second.post(Post(log.id, CANCEL, USER))


async def test_the_definitions_of_the_tools_of_a_run_are_kept_by_their_digest(world: World):
    history = await world.open()
    definitions: list[Json] = [["s:a", {"name": "a", "inputSchema": {"type": "object"}}, True]]
    first = world.begin(history, catalog_digest="d1", definitions=lambda: definitions)
    await first.committed()
    second = world.begin(history, catalog_digest="d1", definitions=lambda: definitions)
    without = world.begin(history)
    for log in (first, second, without):
        end(log)
        await log.committed()
    assert await history.definitions(first.id) == definitions
    assert await history.definitions(second.id) == definitions
    assert await history.definitions(without.id) is None
    assert await history.definitions("r_none") is None
    await history.trim(Limits(keep_runs=2))
    assert await history.definitions(second.id) == definitions


async def test_the_runs_of_a_chain_are_listed_in_their_order(world: World):
    first = await world.open()
    log = world.begin(first)
    await log.committed()
    await world.kill(first)
    second = await world.open()
    other = world.begin(second)
    taken = (await world.resume(second, log.id)).run_id
    await other.committed()
    for run_id in (log.id, taken):
        assert await second.links(run_id) == [log.id, taken]
    assert await second.links(other.id) == [other.id]
    assert await second.links("r_none") == []


async def test_a_run_that_is_as_it_was_written_is_not_damaged(world: World):
    history = await world.open()
    log = world.begin(history)
    call(log, "small", 1, Effect.WRITE)
    call(log, "large", "x" * 200_000, arguments={"to": "y" * 1_000})
    call(log, "bad", error=FAILURE)
    admit(log, "sent")
    log.put(Settled("set", 1.0, Status.SUCCESS, None, Output.of("z" * 1_000)))
    end(log)
    await log.committed()
    assert await history.damage(log.id) is None
    assert await history.damage("r_none") is None


async def taken(history: History) -> list[Post]:
    """Return what is taken next, if there is anything."""
    while not (posts := await history.posted()):
        pass
    return posts


def row(what: What = What.SENT, at: float = BEGAN, **fields: Any) -> AuditRow:
    return AuditRow(at, what, USER, tool="git:push", **fields)


async def audited(history: History) -> tuple[list[JsonObject], str | None]:
    """The rows of the audit, and where its chain is broken."""
    check = ChainCheck()
    found: list[JsonObject] = []
    end = await history.audited(lambda number, line: found.append(check.add(number, line)))
    return found, check.fault(end)


async def test_rows_of_the_audit_of_all_processes_are_one_chain(world: World):
    histories = [await world.open() for _ in range(2)]
    for number in range(40):
        histories[number % 2].audit(row(run=f"r_{number}"))
        await world.settle(histories[number % 2])
    found, fault = await audited(histories[0])
    assert [one["run"] for one in found] == [f"r_{number}" for number in range(40)]
    assert [one["number"] for one in found] == list(range(1, 41))
    assert fault is None


async def test_processes_that_audit_at_once_write_one_chain(world: World):
    histories = [await world.open() for _ in range(3)]

    async def write(history: History) -> None:
        for number in range(30):
            history.audit(row(run=f"r_{number}"))
            if number % 5 == 0:
                await world.settle(history)
        await world.settle(history)

    await asyncio.gather(*map(write, histories))
    found, fault = await audited(histories[0])
    assert len(found) == 90
    assert fault is None


async def test_a_row_of_the_audit_is_committed_with_what_is_put_in_the_same_turn(world: World):
    first = await world.open()
    log = world.begin(first)
    await log.committed()
    first.audit(row(run=log.id))
    admit(log, "a", Effect.WRITE)
    log.put(Intent(CallKey("a"), 1, 0.1))
    await log.secure()
    await world.kill(first)
    found, fault = await audited(await world.open())
    assert [one["run"] for one in found] == [log.id]
    assert fault is None


async def test_rows_of_the_audit_that_could_not_be_written_are_counted_in_a_row(world: World):
    history = await world.open()
    history.audit(row(run="r_1"))
    await world.settle(history)
    world.break_disk(history)
    for number in (2, 3):
        history.audit(row(run=f"r_{number}"))
        await world.settle(history)
    world.repair_disk(history)
    history.audit(row(run="r_4"))
    await world.settle(history)
    found, fault = await audited(history)
    assert [(one["what"], one.get("run"), one.get("rows")) for one in found] == [
        ("sent", "r_1", None),
        ("sent", "r_4", None),
        ("missing", None, 2),
    ]
    assert fault is None


async def test_the_audit_goes_by_its_own_age_and_what_is_left_verifies(world: World):
    history = await world.open()
    for day in range(10):
        history.audit(row(at=BEGAN + day * DAY, run=f"r_{day}"))
    await world.settle(history)
    world.now = BEGAN + 12.5 * DAY
    await history.trim(Limits(keep_audit_days=8))
    found, fault = await audited(history)
    assert [one.get("run", one["what"]) for one in found] == [
        *(f"r_{day}" for day in range(5, 10)),
        "deleted",
    ]
    assert found[-1]["last"] == 5
    assert fault is None
    history.audit(row(run="r_10"))
    await world.settle(history)
    assert (await audited(history))[1] is None


async def test_the_audit_outlives_the_runs_that_it_is_about(world: World):
    history = await world.open()
    log = world.begin(history)
    history.audit(row(run=log.id))
    end(log)
    await log.committed()
    world.now = BEGAN + 100 * DAY
    assert await history.trim(Limits(keep_runs=0, keep_calls=0, keep_bytes=0)) == 1
    found, fault = await audited(history)
    assert [one["run"] for one in found] == [log.id]
    assert fault is None
