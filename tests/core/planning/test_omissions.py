"""Null and empty text for optional arguments: left out where the schema takes neither."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.dag import Task
from plait.core.language.templates import compile_value
from plait.core.planning.omissions import left_out, misplaced
from plait.core.values.schema import Schema

from ..tables import table

SCHEMA = Schema(
    {
        "type": "object",
        "properties": {
            "q": {"type": "string", "minLength": 1},
            "n": {"type": "integer"},
            "free": {"type": "string"},
            "list": {"type": "array", "items": {"type": "integer"}},
            "in": {
                "type": "object",
                "properties": {"must": {"type": "integer"}, "may": {"enum": ["a"]}},
                "required": ["must"],
            },
            "either": {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"k": {"type": "integer"}, "l": {"type": "integer"}},
                    },
                    {"type": "integer"},
                ]
            },
        },
        "required": ["q"],
    }
)


@table(
    ("arguments", "kept", "gone"),
    [
        ({"q": "x", "n": None}, {"q": "x"}, [("n",)]),
        ({"q": "x", "n": "", "free": ""}, {"q": "x", "free": ""}, [("n",)]),
        (
            {"q": "x", "in": {"must": 1, "may": None}},
            {"q": "x", "in": {"must": 1}},
            [("in", "may")],
        ),
        (
            {"q": "x", "either": {"k": None, "l": None}},
            {"q": "x", "either": {}},
            [("either", "k"), ("either", "l")],
        ),
        ({"q": None}, {"q": None}, []),
        ({"q": ""}, {"q": ""}, []),
        ({"q": "x", "in": {"must": None}}, {"q": "x", "in": {"must": None}}, []),
        ({"q": "x", "list": [None]}, {"q": "x", "list": [None]}, []),
        ({"q": "x", "n": "many"}, {"q": "x", "n": "many"}, []),
        ({"q": None, "n": None}, {"q": None}, [("n",)]),
    ],
)
def test_what_is_not_taken_and_need_not_be_there_is_left_out(
    arguments: dict[str, Any], kept: dict[str, Any], gone: list[Any]
) -> None:
    before = repr(arguments)
    rest, places, complaints = left_out(SCHEMA, arguments, SCHEMA.complaints(arguments))
    assert (rest, places) == (kept, gone)
    assert bool(complaints) == bool(SCHEMA.complaints(kept))
    assert repr(arguments) == before


@given(
    st.dictionaries(
        st.sampled_from(["q", "n", "free", "list", "either"]),
        st.sampled_from([None, "", "x", 1, [], [None], {}, {"k": None}]),
    )
)
def test_nothing_else_is_left_out_and_no_complaint_is_added(arguments: dict[str, Any]) -> None:
    complaints = SCHEMA.complaints(arguments)
    rest, places, left = left_out(SCHEMA, arguments, complaints)
    assert {c.place for c in left} <= {c.place for c in complaints}
    assert list(left) == SCHEMA.complaints(rest)
    gone = {name for name in arguments if name not in rest}
    assert gone <= {place[0] for place in places}
    assert all(arguments[name] in (None, "") for name in gone)


@table(
    ("field", "value", "places"),
    [
        ("arguments", {"a": "$OMIT", "b": {"c": "${OUTPUT[x] ?? OMIT}"}}, []),
        ("arguments", {"a": "$$OMIT", "b": "OMIT", "c": "say $OMIT"}, []),
        ("arguments", {"a": ["$OMIT"]}, ["t.arguments.a[0]"]),
        ("arguments", {"a": "by ${OUTPUT[x] ?? OMIT}"}, ["t.arguments.a"]),
        ("arguments", "${OUTPUT[x] ?? OMIT}", ["t.arguments"]),
        ("value", {"a": "$OMIT"}, ["t.value.a"]),
        ("for_each", "${OUTPUT[x] ?? OUTPUT[y] ?? OMIT}", ["t.for_each"]),
    ],
)
def test_only_arguments_are_left_out(field: str, value: Any, places: list[str]) -> None:
    template, _ = compile_value(value)
    task = Task(id="a", tool="s:t")
    found = [*misplaced(template, f"t.{field}", task)]
    assert [problem.path for problem in found] == places
    assert all(problem.fix is not None for problem in found)
