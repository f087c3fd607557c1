"""Refusals of drawn plans against runs of these plans that follow where all data goes."""

from __future__ import annotations

import re
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from plait.core.flows.rules import TRIFECTA, FlowPolicy, FlowRule
from plait.errors import InvalidDag

from .drawn import Draw, Drawn
from .interpreter import NONE, Tools, World
from .plans import LABELS, flows_in, plan_of

PLANS = 60
"""Plans of one example: each takes a millisecond or two."""
RUNS = 4
RULES = (
    FlowRule(("private",), "outbound", exceptions=("mail:*",)),
    FlowRule(("untrusted",), "outbound"),
    TRIFECTA,
)
PRIVATE, UNTRUSTED = {"files:read"}, {"web:get", "web:post", "mail:read"}
"""What the first two rules keep from going out; the third, of both and the mail, in `breaks`."""


def breaks(tool: str, given: Tools) -> set[int]:
    """The rules that a call of *tool* breaks, by their words."""
    if tool not in {"chat:post", "web:post"}:
        return set()
    found = {0} if given & PRIVATE else set()
    if given & UNTRUSTED:
        found |= {1, 2} if given & (PRIVATE | {"mail:read"}) else {1}
    return found


def flowing(world: World, tasks: list[Drawn]) -> set[tuple[str, int]]:
    """The calls of a run that broke a rule."""
    world.run(tasks, {}, {}, NONE, "")
    return {
        (re.sub(r"\[\d+\]", "", name), rule)
        for name, tool, given in world.sent
        for rule in breaks(tool, given)
    }


def refused(tasks: list[Drawn]) -> set[tuple[str, int]] | None:
    """The calls that are refused, each with the rule; None for a plan that cannot be."""
    try:
        plan = plan_of(*[task.document() for task in tasks])
    except InvalidDag:
        return None
    flows = flows_in(FlowPolicy(LABELS, RULES), plan)
    return {(one.task, RULES.index(one.rule)) for one in flows.broken}


def has_resources(tasks: list[Drawn]) -> bool:
    return any(t.reads or t.writes or has_resources(t.tasks) for t in tasks)


@given(st.integers(0, 2**32))
def test_every_flow_that_a_run_shows_is_refused_and_no_other_than_documented(
    seed: int,
) -> None:
    looked_at = 0
    for number in range(PLANS):
        tasks = Draw(Random(f"{seed}/{number}")).plan()
        if (found := refused(tasks)) is None:
            continue
        looked_at += 1
        documents = [task.document() for task in tasks]
        for run in range(RUNS):
            assert flowing(World(run), tasks) <= found, documents
        files: dict[str, Tools] = {}
        for _ in range(4):  # until what is written before has come round
            world = World(0, is_blunt=True, files=files)
            blunt = flowing(world, tasks)
        if has_resources(tasks):  # there the order of some calls is certain
            assert found <= blunt, documents
        else:
            assert found == blunt, documents
    assert looked_at > PLANS / 2
