"""A hundred runs that wait for a person: answers in any order, from several processes, with the
death of a gateway in between."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import anyio
import pytest

from plait.core.results.record import RunStatus
from plait.core.tools.policy import Policy
from plait.engine.gateway import Gateway
from plait.errors import StaleApproval

from ..engine.dying import World, task
from .services import ASK_FOR_WRITES

pytestmark = pytest.mark.virtual_time

RUNS = 100


def document(n: int) -> dict[str, Any]:
    """A run with two writes that are asked for together, and one that comes after the first."""
    return {
        "tasks": [
            task("read", "read", n),
            task("one", "write", f"{n}/one"),
            task("two", "write", f"{n}/two"),
            task("later", "write", f"{n}/later", depends_on=["one"]),
        ]
    }


class People:
    """People who answer the questions of all runs, some of them differently."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.said: dict[tuple[int, str], list[set[str]]] = defaultdict(list)
        """All that was said to each question, by the run and its digest: the approved calls."""
        self.counted: dict[tuple[int, str], int] = defaultdict(int)

    async def answer(self, gateway: Gateway, n: int, run_id: str) -> None:
        """Look at the question of a run, think about it, and answer, unless it is answered."""
        record = await gateway.recall(run_id)
        if record.approval is None:
            return
        shown: Any = record.approval
        places = [call["task"] for call in shown["calls"]]
        yes = {place for place in places if self.random.random() < 0.7}
        self.said[n, shown["digest"]].append({f"{n}/{place}" for place in yes})
        await anyio.sleep(self.random.random())
        others = [digest for _, digest in self.said if digest != shown["digest"]]
        for digest in (*self.random.choices(others, k=min(2, len(others))), "0" * 64):
            with pytest.raises(StaleApproval):  # a yes to another question of it, or of another run
                await gateway.approve(run_id, digest)
        try:
            await gateway.approve(run_id, shown["digest"], yes)
        except StaleApproval:
            return
        self.counted[n, shown["digest"]] += 1

    @property
    def may_be_sent(self) -> set[str]:
        """The calls that somebody said yes to."""
        return set().union(*(said for answers in self.said.values() for said in answers))

    @property
    def are_sent(self) -> set[str]:
        """The calls that all said yes to who answered, of questions that were answered in time."""
        counted = [answers for key, answers in self.said.items() if self.counted[key]]
        return set().union(*(set.intersection(*answers) for answers in counted))


@pytest.mark.parametrize("seed", range(3))
async def test_each_run_sends_once_what_was_approved_of_it_in_any_order(seed: int) -> None:
    """Some are answered before the gateway dies, some by two people at once, some after it through
    two others, and some never."""
    people, world = People(seed), World()
    world.policy = Policy(tables=(ASK_FOR_WRITES,))
    order = people.random.sample(range(RUNS), RUNS)

    async def answers(gateways: list[Gateway], runs: Iterable[int]) -> None:
        async with anyio.create_task_group() as tasks:
            for n in runs:
                for _ in range(people.random.choice((1, 1, 2))):
                    tasks.start_soon(people.answer, people.random.choice(gateways), n, ids[n])
        await anyio.sleep(60)

    def check() -> None:
        assert people.are_sent <= world.writes.keys() <= people.may_be_sent
        assert set(world.writes.values()) == {1}

    async with world.gateway() as (gateway, history), world.gateway() as (other, _):
        ids = [(await gateway.submit(document(n))).run_id for n in range(RUNS)]
        assert {(await gateway.wait(id)).status for id in ids} == {RunStatus.WAITING}
        await answers([gateway, other], order[:50])
        check()
        history.die()
    async with AsyncExitStack() as stack:
        others = [(await stack.enter_async_context(world.gateway()))[0] for _ in range(2)]
        await answers(others, people.random.sample(order[:95], 95))
        check()
        never = [await others[0].recall(ids[n]) for n in order[95:]]
        assert {record.status for record in never} == {RunStatus.WAITING}
    asked = Counter(n for n, _ in people.said)
    assert len(asked) == 95
    assert max(asked.values()) > 1  # some were asked for what comes later, too
    assert not {f"{n}/{task}" for n in order[95:] for task in ("one", "two")} & world.writes.keys()
