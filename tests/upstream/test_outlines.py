"""The outline of an output that is cut says what it is, and a call that finds something in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.expressions.queries import Query
from plait.core.values.strict import dumps
from plait.upstream.outlines import MAX_SHAPE_CHARS, outline, shape_line, way_in

from ..profiles import CHARACTERS

LONG = "x" * 500
ISSUES: Any = [
    {"number": n, "title": f"t{n}", "body": LONG, "user": {"login": "a"}} for n in range(300)
]
LOG = "\n".join([*["ok"] * 800, "step 7: ERROR: no space left", "done"])


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (ISSUES, "[{number, title, body: text, user: {login}}] (300)"),
        (
            {"items": ISSUES, "total": 3, "next": None},
            "{items: [{number, title, body: text, user: {login}}] (300), total, next}",
        ),
        (LOG, "text of 802 lines"),
        (LONG, "text"),
        ([[1, 2], [3]], "[[number] (2)] (2)"),
        ([None, None, {"a": 1}], "[{a}] (3)"),
        ([], "[]"),
        ([True], "[boolean]"),
        (None, "null"),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, "{a: {b: {c: {d: object of 1}}}}"),
        ({f"k{n}": n for n in range(14)}, f"{{{', '.join(f'k{n}' for n in range(12))}, 2 more}}"),
    ],
)
def test_the_shape_is_one_line(value: Any, line: str) -> None:
    assert shape_line(value) == line


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        (ISSUES, {"select": "[*].{number: number, title: title}"}),
        ({"items": ISSUES, "total": 3}, {"select": "items[*].{number: number, title: title}"}),
        ({"a b": {"items": ISSUES}}, {"select": '"a b".items[*].{number: number, title: title}'}),
        ({"true": ISSUES}, {"select": '"true"[*].{number: number, title: title}'}),
        (LOG, {"select": "lines(@)[?contains(@, 'ERROR')]"}),
        ({"exit": 1, "log": LOG}, {"select": "lines(log)[?contains(@, 'ERROR')]"}),
        ("x\n" * 9_000, {"offset": 1_300, "limit": 8_000}),
        ({"text": "x" * 9_000}, {"select": "text", "offset": 1_300, "limit": 8_000}),
        ([*range(9_000)], {"select": "[-10:]"}),
        ([LONG * 9] * 30, {"select": "[-1:]"}),
        ({f"k{n}": n for n in range(9_000)}, {"select": "keys(@)"}),
        ({"map": {f"k{n}": n for n in range(9_000)}, "n": 1}, {"select": "keys(map)"}),
    ],
)
def test_a_call_finds_fields_of_all_elements_lines_with_errors_or_the_end(
    value: Any, arguments: dict[str, Any]
) -> None:
    assert way_in(value) == arguments
    assert found(value, arguments)


def found(value: Any, arguments: dict[str, Any]) -> Any:
    """What `get_run` finds with *arguments*."""
    if (select := arguments.get("select")) is not None:
        query = Query(value, is_wrapped=False, own="a")
        value = query.ask(select)
        assert query.slips(select, value, "select") == []
    if "offset" in arguments:
        text = value if isinstance(value, str) else dumps(value)
        return text[arguments["offset"] :][: arguments["limit"]]
    return value


def test_a_call_for_a_part_goes_on_from_there() -> None:
    assert outline("r_1", "a", ISSUES, "items") == {
        "shape": "[{number, title, body: text, user: {login}}] (300)",
        "get_run": {
            "run_id": "r_1", "task": "a", "select": "items | [*].{number: number, title: title}"
        },
    }  # fmt: skip
    assert way_in("x" * 9_000, "body") == {"select": "body", "offset": 1_300, "limit": 8_000}


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(CHARACTERS, max_size=9)
    | st.integers(300, 900).map(lambda n: "a 'b\"\n" * n)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(st.text(CHARACTERS, max_size=9), inner, max_size=9)
    ),
    max_leaves=60,
)


@given(values.filter(lambda value: len(dumps(value)) > 400))
def test_whatever_is_cut_has_a_short_shape_and_a_call_that_finds_something(value: Any) -> None:
    assert 0 < len(shape_line(value)) <= MAX_SHAPE_CHARS
    result = found(value, way_in(value))
    assert result not in (None, [], {}, "")
