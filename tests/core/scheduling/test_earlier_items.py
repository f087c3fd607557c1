"""Items that succeeded in an earlier run are not sent again."""

from __future__ import annotations

from typing import Any

from plait.core.language.reader import read_dag
from plait.core.language.scope import Scope
from plait.core.planning.check import check
from plait.core.planning.plan import PlannedTask
from plait.core.scheduling.calls import calls_of
from plait.core.scheduling.earlier_items import EarlierItems, items_to_reuse
from plait.core.scheduling.events import Failure, Key, Status
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from tests.fakes import tool

from ..tables import table

CATALOG = Catalog([tool("s:do"), tool("s:other")], [ServerInfo("s", ServerState.READY)])
EACH = {"id": "m", "tool": "s:do", "for_each": ["x", "y", "z"], "arguments": {"to": "$ITEM"}}
FAILED = Failure("tool_error", "no")


def planned(**task: Any) -> PlannedTask:
    tasks = [{"id": "a", "tool": "s:do"}, {**EACH, **task}]
    return check(read_dag({"tasks": tasks}), CATALOG, Policy()).tasks["m"]


def earlier(*outputs: Any, a: Any = None, tool: str = "s:do", **task: Any) -> EarlierItems:
    """A task of which the items with the output None failed."""
    statuses = tuple(Status.FAILED if value is None else Status.SUCCESS for value in outputs)
    errors = tuple((index, FAILED) for index, value in enumerate(outputs) if value is None)
    by_item = tuple(0 if value is None else 1 for value in outputs)
    images = tuple({"type": "image", "data": value} for value in outputs if value is not None)
    output = Output(list(outputs), images, attachments_by_item=by_item)
    known = {"a": Output(a)}
    return EarlierItems(planned(**task).task, tool, output, statuses, errors, FAILED, known)


def reused(before: EarlierItems, a: Any = None, **task: Any) -> dict[int, Any]:
    now = planned(**task)
    outputs = {"a": Output(a)}
    calls, _ = calls_of(Key("r", "m"), now, Scope(outputs))
    items = [(call.key.item or 0, call.item) for call in calls]
    found = items_to_reuse(before, now, outputs, items)
    return {index: output.value for index, output in found.items()}


def test_items_of_a_value_are_made_anew_if_the_value_changed() -> None:
    each = {"id": "m", "value": {"to": "$ITEM"}, "for_each": ["x", "y"]}
    changed = {**each, "value": {"cc": "$ITEM"}}
    tasks = [check(read_dag({"tasks": [t]}), CATALOG, Policy()).tasks["m"] for t in (each, changed)]
    statuses = (Status.SUCCESS, Status.FAILED)
    before = EarlierItems(
        tasks[0].task, tasks[0].tool.full_name, Output([1, None]), statuses, (), FAILED, {}
    )
    found = [items_to_reuse(before, now, {}, [(0, "x"), (1, "y")]) for now in tasks]
    assert [{index: output.value for index, output in one.items()} for one in found] == [{0: 1}, {}]


@table(
    ("before", "a", "now", "expected"),
    [
        (earlier("X", None, "Z"), None, {}, {0: "X", 2: "Z"}),
        (earlier("X", None, "Z"), None, {"for_each": ["x", "Y", "z"]}, {0: "X", 2: "Z"}),
        (earlier("X", None, "Z"), None, {"for_each": ["z", "x"]}, {0: "Z", 1: "X"}),
        (earlier("X", None, "Z"), None, {"for_each": ["x", "x"]}, {0: "X"}),
        (earlier("X", None, "Z"), None, {"for_each": ["new"]}, {}),
        (earlier("X", None, "Z"), None, {"tool": "s:other"}, {}),
        (earlier("X", None, "Z"), None, {"arguments": {"to": "$ITEM", "cc": 1}}, {}),
        (earlier("X", None, "Z"), None, {"select": "@"}, {}),
        (earlier("X", None, "Z"), None, {"repeat": {"until": "ok"}, "allow_repeat": True}, {}),
        (earlier("X", None, "Z"), None, {"retries": 1, "allow_repeat": True}, {0: "X", 2: "Z"}),
        (
            earlier(1, None, for_each=[1, True]),
            None,
            {"for_each": [True, 1]},
            {1: 1},
        ),
    ],
)
def test_an_equal_item_of_an_equal_task_is_reused(
    before: EarlierItems, a: Any, now: dict[str, Any], expected: dict[int, Any]
) -> None:
    assert reused(before, a, **now) == expected


REFERRING: dict[str, Any] = {"arguments": {"to": "$ITEM", "text": "$OUTPUT[a].text"}}


@table(
    ("before", "now", "expected"),
    [
        ({"text": "t"}, {"text": "t"}, {0: "X"}),
        ({"text": "t", "more": 1}, {"text": "t", "more": 2}, {0: "X"}),
        ({"text": "t"}, {"text": "u"}, {}),
        ({"text": 1}, {"text": True}, {}),
    ],
)
def test_what_the_arguments_refer_to_must_have_the_same_value(
    before: Any, now: Any, expected: dict[int, Any]
) -> None:
    assert reused(earlier("X", None, None, a=before, **REFERRING), now, **REFERRING) == expected


def test_what_expressions_of_each_answer_refer_to_must_have_the_same_value() -> None:
    until = {"until": "n == $OUTPUT[a].n"}
    for fields in ({"select": "[$OUTPUT[a].n]"}, {"repeat": until, "allow_repeat": True}):
        before = earlier("X", None, None, a={"n": 1}, **fields)
        assert reused(before, {"n": 1}, **fields) == {0: "X"}
        assert reused(before, {"n": 2}, **fields) == {}


@table(
    "indexed",
    [
        {"arguments": {"to": "$ITEM", "n": "$INDEX"}},
        {"select": "[$INDEX]"},
        {"repeat": {"until": "n == $INDEX"}, "allow_repeat": True},
    ],
)
def test_an_item_that_uses_its_index_must_stand_in_the_same_place(indexed: dict[str, Any]) -> None:
    before = earlier("X", None, "Z", **indexed)
    assert reused(before, **indexed) == {0: "X", 2: "Z"}
    assert reused(before, **indexed, for_each=["z", "y", "x"]) == {}


def test_a_list_from_another_task_is_compared_by_its_items() -> None:
    listed = {"for_each": "$OUTPUT[a]"}
    before = earlier("X", None, a=["x", "y"], **listed)
    assert reused(before, ["y", "x"], **listed) == {1: "X"}
    gone = earlier("X", None, a={}, **listed)
    assert reused(gone, ["x"], **listed) == {}


def test_each_of_the_reused_items_has_its_own_attachments() -> None:
    before = earlier(None, "Y", "Z")
    of_item = {index: output.attachments for index, output in before.succeeded()}
    assert of_item == {
        1: ({"type": "image", "data": "Y"},),
        2: ({"type": "image", "data": "Z"},),
    }
    assert before.items().output().attachments_by_item == (0, 1, 1)


def test_the_items_of_a_list_are_as_they_ended() -> None:
    items = earlier("X", None).items()
    assert items.statuses == [Status.SUCCESS, Status.FAILED]
    assert (items.errors, items.left) == ([(1, FAILED)], 0)
    assert items.output().value == ["X", None]
