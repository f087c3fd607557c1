"""A select on a known output: its slips are found where it finds nothing."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.expressions.queries import MAX_UNITS, Query
from plait.core.values.problems import Fix, Op, Problem
from plait.errors import ExpressionFailed

from ..tables import table
from .given import START

OUTPUT: Any = {
    "items": [
        {"name": "tea", "n": 1, "labels": ["hot"]},
        {"name": "ink", "n": 2, "labels": []},
    ],
    "total": 2,
    "next": None,
}


def asked(text: str, value: Any = OUTPUT, *, is_wrapped: bool = False) -> Any:
    """Return what *text* gives, or its problems."""
    query = Query(value, own="a", is_wrapped=is_wrapped)
    try:
        found = query.ask(text)
    except ExpressionFailed as error:
        return query.problems(text, error, "select")
    return query.slips(text, found, "select") or found


@table(
    ("text", "message", "fix"),
    [
        ("itms", "unknown field itms (at character 1).", "items"),
        ("itms[].name", "unknown field itms (at character 1).", "items[].name"),
        ("items[].nmae", "unknown field nmae (at character 9).", "items[].name"),
        ("{a: itms, t: total}", "unknown field itms (at character 5).", "{a: items, t: total}"),
        ("[totl, total]", "unknown field totl (at character 2).", "[total, total]"),
        ("items.name", "a list has no field name", "items[].name"),
        ("items[?n == '2'].name", "an integer == '2' is never true", "items[?n == 2].name"),
        ('items[?name == "tea"].n', "single quotes", "items[?name == 'tea'].n"),
        ("items.length", "length is not a field", "length(items)"),
        ("a.items[].n", "it is read from the output itself", "items[].n"),
        ("output.total", "it is read from the output itself", "total"),
        ("$OUTPUT[a].items[].n", "it is read from the output itself", "items[].n"),
        ("$OUTPUT[b].items", "$OUTPUT[b] cannot be used here: there is only the output", None),
        ("items[?n == $ITEM]", "$ITEM cannot be used here: there is only the output", None),
        ("items[?n == `$ITEM`]", "$ITEM is not a reference between `", None),
        ("items[?n == $OUTPUT[a].total]", "$OUTPUT[a] cannot be used here", None),
        ("$.itms[0]['nmae']", "$. is not needed before a name", "items[0].name"),
        ("lenght(itms)", "unknown function lenght", "length(items)"),
        ("items ~ 1", "~ is not an operator", None),
        ("lines(items)", "lines() wants a text, not a list", None),
    ],
)
def test_a_slip_is_a_problem_with_its_fix(text: str, message: str, fix: str | None) -> None:
    [problem] = asked(text)
    assert isinstance(problem, Problem)
    assert (problem.path, problem.code) == ("select", "invalid_expression")
    assert message in problem.message
    assert problem.fix == (None if fix is None else Fix(Op.REPLACE, fix))
    if fix is not None:
        assert not isinstance(asked(fix), list) or not isinstance(asked(fix)[0], Problem)


@table(
    ("text", "found"),
    [
        ("items[].name", ["tea", "ink"]),
        ("next", None),
        ("items[?name == 'gone']", []),
        ("items[].assignee.login", []),
        ("missing", None),
        ("items[1].labels", []),
        ("{t: total, n: next}", {"t": 2, "n": None}),
        ("items[?n > 5] | [0].name", None),
        ("total > 5", False),
        ("items[?state == 'open']", []),
    ],
)
def test_what_is_only_absent_from_the_value_is_no_problem(text: str, found: Any) -> None:
    assert asked(text) == found


def test_a_wrapper_is_looked_through() -> None:
    wrapped = {"result": [{"n": 1}]}
    assert asked("[].n", wrapped, is_wrapped=True) == [1]
    assert asked("result[0].n", wrapped, is_wrapped=True) == 1
    [problem] = asked("[].N", wrapped, is_wrapped=True)
    assert problem.fix == Fix(Op.REPLACE, "[].n")


@pytest.mark.parametrize("count", [100, 1_000])
def test_the_shape_of_a_large_value_is_not_made(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_UNITS == 20_000
    monkeypatch.setattr("plait.core.expressions.queries.MAX_UNITS", 1_000)
    found = asked("itms", {"items": [{"n": 1}] * count})
    assert (found is None) is (count == 1_000)


def test_ages_are_those_at_the_start_of_the_run_that_is_asked() -> None:
    query = Query({"at": "2026-11-27"}, own="a", start=START)
    assert query.ask("age_days(at)") == 2
