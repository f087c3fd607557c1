"""Items that are written down are checked before anything runs, each by itself."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning import items as items_module
from plait.core.planning.check import check
from plait.core.planning.items import MAX_ITEMS, MAX_REPORTED
from plait.core.planning.plan import Plan
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Problem
from plait.core.values.strict import dumps
from plait.errors import InvalidDag
from tests.fakes import tool

from ..patching import patched
from ..tables import table

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
STATE = {"enum": ["open", "closed"]}
CATALOG = Catalog(
    [
        tool("s:any"),
        tool("s:say", {"text": TEXT, "n": NUMBER, "state": STATE}, ["text"]),
        tool("s:deep", {"at": {"type": "object", "properties": {"x": NUMBER}}}),
    ],
    [ServerInfo("s", ServerState.READY)],
)


def document(items: Any, arguments: Any, **more: Any) -> dict[str, Any]:
    each = {"id": "each", "tool": "s:say", "for_each": items, "arguments": arguments, **more}
    return {"tasks": [each, {"id": "a", "tool": "s:any"}]}


def planned(items: Any, arguments: Any, **more: Any) -> Plan:
    return check(read_dag(document(items, arguments, **more)), CATALOG, Policy())


def problems(items: Any, arguments: Any, **more: Any) -> list[Problem]:
    with pytest.raises(InvalidDag) as refused:
        planned(items, arguments, **more)
    return list(refused.value.problems)


def at(items: Any, arguments: Any, **more: Any) -> list[tuple[str, str]]:
    found = problems(items, arguments, **more)
    return [(problem.path.removeprefix("tasks[0]."), problem.code) for problem in found]


@table(
    ("items", "arguments", "where"),
    [
        (["a", 2, "c"], {"text": "$ITEM"}, ["for_each[1]"]),
        ([{"t": "a"}, {"t": 2}], {"text": "$ITEM.t"}, ["for_each[1].t"]),
        ([{"t": ["a"]}, {"t": [2]}], {"text": "$ITEM.t[0]"}, ["for_each[1].t[0]"]),
        ([{"t": ["a"]}, {"t": [2]}], {"text": "$ITEM.t[-1]"}, ["for_each[1]"]),
        ([[["a"]], [[2]]], {"text": "$ITEM[*][0]"}, ["arguments.text"]),
        ([{"t": "a"}, {"u": "b"}], {"text": "$ITEM.t"}, ["for_each[1]"]),
        ([{"t": "a"}, {"u": "b"}], {"text": "x $ITEM.t"}, ["for_each[1]"]),
        ([{"t": "a"}, "b", 3], {"text": "$ITEM.t"}, ["for_each[1]", "for_each[2]"]),
        ([{"t": {"u": 1}}, {"t": {}}], {"text": "$ITEM.t.u!"}, ["for_each[1].t"]),
        (["open", "shut"], {"text": "x", "state": "$ITEM"}, ["for_each[1]"]),
        (["open", "shut"], {"text": "x", "state": "${ITEM}"}, ["for_each[1]"]),
        (["en", "d"], {"text": "x", "state": "op$ITEM"}, ["for_each[1]"]),
        ([1, 2], {"text": "x", "n": "$ITEM", "state": "$INDEX"}, ["arguments.state"]),
        (["a", 2], {"text": "$ITEM", "n": "$OUTPUT[a].n"}, ["for_each[1]"]),
        (["a", 2, "$OUTPUT[a]"], {"text": "$ITEM"}, ["for_each[1]"]),
        ([{"text": "a"}, {"text": "b", "m": 1}], "$ITEM", ["for_each[1].m"]),
        ([{"text": "a"}, "b"], "$ITEM", ["for_each[1]"]),
    ],
)
def test_an_item_that_does_not_fit_is_refused_where_it_stands(
    items: Any, arguments: Any, where: list[str]
) -> None:
    assert [path for path, _ in at(items, arguments)] == where


@table(
    ("items", "arguments"),
    [
        (["a", "b"], {"text": "$ITEM"}),
        (["a", 2], {"text": "item $ITEM"}),
        ([{"t": "a"}, {}], {"text": '${ITEM.t ?? "none"}'}),
        ([{"t": "a"}, {"u": "b"}], {"text": "${ITEM.t ?? ITEM.u}"}),
        ([{"t": "a", "n": 1}, {"t": "b", "n": None}], {"text": "$ITEM.t", "n": "$ITEM.n"}),
        ([{"t": "a", "s": "open"}, {"t": "b", "s": ""}], {"text": "$ITEM.t", "state": "$ITEM.s"}),
        (["a", "$OUTPUT[a].x"], {"text": "$ITEM"}),
        ("$OUTPUT[a]", {"text": "$ITEM"}),
        ([], {"text": "$ITEM.x"}),
        ([1, "x"], {"text": "always the same"}),
    ],
)
def test_items_that_fit_are_taken(items: Any, arguments: Any) -> None:
    assert planned(items, arguments).notes == ()


def test_a_default_may_be_a_list() -> None:
    [note] = planned(["a"], {"text": "${ITEM ?? []}"}).notes
    assert note.endswith("the default of ${ITEM ?? []} does not fit")


def test_items_are_put_through_the_expressions_of_their_references() -> None:
    assert planned([{"t": ["a"]}], {"text": "${ITEM.t | [0]}"}).notes == ()
    found = at([{"t": ["a"]}, {"t": []}], {"text": "${ITEM.t | [0]}"})
    assert found == [("for_each[1]", "invalid_arguments")]
    found = at([1, "x"], {"n": "${ITEM | abs(@)}", "text": "a"})
    assert found == [("for_each[1]", "invalid_expression")]


def test_what_is_wrong_with_all_items_alike_is_said_once_of_the_arguments() -> None:
    for count in (2, 50):
        items = [{"name": f"n{n}"} for n in range(count)]
        [problem] = problems(items, {"text": "$ITEM.nmae"})
        assert problem.path == "tasks[0].arguments.text"
        assert problem.document()["fix"]["value"] == "$ITEM.name"  # type: ignore[index,call-overload]
        assert at(items, {"text": "x", "n": "$ITEM.name"}) == [("arguments.n", "type_mismatch")]


def test_what_is_wrong_without_the_items_is_said_once() -> None:
    found = at(["a", "b", 3], {"text": "$ITEM", "n": "many", "nope": 1})
    assert sorted(found) == [
        ("arguments.n", "invalid_arguments"),
        ("arguments.nope", "invalid_arguments"),
        ("for_each[2]", "invalid_arguments"),
    ]


@table(
    ("items", "arguments", "fixed"),
    [
        ([1, "2", 3], {"text": "x", "n": "$ITEM"}, [1, 2, 3]),
        ([{"n": 1}, {"n": "2"}], {"text": "x", "n": "$ITEM.n"}, [{"n": 1}, {"n": 2}]),
        (["open", "CLOSED"], {"text": "x", "state": "$ITEM"}, ["open", "closed"]),
        ([{"name": "a"}, {"nmae": "b"}], {"text": "$ITEM.name"}, [{"name": "a"}, {"name": "b"}]),
        (
            [{"p": {"name": "a"}}, {"p": {"nmae": "b"}}],
            {"text": "I am $ITEM.p.name"},
            [{"p": {"name": "a"}}, {"p": {"name": "b"}}],
        ),
    ],
)
def test_the_fix_of_an_item_is_applied_to_it(items: Any, arguments: Any, fixed: Any) -> None:
    before = document(items, arguments)
    fixes: list[Any] = [problem.document()["fix"] for problem in problems(items, arguments)]
    after = patched(before, fixes)
    assert after["tasks"][0]["for_each"] == fixed
    assert check(read_dag(dumps(after)), CATALOG, Policy()).notes == ()


@table(
    ("items", "arguments"),
    [
        ([1, "2"], {"text": "no. $ITEM", "n": "$ITEM"}),
        ([{"name": "a"}, {"nmae": "b", "naem": "c"}], {"text": "$ITEM.name"}),
        ([{"nmae": "b"}, "$OUTPUT[a]"], {"text": "$ITEM.name"}),
        ([{"name": "a", "nmae": "x"}, {"nmae": "b"}], {"text": "$ITEM.name: $ITEM.nmae"}),
    ],
)
def test_an_item_that_may_be_meant_otherwise_has_no_fix(items: Any, arguments: Any) -> None:
    assert [problem.fix for problem in problems(items, arguments)] == [None]


def test_many_wrong_items_are_counted() -> None:
    items = [n if n % 2 else str(n) for n in range(100)]
    found = problems(items, {"text": "$ITEM"})
    assert len(found) == MAX_REPORTED + 1
    assert (found[-1].path, found[-1].message) == ("tasks[0].for_each", "30 more items are wrong.")


def test_the_work_for_long_lists_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    items: list[Any] = ["x"] * MAX_ITEMS
    tasks = [
        {"id": f"t{n}", "tool": "s:say", "for_each": [*items[:999], n], "arguments": arguments}
        for n, arguments in enumerate([{"text": "x", "n": "$INDEX"}, {"text": "$ITEM"}])
    ]
    plan = check(read_dag({"tasks": tasks}), CATALOG, Policy())
    assert plan.notes == ("not all items are checked before they run: there are too many",)
    monkeypatch.setattr(items_module, "MAX_BYTES", 800)
    large = ["y" * 300] * 3 + [4]
    assert planned(large, {"text": "$ITEM"}).notes == plan.notes


def test_the_place_is_that_of_the_part_that_is_wrong() -> None:
    found = at([{"at": {"x": 1}}, {"at": {"x": "y"}}], {"at": "$ITEM.at"}, tool="s:deep")
    assert found == [("for_each[1].at.x", "invalid_arguments")]


@table("value", ["$ITEM.n", {"a": "$ITEM.n"}, ["x $ITEM.n"]])
def test_items_of_which_values_are_made_are_checked_too(value: Any) -> None:
    task = {"id": "v", "value": value, "for_each": [{"n": 1}, {"m": 2}]}
    with pytest.raises(InvalidDag) as refused:
        check(read_dag({"tasks": [task]}), CATALOG, Policy())
    assert [problem.path for problem in refused.value.problems] == ["tasks[0].for_each[1]"]
    task["for_each"] = [{"n": 1}, {"n": "two"}]
    assert check(read_dag({"tasks": [task]}), CATALOG, Policy())


def test_an_item_keeps_what_a_call_that_may_change_something_does_not_take() -> None:
    [problem] = problems([{"text": "a", "dry_run": True}], "$ITEM")
    assert problem.path == "tasks[0].for_each[0].dry_run"
    assert problem.fix is None
