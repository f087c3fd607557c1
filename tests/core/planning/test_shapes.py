"""Shapes of what schemas say, and schemas of the shapes of what expressions give."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from plait.core.expressions.shapes import (
    ANY,
    Shape,
    There,
    either,
    list_of,
    object_of,
    of,
    of_value,
    or_null,
)
from plait.core.planning.keywords import Part
from plait.core.planning.shapes import MAX_MEMBERS, has_learned_parts, schema_of, shape_of
from plait.core.planning.types import Types
from plait.core.values.schema import Schema

from ..strategies import json_values
from ..tables import table


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
LIST = closed(items={"type": "array", "items": closed(id=NUMBER, name=TEXT)}, total=NUMBER)


def shape(schema: Any, **given: Any) -> Shape:
    types = Types()
    return shape_of(types, types.forms(Part(schema, schema)), **given)


def test_a_schema_becomes_a_shape() -> None:
    made = shape(LIST)
    assert made.is_closed
    assert made.member("total").kinds == {"integer"}
    assert made.member("items").elements.member("name").kinds == {"text"}
    assert made.has("more") is There.NO


@table(
    ("schema", "there"),
    [
        ({"type": "object", "properties": {"a": {}}}, There.DOUBTFUL),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": {}}, There.UNKNOWN),
        ({"type": "object", "patternProperties": {"^b": {}}}, There.UNKNOWN),
        ({"type": "object"}, There.UNKNOWN),
        ({}, There.UNKNOWN),
        (closed(a={}), There.NO),
        ({"type": "string"}, There.NO),
    ],
)
def test_what_a_schema_says_of_other_members_is_kept(schema: Any, there: There) -> None:
    assert shape(schema).has("b") is there


@table(
    ("schema", "options"),
    [
        ({"enum": ["a", "b"]}, ("a", "b")),
        ({"enum": ["a", None]}, ("a",)),
        ({"enum": ["a", True]}, None),
        ({"anyOf": [{"const": 1}, {"const": 2}]}, (1, 2)),
        ({"anyOf": [{"const": 1}, {"type": "string"}]}, None),
    ],
)
def test_the_only_values_of_a_schema_are_its_options(schema: Any, options: Any) -> None:
    assert shape(schema).options == options


def test_an_optional_member_may_be_null_and_a_learned_one_too() -> None:
    schema = {"type": "object", "properties": {"a": TEXT}}
    assert shape(schema).member("a").kinds == {"text", "null"}
    assert shape({**schema, "required": ["a"]}).member("a").kinds == {"text"}
    learned = shape({**schema, "required": ["a"]}, is_learned=True)
    assert learned.member("a").kinds == {"text", "null"}
    assert learned.is_learned


def test_a_recursive_schema_is_read_to_some_depth() -> None:
    tree: dict[str, Any] = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": closed(name=TEXT, children={"type": "array", "items": {"$ref": "#/$defs/node"}})
        },
    }
    made = shape(tree).member("children").elements
    assert made.has("nam") is There.NO
    for _ in range(20):
        made = made.member("children").elements
    assert made.has("nam") is There.UNKNOWN


def test_a_schema_with_more_members_than_are_read_rules_none_out() -> None:
    many = closed(**{f"m{n}": NUMBER for n in range(MAX_MEMBERS + 5)})
    assert shape(many).has(f"m{MAX_MEMBERS + 1}") is not There.NO


@table(
    ("given", "schema"),
    [
        (ANY, True),
        (of("text"), {"type": ["string"]}),
        (or_null(of("number")), {"type": ["null", "number"]}),
        (list_of(of("integer")), {"type": ["array"], "items": {"type": ["integer"]}}),
        (list_of(ANY), {"type": ["array"], "items": True}),
        (of_value("a"), {"type": ["string"], "enum": ["a"]}),
        (either(of_value(1), of("null")), {"type": ["null", "integer"]}),
        (or_null(of_value(1)), {"type": ["null", "integer"], "enum": [1, None]}),
        (
            object_of({"a": of("text")}),
            {
                "type": ["object"],
                "properties": {"a": {"type": ["string"]}},
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
        (
            object_of({"a": or_null(of("text"))}),
            {
                "type": ["object"],
                "properties": {"a": {"type": ["null", "string"]}},
                "additionalProperties": False,
            },
        ),
        (object_of({}), {"type": ["object"]}),
    ],
)
def test_a_shape_becomes_a_schema(given: Shape, schema: Any) -> None:
    assert schema_of(given) == schema


def test_what_was_learned_is_certain_only_if_it_is_asked_for() -> None:
    learned = shape({"type": "object", "properties": {"a": TEXT}}, is_learned=True)
    made = object_of({"x": learned, "y": of("text")})
    assert has_learned_parts(made)
    assert not has_learned_parts(object_of({"y": list_of(of("text"))}))
    certain: Any = schema_of(made)
    assert certain["properties"] == {"x": True, "y": {"type": ["string"]}}
    seen: Any = schema_of(made, learned=True)
    assert seen["properties"]["x"]["properties"] == {"a": {"type": ["null", "string"]}}
    assert "additionalProperties" not in seen["properties"]["x"]


def test_a_shape_whose_parts_are_shared_is_written_once() -> None:
    part = of("text")
    for _ in range(18):
        part = object_of({"a": part, "b": part})
    assert schema_of(part) is not True  # a tree of this would have a quarter million parts


@given(json_values())
def test_the_schema_of_a_value_takes_the_value(value: Any) -> None:
    schema = Schema({"type": "object", "properties": {"x": schema_of(of_value(value))}})
    assert schema.complaints({"x": value}) == []
