"""The honest plans of scripts/eval under rules for flows: each that is refused does send what the
rule is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plait.core.flows.decision import PlanFlows
from plait.core.flows.rules import TRIFECTA, FlowPolicy, FlowRule
from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.conflicts import planned_accesses
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy, Rule

PLANS = sorted((Path(__file__).parents[2] / "scripts" / "evals" / "plans").glob("*.json"))
LABELS = {
    "private": ("customers:*", "calendar:*"),
    "untrusted": ("issues:*", "builds:get_log"),
    "outbound": ("chat:*", "issues:add_comment"),
}
SERVERS = ("customers", "calendar", "issues", "builds", "chat")
CATALOG = Catalog([], [ServerInfo(name, ServerState.RETRYING) for name in SERVERS])
REPEATABLE = Policy((Rule("*", idempotent=True),))


def refused(rule: FlowRule) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in PLANS:
        document: dict[str, Any] = json.loads(file.read_text())["dag"]
        plan = check(read_dag({"tasks": document["tasks"]}), CATALOG, REPEATABLE)
        claims = planned_accesses(plan).claims({})
        flows = PlanFlows(FlowPolicy(LABELS, (rule,)), plan, claims=claims)
        if flows.broken:
            found[file.stem] = [one.words for one in flows.broken]
    return found


def test_the_ready_rule_refuses_only_the_report_that_is_made_of_both() -> None:
    assert len(PLANS) == 20
    assert refused(TRIFECTA) == {
        "weekly-report": ["invoices → post.text and issues → post.text"],
    }


@pytest.mark.parametrize(
    "plan", ["missing-rooms", "overdue-totals", "revenue-by-country", "upgrade-tiers"]
)
def test_a_stricter_rule_refuses_what_posts_private_data(plan: str) -> None:
    found = refused(FlowRule(("private",), "outbound"))
    assert found.keys() == {
        "missing-rooms", "overdue-totals", "revenue-by-country", "upgrade-tiers", "weekly-report",
    }  # fmt: skip
    assert all("post" in words or "send" in words for words in found[plan])
