"""Which fields outputs have and of what types; never what may be a value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from itertools import permutations
from typing import Any

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

from plait.core.tools.fields import MAX_NAME_CHARS, looks_like_name
from plait.core.tools.shapes import (
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_NODES,
    Shape,
    merged,
    read_shape,
    shape_of,
)
from plait.core.values.schema import Schema
from plait.core.values.strict import Json

from ...profiles import share_of_examples
from ..strategies import WORDS, json_values, nested
from ..tables import table

FIELDS = ["id", "title", "items", "user", "html_url", "createdAt"]
RECORDS = json_values(keys=st.sampled_from(FIELDS))
VALUES = json_values(
    keys=st.sampled_from([*FIELDS, "zork", "ada", "a@b.example", "2024-01-01", ""]) | WORDS
)


def seen(*values: Any) -> Shape:
    return reduce(merged, map(shape_of, values))


def line(*values: Any) -> str:
    return Schema(seen(*values).schema()).shape()


def keys(schema: Any) -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        yield name
        yield from keys(part)
    if "items" in schema:
        yield from keys(schema["items"])


def depth(schema: Any) -> int:
    parts = [
        *schema.get("properties", {}).values(),
        *([schema["items"]] if "items" in schema else []),
    ]
    return 1 + max(map(depth, parts), default=-1)


@table(
    ("value", "shape"),
    [
        ("words", {"type": "string"}),
        (None, {"type": "null"}),
        (True, {"type": "boolean"}),
        (3, {"type": "integer"}),
        (3.5, {"type": "number"}),
        ([], {"type": "array"}),
        ({}, {"type": "object"}),
        ([1, 2.5], {"type": "array", "items": {"type": "number"}}),
        ([1, "a", None], {"type": "array", "items": {"type": ["string", "integer", "null"]}}),
        ({"id": 1}, {"type": "object", "properties": {"id": {"type": "integer"}}}),
        (
            [{"id": 1}, {"id": None, "title": "x"}],
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"type": ["integer", "null"]},
                        "title": {"type": "string"},
                    },
                },
            },
        ),
    ],
)
def test_a_shape_is_types_and_names_of_fields(value: Json, shape: Json):
    assert shape_of(value).schema() == shape


def test_a_shape_reads_as_one_line():
    issue = {"number": 1, "title": "It breaks", "user": {"login": "ada"}}
    assert (
        line({"items": [issue], "total_count": 1})
        == "{items: [{number, title, user: {login}}], total_count}"
    )


@table(
    ("values", "types"),
    [
        ([{"id": 1}, {"id": "x"}], ["string", "integer"]),
        ([{"id": 1}, {"id": None}], ["integer", "null"]),
        ([{"id": 1}, {"id": 1.5}], "number"),
        ([{"id": 1}, {"title": "x"}], "integer"),
    ],
)
def test_shapes_of_several_results_are_united(values: list[Any], types: Json):
    assert seen(*values).schema()["properties"]["id"] == {"type": types}  # type: ignore[index, call-overload]


@share_of_examples(0.4)
@given(RECORDS, RECORDS)
def test_a_result_fits_the_shape_that_was_learned_of_it(one: Json, other: Json):
    for shape in (shape_of(one), seen(one, other), seen(other, one)):
        jsonschema_rs.validate(shape.schema(), one)


@given(VALUES)
def test_a_shape_never_closes_an_object(value: Json):
    text = json.dumps(shape_of(value).schema(), separators=(",", "\0"))  # no name has this colon
    assert "\0false" not in text


@table(
    "key",
    ["ada@example.com", "/home/ada/notes.txt", "4711", "id" * 21, "", "id\n"],
)
def test_a_key_that_looks_like_data_is_never_kept(key: str):
    told = seen(*[{"id": 1, "title": "x", "state": "open", key: 1}] * 10).schema()
    assert list(keys(told)) == ["id", "title", "state"]
    assert told["additionalProperties"] is True


@table(
    "values",
    [
        [{"ada": 3, "grace": 4}],
        [{"ada": {"age": 3}, "grace": {"age": 4}}] * 10,
        [{"ada": 3, "grace": 4, "id": 1}] * 10,
        [{name: 1} for name in ("ada", "grace", "alan", "edsger")],
        [{f"{letter}_id": 1 for letter in map(chr, range(0x4E00, 0x4E00 + MAX_FIELDS + 1))}],
        [{"sk_live_abcdefgh": 1}] * 10,
    ],
)
def test_the_keys_of_a_map_are_forgotten(values: list[Any]):
    assert seen(*values).schema() == {"type": "object", "additionalProperties": True}


def test_a_name_with_an_unknown_word_is_left_out_of_a_record_which_says_so():
    told = seen(*[{"id": 1, "title": "x", "zork": True}] * 10).schema()
    assert list(keys(told)) == ["id", "title"]
    assert told["additionalProperties"] is True


def test_words_of_the_tools_definition_are_names_of_fields_too():
    shape = shape_of({"tide": 3, "zork": 2, "mizzle": 1}, lambda: {"tide", "zork"})
    assert list(shape.fields) == ["tide", "zork"]


@given(VALUES)
def test_only_keys_that_look_like_names_are_in_a_schema(value: Json):
    for key in keys(seen(value, value, value).schema()):
        assert looks_like_name(key)
        assert len(key) <= MAX_NAME_CHARS


@share_of_examples(0.4)
@given(st.lists(VALUES, min_size=1, max_size=5))
def test_no_text_of_a_result_is_in_its_shape(values: list[Any]):
    secret = "hunter2-hunter2"
    told = json.dumps(
        seen(*[{"items": value, "title": secret, secret: value} for value in values]).schema()
    )
    assert secret not in told


def fields(number: int, depth: int) -> Any:
    return (
        {
            f"{letter}_id": fields(number, depth - 1)
            for letter in "abcdefghijklmnopqrstuvwxyz"[:number]
        }
        if depth
        else 1
    )


LETTERS = "abcdefghijklmnopqrstuvwxyz"


@table(
    "values",
    [
        [fields(26, 2)],
        [fields(3, 7)],
        [fields(1, 100)],
        [nested(100)],
        [{f"{letter}_id": fields(26, 1)} for letter in LETTERS[:10]],
        [[[{"id": 1}] * 10**2] * 10**2],
        [{"id": {f"{number}": 1 for number in range(10**3)}}],
        [{f"{first}_{second}": 1} for first in LETTERS[:10] for second in LETTERS[:10]],
    ],
)
def test_a_shape_is_bounded_whatever_was_seen(values: list[Any]):
    shape = seen(*values)
    assert shape.nodes <= MAX_NODES
    assert depth(shape.schema()) <= MAX_DEPTH
    assert len(shape.fields) <= MAX_FIELDS


@share_of_examples(0.4)
@given(VALUES, VALUES, VALUES)
def test_it_does_not_matter_in_which_order_results_come(one: Json, two: Json, three: Json):
    orders = [seen(*values) for values in permutations([one, two, three])]
    assert all(shape == orders[0] == merged(shape, shape) for shape in orders)


@share_of_examples(0.4)
@given(VALUES, VALUES)
def test_a_shape_is_read_back_as_it_was_written(one: Json, other: Json):
    told = seen(one, other).schema()
    read = read_shape(told)
    assert read is not None
    assert read.schema() == told


@given(
    VALUES
    | st.dictionaries(
        st.sampled_from(["type", "properties", "items", "additionalProperties"]), VALUES
    )
)
def test_anything_else_is_read_within_the_bounds(document: Json):
    shape = read_shape(document)
    assert shape is None or (
        shape.nodes <= MAX_NODES and all(map(looks_like_name, keys(shape.schema())))
    )
