"""Schemas of older drafts: each keyword is read as it was meant, and the rest counts."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.older_drafts import modernized, pruned
from plait.core.values.schema import Schema

from ..strategies import json_values
from ..tables import table


@table(
    ("part", "fits", "does_not_fit"),
    [
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, 1, 0),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": False}, 0, -1),
        ({"type": "number", "maximum": 5, "exclusiveMaximum": True}, 4.5, 5),
        ({"type": "integer", "divisibleBy": 2}, 4, 3),
        ({"items": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], ["a", "b"]),
        ({"items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", 1]),
        ({"type": "int"}, 1, "1"),
        ({"type": "float"}, 1.5, "1"),
        ({"type": "bool"}, True, 1),
        ({"type": "list", "items": {"type": "str"}}, ["a"], [1]),
        ({"type": ["int", "str"]}, "a", []),
        ({"type": "string", "nullable": True}, None, 1),
        ({"type": "string", "enum": ["a"], "nullable": True}, None, "b"),
        ({"anyOf": [{"type": "int"}, {"type": "str"}]}, "a", []),
    ],
)
def test_a_keyword_of_an_older_draft_is_checked_as_it_was_meant(
    part: dict[str, Any], fits: Any, does_not_fit: Any
) -> None:
    schema = Schema({"type": "object", "properties": {"x": part}})
    assert schema.unusable is None
    assert schema.ignored is None
    assert schema.complaints({"x": fits}) == []
    assert len(schema.complaints({"x": does_not_fit})) == 1


@table("type_", ["any", "file", [{"type": "string"}], ["string", "any"]])
def test_a_type_that_is_unknown_rules_nothing_out(type_: Any) -> None:
    schema = Schema({"properties": {"x": {"type": type_}}})
    assert schema.unusable is None
    values: list[Any] = [1, "a", None, []]
    assert not any(schema.complaints({"x": value}) for value in values)


def test_members_that_say_that_they_are_required_are() -> None:
    schema = Schema(
        {
            "$schema": "http://json-schema.org/draft-03/schema#",
            "properties": {
                "a": {"type": "string", "required": True},
                "b": {"type": "string", "required": False},
                "c": {"type": "object", "properties": {"d": {"required": True}}},
            },
        }
    )
    assert schema.parameters() == "a: string, b?: string, c?: {d}"
    assert [complaint.place for complaint in schema.complaints({"c": {}})] == [("a",), ("c", "d")]


@table(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {"a": {"minimum": 0, "exclusiveMinimum": True}},
        },
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
        {"properties": {"exclusiveMinimum": {"type": "boolean"}, "required": {"type": "string"}}},
        {"default": {"type": "int"}, "enum": [{"type": "any"}]},
    ],
)
def test_what_is_right_stays_as_it_is(schema: dict[str, Any]) -> None:
    assert modernized(schema) is schema
    assert pruned(schema) == (schema, None)


KEYWORDS = st.sampled_from(
    [
        "type",
        "items",
        "required",
        "properties",
        "enum",
        "minimum",
        "exclusiveMinimum",
        "nullable",
        "anyOf",
        "not",
        "a",
    ]
)


def test_what_is_no_name_among_the_required_ones_is_left_out() -> None:
    schema = Schema(
        {"properties": {"a": {"required": True}}, "required": ["b", ["a"], {"a": True}, None, 1]}
    )
    assert schema.unusable is None
    assert [complaint.place for complaint in schema.complaints({})] == [("b",), ("a",)]


@given(st.dictionaries(KEYWORDS, json_values(keys=KEYWORDS), max_size=4))
def test_whatever_is_sent_becomes_a_schema(schema: dict[str, Any]) -> None:
    definition, _ = pruned(modernized(schema))
    jsonschema_rs.meta.validate(definition)
