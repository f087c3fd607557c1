"""The plan as a client sees it before anything runs."""

from __future__ import annotations

from typing import Any

from plait.core.catalog import Catalog, ServerInfo, ServerState
from plait.core.check import check
from plait.core.conflicts import find_conflicts
from plait.core.dag import read_dag
from plait.core.forecast import forecast
from plait.core.limits import Limits
from plait.core.policy import Policy
from plait.core.preview import plan_document
from plait.core.strict import JsonObject
from tests.fakes import tool

CATALOG = Catalog([tool("s:read", readOnlyHint=True), tool("s:write")], [ServerInfo("s", ServerState.READY)])


def preview(tasks: list[dict[str, Any]], catalog: Catalog = CATALOG) -> JsonObject:
    plan = check(read_dag({"tasks": tasks}), catalog, Policy())
    conflicts = find_conflicts(plan, lambda server, key: key)
    return plan_document(plan, conflicts, forecast(plan, conflicts, Limits()))


def test_a_plan_says_what_would_happen() -> None:
    tasks: list[dict[str, Any]] = [
        {"id": "a", "tool": "s:read"},
        {"id": "b", "tool": "s:write", "arguments": {"x": "$OUTPUT[a]"}},
        {"id": "c", "tool": "s:read", "depends_on": ["a"]},
    ]
    document = preview(tasks)
    assert document["status"] == "planned"
    assert document["layers"] == [["a"], ["b", "c"]]
    assert document["critical_path"] == ["a", "b"]
    assert document["writes"] == [{"id": "b", "tool": "s:write"}]
    assert document["estimate"] == {
        "tasks": 3,
        "layers": 2,
        "max_parallelism": 2,
        "untimed_tools": ["s:read", "s:write"],
    }
    assert document["mermaid"] == "\n".join(
        [
            "flowchart LR",
            '  t0["a<br/>s:read"]',
            '  t1["b<br/>s:write"]',
            '  t2["c<br/>s:read"]',
            "  t0 --> t1",
            "  t0 -.-> t2",
        ]
    )


def test_names_of_tools_cannot_break_the_chart() -> None:
    odd = Catalog([tool('s:a"]<b>&')], [ServerInfo("s", ServerState.READY)])
    document = preview([{"id": "a", "tool": 's:a"]<b>&'}], odd)
    assert '["a<br/>s:a#quot;]&lt;b>&amp;"]' in str(document["mermaid"])
