"""Fixes for arguments: each fits the schema, and there is none where the meaning is unclear."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from plait.core.planning.fixes import fixed_argument, misnamed
from plait.core.values.problems import REMOVE, Fix
from plait.core.values.schema import Place, Schema

from ..strategies import json_values
from ..tables import table

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "maximum": 10},
        "flag": {"type": "boolean"},
        "state": {"enum": ["open", "closed"]},
        "twins": {"enum": ["on", "ON"]},
        "names": {"type": "array", "items": {"type": "string"}},
        "author": {"type": "object", "properties": {"name": {"type": "string"}}},
        "note": {"type": "string"},
    },
    "additionalProperties": False,
}


def fix(arguments: dict[str, Any], *place: str | int, unknown: frozenset[Place] = frozenset()):
    found = fixed_argument(Schema(SCHEMA), arguments, place, unknown, is_certain=False)
    return found and (found.op, found.to)


@table(
    ("name", "value", "meant"),
    [
        ("count", "7", 7),
        ("count", " 7 ", 7),
        ("count", "11", None),  # it is a number, and still too large
        ("count", "seven", None),
        ("flag", "True", True),
        ("flag", "false", False),
        ("flag", "yes", None),
        ("state", "OPEN", "open"),
        ("state", "opened", None),
        ("twins", "On", None),  # it may be either
        ("names", "ada", ["ada"]),
        ("names", '["ada"]', ["ada"]),
        ("names", "ada, bob", None),  # they may be two
        ("names", "ada;bob", None),
        ("names", "ada\nbob", None),
        ("names", "ada bob\n", ["ada bob\n"]),
        ("names", 7, None),
        ("names", None, None),
        ("author", '{"name": "ada"}', {"name": "ada"}),
        ("note", 7, None),
    ],
)
def test_a_value_becomes_what_it_was_certainly_meant_as(name: str, value: Any, meant: Any):
    assert fix({name: value}, name) == (None if meant is None else ("replace", meant))


def test_a_misspelt_name_becomes_the_right_one():
    assert fix({"cuont": 7}, "cuont") == ("rename", "count")


def test_a_name_that_is_given_already_is_not_offered_again():
    assert fix({"cuont": 7, "count": 7}, "cuont") == ("remove", None)


def test_an_unknown_name_that_is_near_to_none_is_left_out_unless_something_is_missing():
    assert fix({"zork": 7}, "zork") == ("remove", None)
    needy = Schema({**SCHEMA, "required": ["note"]})
    cases: list[tuple[dict[str, Any], Fix | None]]
    cases = [({"zork": 7}, None), ({"zork": 7, "note": "n"}, REMOVE)]
    for arguments, expected in cases:
        found = fixed_argument(needy, arguments, ("zork",), frozenset(), is_certain=False)
        assert found == expected


NEEDY = Schema(
    {
        **SCHEMA,
        "properties": {**SCHEMA["properties"], "text": {"type": "string"}},
        "required": ["count", "text"],
    }
)


@table(
    ("arguments", "name", "meant"),
    [
        ({"count": 1, "content": "x"}, "content", "text"),
        ({"count": 1, "number": 5}, "number", None),  # it is no text
        ({"text": "x", "limit": 5}, "limit", "count"),
        ({"page": 5, "content": "x"}, "page", "count"),
        ({"page": 5, "content": "x"}, "content", "text"),
        ({"count": 1, "content": "x", "body": "y"}, "content", None),  # it may be either
        ({"content": "x"}, "content", "text"),  # nothing else takes a text
        ({"count": 1, "content": "$OUTPUT[a].x"}, "content", "text"),
        ({"zork": "$OUTPUT[a].x"}, "zork", None),
    ],
)
def test_an_unknown_name_is_the_missing_one_that_alone_takes_its_value(
    arguments: dict[str, Any], name: str, meant: str | None
):
    unknown = frozenset([(name,)]) if "$" in str(arguments[name]) else frozenset()
    found = fixed_argument(NEEDY, arguments, (name,), unknown, is_certain=False)
    assert (found and (found.op, found.to)) == (meant and ("rename", meant))


@table(
    ("arguments", "name", "meant"),
    [
        ({"count": 1, "text": "x", "dryRun": True}, "dryRun", None),
        ({"count": 1, "region": "x"}, "region", None),
        ({"count": 1, "message": "x"}, "message", "text"),
        ({"count": 1, "text_body": "x"}, "text_body", "text"),
        ({"cuont": 1, "text": "x"}, "cuont", "count"),
    ],
)
def test_where_a_call_may_change_something_nothing_is_left_out_and_names_are_akin(
    arguments: dict[str, Any], name: str, meant: str | None
):
    found = fixed_argument(NEEDY, arguments, (name,), frozenset(), is_certain=True)
    assert (found and (found.op, found.to)) == (meant and ("rename", meant))


def test_a_value_inside_of_another_is_fixed_alone():
    assert fix({"names": ["ada", 7]}, "names", 1) is None
    assert fix({"names": "ada", "count": "7"}, "count") == ("replace", 7)


@table("place", [(), ("gone",), ("names", 5), ("note", "x")])
def test_a_place_without_a_value_has_no_fix(place: Place):
    assert fix({"names": ["a"], "note": "n"}, *place) is None


def test_a_partly_unknown_value_has_no_fix():
    assert fix({"names": "$OUTPUT[a]"}, "names", unknown=frozenset([("names",)])) is None
    unknown: frozenset[Place] = frozenset([("author", "name")])
    assert fix({"author": {"name": "$OUTPUT[a]"}}, "author", unknown=unknown) is None


def test_a_long_value_has_no_fix():
    assert fix({"names": "x" * 100_000}, "names") is None


@given(json_values())
def test_every_fix_fits(value: Any):
    for name in SCHEMA["properties"]:
        if (meant := fix({name: value}, name)) is not None:
            assert not Schema(SCHEMA).complaints({name: meant[1]})


@table(
    ("arguments", "named"),
    [
        ({"count": 1, "Text": "x"}, "Text"),
        ({"count": 1, "message": "x"}, "message"),  # it is akin
        ({"count": 1, "message": "x", "body": "y"}, None),  # it may be either
        ({"count": 1, "message": 5}, None),  # it is no text
        ({"count": 1, "zork": "x"}, None),
        ({"count": 1, "note": "x"}, None),  # the tool declares it
        ({"count": 1}, None),
    ],
)
def test_a_missing_argument_may_stand_under_another_name(
    arguments: dict[str, Any], named: str | None
):
    schema = Schema({**NEEDY.definition, "additionalProperties": True})
    assert misnamed(schema, arguments, ("text",), frozenset()) == named
    assert misnamed(schema, {**arguments, "text": "t"}, ("text",), frozenset()) is None
