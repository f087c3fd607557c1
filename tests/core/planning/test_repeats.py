"""`repeat` before anything runs: its expressions, the arguments that it sets, what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.expressions.shapes import ANY, list_of, object_of, of, or_null
from plait.core.language.reader import read_dag
from plait.core.language.repeats import MAX_PAGES, POLL_S
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.planning.repeats import joined
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op, Problem
from plait.errors import InvalidDag
from tests.fakes import tool

from ..tables import table

NUMBER = {"type": "integer"}
TEXT = {"type": "string"}
PAGE = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"type": "object", "properties": {"n": NUMBER}}},
        "next": {"type": ["integer", "null"]},
        "token": {"type": ["string", "null"]},
        "state": {"enum": ["open", "done"]},
    },
    "required": ["items"],
    "additionalProperties": False,
}
CATALOG = Catalog(
    [
        tool("s:list", {"page": NUMBER, "q": TEXT}, output=PAGE, readOnlyHint=True),
        tool("s:may", {"page": {"type": ["integer", "null"]}}, output=PAGE, readOnlyHint=True),
        tool("s:raw", {"page": NUMBER}, readOnlyHint=True),
        tool("s:open", {"page": NUMBER}, output={**PAGE, "additionalProperties": True}),
        tool("s:add", {"n": NUMBER}),
    ],
    [ServerInfo("s", ServerState.READY)],
)


def planned(repeat: dict[str, Any], *others: dict[str, Any], **fields: Any) -> Plan:
    task = {"id": "a", "tool": "s:list", "repeat": repeat, **fields}
    return check(read_dag({"tasks": [task, *others]}), CATALOG, Policy())


def refused(repeat: dict[str, Any], *others: dict[str, Any], **fields: Any) -> Problem:
    with pytest.raises(InvalidDag) as caught:
        planned(repeat, *others, **fields)
    [problem] = caught.value.problems
    return problem


def test_pages_and_polling_have_their_own_pauses_and_limits():
    paging = planned({"set": {"page": "next"}}).tasks["a"].repeat
    polling = planned({"until": "state == 'done'"}).tasks["a"].repeat
    assert paging is not None
    assert polling is not None
    assert (paging.pause_s, paging.most, paging.may_be_cut) == (0.0, MAX_PAGES, False)
    assert (polling.pause_s, polling.most, polling.may_be_cut) == (POLL_S, MAX_PAGES, False)
    written = planned({"set": {"page": "next"}, "max": 5, "every_s": 1}).tasks["a"].repeat
    assert written is not None
    assert (written.pause_s, written.most, written.may_be_cut) == (1, 5, True)
    counted = planned({"until": "state == 'done'", "max": 5}).tasks["a"].repeat
    assert counted is not None
    assert not counted.may_be_cut


@table(
    ("repeat", "place", "words", "fix"),
    [
        ({"set": {"page": "nxt"}}, "set.page", "unknown field nxt", "next"),
        ({"while": "stat"}, "while", "unknown field stat", "state"),
        ({"until": "state == 'finished'"}, "until", "'finished'", None),
        ({"until": "'done'"}, "until", "is a constant", None),
        ({"until": "$OUTPUT[a].state == 'done'"}, "until", "the output itself", "state == 'done'"),
        ({"until": "state = 'done'"}, "until", "", "state == 'done'"),
        ({"until": "$OUTPUT[x].y"}, "until", 'unknown task "x"', None),
        ({"until": "$ITEM.y"}, "until", "there is no $ITEM", None),
        ({"until": "$ARGUMENTS.pag == next"}, "until", "unknown field pag", None),
        ({"set": {"page": "state"}}, "set.page", "page must be an integer", None),
        ({"set": {"page": "items"}}, "set.page", "page must be an integer; this is a list", None),
    ],
)
def test_mistakes_are_found_with_their_place(
    repeat: dict[str, Any], place: str, words: str, fix: str | None
):
    problem = refused(repeat)
    assert problem.path == f"tasks[0].repeat.{place}"
    assert words in problem.message
    assert problem.fix == (None if fix is None else Fix(Op.REPLACE, fix))


def test_an_argument_that_the_tool_does_not_take_is_renamed():
    problem = refused({"set": {"pge": "next"}})
    assert (problem.path, problem.code) == ("tasks[0].repeat.set.pge", "invalid_arguments")
    assert problem.fix == Fix(Op.RENAME, "page")


def test_an_argument_that_goes_on_from_itself_needs_a_first_value():
    going_on = {"set": {"page": "add($ARGUMENTS.page, 1)"}, "while": "items"}
    problem = refused(going_on, arguments={"q": "x"})
    assert (problem.path, problem.code) == ("tasks[0].arguments.page", "missing_field")
    assert "page has no first value" in problem.message
    assert problem.hint == 'Write it into arguments too, such as "page": 1.'
    arguments: Any = {"q": "x", "page": 1}
    assert problem.fix == Fix(Op.REPLACE, arguments, "tasks[0].arguments")
    planned(going_on, arguments=arguments)
    bare = refused(going_on)
    whole: Any = {"id": "a", "tool": "s:list", "repeat": going_on, "arguments": {"page": 1}}
    assert bare.fix == Fix(Op.REPLACE, whole, "tasks[0]")
    assert refused({"set": {"q": "$ARGUMENTS.q"}}).fix is None


def test_an_argument_in_the_place_of_an_answer_is_named_as_one():
    problem = refused({"set": {"page": "page + 1"}}, arguments={"page": 1})
    assert problem.fix == Fix(Op.REPLACE, "add($ARGUMENTS.page, 1)")


def test_an_argument_that_is_only_set_is_null_at_first():
    planned({"set": {"page": "next"}, "while": "$ARGUMENTS.page == null || next != null"})
    assert "page must be an integer; this is null" in refused({"set": {"page": "null"}}).message


def test_the_tasks_that_its_expressions_name_are_waited_for():
    other = {"id": "b", "tool": "s:list"}
    plan = planned({"set": {"page": "$OUTPUT[b].next"}}, other)
    assert plan.tasks["a"].needs == ("b",)
    again = planned({"until": "next == $OUTPUT[b].next"}, other)
    assert again.layers == (("b",), ("a",))


@table("tool", ["s:list", "s:may"])
def test_null_ends_the_pages_so_it_is_not_what_fits(tool: str):
    problem = refused({"set": {"page": "token"}}, tool=tool, arguments={"page": 1})
    assert (problem.path, problem.code) == ("tasks[0].repeat.set.page", "type_mismatch")
    assert "this is a string." in problem.message
    planned({"set": {"page": "next"}}, tool=tool, arguments={"page": 1})


def test_items_are_seen():
    planned({"until": "next == $ITEM"}, for_each=[1, 2])


@table(
    ("select", "path", "words"),
    [
        ("items", "[0].n", None),
        ("items", ".items", "is a list"),
        ("items[].n", "[0].n", "there is no .n in it"),
        (None, "[0].next", None),
        (None, ".next", "is a list"),
        (None, "[0].nxt", "has no"),
    ],
)
def test_what_comes_out_is_a_list_to_those_behind(select: str | None, path: str, words: str | None):
    fields = {} if select is None else {"select": select}
    behind = {"id": "b", "tool": "s:add", "arguments": {"n": f"$OUTPUT[a]{path}"}}
    if words is None:
        planned({"set": {"page": "next"}}, behind, **fields)
        return
    assert words in refused({"set": {"page": "next"}}, behind, **fields).message


def test_the_output_of_polling_is_that_of_one_call():
    behind = {"id": "b", "tool": "s:add", "arguments": {"n": "$OUTPUT[a].next"}}
    planned({"until": "state == 'done'"}, behind)


def test_pages_of_each_item_are_lists_in_a_list():
    behind = {"id": "b", "tool": "s:add", "arguments": {"n": "$OUTPUT[a][0][1].n"}}
    fields = {"for_each": ["x"], "arguments": {"q": "$ITEM"}, "select": "items"}
    planned({"set": {"page": "next"}}, behind, **fields)


def test_pages_can_be_gone_through_by_items_of_another_task():
    behind = {"id": "b", "tool": "s:add", "for_each": "$OUTPUT[a]", "arguments": {"n": "$ITEM.m"}}
    plan = planned({"set": {"page": "next"}}, behind, select="items")
    assert any('declares no "m"' in note for note in plan.notes)


def test_of_a_tool_without_a_schema_only_the_list_is_known():
    behind = {"id": "b", "tool": "s:add", "arguments": {"n": "$OUTPUT[a][0].x"}}
    planned({"set": {"page": "next.page"}}, behind, tool="s:raw")


@table(
    ("page", "expected"),
    [
        (list_of(of("text")), list_of(of("text"))),
        (or_null(list_of(of("text"))), list_of(of("text"))),
        (of("text"), list_of(of("text"))),
        (object_of({"result": list_of(of("text"))}), list_of(of("text"))),
        (ANY, of("list")),
    ],
)
def test_the_shape_of_pages_is_that_of_what_they_are_joined_to(page: Any, expected: Any):
    assert joined(page) == expected


def test_an_expression_that_could_not_be_read_leaves_what_comes_out_unknown():
    behind = {"id": "b", "tool": "s:add", "arguments": {"n": "$OUTPUT[a].what.ever"}}
    assert refused({"set": {"page": "next["}}, behind).path == "tasks[0].repeat.set.page"


@table(
    ("repeat", "place", "fixed"),
    [
        ({"until": "a.state == 'done'"}, "until", "state == 'done'"),
        ({"while": "a.state != 'done'"}, "while", "state != 'done'"),
        ({"set": {"page": "a.next"}}, "set.page", "next"),
    ],
)
def test_the_own_id_before_a_declared_field_is_refused_also_where_others_may_be_there(
    repeat: Any, place: str, fixed: str
) -> None:
    for name in ("s:list", "s:open"):
        problem = refused(repeat, tool=name, allow_repeat=True)
        assert problem.path == f"tasks[0].repeat.{place}"
        assert problem.fix == Fix(Op.REPLACE, fixed)


def test_the_own_id_may_be_a_field_that_is_not_declared() -> None:
    planned({"until": "a.done"}, tool="s:open", allow_repeat=True)
    planned({"until": "a.state"}, tool="s:raw")


@table(("name",), [("after",), ("cursor",), ("zork",)])
def test_an_argument_of_pages_that_the_tool_does_not_take_is_neither_left_out_nor_guessed(
    name: str,
) -> None:
    assert refused({"set": {name: "next"}}).fix is None
