"""Conditions that ask about each item, and the filters that are meant by them."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Problem
from plait.errors import InvalidDag
from tests.fakes import tool

from ..tables import table

CATALOG = Catalog([tool("s:any")], [ServerInfo("s", ServerState.READY)])


def refused(when: str, each: Any = "$OUTPUT[a]") -> Problem:
    tasks = [
        {"id": "a", "tool": "s:any"},
        {"id": "b", "tool": "s:any", "for_each": each, "when": when},
    ]
    with pytest.raises(InvalidDag) as error:
        check(read_dag({"tasks": tasks}), CATALOG, Policy())
    [problem] = error.value.problems
    assert (problem.path, problem.code) == ("tasks[1].when", "invalid_expression")
    return problem


@table(
    ("when", "each", "filtered"),
    [
        ("$ITEM.open", "$OUTPUT[a]", "${OUTPUT[a] | [?open]}"),
        ("!$ITEM.x.y", "$OUTPUT[a].rows", "${OUTPUT[a].rows | [?!x.y]}"),
        ("$ITEM[0] == 'x'", "$OUTPUT[a]", "${OUTPUT[a] | [?@[0] == 'x']}"),
        ("$ITEM.n == a.n", "$OUTPUT[a]", "${OUTPUT[a] | [?n == $OUTPUT[a].n]}"),
        ("$ITEM.n", "${OUTPUT[a] | [0]}", "${OUTPUT[a] | [0] | [?n]}"),
        ("$ITEM", "$OUTPUT[a]", "${OUTPUT[a] | [?@]}"),
    ],
)
def test_a_condition_of_the_item_has_the_filter_as_its_fix(
    when: str, each: str, filtered: str
) -> None:
    fix = refused(when, each).fix
    assert fix is not None
    task = {"id": "b", "tool": "s:any", "for_each": filtered}
    assert (fix.path, fix.to) == ("tasks[1]", task)
    fixed = {"tasks": [{"id": "a", "tool": "s:any"}, task]}
    assert check(read_dag(fixed), CATALOG, Policy()).order == ("a", "b")


@table(
    ("when", "each"),
    [
        ("$INDEX > 2", "$OUTPUT[a]"),
        ("$ITEM.open", ["x"]),
        ("$ITEM.open", "${OUTPUT[a] ?? []}"),
        ("a[?n == $ITEM.n]", "$OUTPUT[a]"),
    ],
)
def test_where_the_filter_is_unclear_there_is_a_hint(when: str, each: Any) -> None:
    problem = refused(when, each)
    assert problem.fix is None
    assert problem.hint is not None
    assert "Filter the list" in problem.hint


def test_a_fix_is_not_longer_than_what_is_sent_back() -> None:
    assert refused("$ITEM.open && " + " && ".join([f"a.{'x' * 98}"] * 20)).fix is None
