"""What the tasks of one plan see of each other, and what holds them back."""

from typing import Any

import pytest

from plait.core.language.dag import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.conflicts import find_conflicts, planned_accesses
from plait.core.scheduling.events import Key, Status
from plait.core.scheduling.frame import Frame
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from tests.fakes import tool

CATALOG = Catalog([tool("s:do", readOnlyHint=True)], [ServerInfo("s", ServerState.READY)])


def frame(*tasks: dict[str, Any], done: tuple[str, ...] = (), **dag: Any) -> Frame:
    document = {"tasks": [{"tool": "s:do", **task} for task in tasks], **dag}
    plan = check(read_dag(document), CATALOG, Policy())
    accesses = planned_accesses(plan)
    return Frame("r", plan, find_conflicts(plan, accesses, {}), done)


def test_each_task_begins_pending_and_knows_what_it_waits_for():
    made = frame({"id": "a"}, {"id": "b", "depends_on": ["a"]})
    assert {id: state.needs_left for id, state in made.states.items()} == {"a": 0, "b": 1}
    assert [state.key for state in made.states.values()] == [Key("r", "a"), Key("r", "b")]
    assert made.unsettled == 2


@pytest.mark.parametrize(("rule", "sees"), [("all_success", {"a"}), ("all_done", {"a", "each"})])
def test_outputs_of_failed_lists_are_for_tasks_whose_rule_allows_failures(
    rule: str, sees: set[str]
):
    made = frame({"id": "a"}, {"id": "each"}, {"id": "b", "trigger_rule": rule})
    made.outputs["a"] = Output(1)
    assert set(made.visible(made.plan.tasks["b"])) == {"a"}
    made.partial["each"] = Output([None])
    assert set(made.visible(made.plan.tasks["b"])) == sees


def test_references_see_outputs_and_the_item_that_they_are_for():
    made = frame({"id": "a"})
    made.outputs["a"] = Output(1)
    scope = made.scope(made.plan.tasks["a"], {"n": 7}, 3)
    assert (dict(scope.outputs), scope.item, scope.index) == ({"a": Output(1)}, {"n": 7}, 3)


WRITERS = ({"id": "a", "writes": ["db:x"]}, {"id": "b", "writes": ["db:x"]}, {"id": "c"})


def test_tasks_that_use_the_same_resource_go_one_after_the_other():
    made = frame(*WRITERS)
    assert [id for id in made.states if made.may_decide(id)] == ["a", "c"]
    assert made.released("c") == []
    assert made.released("a") == [("b", "db:x")]
    assert made.may_decide("b")


def test_what_is_done_already_holds_nothing_back():
    assert frame(*WRITERS, done=("a",)).may_decide("b")


def test_a_task_that_has_moved_on_is_not_decided_again():
    made = frame({"id": "a"})
    made.states["a"].status = Status.READY
    assert not made.may_decide("a")


def test_a_layer_opens_once_the_one_before_has_ended():
    made = frame({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["a"]}, schedule="layers")
    assert not made.may_decide("c")
    assert made.opened("a") == []
    assert made.opened("b") == ["c"]
    assert made.may_decide("c")


def test_nothing_is_held_back_by_what_a_closed_frame_knew():
    made = frame(*WRITERS)
    made.close()
    assert made.released("a") == []
    assert made.may_decide("b")
