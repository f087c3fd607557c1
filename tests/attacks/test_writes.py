"""Drawn plans that try to change something, and a model that does all it can to have them carried
out: without a yes of a person no call that changes anything reaches a service."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from plait.core.results.approval_text import NO, YES
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Answer, Rules
from plait.engine.gateway import Gateway
from plait.errors import InvalidDag, StaleApproval, UnknownRun
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.shelf import Shelf
from plait.stores.in_memory import InMemoryRuns

from ..clock import VirtualLoop
from ..profiles import drawn_by_seed
from ..upstream.conftest import LEGACY, MODERN
from .plans import Draw
from .services import ASK_FOR_WRITES, Company
from .test_scenarios import client

PLANS = 35
"""Plans of one example. With six examples, each run of the tests draws some 200."""
ANSWERS = (
    *(None, NO, "cancel", "", "YES", " yes", "y", True, 1, ["yes"], "yes\n"),
    *("no, yes", "ja", YES.upper()),
)
"""Answers that are no yes; None for a client that asks no person."""


RULES = (
    Rules(ask=("write",)),
    Rules(ask_each=("write",)),
    Rules(ask=("*",)),
    Rules(deny=("write",)),
    Rules(default=Answer.ASK, allow=("files:list", "files:read")),
    Rules(ask=("write",), allow=("files:*", "mail:*")),  # an allow that names no tool in full
)


def run(work: Any) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


def drawn(seed: object) -> Any:
    return Draw(Random(f"{seed}")).writing_plan()


def test_most_plans_change_something_where_nothing_is_asked_for() -> None:
    """So the test below looks at something."""
    changing = 0
    for seed in range(100):
        company, plan = Company(), drawn(seed)

        async def work(company: Company = company, plan: Any = plan) -> None:
            made = company.servers, company.servers, InMemoryRuns()
            async with Gateway(*made) as gateway:
                try:
                    result = await gateway.execute(plan)
                    if plan.get("preview"):
                        await gateway.execute({"tasks": [], "apply": result.run_id})
                except InvalidDag:
                    return

        run(work())
        changing += bool(company.changes)
    assert changing >= 75


@drawn_by_seed()
@given(
    st.integers(0, 2**32),
    st.sampled_from((LEGACY, MODERN)),
    st.sampled_from(ANSWERS),
    st.sampled_from(RULES),
)
def test_no_plan_changes_anything_without_a_yes(
    seed: int, era: str, answer: Any, rules: Rules
) -> None:
    async def work() -> None:
        company = Company()
        async with client(company, era, rules, answer=answer) as made:
            for number in range(PLANS):
                random = Random(f"{seed}/{number}")
                plan = Draw(random).writing_plan()
                await try_all(made, plan, random)
                assert not company.changes, (plan, company.changes)

    run(work())


async def try_all(client: Client, plan: Any, random: Random) -> None:
    """Send *plan*, and then some of all that a model can send to let it go on."""
    answered = (await client.call_tool("execute_dag", plan)).structured_content or {}
    shown = answered.get("approval") or {}
    id, digest = answered.get("run_id", "r_unknown"), shown.get("digest", "0" * 64)
    yes = {"action": "accept", "content": {"answer": YES}}
    going_on = {"tasks": [], "resume_from": id}
    moves: list[tuple[str, Any]] = [
        ("execute_dag", {"tasks": [], "apply": id}),
        ("execute_dag", {"tasks": [], "apply": id, "approve": digest}),
        ("execute_dag", going_on),
        ("execute_dag", {**going_on, "in_doubt": {"*": "retry"}}),
        ("execute_dag", {**going_on, "in_doubt": {"*": {"done": {}}}}),
        ("execute_dag", {**plan, "resume_from": id}),
        ("execute_dag", {**plan, "again": True}),
        ("execute_dag", {**plan, "preview": True}),
        ("execute_dag", {**plan, "dry_run": True}),
        ("execute_dag", {**plan, "approval": {"digest": digest, **yes}}),
        ("execute_dag", {**plan, "inputResponses": {"1": yes}, "requestState": digest}),
        ("execute_dag", {**plan, "_meta": {"inputResponses": {"1": yes}}}),
        ("execute_dag", {"tasks": [{"id": "a", "tool": "plait:approve", "arguments": yes}]}),
        ("query_dag", plan),
        ("query_dag", {"tasks": [], "apply": id}),
        ("get_run", {"run_id": id, "wait_s": 1}),
        ("get_run", {"run_id": id, "wait_s": 0, "approve": digest, "answer": YES}),
        ("get_run", {"run_id": f"{id}?approve={digest}", "wait_s": 0}),
        ("cancel_run", {"run_id": id}),
        ("cancel_run", {"run_id": id, "approve": digest}),
    ]
    for name, arguments in random.sample(moves, 5):
        result = await client.call_tool(name, arguments)
        later = (result.structured_content or {}).get("run_id")
        if later not in (None, id):
            await client.call_tool("execute_dag", {"tasks": [], "apply": later})
            await client.call_tool("cancel_run", {"run_id": later})
    await client.call_tool("cancel_run", {"run_id": id})


@drawn_by_seed()
@given(st.integers(0, 2**32))
def test_a_yes_is_for_the_calls_that_were_shown_and_for_once(seed: int) -> None:
    """A person says yes to some calls of the first question. The model then sends the plan again,
    goes on from it and changes it, also after the death of the gateway."""

    async def work() -> None:
        for number in range(PLANS // 2):
            random = Random(f"{seed}/{number}")
            plan, company, shelf = Draw(random).writing_plan(), Company(), Shelf()
            approved = Counter[str]()
            async with gateway_over(company, shelf) as (gateway, history):
                run_id = await begun(gateway, plan)
                approval = None if run_id is None else gateway.approval(run_id)
                if run_id is None or approval is None:
                    continue
                calls = [call for call in approval.calls if random.random() < 0.7]
                approved.update(written(call.tool.full_name, call.arguments) for call in calls)
                await gateway.approve(run_id, approval.digest, [call.place for call in calls])
                if random.random() < 0.5:
                    await gateway.wait(run_id)
                    await replay(gateway, plan, run_id)
                history.die()
            async with gateway_over(company, shelf) as (gateway, _):
                await replay(gateway, plan, run_id)
            made = Counter(written(one.tool, one.arguments) for one in company.changes)
            failed = Counter(
                written(one.tool, one.arguments) for one in company.changes if one.error
            )
            assert made - failed <= approved, (plan, made, approved)  # a yes holds for retries, too
            assert made.keys() <= approved.keys(), (plan, made, approved)

    run(work())


@asynccontextmanager
async def gateway_over(
    company: Company, shelf: Shelf
) -> AsyncIterator[tuple[Gateway, MemoryHistory]]:
    made, history = (company.servers, company.servers, InMemoryRuns()), MemoryHistory(shelf)
    policy = Policy(tables=(ASK_FOR_WRITES,))
    async with Gateway(*made, policy=policy, history=history) as gateway:
        yield gateway, history


async def begun(gateway: Gateway, document: Any) -> str | None:
    """Send a document; gives the id of its run, once that has ended or waits. None if there is
    none."""
    try:
        return (await gateway.execute(document)).run_id
    except (InvalidDag, StaleApproval):
        return None


async def replay(gateway: Gateway, plan: Any, run_id: str) -> None:
    """Try to have more carried out than what a person said yes to."""
    try:
        await gateway.recall(run_id)
    except UnknownRun:  # it was not written before its end, as the plan wanted
        return
    going_on = {"tasks": [], "resume_from": run_id}
    changed = json.loads(json.dumps(plan).replace("hello", "goodbye"))
    for document in (
        going_on,
        {**going_on, "in_doubt": {"*": "retry"}},
        {"tasks": [], "apply": run_id},
        {**plan, "resume_from": run_id},
        {**changed, "resume_from": run_id},
        {**plan, "again": True},
        {**changed, "name": "another"},
    ):
        if (later := await begun(gateway, document)) is not None:
            await begun(gateway, {"tasks": [], "apply": later})
            await gateway.cancel(later)


def written(tool: str, arguments: Any) -> str:
    return f"{tool} {json.dumps(arguments, sort_keys=True)}"
