"""The plan as a client sees it before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import TakenOver, lay_out
from plait.core.results.forecast import forecast
from plait.core.results.preview import plan_document
from plait.core.scheduling.limits import Limits
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.strict import JsonObject
from tests.core.scheduling.places import conflicts_in
from tests.fakes import tool

from ..scheduling.documents import PATH

CATALOG = Catalog(
    [tool("s:read", readOnlyHint=True), tool("s:write"), tool("s:save", PATH, closed=False)],
    [ServerInfo("s", ServerState.READY)],
)


def preview(tasks: list[dict[str, Any]], catalog: Catalog = CATALOG, **costs: float) -> JsonObject:
    """The answer to a dry run; *costs* are the seconds that calls of each task took before."""
    plan = check(read_dag({"tasks": tasks}), catalog, Policy())
    expected = lambda task: costs.get(task.id)  # noqa: E731  # used twice
    plan = lay_out(plan.dag, plan.tasks, cost=expected, alone=expected)
    conflicts = conflicts_in(plan)
    return plan_document(plan, conflicts, forecast(plan, conflicts, Limits()))


def save(id: str, path: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": "s:save", "arguments": {"path": path}, **more}


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


def test_a_plan_says_where_not_all_conflicts_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 20
    for module in ("scheduling.conflicts", "results.preview"):
        monkeypatch.setattr(f"plait.core.{module}.MAX_CONFLICTS", most)
    for tasks, notes in (
        (most + 1, []),
        (most + 2, [f"conflicts: the first {most} are listed; there may be more"]),
    ):
        document: Any = preview([save(f"t{number}", "x") for number in range(tasks)])
        assert len(document["conflicts"]) == most
        assert document["notes"] == notes


def test_names_of_tools_cannot_break_the_chart() -> None:
    odd = Catalog([tool('s:a"]<b>&')], [ServerInfo("s", ServerState.READY)])
    document = preview([{"id": "a", "tool": 's:a"]<b>&'}], odd)
    assert '["a<br/>s:a#quot;]&lt;b>&amp;"]' in str(document["mermaid"])


def test_a_plan_says_who_waits_for_whom_and_over_what() -> None:
    document = preview([save("a", "d/x"), save("b", "d"), save("c", "e")])
    assert document["conflicts"] == [
        {"id": "b", "waits_for": "a", "resource": "file:d/x", "why": "write after write"}
    ]
    assert '  t0 -. "file:d/x" .-> t1' in str(document["mermaid"]).splitlines()
    assert document["layers"] == [["a", "b", "c"]]
    assert document["estimate"] == {
        "tasks": 3,
        "layers": 1,
        "max_parallelism": 2,
        "untimed_tools": ["s:save"],
    }


def test_a_plan_says_what_it_writes_as_far_as_that_is_known() -> None:
    document = preview(
        [save("a", "x"), save("b", "$OUTPUT[a].path"), {"id": "c", "tool": "s:write"}]
    )
    assert document["writes"] == [
        {"id": "a", "tool": "s:save", "resources": ["file:x"]},
        {"id": "b", "tool": "s:save", "resources": ["file:$OUTPUT[a].path"]},
        {"id": "c", "tool": "s:write"},
    ]


def test_a_plan_tells_how_long_it_takes_by_what_calls_took_before() -> None:
    read = {"id": "c", "tool": "s:read"}
    tasks = [save("a", "x"), save("b", "x"), read, {**read, "id": "d", "depends_on": ["c"]}]
    document = preview(tasks, a=2.0, b=2.0, c=1.0, d=1.5)
    estimate = {
        "execution_time_ms": 4_000,
        "sequential_time_ms": 6_500,
        "speedup": 1.62,
        "max_parallelism": 2,
    }
    assert document["estimate"] == {"tasks": 4, "layers": 2, **estimate}
    assert document["critical_path"] == ["a", "b"]  # both write x


def test_names_of_resources_cannot_break_the_chart() -> None:
    document = preview([save("a", 'x"<b>&'), save("b", 'x"<b>&')])
    assert '  t0 -. "file:x#quot;&lt;b>&amp;" .-> t1' in str(document["mermaid"]).splitlines()


def test_each_task_of_a_run_that_goes_on_from_another_has_a_box_of_its_own() -> None:
    reading = read_dag({"tasks": [{"id": id, "tool": "s:read"} for id in "bc"]})
    plan = check(reading, CATALOG, Policy(), reused={"b": TakenOver("s:read", ("a",))})
    conflicts = conflicts_in(plan, {"b"})
    document = plan_document(plan, conflicts, forecast(plan, conflicts, Limits(), {"b"}), {"b"})
    assert str(document["mermaid"]).splitlines()[1:] == [
        '  t0["b<br/>s:read"]',
        '  t1["c<br/>s:read"]',
    ]


def test_what_is_done_is_written_no_more() -> None:
    plan = check(
        read_dag({"tasks": [save("a", "x"), save("b", "y", depends_on=["a"])]}), CATALOG, Policy()
    )
    conflicts = conflicts_in(plan, {"a"})
    document = plan_document(plan, conflicts, forecast(plan, conflicts, Limits(), {"a"}), {"a"})
    assert document["writes"] == [{"id": "b", "tool": "s:save", "resources": ["file:y"]}]
    assert document["critical_path"] == ["b"]
