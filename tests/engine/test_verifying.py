"""Runs of a history are made again from it, and a run that is not as it was is found."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from plait.core.history import (
    Happened,
    Outcome,
)
from plait.core.history_store import History
from plait.core.ports import Caller
from plait.core.replay import Differs, Verified
from plait.core.scheduling.limits import Limits
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy, Rule
from plait.engine.gateway import Gateway, GatewayLimits
from plait.engine.verifying import NotVerifiable, Verifying
from plait.stores.history.exchange import export, take_in
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.shelf import Shelf
from plait.stores.in_memory import InMemoryRuns

from ..fakes import tool
from .dying import World, task
from .stories import random_dag
from .test_crashes import Story

pytestmark = pytest.mark.virtual_time


async def verified(history: History, run_id: str) -> list[Verified]:
    """Verify all runs of the chain of a run."""
    verifying = Verifying(history, InMemoryRuns())
    return [await verifying.verify(id) for id in await history.links(run_id)]


@given(st.randoms(use_true_random=False))
async def test_random_runs_through_deaths_are_verified(random: Random):
    document = random_dag(random)
    story = Story(random)
    await story.play(document)
    note(f"{document}\n{story.log}\n{story.deaths}")
    history = MemoryHistory(story.shelf)
    for run_id in story.shelf.runs:
        assert await verified(history, run_id)


WRITES = [Rule("s:write", writes=("db:{n}",)), Rule("s:put", idempotent=False)]
SLOW = {"tool": "s:sleep", "arguments": {"n": 1}}
ALWAYS = task("close", "read", 5, depends_on=["slow"], trigger_rule="always")
TIMES: dict[str, Any] = {
    "timeout_s": 2,
    "tasks": [task("a", "read", 1), {"id": "slow", **SLOW}, ALWAYS],
}
CASES: dict[str, dict[str, Any]] = {
    "a run that is late": TIMES,
    "a run that is late, and what cleans up too": TIMES
    | {"cleanup_s": 1, "tasks": [*TIMES["tasks"][:2], ALWAYS | SLOW]},
    "a failure that ends all": {
        "fail_fast": True,
        "tasks": [task("a", "fail", 1), {"id": "slow", **SLOW}, task("b", "read", "$OUTPUT[slow]")],
    },
    "conflicts in layers": {
        "schedule": "layers",
        "tasks": [
            task("a", "write", 1),
            task("b", "write", 1, trigger_rule="one_failed"),
            task("c", "read", 2, depends_on=["b"]),
            task("d", "write", 1, when="a.n == `1`"),
        ],
    },
    "polling": {
        "tasks": [
            task("a", "count", 1, repeat={"until": "count == `3`", "every_s": 1}, allow_repeat=True)
        ]
    },
    "retries with the words of settings": {
        "tasks": [task("a", "flaky", 1, retries=2), task("b", "read", 1, retries=1)]
    },
    "more calls than are made in one step": {
        "tasks": [
            {"id": "items", "value": "${OUTPUT[many].list}"},
            task("many", "many", 3_000),
            task("each", "read", "$ITEM", for_each="$OUTPUT[items]"),
        ]
    },
    "items of groups": {
        "tasks": [
            {
                "id": "group",
                "for_each": [1, 2, 3],
                "on_item_failure": "skip",
                "tasks": [
                    task("inner", "fail", "$ITEM", when="$ITEM > `1`"),
                    task("after", "read", "$OUTPUT[inner].n", trigger_rule="all_done"),
                ],
                "value": "${OUTPUT[after].n ?? $ITEM}",
            }
        ]
    },
    "what is not there": {"tasks": [task("a", "read", 1), task("b", "read", "$OUTPUT[a].x.y")]},
    "a value that was cancelled": {
        "timeout_s": 1,
        "tasks": [{"id": "slow", **SLOW}, {"id": "v", "value": "$OUTPUT[slow]"}],
    },
}


def world() -> World:
    """The servers of `dying.py`, and some more tools."""
    made = World()

    async def sleep(n: int) -> dict[str, Any]:
        await anyio.sleep(100)
        return {"n": n}

    counts: dict[int, int] = {}

    async def count(n: int) -> dict[str, Any]:
        counts[n] = counts.get(n, 0) + 1
        return {"count": counts[n]}

    integer = {"n": {"type": "integer"}}
    made.servers.add(tool("s:sleep", integer, readOnlyHint=True), sleep)
    made.servers.add(tool("s:count", integer), count)
    made.servers.add(tool("s:many", integer, readOnlyHint=True), lambda n: {"list": list(range(n))})
    made.failures = {("flaky", 1): 1}
    return made


async def ran(
    made: World, document: dict[str, Any], caller: Caller | None = None
) -> tuple[MemoryHistory, str]:
    """Run *document* to its end, beside another run that takes its slots."""
    history = MemoryHistory(made.shelf)
    limits = GatewayLimits(Limits(gateway=3), max_items=5_000)
    policy = Policy(rules=tuple(WRITES))
    async with Gateway(
        made.servers, made.servers, InMemoryRuns(), history=history, limits=limits, policy=policy
    ) as gateway:
        other = {"tasks": [{"id": "each", "for_each": [1, 2], **SLOW, "timeout_s": 3}]}
        await gateway.submit(other)
        return history, (await gateway.execute(document)).run_id


@pytest.mark.parametrize("document", CASES.values(), ids=CASES.keys())
async def test_a_run_is_made_again_from_its_history(document: dict[str, Any]):
    history, run_id = await ran(world(), document)
    [found] = await verified(history, run_id)
    assert found.is_whole
    assert found.calls == len(await history.calls(run_id))
    kept = await history.run(run_id)
    assert kept is not None
    elsewhere = MemoryHistory(Shelf())
    await take_in(elsewhere, [line async for line in export(history, [run_id])])
    assert await verified(elsewhere, run_id) == [found]


async def test_a_run_that_was_cancelled_with_all_that_cleaned_up_is_made_again():
    made = world()
    async with made.gateway() as (gateway, history):
        document = {"tasks": [task("a", "read", 1), {"id": "slow", **SLOW}, ALWAYS | SLOW]}
        run_id = (await gateway.submit(document)).run_id
        await gateway.wait(run_id, 1)
        await gateway.cancel(run_id)
    [found] = await verified(history, run_id)
    assert found.is_whole
    [event] = [one for one in await history.events(run_id) if one.event.kind == "cancelled"][-1:]
    assert event.event.detail is True, "what cleaned up was ended when the gateway stopped"


async def test_a_run_that_takes_outputs_from_another_document_is_made_again():
    made = world()
    async with made.gateway() as (gateway, history):
        first = await gateway.execute(
            {
                "tasks": [
                    task("a", "read", 1),
                    task("b", "fail", "$OUTPUT[a].n"),
                    task("c", "write", "$OUTPUT[b].n"),
                    task("each", "flaky", "$ITEM", for_each=[1, 2]),
                ]
            }
        )
        second = await gateway.execute(
            {
                "tasks": [
                    task("b", "read", "$OUTPUT[a].n"),
                    task("each", "flaky", "$ITEM", for_each=[1, 2]),
                ],
                "resume_from": first.run_id,
            }
        )
    assert second.status == "success"
    one, two = await verified(history, second.run_id)
    assert (one.calls, two.calls) == (4, 3)
    del made.shelf.runs[first.run_id]
    with pytest.raises(NotVerifiable, match=f"{first.run_id}, which is not kept any more"):
        await Verifying(history, InMemoryRuns()).verify(second.run_id)


async def test_what_a_run_would_have_done_otherwise_is_said():
    history, run_id = await ran(
        world(), {"tasks": [task("a", "read", 1), task("b", "write", "$OUTPUT[a].n")]}
    )
    run = history.shelf.runs[run_id]
    before = list(run.entries)
    for index, entry in enumerate(before):
        if isinstance(entry.row, Outcome) and entry.row.key.task == "a":
            row = entry.row._replace(output=Output.of({"n": 2}))
            run.entries[index] = entry._replace(row=row)
    with pytest.raises(Differs) as caught:
        await verified(history, run_id)
    assert str(caught.value) == (
        's:write of b was called with {"n":1}; replayed, it is called with {"n":2}'
    )
    newer = before[1]._replace(row=Happened(0.0, "of a newer version"), number=100)
    run.entries[:] = [*before, newer]
    with pytest.raises(Differs, match='a kind that is unknown here: "of a newer version"'):
        await verified(history, run_id)
    run.entries[:] = before
    run.beginning = replace(run.beginning, keeps_values=False)
    with pytest.raises(NotVerifiable, match="were not kept"):
        await verified(history, run_id)
