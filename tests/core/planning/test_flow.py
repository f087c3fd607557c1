"""Types along references: what is refused before anything runs, and what is left to run time."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.dag import Dag, Task
from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import TakenOver
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op
from plait.core.values.schema import Schema
from plait.errors import InvalidDag
from tests.fakes import tool

from ..tables import table
from .typed import STRING, TYPED, refused, typed


def test_a_path_that_the_schema_of_the_output_rules_out_is_refused() -> None:
    [problem] = refused(
        {"tool": "s:list"}, {"tool": "s:read", "arguments": {"path": "$OUTPUT[t0].items[0].titel"}}
    )
    assert (problem.path, problem.code, problem.id) == (
        "tasks[1].arguments.path",
        "invalid_reference",
        "t1",
    )
    assert problem.fix == Fix(Op.REPLACE, "$OUTPUT[t0].items[0].title")


def test_a_value_that_the_schema_of_the_parameter_rules_out_is_refused() -> None:
    [problem] = refused(
        {"tool": "s:list"}, {"tool": "s:read", "arguments": {"path": "$OUTPUT[t0].total"}}
    )
    assert (problem.path, problem.code, problem.id) == (
        "tasks[1].arguments.path",
        "type_mismatch",
        "t1",
    )
    assert problem.message == "path must be a string; $OUTPUT[t0].total is an integer."


def test_a_task_may_be_called_as_the_parts_of_an_end_are() -> None:
    tasks = [
        {"id": "STATUS", "tool": "s:list"},
        {"id": "t", "tool": "s:read", "arguments": {"path": "$STATUS[STATUS]"}},
        {"id": "u", "tool": "s:read", "arguments": {"path": "$OUTPUT[STATUS].items[0].title"}},
    ]
    plan = check(read_dag({"tasks": tasks}), TYPED, Policy())
    assert plan.tasks["u"].needs == ("STATUS",)


@table(
    "producer",
    [
        {"tool": "s:odd"},
        {"tool": "s:odd", "select": "x"},
        {"tool": "s:read", "arguments": {"path": "x"}, "select": "x[0]"},
        {"tool": "s:read", "arguments": {"path": "x"}},
        {"tool": "late:list"},
        {"tool": "s:read", "arguments": {"path": "x"}, "for_each": ["x"], "select": "@"},
    ],
)
def test_unknown_types_are_left_to_run_time(producer: dict[str, Any]) -> None:
    step = "[0].nothing" if "for_each" in producer else ".nothing"
    plan = typed(producer, {"tool": "s:read", "arguments": {"path": f"$OUTPUT[t0]{step}"}})
    assert plan.notes == ()


@table(
    ("select", "path", "fix"),
    [
        ("items[0]", ".titel", ".title"),
        ("items[-1]", ".titel", ".title"),
        ("items[]", "[0].titel", "[0].title"),
        ("items[?title == 'x']", "[*].titel", "[*].title"),
        ("{first: items[0].title, count: total}", ".frist", ".first"),
        ("{list: items}", ".list[0].titel", ".list[0].title"),
        ("items | [0]", ".titel", ".title"),
        ("@", ".items[0].titel", ".items[0].title"),
        ("total", ".x", None),
        ("length(items)", ".x", None),
        ("items[].title", "[0].x", None),
        ("join(', ', items[].title)", ".x", None),
        ("[items[0].title, items[1].title]", ".x", None),
    ],
)
def test_a_path_that_what_select_gives_rules_out_is_refused(
    select: str, path: str, fix: str | None
) -> None:
    for producer, before in (({}, ""), ({"for_each": [1, 2]}, "[1]")):
        [problem] = refused(
            {"tool": "s:list", "select": select, **producer},
            {"tool": "s:odd", "arguments": {"path": f"$OUTPUT[t0]{before}{path}"}},
        )
        assert (problem.path, problem.code) == ("tasks[1].arguments.path", "invalid_reference")
        expected = None if fix is None else Fix(Op.REPLACE, f"$OUTPUT[t0]{before}{fix}")
        assert problem.fix == expected


@table(
    ("select", "wanted"),
    [("total", "an integer"), ("items", "a list"), ("{a: total}", "an object")],
)
def test_a_value_of_select_that_the_parameter_rules_out_is_refused(
    select: str, wanted: str
) -> None:
    [problem] = refused(
        {"tool": "s:list", "select": select},
        {"tool": "s:read", "arguments": {"path": "$OUTPUT[t0]"}},
    )
    assert problem.code == "type_mismatch"
    assert problem.message.startswith("path must be a string; $OUTPUT[t0] is ")
    assert wanted in problem.message
    typed({"tool": "s:list", "select": select}, {"tool": "s:odd", "arguments": {}})


@table(
    ("select", "items", "fix"),
    [
        ("total", "$OUTPUT[t0]", None),
        ("join(', ', items[].title)", "$OUTPUT[t0]", None),
        ("{found: items}", "$OUTPUT[t0]", "$OUTPUT[t0].found"),
        ("{found: items, count: total}", "$OUTPUT[t0]", "$OUTPUT[t0].found"),
        ("{found: items, count: total}", "$OUTPUT[t0].count", None),
        ("items[0]", "$OUTPUT[t0].title", None),
    ],
)
def test_for_each_over_what_select_gives_is_refused_unless_it_may_be_a_list(
    select: str, items: str, fix: str | None
) -> None:
    producer = {"tool": "s:list", "select": select}
    [problem] = refused(producer, {"tool": "s:odd", "for_each": items})
    assert (problem.path, problem.code) == ("tasks[1].for_each", "type_mismatch")
    assert problem.fix == (None if fix is None else Fix(Op.REPLACE, fix))
    for good in ("items", "items[].title", "[total]", "sort_by(items, &title)"):
        typed({"tool": "s:list", "select": good}, {"tool": "s:odd", "for_each": "$OUTPUT[t0]"})


def test_items_of_what_select_gives_have_its_type() -> None:
    [problem] = refused(
        {"tool": "s:list", "select": "items"},
        {"tool": "s:odd", "for_each": "$OUTPUT[t0]", "arguments": {"path": "$ITEM.titel"}},
    )
    assert problem.fix == Fix(Op.REPLACE, "$ITEM.title")
    chain = refused(
        {"tool": "s:list", "select": "items"},
        {"tool": "s:odd", "for_each": "$OUTPUT[t0]", "select": "{name: $ITEM.title}"},
        {"tool": "s:read", "for_each": "$OUTPUT[t1]", "arguments": {"path": "$ITEM.nmae"}},
    )
    assert [problem.fix for problem in chain] == [Fix(Op.REPLACE, "$ITEM.name")]


def test_a_learned_shape_behind_a_select_gives_notes() -> None:
    def learned(tool: Tool) -> Schema | None:
        shape: Any = {"type": "object", "properties": {"items": {"type": "array"}}}
        return Schema(shape) if tool.full_name == "s:read" else None

    plan = typed(
        {"tool": "s:read", "arguments": {"path": "x"}, "select": "@"},
        {"tool": "s:odd", "arguments": {"path": "$OUTPUT[t0].itms"}},
        learned_shape=learned,
    )
    [note] = plan.notes
    assert note.startswith("tasks[1].arguments.path: earlier outputs of s:read had no")


def test_tasks_that_feed_each_other_end_and_are_a_cycle() -> None:
    problems = refused(
        {"tool": "s:odd", "for_each": "$OUTPUT[t1]", "select": "$ITEM"},
        {"tool": "s:odd", "for_each": "$OUTPUT[t0]", "select": "$ITEM"},
    )
    assert [problem.code for problem in problems] == ["cycle"]


def test_a_field_of_the_producer_that_could_not_be_read_makes_its_output_unknown() -> None:
    consumer = {"tool": "s:read", "arguments": {"path": "$OUTPUT[t0].nothing"}}
    for field in ({"select": 5}, {"select": "a["}, {"for_each": 5}):
        assert all(
            problem.path.startswith("tasks[0]")
            for problem in refused({"tool": "s:list", **field}, consumer)
        )


def test_a_parameter_whose_schema_cannot_be_used_takes_anything() -> None:
    assert typed({"tool": "s:list"}, {"tool": "s:odd", "arguments": {"path": "$OUTPUT[t0].total"}})


def test_the_output_of_a_reused_task_is_checked_and_its_own_references_are_not() -> None:
    reused = Task(id="a", tool="s:list", arguments={"path": "$OUTPUT[gone].items"})
    late = Task(id="b", tool="s:read", arguments={"path": "$OUTPUT[a].total"})
    reading = read_dag(Dag(tasks=(reused, late)))
    taken_over = {"a": TakenOver("s:list", ("gone",))}
    with pytest.raises(InvalidDag) as error:
        check(reading, TYPED, Policy(), reused=taken_over)
    assert [(problem.id, problem.code) for problem in error.value.problems] == [
        ("b", "type_mismatch")
    ]
    without_it = Catalog([tool("s:read", {"path": STRING})], [ServerInfo("s", ServerState.READY)])
    assert (
        check(reading, without_it, Policy(), reused=taken_over).notes == ()
    )  # its schema is not known any more


def test_a_reused_task_is_not_checked_against_a_task_that_was_sent_again() -> None:
    earlier = typed(
        {"tool": "s:list"}, {"tool": "s:read", "arguments": {"path": "$OUTPUT[t0].items[0].title"}}
    )
    again = Task(id="t0", tool="s:list", for_each=["x"])
    reading = read_dag(Dag(tasks=(again, *earlier.dag.tasks[1:])))
    assert check(reading, TYPED, Policy(), reused={"t1": TakenOver("s:read", ("t0",))})


@table(
    ("for_each", "item", "is_refused"),
    [
        ("$OUTPUT[t0].items", "$ITEM.title", False),
        ("$OUTPUT[t0].items", "$ITEM.titel", True),
        ("$OUTPUT[t0].items[*].title", "$ITEM", False),
        ("$OUTPUT[t0].items[*].title", "$ITEM.x", True),
        ("${OUTPUT[t0].items ?? []}", "$ITEM.titel", True),
        ('${OUTPUT[t0].items ?? [{"titel": "x"}]}', "$ITEM.titel", False),
        ([{"titel": "x"}, {"titel": "y"}], "$ITEM.titel", False),
        ([{"title": "x"}, {}], "$ITEM.titel", True),
        (["x", "$OUTPUT[t0]"], "$ITEM", False),
        ([{"title": "x", "n": n} for n in range(200)], "$ITEM.titel", True),
        ([{"title": n} for n in range(200)], "$ITEM.title", True),
        (["x"], "$INDEX", True),
        (["x"], "n$INDEX", False),
    ],
)
def test_an_item_has_the_type_of_the_elements_of_its_list(
    for_each: Any, item: str, is_refused: bool
) -> None:
    tasks = (
        {"tool": "s:list"},
        {"tool": "s:read", "for_each": for_each, "arguments": {"path": item}},
    )
    if is_refused:
        assert [problem.path for problem in refused(*tasks)] == ["tasks[1].arguments.path"]
    else:
        assert typed(*tasks)


def test_an_index_beyond_a_list_of_known_length_is_refused() -> None:
    tasks = [
        {"tool": "s:read", "arguments": {"path": f"$OUTPUT[t0][{n}].items[{n}].title"}}
        for n in (0, 1, 2, -2, -3)
    ]
    found = refused({"tool": "s:list", "for_each": ["a", "b"]}, *tasks)
    assert [problem.id for problem in found] == ["t3", "t5"]


LIST = {"id": "a", "tool": "s:list"}


def said_of_value(value: Any, *more: dict[str, Any], **fields: Any) -> list[tuple[str, Any]]:
    """The path of each problem of a DAG with a value made of a list of issues, with its fix."""
    made = {"id": "v", "value": value, **fields}
    try:
        typed(LIST, made, *more)
    except InvalidDag as error:
        found = error.problems
    else:
        return []
    return [
        (problem.path, problem.fix.to if problem.fix is not None else None) for problem in found
    ]


def read(path: str) -> dict[str, Any]:
    return {"id": "r", "tool": "s:read", "arguments": {"path": path}}


@table(
    ("value", "path", "place", "fix"),
    [
        ({"n": "$OUTPUT[a].total"}, "$OUTPUT[v].m", "path", None),
        ({"total": 1}, "$OUTPUT[v].totl", "path", "$OUTPUT[v].total"),
        ({"n": "$OUTPUT[a].total"}, "$OUTPUT[v].n", "path", "${OUTPUT[v].n | to_string(@)}"),
        ([1, 2], "$OUTPUT[v].x", "path", None),
        ("$OUTPUT[a].items", "$OUTPUT[v][0].titel", "path", "$OUTPUT[v][0].title"),
        ({"x": ["$OUTPUT[a].items[*].title"]}, "$OUTPUT[v].x[0][0].y", "path", None),
        ("the ${OUTPUT[a].total}", "$OUTPUT[v].x", "path", None),
        ("${OUTPUT[a].total ?? false}", "$OUTPUT[v]", "path", "${OUTPUT[v] | to_string(@)}"),
    ],
)
def test_a_path_or_type_that_a_value_rules_out_is_refused(
    value: Any, path: str, place: str, fix: Any
):
    assert said_of_value(value, read(path)) == [(f"tasks[2].arguments.{place}", fix)]


@table(
    ("value", "path"),
    [
        ({"t": "$OUTPUT[a].items[0].title"}, "$OUTPUT[v].t"),
        ({"t": "number ${OUTPUT[a].total}"}, "$OUTPUT[v].t"),
        ('${OUTPUT[a].total ?? "none"}', "$OUTPUT[v]"),
        ({"result": {"t": "x"}}, "$OUTPUT[v].result.t"),
        (["a", "$OUTPUT[a].items[0].title"], "$OUTPUT[v][1]"),
    ],
)
def test_what_a_value_may_hold_is_accepted(value: Any, path: str):
    assert said_of_value(value, read(path)) == []


def test_a_value_is_checked_like_arguments():
    assert said_of_value({"x": ["$OUTPUT[a].itms"]}) == [
        ("tasks[1].value.x[0]", "$OUTPUT[a].items")
    ]
    assert said_of_value("$OUTPUT[v]") == [("tasks[1].value", None)]
    assert said_of_value({"y": "$OUTPUT[gone]"}) == [("tasks[1].value.y", None)]


def test_items_and_conditions_know_the_shape_of_a_value():
    each = {"id": "m", "tool": "s:open", "for_each": "$OUTPUT[v].n"}
    assert [place for place, _ in said_of_value({"n": 1}, each)] == ["tasks[2].for_each"]
    when = {"id": "w", "value": 1, "when": "v.m"}
    assert [place for place, _ in said_of_value({"n": 1}, when)] == ["tasks[2].when"]
    [select] = said_of_value({"name": "$OUTPUT[a].total"}, select="nmae")
    assert select == ("tasks[1].select", "name")


def test_values_for_each_item_are_a_list_of_what_is_made():
    assert (
        said_of_value({"n": "$ITEM.title"}, read("$OUTPUT[v][0].n"), for_each="$OUTPUT[a].items")
        == []
    )
    [(place, fix)] = said_of_value(
        {"n": "$ITEM.title"}, read("$OUTPUT[v].n"), for_each="$OUTPUT[a].items"
    )
    assert (place, fix) == ("tasks[2].arguments.path", None)
