"""Filters by paths that no element has: a note, or a failure before a call that changes
something."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.results.record import RunRecord, record_of
from plait.core.scheduling import pace
from plait.core.scheduling.events import Key
from plait.core.tools.output import Output
from plait.errors import ToolError
from plait.observers.records import RunRecords

from ..tables import table
from .played import Played

ROWS = [{"id": 1, "archived": True}, {"id": 2, "archived": False}]
THERE = "no element has archvied; elements have id, archived"
HINT = "Did you mean archived? If elements may lack it, write not_null(archvied, null)."
NOTE = f"{THERE}. {HINT}".removesuffix(".")
CHANGE = {"id": "w", "tool": "s:typed", "arguments": {"name": "${OUTPUT[a] | to_string(@)}"}}


def failure(played: Played, id: str) -> tuple[str, str, str | None]:
    [error] = [error for error in played.errors if error.id == id]
    return error.code, error.message, error.hint


def folded(played: Played) -> RunRecord | None:
    """Return the record that the notices of the run give."""
    records = RunRecords()
    for notice in played.run.notices:
        records(notice)
    return records.record("r", played.now)


def test_a_select_without_a_change_behind_it_is_noted() -> None:
    played = Played({"id": "a", "select": "[?archvied].id"}, {"id": "b", "depends_on": ["a"]})
    played.answer("a", ROWS)
    assert played.statuses["a"] == "success"
    assert played.run.notes == [f"tasks.a.select: {NOTE}"]


def test_one_that_feeds_a_change_fails_and_the_change_is_not_made() -> None:
    played = Played({"id": "a", "select": "[?!archvied].id"}, CHANGE)
    played.answer("a", ROWS)
    assert failure(played, "a") == ("invalid_expression", f"select: {THERE}", HINT)
    assert played.statuses == {"a": "failed", "w": "skipped"}
    assert played.run.notes == []


def test_what_is_guarded_or_there_feeds_a_change() -> None:
    for select in ("[?not_null(archvied, null)].id", "[?archived].id"):
        played = Played({"id": "a", "select": select}, CHANGE)
        played.answer("a", ROWS)
        assert played.ready == ["w"]
        assert played.run.notes == []


def test_an_empty_list_says_nothing() -> None:
    played = Played({"id": "a", "select": "[?archvied].id"}, CHANGE)
    played.answer("a", [])
    assert played.ready == ["w"]


def test_the_arguments_of_a_change_are_not_sent() -> None:
    text = "${OUTPUT[a] | [?archvied] | to_string(@)}"
    played = Played({"id": "a"}, {"id": "w", "tool": "s:typed", "arguments": {"name": text}})
    played.answer("a", ROWS)
    assert played.ready == []
    assert failure(played, "w") == ("invalid_expression", f"{text}: {THERE}", HINT)


def test_the_arguments_of_a_reading_call_are_noted() -> None:
    text = "${OUTPUT[a] | [?archvied]}"
    played = Played({"id": "a"}, {"id": "b", "for_each": text})
    played.answer("a", ROWS)
    assert played.statuses["b"] == "success"
    assert played.run.notes == [f"tasks.b: {text}: {NOTE}"]


@table(
    ("task", "where"),
    [
        ({"id": "v", "value": "${OUTPUT[a] | [?archvied]}"}, "${OUTPUT[a] | [?archvied]}"),
        ({"id": "v", "value": "$OUTPUT[a]", "select": "[?archvied]"}, "select"),
        ({"id": "v", "for_each": "${OUTPUT[a] | [?archvied]}", "value": "$ITEM"},
         "${OUTPUT[a] | [?archvied]}"),
        ({"id": "v", "for_each": ["x"], "value": "$OUTPUT[a]", "select": "[?archvied]"}, "select"),
        ({"id": "v", "tasks": [{"id": "i", "value": "$OUTPUT[a]"}], "select": "[?archvied]"},
         "select"),
        ({"id": "v", "tasks": [{"id": "i", "value": 1}],
          "value": "${OUTPUT[a] | [?archvied]}"}, "${OUTPUT[a] | [?archvied]}"),
        ({"id": "v", "for_each": "${OUTPUT[a] | [?archvied]}",
          "tasks": [{"id": "i", "value": 1}]}, "${OUTPUT[a] | [?archvied]}"),
        ({"id": "v", "for_each": ["x"], "tasks": [{"id": "i", "value": "$OUTPUT[a]"}],
          "select": "[?archvied]"}, "select"),
    ],
)  # fmt: skip
def test_values_and_groups_are_noted_or_fail(task: dict[str, Any], where: str) -> None:
    about = f"tasks.v: {where}" if where.startswith("$") else f"tasks.v.{where}"
    noted = Played({"id": "a"}, task)
    noted.answer("a", ROWS)
    assert noted.statuses["v"] == "success"
    assert noted.run.notes == [f"{about}: {NOTE}"]
    name = {"name": "${OUTPUT[v] | to_string(@)}"}
    failed = Played({"id": "a"}, task, {"id": "w", "tool": "s:typed", "arguments": name})
    failed.answer("a", ROWS)
    assert failed.statuses["v"] == "failed"
    assert failed.codes["v"] == "invalid_expression"
    assert failed.statuses["w"] == "skipped"


def test_a_when_is_only_noted() -> None:
    for when, status in (("length(a[?archvied]) > 0", "skipped"), ("!a[?archvied]", "ready")):
        played = Played({"id": "a"}, {"id": "w", "tool": "s:typed", "when": when,
                                      "arguments": {"name": "x"}, "depends_on": ["a"]})  # fmt: skip
        played.answer("a", ROWS)
        assert played.statuses["w"] == status
        assert played.run.notes == [f"tasks.w.when: {NOTE}"]


@table(
    "task",
    [
        {"tool": "s:typed", "arguments": {"name": "$OUTPUT[a].gone"}},
        {"value": "$OUTPUT[a].gone"},
        {"for_each": "$OUTPUT[a].gone", "tool": "s:typed", "arguments": {"name": "x"}},
        {"for_each": "$OUTPUT[a].gone", "value": 1},
        {"for_each": "$OUTPUT[a].gone", "tasks": [{"id": "x", "value": 1}]},
    ],
)
def test_the_note_on_a_when_stays_if_its_task_then_fails(task: dict[str, Any]) -> None:
    played = Played({"id": "a"}, {"id": "w", "when": "!a[?archvied]", **task})
    played.answer("a", ROWS)
    assert played.codes["w"] == "reference_error"
    assert f"tasks.w.when: {NOTE}" in played.run.notes
    assert folded(played) == record_of(played.run, played.now)


def test_all_items_are_noted_once_and_their_notices_give_the_record() -> None:
    played = Played({"id": "a", "for_each": [1, 2, 3], "select": "[?archvied].id"})
    for index in (0, 1, 2):
        played.answer(f"a[{index}]", ROWS)
    assert played.run.notes == [f"tasks.a.select: {NOTE}"]
    assert folded(played) == record_of(played.run, played.now)


def test_an_item_that_is_left_to_a_later_step_is_noted_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "MAX_CALLS_AT_ONCE", pace.MAX_CALLS_AT_ONCE // 100)
    costly = "${OUTPUT[big] | group_by(@, &to_string(@)) | length(@)}"
    text = "${ITEM.rows | [?archvied]}"
    items = [{"rows": [{"archvied": True}]}] * 8 + [{"rows": ROWS}]
    each = {"id": "b", "for_each": "$OUTPUT[list]", "arguments": {"x": costly, "y": text}}
    played = Played({"id": "big"}, {"id": "list"}, each)
    played.answer("list", items)
    played.answer("big", [*range(50)] * 4)
    assert played.run.notes == []
    while len(played.run.ready) < 9:
        played.run.wake(Key("r", "", 0), played.now)
    assert played.run.notes == [f"tasks.b: {text}: {NOTE}"]
    assert folded(played) == record_of(played.run, played.now)


def test_an_item_that_feeds_a_change_fails_alone() -> None:
    played = Played({"id": "a", "for_each": [1, 2], "select": "[?archvied].id"}, CHANGE)
    played.answer("a[0]", [{"archvied": 1}])
    played.answer("a[1]", ROWS)
    assert failure(played, "a")[0] == "invalid_expression"


@table(
    ("repeat", "where"),
    [
        ({"set": {"page": "[?archvied].id | [0]"}}, "repeat.set.page"),
        ({"while": "length([?archvied]) > 0", "set": {"page": "'x'"}}, "repeat.while"),
        ({"until": "length([?archvied]) == 0"}, "repeat.until"),
    ],
)
def test_the_expressions_of_repeat_are_noted(repeat: dict[str, Any], where: str) -> None:
    played = Played({"id": "a", "repeat": repeat})
    played.answer("a", ROWS)
    assert played.statuses["a"] == "success"
    assert played.run.notes == [f"tasks.a.{where}: {NOTE}"]


def test_a_page_whose_next_is_looked_for_in_vain_fails_before_a_change() -> None:
    played = Played({"id": "a", "repeat": {"set": {"page": "[?archvied].id | [0]"}}}, CHANGE)
    played.answer("a", ROWS)
    assert failure(played, "a")[:2] == ("invalid_expression", f"repeat.set.page: {THERE}")


def test_pages_are_noted_as_they_come() -> None:
    repeat = {"set": {"page": "add($ARGUMENTS.page, 1)"}, "max": 2}
    first = {"page": 1}
    played = Played({"id": "a", "arguments": first, "select": "[?archvied]", "repeat": repeat})
    played.answer("a", ROWS)
    assert played.run.notes == [f"tasks.a.select: {NOTE}"]
    played.answer("a", ROWS)
    assert [note for note in played.run.notes if "archvied" in note] == played.run.notes[:1]


@table(
    ("when", "output", "status", "note"),
    [
        ("a.status == 'success'", {"version": 1, "url": "u"}, "skipped",
         "a has no status; it has version, url. $STATUS[a] says how a ended. "),
        ("a.success", {"version": 1}, "skipped",
         "a has no success; it has version. $STATUS[a] says how a ended. "),
        ("$OUTPUT[a].verson > 0", {"version": 1}, "skipped",
         "a has no verson; it has version. Did you mean a.version? "),
        ("!a.error", {"ok": True}, "ready", "a has no error; it has ok. "),
        ("a.x == 'y'", "text", "skipped", "a has no x; it is a text. "),
        ("a.x.y && a.z", {"x": {}}, "skipped", "a has no x.y; a.x has no fields. "),
        ("a.result.x > 2", {"x": 3}, "skipped",
         "a has no result.x; it has x. The answer has no wrapper: write a.x. "),
        ("!a.result", {"x": 3}, "ready",
         "a has no result; it has x. The answer has no wrapper: write a. "),
        ("a[0].nme == 'y'", [{"name": "y"}], "skipped",
         "a[0] has no nme; it has name. Did you mean a[0].name? "),
        ("a.rows[-1].nme == 'y'", {"rows": [{"name": "y"}]}, "skipped",
         "a.rows[-1] has no nme; it has name. Did you mean a.rows[-1].name? "),
        ("a.verson && a.ok", {"version": 1, "ok": True}, "skipped",
         "a has no verson; it has version, ok. Did you mean a.version? "),
    ],
)  # fmt: skip
def test_a_when_over_a_name_that_is_not_there_is_noted(
    when: str, output: Any, status: str, note: str
) -> None:
    played = Played({"id": "a"}, {"id": "b", "when": when})
    played.answer("a", output)
    assert played.statuses["b"] == status
    path = when.split()[0].strip("!").replace("$OUTPUT[a]", "a")
    said = f"{note}If it may be missing, write not_null({path}, null)"
    assert played.run.notes == [f"tasks.b.when: {said}"]
    assert folded(played) == record_of(played.run, played.now)


@table(
    ("when", "output"),
    [
        ("a.x == 'y'", {"x": "z"}),
        ("a.x.y", {"x": None}),
        ("a.x", None),
        ("a.error == null", {}),
        ("a.items || a.results", {"results": []}),
        ("not_null(a.x, null)", {}),
        ("a.x && a.y", {"x": 0}),
        ("a.kind == 'x' && a.y", {"kind": "z"}),
        ("a.x && a.error == null", {"x": 1}),
        ("a.result.x", Output({"result": {"x": 1}}, is_wrapped=True)),
        ("length(a.groups[].items[].x) > 0", {"groups": [{"items": [{"y": 1}, {"x": 1}]}]}),
        ("$STATUS[a] == 'failed' && a.x", {}),
    ],
)
def test_a_name_that_may_be_missing_is_not_noted(when: str, output: Any) -> None:
    played = Played({"id": "a"}, {"id": "b", "when": when, "trigger_rule": "all_done"})
    played.answer("a", output)
    assert played.run.notes == []


@table(
    ("when", "status"),
    [
        ("a.ok && a.verson", "skipped"),
        ("a.ok && !a.verson", "ready"),
        ("a.version > 1 && a.ok && a.verson > 0", "skipped"),
        ("$STATUS[a] == 'success' && a.verson", "skipped"),
        ("!(a.ok && a.verson)", "ready"),
    ],
)
def test_a_name_behind_what_is_true_is_noted_like_one_before_it(when: str, status: str) -> None:
    played = Played({"id": "a"}, {"id": "b", "when": when})
    played.answer("a", {"version": 2, "ok": True})
    assert played.statuses["b"] == status
    said = "a has no verson; it has version, ok. Did you mean a.version? "
    said += "If it may be missing, write not_null(a.verson, null)"
    assert played.run.notes == [f"tasks.b.when: {said}"]


def test_a_task_without_an_output_lacks_no_name() -> None:
    played = Played({"id": "a"}, {"id": "b", "when": "!a.x", "trigger_rule": "all_done"})
    played.answer("a", ToolError("no"))
    assert played.ready == ["b"]
    assert played.run.notes == []


@table(
    ("when", "output", "status", "note"),
    [
        ("a.items.length > 0", {"items": [1]}, "skipped",
         "a has no items.length; a.items is a list. Write length(a.items)"),
        ("a.n > '2'", {"n": 3}, "skipped",
         "a.n > '2' is never true: a.n is a number. Write the number without quotes"),
        ("a.n != '3'", {"n": 3}, "ready",
         "a.n != '3' is always true: a.n is a number. Write the number without quotes"),
        ("a.v == 2", {"v": "2"}, "skipped",
         ("a.v == 2 is never true: a.v is a text. "
          "Write the text in single quotes, or to_number(a.v)")),
        ("a > 2", {"n": 3}, "skipped",
         "a > 2 is never true: a is an object. Name one of its fields: a.field"),
        ("length(a.items[].nme) > 0", {"items": [{"name": 1}]}, "skipped",
         ("no element has nme; elements have name. Did you mean name? "
          "If elements may lack it, write not_null(nme, null)")),
    ],
)  # fmt: skip
def test_a_condition_that_unlike_values_decide_is_noted(
    when: str, output: Any, status: str, note: str
) -> None:
    played = Played({"id": "a"}, {"id": "b", "when": when})
    played.answer("a", output)
    assert played.statuses["b"] == status
    assert played.run.notes == [f"tasks.b.when: {note}"]


@table(
    ("select", "said"),
    [
        ("totl", "the answer has no totl; it has total, items, groups. Did you mean total?"),
        ("{n: totl}", "the answer has no totl"),
        ("items.name", "the answer has no items.name; items is a list. Write items[].name for"),
        ("items.last", "the answer has no items.last; items is a list. Write items[-1]."),
        ("sum(items[].nr)", "no element has nr; elements have name."),
        ("groups[].items[].nme", "no element has nme; elements have name."),
        ("groups[*].items[*].nme", "no element has nme; elements have name."),
        ("groups[].itms[].name", "no element has itms; elements have items."),
        ("groups[?items].items[].nme", "no element has nme; elements have name."),
        ("items[].{n: nme}", "no element has nme; elements have name. Did you mean name?"),
        (
            "a.items[].name",
            "the answer has no a.items; it has total, items, groups. It is read from",
        ),
        ("items[?name > 1]", "name > 1 is never true: name is a text."),
    ],
)
def test_a_select_that_finds_nothing_by_a_name_is_noted(select: str, said: str) -> None:
    played = Played({"id": "a", "select": select})
    rows = [{"name": "x"}]
    played.answer("a", {"total": 3, "items": rows, "groups": [{"items": []}, {"items": rows}]})
    assert played.statuses["a"] == "success"
    [note] = played.run.notes
    assert note.startswith(f"tasks.a.select: {said.removesuffix('.')}")


@table(
    "select",
    [
        *("total", "items[].name", "not_null(totl, null)", "empty", "none.x", "totl || total"),
        *("length(empty[].x)", "{n: total}", "total > 5", "items[?name == 'y']", "mixed[].x"),
    ],
)
def test_a_select_that_finds_what_is_there_is_not_noted(select: str) -> None:
    played = Played({"id": "a", "select": select})
    rows = {"items": [{"name": "x"}], "mixed": [1, {"y": 2}]}
    played.answer("a", {"total": 3, "empty": [], "none": None, **rows})
    assert played.run.notes == []


@table(
    ("pipe", "hint"),
    [
        ("first", "Write [0]."),
        ("[0].nme", "Did you mean [0].name? If it may be missing, write not_null([0].nme, null)."),
        ("@[0].nme", "Did you mean [0].name? If it may be missing, write not_null([0].nme, null)."),
        ("[].nme", "Did you mean name? If elements may lack it, write not_null(nme, null)."),
        ("[0].of.nme", "If it may be missing, write not_null([0].of.nme, null)."),
        *(("[0].name", None), ("not_null([0].nme, null)", None), ("[0].nme || 'x'", None)),
        *(("[0].none.x", None), ("[5].nme", None), ("[?name == 'y'].name", None)),
    ],
)
def test_a_pipe_that_finds_nothing_by_a_name_fails_before_a_change(
    pipe: str, hint: str | None
) -> None:
    text = f"n: ${{OUTPUT[a] | {pipe}}}"
    rows = [{"name": "x", "of": {"id": 1}, "none": None}]
    played = Played({"id": "a"}, {"id": "w", "tool": "s:typed", "arguments": {"name": text}})
    played.answer("a", rows)
    assert (played.ready == ["w"]) is (hint is None)
    if hint is not None:
        assert failure(played, "w")[::2] == ("invalid_expression", hint)
    played = Played({"id": "a"}, {"id": "v", "value": text})
    played.answer("a", rows)
    assert played.statuses["v"] == "success"
    assert len(played.run.notes) == int(hint is not None)
    guarded = f'n: ${{OUTPUT[a] | {pipe} ?? "none"}}'
    played = Played({"id": "a"}, {"id": "w", "tool": "s:typed", "arguments": {"name": guarded}})
    played.answer("a", rows)
    assert played.ready == ["w"]
    assert played.run.notes == []


def test_the_id_of_the_task_in_its_select_fails_it_before_a_change() -> None:
    played = Played({"id": "a", "select": "a.items[].name"}, CHANGE)
    played.answer("a", {"items": [{"name": "x"}]})
    assert failure(played, "a")[0] == "invalid_expression"
    assert played.statuses["w"] == "skipped"
