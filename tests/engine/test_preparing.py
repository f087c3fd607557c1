"""The document of a run that goes on from another, or that need not be run."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

import anyio
import pytest

from plait.core.history import (
    Chain,
    KeptRun,
)
from plait.core.history_store import TakenOver
from plait.core.language.dag import Dag
from plait.core.language.reader import read_dag
from plait.core.results.record import RunStatus
from plait.core.tools.catalog import ServerInfo, ServerState
from plait.core.values.principal import Principal
from plait.engine.gateway import Gateway
from plait.engine.preparing import AGAIN_S, document_of_dag
from plait.errors import HistoryLost, InvalidDag
from plait.stores.history.memory import MemoryHistory
from plait.stores.in_memory import InMemoryRuns

from .dying import World, task
from .stories import random_dag

pytestmark = pytest.mark.virtual_time


async def test_any_run_of_a_chain_means_the_last_and_an_ended_one_is_the_answer():
    world = World()
    world.hangs = {("read", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "read", 1), task("two", "write", 2)]})
    world.hangs = {("read", 1)}
    second = await world.interrupted({"tasks": [], "resume_from": run_id})
    last = await world.gone_on(run_id)
    again = await world.gone_on(run_id)
    assert len({run_id, second, last.run_id}) == 3
    assert (again.run_id, again.status) == (last.run_id, RunStatus.SUCCESS)
    assert world.writes == Counter([2])


async def test_the_document_of_an_interrupted_run_is_not_run_again_unless_that_is_meant():
    world = World()
    world.hangs = {("write", 1)}
    document = {"tasks": [task("one", "write", 1)]}
    run_id = await world.interrupted(document)
    async with world.gateway() as (gateway, _):
        result = await gateway.execute({**document, "detail": "full"})
        assert (result.run_id, result.status) == (run_id, RunStatus.INTERRUPTED)
        remark = (await gateway.submit(document, is_awaited=True)).remark
        assert remark is not None
        assert f"{run_id}, a run of an equal document, was interrupted" in remark
        meant = await gateway.execute({**document, "again": True})
    assert meant.status is RunStatus.SUCCESS
    assert world.writes == Counter({1: 2})


async def test_the_document_of_an_interrupted_run_is_answered_with_the_last_that_went_on_from_it():
    world = World()
    world.hangs = {("write", 1)}
    document = {"tasks": [task("one", "write", 1), task("two", "write", 2)]}
    run_id = await world.interrupted(document)
    last = await world.gone_on(run_id, in_doubt={"one": "done"})
    async with world.gateway() as (gateway, _):
        submitted = await gateway.submit(document, is_awaited=True)
        assert (submitted.run_id, submitted.is_own) == (last.run_id, False)
        assert submitted.remark is not None
        assert f"{last.run_id} went on from it" in submitted.remark
        assert gateway.result(last.run_id).status is RunStatus.SUCCESS
    assert world.writes == Counter({1: 1, 2: 1})


@asynccontextmanager
async def unanswered(world: World, document: Any) -> AsyncIterator[tuple[str, Gateway]]:
    """A run that had ended when its gateway died, before its answer had left; and another
    gateway."""
    async with world.gateway() as (gateway, history):
        submitted = await gateway.submit(document, is_awaited=True)
        await gateway.wait(submitted.run_id)
        history.die()
    async with world.gateway() as (gateway, _):
        yield submitted.run_id, gateway


async def test_a_run_whose_answer_was_lost_is_the_answer_to_its_document_once():
    world = World()
    document = {"tasks": [task("one", "write", 1), task("two", "fail", 2)]}
    async with unanswered(world, document) as (run_id, gateway):
        same = await gateway.submit({**document, "wait_s": 3}, is_awaited=True)
        result = await gateway.wait(same.run_id)
        assert (same.run_id, same.is_own) == (run_id, False)
        assert same.remark is not None
        assert "again: true" in same.remark
        assert (result.status, result.outputs["one"]) == (RunStatus.PARTIAL, {"n": 1})
        assert world.writes == Counter([1])
        unheard = await gateway.submit(document)  # no answer of it has left
        assert unheard.run_id == run_id
        gateway.answered(run_id)
        await anyio.sleep(1)
        meant = await gateway.submit(document)
        assert (meant.run_id != run_id, meant.remark) == (True, None)
        await gateway.wait(meant.run_id)
    assert world.writes == Counter([1, 1])


async def test_a_run_is_not_the_answer_if_that_is_not_meant_or_it_only_read_or_did_else():
    world = World()
    document = {"tasks": [task("one", "write", 1)]}
    async with unanswered(world, document) as (run_id, gateway):
        others: list[Any] = [{**document, "again": True}, {"tasks": [task("one", "write", 2)]}]
        for other in others:
            assert (await gateway.execute(other)).run_id != run_id
    reads = {"tasks": [task("one", "read", 1)]}
    async with unanswered(world, reads) as (run_id, gateway):
        assert (await gateway.execute(reads)).run_id != run_id


async def test_a_run_of_a_living_gateway_or_of_long_ago_is_not_the_answer():
    world = World()
    document = {"tasks": [task("one", "write", 1)]}
    async with world.gateway() as (one, _), world.gateway() as (other, _):
        first = await one.submit(document, is_awaited=True)
        await one.wait(first.run_id)
        assert (await other.execute(document)).run_id != first.run_id
    async with unanswered(world, document) as (run_id, gateway):
        run = world.shelf.runs[run_id]
        run.beginning = replace(run.beginning, began=run.beginning.began - AGAIN_S)
        assert (await gateway.execute(document)).run_id != run_id


async def test_a_run_that_survives_nothing_is_not_awaited():
    world = World()
    document = {"tasks": [task("one", "write", 1)], "durable": "off"}
    async with unanswered(world, document) as (run_id, gateway):
        assert not world.shelf.runs[run_id].is_awaited
        assert (await gateway.execute(document)).run_id != run_id


async def test_an_answer_that_cannot_be_noted_is_logged(caplog: pytest.LogCaptureFixture):
    world = World()
    document = {"tasks": [task("one", "write", 1)]}
    async with unanswered(world, document) as (run_id, gateway):
        assert (await gateway.submit(document, is_awaited=True)).run_id == run_id
        history = gateway.engine.history
        assert isinstance(history, MemoryHistory)
        history.trouble = "the disk is full"
        gateway.answered(run_id)
        await anyio.sleep(1)
        history.trouble = None
        assert (await gateway.execute(document)).run_id == run_id
    assert "run.not_written" in caplog.text


@pytest.mark.parametrize("seed", range(100))
def test_a_document_is_written_with_the_members_that_were_sent(seed: int):
    sent = random_dag(Random(seed))
    for dag in (read_dag(sent).dag, read_dag({"tasks": [], "resume_from": "r_1"}).dag):
        written = document_of_dag(dag)
        assert written == dag.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert Dag.model_validate(written) == dag


async def test_another_document_waits_until_the_run_has_gone_on():
    world = World()
    world.hangs = {("write", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "write", 1)]})
    with pytest.raises(InvalidDag, match="was interrupted") as caught:
        async with world.gateway() as (gateway, _):
            await gateway.execute({"tasks": [task("one", "write", 2)], "resume_from": run_id})
    [problem] = caught.value.problems
    assert (problem.code, problem.path) == ("interrupted", "tasks")
    assert world.writes == Counter([1])


async def test_a_tool_that_changed_stops_a_run_from_going_on():
    world = World()
    world.hangs = {("read", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "read", 1)]})
    world.add("read", readOnlyHint=True, destructiveHint=False)
    with pytest.raises(InvalidDag, match="not defined as they were") as caught:
        await world.gone_on(run_id)
    assert caught.value.problems[0].code == "plan_changed"


async def test_a_run_waits_for_the_servers_of_its_tools_until_they_are_there_again():
    world = World()
    world.hangs = {("read", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "read", 1)]})
    tools = dict(world.servers.tools)
    for name in tools:
        world.servers.remove(name)
    world.servers.add_server(ServerInfo("s", ServerState.RETRYING))
    with pytest.raises(InvalidDag, match=r"cannot be reached: s\.") as caught:
        await world.gone_on(run_id)
    assert caught.value.problems[0].code == "server_unavailable"
    for definition, function in tools.values():
        world.servers.add(definition, function)
    world.servers.add_server(ServerInfo("s", ServerState.READY))
    assert (await world.gone_on(run_id)).status is RunStatus.SUCCESS


async def test_a_run_that_was_repaired_goes_on_with_its_own_document():
    world = World()
    tasks = [task("one", "write", 1), task("two", "fail", 2)]
    async with world.gateway() as (gateway, _):
        first = await gateway.execute({"tasks": tasks})
    assert first.status is RunStatus.PARTIAL
    world.hangs = {("read", 3)}
    repaired = {"tasks": [task("two", "write", 2), task("three", "read", 3, depends_on=["two"])]}
    run_id = await world.interrupted({**repaired, "resume_from": first.run_id})
    result = await world.gone_on(run_id)
    assert result.status is RunStatus.SUCCESS
    assert result.outputs["three"] == {"n": 3}
    assert world.writes == Counter([1, 2])


async def test_a_run_that_was_repaired_by_the_name_of_its_first_one_takes_over_what_the_last_did():
    world = World()
    world.hangs = {("read", 1), ("write", 2)}
    tasks = [
        task("one", "read", 1),
        task("then", "write", "$OUTPUT[one].n"),
        task("two", "write", 2),
    ]
    first = await world.interrupted({"tasks": tasks})
    await world.gone_on(first)
    world.hangs = {("read", 3)}
    await world.interrupted({"tasks": [task("two", "read", 3)], "resume_from": first})
    result = await world.gone_on(first)
    assert result.status is RunStatus.SUCCESS
    assert world.writes == Counter([2, 1])


async def test_a_run_whose_servers_still_end_is_gone_on_with_once_they_have(
    monkeypatch: pytest.MonkeyPatch,
):
    world = World()
    world.hangs = {("read", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "read", 1)]})
    go_on, asked = MemoryHistory.go_on, 0

    async def held(self: MemoryHistory, chain: Chain, *args: Any, **more: Any) -> TakenOver:
        nonlocal asked
        asked += 1
        if asked <= 3:
            return TakenOver(chain.head.entry.id, None)
        return await go_on(self, chain, *args, **more)

    monkeypatch.setattr(MemoryHistory, "go_on", held)
    result = await world.gone_on(run_id)
    assert (result.status, asked, result.run_id != run_id) == (RunStatus.SUCCESS, 4, True)
    asked = -1_000
    world.hangs = {("read", 2)}
    other = await world.interrupted({"tasks": [task("one", "read", 2)]})
    result = await world.gone_on(other)
    assert (result.status, result.run_id) == (RunStatus.INTERRUPTED, other)


async def test_who_comes_later_gets_the_run_that_goes_on_whatever_it_says_about_doubts():
    world = World()
    world.hangs = {("write", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "write", 1), task("two", "read", 2)]})
    world.hangs = {("read", 2), ("write", 1)}
    more = {"tasks": [], "resume_from": run_id, "in_doubt": {"one": "retry"}}
    async with world.gateway() as (first, _), world.gateway() as (other, _):
        running = await first.submit(more)
        await first.wait(running.run_id, 5)
        later = [await gateway.submit(more) for gateway in (first, other)]
        assert {running.run_id} == {submitted.run_id for submitted in later}
        await first.cancel(running.run_id)
    assert world.writes == Counter({1: 2})


async def test_who_is_overtaken_between_a_look_and_the_next_gets_the_run_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
):
    world = World()
    world.hangs = {("read", 1)}
    run_id = await world.interrupted({"tasks": [task("one", "read", 1)]})
    world.hangs = {("read", 1)}
    more = {"tasks": [], "resume_from": run_id}
    async with world.gateway() as (first, _), world.gateway() as (other, history):
        looked = history.chain
        running: list[str] = []

        async def overtaken(run_id: str, principal: Principal) -> Chain | None:
            chain = await looked(run_id, principal)
            if not running:
                running.append((await first.submit(more)).run_id)
            return chain

        monkeypatch.setattr(history, "chain", overtaken)
        assert [(await other.submit(more)).run_id] == running
        await first.cancel(running[0])


async def test_a_gateway_that_died_a_moment_ago_has_interrupted_its_runs():
    world = World()
    world.hangs = {("write", 1)}
    document = {"tasks": [task("one", "write", 1)]}
    async with world.gateway() as (alive, _):
        assert (await alive.execute({"tasks": [task("other", "read", 3)]})).run_id
        async with world.gateway() as (gateway, history):
            submitted = await gateway.submit(document)
            await gateway.wait(submitted.run_id, 2)
            assert (await alive.execute({"tasks": [task("other", "read", 3)]})).run_id
            history.die()
            result = await alive.execute(document)
    assert (result.run_id, result.status) == (submitted.run_id, RunStatus.INTERRUPTED)
    assert world.writes == Counter([1])


class Damaged(MemoryHistory):
    """A history of which no value can be read."""

    async def chain(self, run_id: str, principal: Principal) -> Chain | None:
        raise HistoryLost("A value is damaged.")

    async def run(self, run_id: str, principal: Principal | None = None) -> KeptRun | None:
        raise HistoryLost("A value is damaged.")


async def test_a_damaged_run_refuses_who_goes_on_and_stops_nobody_else():
    world = World()
    world.hangs = {("read", 1)}
    document = {"tasks": [task("a", "read", 1)]}
    run_id = await world.interrupted(document)
    parts = world.servers, world.servers, InMemoryRuns()
    async with Gateway(*parts, history=Damaged(world.shelf)) as gateway:
        for sent, path in (({"tasks": [], "resume_from": run_id}, "resume_from"), (document, "$")):
            with pytest.raises(InvalidDag) as caught:
                await gateway.submit(sent)
            [problem] = caught.value.problems
            assert (problem.path, problem.code) == (path, "history_lost")
            assert "A value is damaged." in problem.message
        assert await gateway.go_on_with_interrupted() == []
        assert (await gateway.execute({**document, "again": True})).status == "success"
