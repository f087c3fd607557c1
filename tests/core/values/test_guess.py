"""Guesses at values that are not known yet: each fits the schema of its place."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.guess import MAX_STEPS, guessed
from plait.core.values.strict import Json

from ..strategies import json_values
from ..tables import table

TEXT = "$OUTPUT[a]"


@table(
    ("schema", "guess"),
    [
        ({"type": "boolean"}, True),
        ({"type": "array"}, []),
        ({"type": "object"}, {}),
        ({"type": "null"}, None),
        ({"type": "string"}, TEXT),
        ({"type": ["integer", "null"]}, 1),
        ({"type": ["string", "null"]}, TEXT),
        ({"const": 7}, 7),
        ({"const": None, "type": "string"}, None),
        ({"enum": ["x", "y"], "type": "integer"}, "x"),
        ({"enum": [{"k": 1}]}, TEXT),
        ({"type": "integer"}, 1),
        ({"type": "number", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -5}, -5),
        ({"type": "integer", "exclusiveMaximum": -5}, -6),
        ({"type": "integer", "minimum": 2, "maximum": 3}, 2),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"oneOf": [{"$ref": "#/$defs/n"}]}, 4),
        ({"$ref": "#/$defs/n"}, 4),
        ({"$ref": "#/$defs/unknown"}, TEXT),
        ({"$ref": "#/$defs/loop"}, TEXT),
        ({}, TEXT),
        (True, TEXT),
    ],
)
def test_a_guess_follows_the_schema_of_its_place(schema: Any, guess: Json) -> None:
    definition: Any = {
        "properties": {"x": schema, "list": {"items": schema}},
        "$defs": {"n": {"const": 4}, "loop": {"$ref": "#/$defs/loop"}},
    }
    value: Json = {"x": TEXT, "list": ["known", TEXT]}
    places: list[tuple[str | int, ...]] = [("x",), ("list", 1)]
    assert guessed(definition, value, places) == {"x": guess, "list": ["known", guess]}


def test_a_whole_value_may_be_unknown() -> None:
    assert guessed({"$ref": "#/$defs/n", "$defs": {"n": {"const": 4}}}, TEXT, [()]) == 4


@table(("steps", "guess"), [(MAX_STEPS, 4), (MAX_STEPS + 1, TEXT)])
def test_references_are_followed_for_a_number_of_steps(steps: int, guess: Json) -> None:
    chain: Any = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(1, steps)}
    definition: Any = {
        "properties": {"x": {"$ref": "#/$defs/d1"}},
        "$defs": {**chain, f"d{steps}": {"const": 4}},
    }
    assert guessed(definition, {"x": TEXT}, [("x",)]) == {"x": guess}


PLACES = st.lists(st.lists(st.sampled_from(["a", "b", 0, 1]), max_size=3).map(tuple), max_size=3)
SCHEMAS = json_values(
    leaves=st.sampled_from(["string", "integer", "#", "#/properties/a"]),
    keys=st.sampled_from(["type", "properties", "items", "a", "$ref", "anyOf", "minimum", "enum"]),
)


@given(
    SCHEMAS.filter(lambda schema: isinstance(schema, dict)),
    json_values(keys=st.sampled_from("ab")),
    PLACES,
)
def test_only_the_given_places_are_guessed(schema: Any, value: Json, places: Any) -> None:
    made = guessed(schema, value, places)
    assert differing(value, made, ()) <= set(places)


def differing(before: Any, after: Any, place: tuple[Any, ...]) -> set[tuple[Any, ...]]:
    """The highest places at which the two differ."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return {at for key in before for at in differing(before[key], after[key], (*place, key))}
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return {at for index, pair in pairs for at in differing(*pair, (*place, index))}
    return set() if before == after else {place}
