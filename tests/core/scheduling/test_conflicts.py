"""What the tasks of one plan touch, who waits for whom by that, and in which layers they can go."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.scheduling.conflicts import (
    Conflicts,
    PlannedAccesses,
    find_conflicts,
    planned_accesses,
    why_they_conflict,
    written_by,
)
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.claims import ResourceClaim, ResourceName
from plait.core.tools.policy import Policy, Rule
from tests.fakes import tool

from ..tables import table
from .documents import PATH
from .places import as_named, conflicts_in

CATALOG = Catalog(
    [
        tool("s:do"),
        tool("s:look", readOnlyHint=True),
        tool("s:read", PATH, closed=False, readOnlyHint=True),
        tool("s:write", PATH, closed=False),
    ],
    [ServerInfo("s", ServerState.READY)],
)


def task(
    id: str, verb: str = "do", path: str | None = None, *needs: str, **more: Any
) -> dict[str, Any]:
    arguments = {} if path is None else {"path": path}
    return {
        "id": id,
        "tool": f"s:{verb}",
        "arguments": arguments,
        "depends_on": list(needs),
        **more,
    }


def plan_of(*tasks: dict[str, Any], policy: Policy | None = None, **options: Any) -> Plan:
    return check(read_dag({"tasks": list(tasks), **options}), CATALOG, policy or Policy())


def conflicts_of(*tasks: dict[str, Any], done: Any = (), **options: Any) -> Conflicts:
    return conflicts_in(plan_of(*tasks, **options), done)


def found(*tasks: dict[str, Any], **options: Any) -> list[str]:
    """Each conflict as `id after waits_for: why resource`."""
    conflicts = conflicts_of(*tasks, **options)
    return [f"{one.id} after {one.waits_for}: {one.why} {one.resource}" for one in conflicts.found]


A, B = ("a", "read"), ("b", "write")


@table(
    ("tasks", "expected"),
    [
        ([task(*A, "x"), task(*B, "x")], ["b after a: write after read file:x"]),
        ([task(*B, "x"), task(*A, "x")], ["a after b: read after write file:x"]),
        ([task("a", "write", "x"), task(*B, "x")], ["b after a: write after write file:x"]),
        ([task("a", "read", "x"), task("b", "read", "x")], []),
        ([task(*A, "x"), task(*B, "y")], []),
        ([task(*A, "d"), task(*B, "d/x")], ["b after a: write after read file:d/x"]),
        ([task(*A, "d/x"), task(*B, "d")], ["b after a: write after read file:d/x"]),
        ([task(*A, "d"), task(*B, "dd")], []),
        ([task(*A, "d/../x"), task(*B, "./x")], ["b after a: write after read file:x"]),
        ([task(*A, "x"), task(*B, "x", "a")], []),
        ([task(*A, "x", "b"), task(*B, "x")], []),
        ([task(*A, "x"), task("m", "do", None, "a"), task(*B, "x", "m")], []),
        (
            [task("a", writes=["db:t"]), task("b", reads=["db:t"])],
            ["b after a: read after write db:t"],
        ),
        ([task("a", writes=["db:t"]), task("b", writes=["kv:t"])], []),
        ([task("a"), task(*B, "$OUTPUT[a].path"), task("c", "write", "x")], []),
        (
            [task("a", "write", "x"), task("b", "write", "x"), task("c", "write", "x")],
            ["b after a: write after write file:x", "c after b: write after write file:x"],
        ),
        (
            [task("a", "write", "x"), task("b", "read", "x"), task("c", "read", "x")],
            ["b after a: read after write file:x", "c after a: read after write file:x"],
        ),
    ],
)
def test_who_waits_for_whom_for_no_other_reason(
    tasks: list[dict[str, Any]], expected: list[str]
) -> None:
    assert found(*tasks) == expected


def test_dependencies_go_before_document_order() -> None:
    assert found(task("a", "write", "x", "c"), task("b", "write", "x"), task("c")) == [
        "a after b: write after write file:x"
    ]


def test_what_a_policy_says_is_touched_counts() -> None:
    policy = Policy((Rule("s:look", reads=("db:{table}",)), Rule("s:write", writes=())))
    tasks = [task("a", "look") | {"arguments": {"table": "t"}}, task("b", writes=["db:t"])]
    assert found(*tasks, policy=policy) == ["b after a: write after read db:t"]
    assert found(task("a", "write", "x"), task("b", "write", "x"), policy=policy) == []


def test_a_plan_that_accesses_nothing_we_know_of_costs_nothing() -> None:
    assert planned_accesses(plan_of(task("a"), task("b"))) == PlannedAccesses()
    assert conflicts_of(task("a"), task("b")) == Conflicts()


def test_the_files_are_named_that_are_known_before_anything_runs() -> None:
    plan = plan_of(
        task("a", "write", "x"),
        task("b", "read", "x"),
        task("c", "read", "$OUTPUT[a].path"),
        task("d", reads=["db:t"]),
    )
    assert planned_accesses(plan).files() == (ResourceName("s", "file:x"),)


def test_two_names_of_one_file_conflict() -> None:
    plan = plan_of(task("a", "write", "link"), task("b", "write", "x"), task("c", "write", "y"))
    accesses = planned_accesses(plan)
    places = {**as_named(accesses.files()), ResourceName("s", "file:link"): "file:x"}
    assert [(one.id, one.waits_for) for one in find_conflicts(plan, accesses, places).found] == [
        ("b", "a")
    ]


def test_a_task_whose_file_was_not_found_is_not_ordered_and_holds_up_no_other() -> None:
    plan = plan_of(
        task("a", "write", "x"), task("b", "write", "lost"), task("c", "write", "x", reads=["lost"])
    )
    accesses = planned_accesses(plan)
    found = find_conflicts(plan, accesses, {ResourceName("s", "file:x"): "file:x"})
    assert (found.known, found.found) == ((), ())
    assert found.access_rules.keys() == {"a", "b", "c"}


def test_where_no_two_calls_conflict_there_is_no_order_to_keep() -> None:
    conflicts = conflicts_of(task("a", "write", "x"), task("b", "write", "y"))
    assert (conflicts.known, conflicts.found) == ((), ())
    assert conflicts.access_rules.keys() == {"a", "b"}


def test_calls_of_one_task_can_conflict_with_each_other() -> None:
    conflicts = conflicts_of(task("a", "write", "log", for_each=[1, 2]))
    assert ([id for id, _ in conflicts.known], conflicts.found) == (["a"], ())
    assert conflicts_of(task("a", "read", "log", for_each=[1, 2])).known == ()


def test_tasks_that_are_done_are_in_nobodys_way() -> None:
    tasks = [task("a", "write", "x"), task("b", "write", "x"), task("c", "write", "x")]
    conflicts = conflicts_of(*tasks, done={"a"})
    assert conflicts.access_rules.keys() == {"b", "c"}
    assert [(one.id, one.waits_for) for one in conflicts.found] == [("c", "b")]


def test_what_is_known_is_in_document_order_with_what_is_needed_before() -> None:
    conflicts = conflicts_of(
        task("a", "write", "x", "c"), task("b", "read", "x"), task("c", "read", "x")
    )
    assert [id for id, _ in conflicts.known] == ["b", "c", "a"]


def test_a_reference_in_another_argument_hides_no_path() -> None:
    with_text = task("c", "write", "x") | {"arguments": {"path": "x", "text": "$OUTPUT[a]"}}
    assert found(task("a"), task("b", "write", "x"), with_text) == [
        "c after b: write after write file:x"
    ]


def test_only_so_many_conflicts_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plait.core.scheduling.conflicts.MAX_CONFLICTS", 20)
    tasks = [task(f"t{number}", "write", "x") for number in range(25)]
    conflicts = conflicts_of(*tasks)
    assert len(conflicts.found) == 20
    assert len(conflicts.known) == 25
    assert conflicts.may_be_more
    assert not conflicts_of(*tasks[:21]).may_be_more


def test_the_resource_of_a_conflict_is_the_narrower_of_the_two() -> None:
    folder, file = (
        ResourceClaim("file:d", True, ("file:", "d")),
        ResourceClaim("file:d/x", False, ("file:", "d", "x")),
    )
    assert why_they_conflict(folder, file) == ("file:d/x", "read after write")
    assert why_they_conflict(file, folder) == ("file:d/x", "write after read")


@table(
    ("tasks", "barriers"),
    [
        ([task("a", "write", "x"), task("b", "write", "x")], {"a": 0, "b": 1}),
        (
            [task("a", "read", "x"), task("b", "read", "x"), task("c", "write", "x")],
            {"a": 0, "b": 0, "c": 1},
        ),
        ([task("a", "write", "d"), task("b", "read", "d/x")], {"a": 0, "b": 1}),
        ([task("a", "read", "d/x"), task("b", "write", "d")], {"a": 0, "b": 1}),
        (
            [task("a", "write", "d/x"), task("b", "read", "d/y"), task("c", "write", "d")],
            {"a": 0, "b": 0, "c": 1},
        ),
        (
            [
                task("a", "write", "x"),
                task("b", "write", "x"),
                task("c", "do", None, "b"),
                task("d", "do", None, "a"),
            ],
            {"a": 0, "b": 1, "c": 2, "d": 1},
        ),
        ([task("a", "write", "x"), task("b", "write", "x", "a")], {}),
        ([task("a", "write", "x"), task("b", "write", "y")], {}),
    ],
)
def test_under_layers_a_conflict_moves_a_task_to_a_later_one(
    tasks: Any, barriers: dict[str, int]
) -> None:
    assert conflicts_of(*tasks, schedule="layers").barriers == barriers
    assert conflicts_of(*tasks).barriers == {}


def test_what_would_be_written_is_told_with_its_resources_as_far_as_they_are_known() -> None:
    plan = plan_of(
        task("known", "write", "x"),
        task("later", "write", "${OUTPUT[known].path}/y"),
        task("each", "write", "d/$ITEM", for_each=["a", "b"]),
        task("somehow", "do"),
        task("marked", "look", writes=["db:t"]),
        task("reads", "read", "x"),
        task("looks", "look"),
        task("done", "write", "z"),
    )
    assert written_by(plan, conflicts_in(plan, {"done"}), {"done"}) == [
        {"id": "known", "tool": "s:write", "resources": ["file:x"]},
        {"id": "later", "tool": "s:write", "resources": ["file:${OUTPUT[known].path}/y"]},
        {"id": "each", "tool": "s:write", "resources": ["file:d/$ITEM"]},
        {"id": "somehow", "tool": "s:do"},
        {"id": "marked", "tool": "s:look", "resources": ["db:t"]},
    ]
