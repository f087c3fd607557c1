"""Plans over tools with labels, and what their flows are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from plait.core.flows.decision import PlanFlows
from plait.core.flows.rules import FlowPolicy, FlowRule
from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan, TakenOver
from plait.core.scheduling.conflicts import planned_accesses
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from tests.fakes import tool

from ..scheduling.places import as_named

PATH = {"path": {"type": "string"}}
SERVERS = ("files", "mail", "web", "chat", "db", "notes")
CATALOG = Catalog(
    [
        tool("files:read", readOnlyHint=True),
        tool("files:read_public", readOnlyHint=True),
        tool("mail:read", readOnlyHint=True),
        tool("web:get", readOnlyHint=True),
        tool("web:post"),
        tool("chat:post"),
        tool("db:query", readOnlyHint=True),
        tool("notes:get", PATH, closed=False, readOnlyHint=True),
        tool("notes:put", PATH, closed=False),
    ],
    [ServerInfo(name, ServerState.READY) for name in SERVERS],
)
LABELS = {
    "private": ("files:*", "mail:read"),
    "untrusted": ("web:*", "mail:*"),
    "outbound": ("chat:*", "web:post"),
}
PRIVATE = FlowRule(("private",), "outbound", exceptions=("files:read_public",))


def plan_of(*tasks: Mapping[str, Any], reused: Mapping[str, TakenOver] | None = None) -> Plan:
    return check(read_dag({"tasks": [*tasks]}), CATALOG, Policy(), reused=reused)


def flows_of(
    *tasks: Mapping[str, Any], rules: Iterable[FlowRule] = (PRIVATE,), **known: Any
) -> PlanFlows:
    policy = FlowPolicy(LABELS, tuple(rules), **known.pop("policy", {}))
    plan = plan_of(*tasks, reused=known.pop("reused", None))
    return flows_in(policy, plan, **known)


def flows_in(policy: FlowPolicy, plan: Plan, **known: Any) -> PlanFlows:
    """The flows of *plan*, all of whose files are where their names say."""
    accesses = planned_accesses(plan)
    claims = accesses.claims(as_named(accesses.files()))
    return PlanFlows(policy, plan, claims=claims, **known)


def call(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id, "tool": name, "arguments": arguments}


def value(id: str, made: Any, **more: Any) -> dict[str, Any]:
    return {"id": id, "value": made, **more}


def post(text: Any, **more: Any) -> dict[str, Any]:
    return {"id": "post", "tool": "chat:post", "arguments": {"text": text}, **more}


READ = call("read", "files:read")
FETCH = call("fetch", "web:get")
QUERY = call("query", "db:query")
