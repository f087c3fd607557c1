"""The keywords of JSON Schema that types are built from: read as the most that they allow."""

from __future__ import annotations

from typing import Any

from plait.core.planning.keywords import (
    ALLOWS_EVERYTHING,
    KINDS,
    MAX_FORMS,
    MAX_OPTIONS,
    Part,
    declared,
    declares,
    element_of,
    has_elements,
    has_option,
    in_place,
    is_counted,
    is_draft_4,
    is_replaced,
    is_undeclared,
    kind_of,
    kinds_of_type,
    member_of,
    options_of,
    required_of,
    taken_at,
)

from ..tables import table

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"


def part(schema: Any, whole: Any = None) -> Part:
    return Part(schema, schema if whole is None else whole)


@table(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "integer"),
        (1.0, "integer"),
        (1.5, "fraction"),
        ("", "string"),
        ([], "array"),
        ({}, "object"),
    ],
)
def test_each_value_has_one_kind(value: Any, kind: str):
    assert kind_of(value) == kind


@table(
    ("named", "kinds"),
    [
        ("number", {"integer", "fraction"}),
        (["string", "null"], {"string", "null"}),
        ("nonsense", KINDS),
        (7, KINDS),
        ([], set()),
        (["null"] * 100, KINDS),
    ],
)
def test_a_type_keyword_gives_kinds_and_anything_odd_gives_all(named: Any, kinds: set[str]):
    assert kinds_of_type(named) == kinds


def test_members_are_declared_by_properties_and_by_the_values_of_an_enum():
    form = (
        part({"properties": {"a": {"type": "string"}, "never": False}}),
        part({"enum": [{"b": 7}]}),
    )
    assert list(declared((form,))) == ["a", "b"]
    assert declared((form,))["b"].schema == {"const": 7}
    assert declares(form, "b")
    assert not declares(form, "c")


@table(
    ("schema", "expected"),
    [
        ({"properties": {"a": {}}}, True),
        ({"properties": {"x": {}}}, False),
        ({}, False),
        ({"properties": {"a": {}}, "patternProperties": {"^x": {}}}, False),
        ({"properties": {"a": {}}, "additionalProperties": {"type": "string"}}, False),
        ({"properties": {"a": {}}, "additionalProperties": True}, True),
    ],
)
def test_a_member_is_undeclared_if_others_are_declared_and_it_is_merely_allowed(
    schema: Any, expected: bool
):
    assert is_undeclared(((part(schema),),), "x") is expected


@table(
    ("schema", "first", "branches"),
    [
        ({"anyOf": [{"type": "null"}, True]}, [], [{"type": "null"}, True]),
        ({"allOf": [{"a": 1}, {"b": 2}]}, [{"a": 1}, {"b": 2}], None),
        ({"oneOf": [True], "anyOf": [False]}, [{"anyOf": [False]}], [True]),
        ({"anyOf": [True] * (MAX_FORMS + 1)}, [ALLOWS_EVERYTHING], None),
        ({"anyOf": 7}, [ALLOWS_EVERYTHING], None),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, [{"type": "null"}], None),
        ({"$ref": "#/" + "a" * 1000}, [ALLOWS_EVERYTHING], None),
    ],
)
def test_applicators_become_further_parts_or_alternatives(
    schema: Any, first: list[Any], branches: Any
):
    more, alternatives = in_place(part(schema))
    assert ([found.schema for found in more], alternatives) == (first, branches)


def test_siblings_of_a_reference_are_ignored_in_old_drafts_alone():
    assert is_replaced(part({"$ref": "#", "$schema": DRAFT_4}))
    assert not is_replaced(part({"$ref": "#", "$schema": DRAFT_2020}))
    assert is_draft_4(part({"$schema": DRAFT_4}))


@table(
    ("schema", "options"),
    [
        ({"enum": [1, 2]}, [1, 2]),
        ({"const": 1}, [1]),
        ({"enum": [1, 2], "const": 2}, [2]),
        ({"enum": list(range(MAX_OPTIONS + 1))}, None),
        ({"$schema": DRAFT_4, "const": 1}, None),
        ({}, None),
    ],
)
def test_options_are_the_values_that_a_schema_names(schema: Any, options: Any):
    assert options_of((part(schema),)) == options


@table(
    ("schema", "options", "expected"),
    [
        ({}, None, True),
        ({"enum": [1, 2]}, [1], True),
        ({"enum": [1]}, [1, 2], False),
        ({"enum": [1]}, [True], False),
        ({"enum": [1]}, None, False),
        ({"const": 1}, [1], True),
    ],
)
def test_a_schema_covers_options_if_it_names_each(schema: Any, options: Any, expected: bool):
    assert has_option(schema, options) is expected


@table(
    ("schema", "member"),
    [
        ({"properties": {"a": {"type": "null"}}}, {"type": "null"}),
        ({"additionalProperties": False}, False),
        ({"patternProperties": {"^a": 1}, "additionalProperties": False}, {"anyOf": [1, False]}),
        ({"patternProperties": {str(n): 1 for n in range(MAX_FORMS)}}, True),
        ({}, True),
    ],
)
def test_the_schema_of_a_member_is_the_most_that_it_can_be(schema: Any, member: Any):
    assert member_of(schema, "a") == member


@table(
    ("schema", "index", "element"),
    [
        ({"items": 1}, 0, 1),
        ({"items": 1}, None, 1),
        ({"prefixItems": [1, 2], "items": 3}, 1, 2),
        ({"prefixItems": [1, 2], "items": 3}, 5, 3),
        ({"prefixItems": [1, 2], "items": 3}, -1, {"anyOf": [1, 2, 3]}),
        ({"prefixItems": [1, 2], "items": 3}, None, {"anyOf": [1, 2, 3]}),
        ({"items": [1, 2], "additionalItems": 3}, 0, 1),
        ({"$schema": DRAFT_4, "prefixItems": [1], "items": 3}, 0, 3),
        ({"maxItems": 1}, 1, False),
        ({"maxItems": 1}, -1, True),
        ({"prefixItems": [1] * MAX_FORMS}, None, True),
        ({}, 0, True),
    ],
)
def test_the_schema_of_an_element_is_the_most_that_it_can_be(
    schema: Any, index: int | None, element: Any
):
    assert element_of(part(schema), index) == element


@table(("index", "taken"), [(None, [1, 2]), (0, [1]), (-1, [2]), (2, []), (-3, [])])
def test_an_index_takes_one_element_of_a_known_list(index: int | None, taken: list[int]):
    assert taken_at([1, 2], index) == taken


def test_required_members_are_the_names_that_any_part_requires():
    form = (part({"required": ["a", 7]}), part({"required": ["b", "a"]}), part({"required": "c"}))
    assert required_of(form) == ["a", "b"]


def test_a_list_has_elements_if_any_part_says_so():
    assert has_elements((part({}), part({"minItems": 1})))
    assert not has_elements((part({"minItems": 0}), part({"minItems": "1"})))


@table(
    ("schema", "expected"), [({"maxItems": 2}, True), ({"const": []}, True), ({"items": 1}, False)]
)
def test_elements_are_counted_if_they_may_differ_by_index(schema: Any, expected: bool):
    assert is_counted(((part(schema),),)) is expected
