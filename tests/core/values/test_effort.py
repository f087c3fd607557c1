"""What checking a value would cost, known before it is paid."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.effort import find, stray_reference, visits, visits_per_part
from plait.core.values.strict import Json

from ...profiles import share_of_examples
from ..strategies import json_values, nested
from ..tables import table


def doubling(levels: int) -> dict[str, Any]:
    """A schema in which each level refers to the one below it twice, for the same value."""
    definitions: dict[str, Any] = {"a0": {"type": "integer"}}
    for level in range(1, levels):
        definitions[f"a{level}"] = {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}] * 2}
    return {"$defs": definitions, "$ref": f"#/$defs/a{levels - 1}"}


TREE: Any = {"items": {"anyOf": [{"$ref": "#"}] * 2}}
LEAF: dict[str, Any] = {"type": "string"}


@table(
    ("schema", "most"),
    [
        (LEAF, 1),
        ({"properties": {f"p{number}": LEAF for number in range(100)}}, 1),
        ({"items": {"anyOf": [LEAF] * 4}}, 5),
        ({"allOf": [LEAF], "anyOf": [LEAF], "oneOf": [LEAF], "not": LEAF}, 5),
        ({"if": LEAF, "then": LEAF, "else": LEAF}, 4),
        ({"dependentSchemas": {"a": LEAF, "b": LEAF}, "dependencies": {"c": ["d"]}}, 4),
        ({"additionalProperties": LEAF, "patternProperties": {"^a": LEAF, "^b": LEAF}}, 3),
        ({"properties": {"a": LEAF, "b": LEAF}, "additionalProperties": LEAF}, 2),
        ({"prefixItems": [LEAF, LEAF], "contains": LEAF}, 3),
        ({"allOf": [LEAF], "unevaluatedProperties": False}, 4),
        ({"$ref": "#/$defs/a", "$defs": {"a": LEAF}}, 2),
        ({"$ref": "#/$defs/missing"}, 2),
        ({"$ref": "#"}, math.inf),
        (TREE, math.inf),
    ],
)
def test_the_most_visits_of_one_part_are_known_from_the_schema(schema: Any, most: float) -> None:
    assert visits_per_part(schema) == most


CIRCLE: Any = {"$ref": "#"}


@table(
    "schema",
    [
        *({name: [CIRCLE]} for name in ("allOf", "anyOf", "oneOf", "prefixItems", "items")),
        *({name: CIRCLE} for name in ("not", "if", "then", "else", "contains", "items")),
        *({name: CIRCLE} for name in ("additionalItems", "unevaluatedItems", "propertyNames")),
        *({name: CIRCLE} for name in ("additionalProperties", "unevaluatedProperties")),
        *({name: {"a": CIRCLE}} for name in ("properties", "patternProperties")),
        *({name: {"a": CIRCLE}} for name in ("dependentSchemas", "dependencies")),
    ],
)
def test_a_schema_that_leads_back_to_itself_costs_infinitely_much(schema: Any) -> None:
    assert visits_per_part(schema) == math.inf
    assert visits(schema, {"a": 1}, 10) > 1


@table("levels", [1, 2, 10])
def test_references_that_double_are_counted_as_often_as_they_are_followed(levels: int) -> None:
    assert visits_per_part(doubling(levels)) == 2 ** (levels + 1) - 2
    assert visits(doubling(levels), 1, 10_000) == 2 ** (levels + 1) - 2


def test_a_thousand_doublings_are_counted_at_once() -> None:
    assert visits_per_part(doubling(2_000)) == math.inf


def test_a_schema_nested_too_deeply_to_count_costs_infinitely_much() -> None:
    deep: Any = {}
    for _ in range(2_000):
        deep = {"not": deep}
    assert visits_per_part(deep) == math.inf


@table(
    ("schema", "value", "count"),
    [
        (LEAF, "x", 1),
        ({"properties": {"a": LEAF, "b": LEAF}}, {"a": 1, "c": 2}, 2),
        ({"properties": {"a": LEAF}}, ["a"], 1),
        ({"additionalProperties": LEAF}, {"a": 1, "b": 2}, 3),
        ({"items": {"anyOf": [LEAF] * 2}}, [1, 2], 7),
        (TREE, nested(3, core=[]), 36),
    ],
)
def test_visits_of_a_value_are_counted(schema: Any, value: Json, count: int) -> None:
    assert visits(schema, value, 10_000) == count


@table("most", [1, 10, 1_000])
def test_counting_stops_at_the_most_that_is_of_interest(most: int) -> None:
    assert visits(TREE, nested(64), most) == most
    assert visits({"items": LEAF}, list(range(10**4)), most) == most


KEYS = ["a", "b", "properties", "items", "anyOf", "not", "additionalProperties", "dependentSchemas"]
SCHEMAS = st.dictionaries(
    st.sampled_from(KEYS), json_values(keys=st.sampled_from([*KEYS, "unevaluatedItems"]))
)


@share_of_examples(0.4)
@given(SCHEMAS, json_values(keys=st.sampled_from("ab")))
def test_a_value_never_takes_more_visits_than_its_parts_may_get(schema: Any, value: Json) -> None:
    assert visits(schema, value, 10**6) <= visits_per_part(schema) * parts(value)


def parts(value: Json) -> int:
    below = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return 1 + sum(map(parts, below))


@table(
    ("schema", "found"),
    [
        ({"$ref": "#/$defs/a", "$defs": {"a": {}}}, None),
        ({"$id": "https://example.com/root", "$ref": "#"}, None),
        ({"properties": {"$ref": {"type": "string"}}}, None),
        ({"id": "an id", "properties": {"x": {"id": "another"}}}, None),
        ({"$ref": "https://example.com/x"}, "https://example.com/x"),
        ({"items": [{"$ref": "file:///etc/passwd"}]}, "file:///etc/passwd"),
        ({"$ref": "#/$defs/missing"}, "#/$defs/missing"),
        ({"$ref": "#anchor"}, "#anchor"),
        ({"items": {"$id": "inner"}}, "inner"),
        ({"$dynamicRef": "#n"}, "#n"),
        ({"$recursiveRef": "#"}, "#"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "not": {"id": "x"}}, "x"),
    ],
)
def test_a_reference_whose_cost_is_unknown_is_found(schema: Any, found: str | None) -> None:
    assert stray_reference(schema) == found


DEFINITION: Any = {"$defs": {"a b": 1, "a/b": 2, "a~b": 3, "list": [10, 11]}}


@table(
    ("target", "found"),
    [
        ("#", DEFINITION),
        ("#/$defs/a%20b", 1),
        ("#/$defs/a~1b", 2),
        ("#/$defs/a~0b", 3),
        ("#/$defs/list/1", 11),
        ("#/$defs/list/2", None),
        ("#/$defs/list/-1", None),
        ("#/$defs/list/" + "9" * 5_000, None),
        ("#/$defs/list/0/x", None),
        ("#/$defs/none", None),
        ("#name", None),
        ("https://example.com/#/$defs/list", None),
    ],
)
def test_a_reference_is_a_pointer_into_the_schema(target: str, found: Json) -> None:
    assert find(DEFINITION, target) == found
