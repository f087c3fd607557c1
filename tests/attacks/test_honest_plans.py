"""The plans of `scripts/eval` under rules: a person is asked, and nothing of them is refused."""

from __future__ import annotations

from typing import Any

import pytest
from evals.jobs import Job, days, jobs
from evals.judging import faults
from evals.reference import read_plan

from plait.core.flows.rules import FlowPolicy, Remember
from plait.core.results.record import RunStatus
from plait.core.results.result import RunResult
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.engine.gateway import Gateway
from plait.errors import InvalidDag
from plait.stores.in_memory import InMemoryRuns

from .services import ASK_FOR_WRITES, LABELS, LETHAL, NOW, Company

pytestmark = pytest.mark.virtual_time

JOBS = jobs(NOW)


def gateway(company: Company, rules: Rules, flows: FlowPolicy | None = None) -> Gateway:
    policy = Policy(tables=(rules,))
    return Gateway(company.servers, company.servers, InMemoryRuns(), policy=policy, flows=flows)


async def run(gateway: Gateway, document: Any, shown: list[Any]) -> RunResult:
    """Run *document*, with a yes to each question. *shown* gets the calls that were asked for."""
    result = await gateway.execute(document)
    while result.status is RunStatus.WAITING:
        approval = gateway.approval(result.run_id)
        assert approval is not None
        shown += [(call.tool.full_name, call.arguments) for call in approval.calls]
        await gateway.approve(result.run_id, approval.digest)
        result = await gateway.wait(result.run_id)
    return result


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
async def test_a_plan_does_its_job_with_calls_that_were_all_shown_before(job: Job) -> None:
    company = Company()
    shown: list[Any] = []
    async with gateway(company, ASK_FOR_WRITES, LETHAL) as asking:
        await run(asking, read_plan(job.name, days(NOW))["dag"], shown)
    assert faults(company.log, job.must, job.must_not) == []
    made = [(call.tool, call.arguments) for call in company.changes]
    assert _sorted(made) == _sorted(shown)


async def test_all_jobs_of_one_client_are_done_under_the_ready_rule() -> None:
    """What was seen in one job counts in the next; a person is asked for that, once."""
    company = Company()
    shown: list[Any] = []
    async with gateway(company, Rules(), LETHAL) as asking:
        for name in JOBS:
            await run(asking, read_plan(name, days(NOW))["dag"], shown)
    assert {name for name, _ in shown} <= {"issues:add_comment", "issues:create_issue"}


async def test_only_a_report_of_both_is_refused_where_the_chat_is_open_to_strangers() -> None:
    labels = {**LABELS, "outbound": (*LABELS["outbound"], "chat:post_*", "chat:send_*")}
    flows = FlowPolicy(labels, LETHAL.rules, Remember.OFF)
    refused = []
    for name in JOBS:
        company = Company()
        async with gateway(company, Rules(), flows) as asking:
            try:
                await run(asking, read_plan(name, days(NOW))["dag"], [])
            except InvalidDag as error:
                refused += [(name, problem.code) for problem in error.problems]
    assert refused == [("weekly-report", "flow_denied")]


def _sorted(calls: list[Any]) -> list[str]:
    return sorted(map(repr, calls))
