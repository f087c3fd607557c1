"""Definitions of other engines that texts use."""

from __future__ import annotations

from typing import Any

from plait.core.language.reader import read_dag
from plait.core.values.problems import REMOVE, Problem

from ..tables import table


def said(text: Any, of_task: dict[str, Any], of_dag: dict[str, Any]) -> Problem:
    tasks = [
        {"id": "i", "tool": "s:read", **of_task},
        {"id": "p", "tool": "s:send", "arguments": {"x": [text]}, "depends_on": ["i"]},
    ]
    [problem] = read_dag({**of_dag, "tasks": tasks}).problems
    assert problem.code == "unknown_field"
    return problem


@table(
    ("text", "of_task", "of_dag", "instead"),
    [
        ("hello {{vars.name}}", {}, {"vars": {"name": "x"}}, "its values"),
        ("hello {{ name }}", {}, {"vars": {"name": "x"}}, "its values"),
        ("hello $INPUT.name", {}, {"inputs": {"name": "x"}}, "its values"),
        ("hello ${inputs.name}", {}, {"inputs": {"name": "x"}}, "its values"),
        ("hello {{ params.name }}", {}, {"params": {"name": "x"}}, "its values"),
        ("hello {{=workflow.params.name}}", {}, {"params": {"name": "x"}}, "its values"),
        ("hello <%= vars.name %>", {}, {"vars": {"name": "x"}}, "its values"),
        ("hello {{ res.total }}", {"register": "res"}, {}, "$OUTPUT[i]"),
        ("hello ${res}", {"save_as": "res"}, {}, "$OUTPUT[i]"),
        ("hello {{ res.total }}", {"capture": "res"}, {}, "$OUTPUT[i]"),
    ],
)
def test_a_definition_that_a_text_uses_is_not_left_out(
    text: str, of_task: dict[str, Any], of_dag: dict[str, Any], instead: str
) -> None:
    problem = said(text, of_task, of_dag)
    assert problem.fix is None
    assert f"write {instead} there" in str(problem.hint)


@table(
    ("text", "of_task", "of_dag"),
    [
        ("hello", {}, {"vars": {"name": "x"}}),
        ("name and vars", {}, {"vars": {"name": "x"}}),
        ("hello $ITEM.description", {"description": "the list"}, {}),
        ("hello $OUTPUT[i].title", {"title": "the list"}, {}),
        ("hello {{ i.status }}", {"status": "new"}, {}),
        ("hello {{ other }}", {"register": "res"}, {}),
        ("hello {{ i.total }}", {"register": "i"}, {}),
        ("costs $5", {}, {"vars": {"name": "x"}}),
    ],
)
def test_one_that_no_text_uses_is_left_out(
    text: str, of_task: dict[str, Any], of_dag: dict[str, Any]
) -> None:
    assert said(text, of_task, of_dag).fix == REMOVE


def test_the_name_of_an_item_keeps_its_own_advice() -> None:
    problem = said("hello {{ x.title }}", {"loop_var": "x"}, {})
    assert problem.fix is None
    assert "The item is $ITEM" in str(problem.hint)
