"""A schema in one line says what a call takes and gives."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.summary import MAX_SHAPE_CHARS, Summary

from ..tables import table

ISSUE = {"type": "object", "properties": {"number": {}, "by": {"$ref": "#/$defs/Person"}}}
PERSON = {"type": "object", "properties": {"login": {}, "boss": {"$ref": "#/$defs/Person"}}}
STATE = {"enum": ["open", "closed"], "type": "string"}
DEFINITIONS: dict[str, Any] = {"Issue": ISSUE, "Person": PERSON, "State": STATE,
               "List": {"type": "array", "items": {"$ref": "#/$defs/List"}}}  # fmt: skip
A_STATE, AN_ISSUE = {"$ref": "#/$defs/State"}, {"$ref": "#/$defs/Issue"}
NULL = {"type": "null"}


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def many(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


@table(
    ("schema", "shape"),
    [
        (fields(issues=many(AN_ISSUE), next={}), "{issues: [{number, by: {…}}], next}"),
        (many(AN_ISSUE), "[{number, by: {…}}]"),
        (AN_ISSUE, "{number, by: {…}}"),
        (fields(issue={"anyOf": [AN_ISSUE, NULL]}), "{issue: {number, by: {…}}}"),
        (fields(issue={"anyOf": [NULL, AN_ISSUE]}), "{issue: {number, by: {…}}}"),
        (fields(state=A_STATE, states=many(A_STATE)), "{state, states: [open|closed]}"),
        (fields(any={"$ref": "#/$defs/Missing"}), "{any: {…}}"),
        (fields(tags=many({"type": "string"}), meta={"type": "object"}), "{tags: [string], meta}"),
        ({"$ref": "#/$defs/List"}, "[[[{…}]]]"),
    ],
)
def test_a_shape_has_the_fields_of_definitions(schema: Any, shape: str) -> None:
    assert Summary({"$defs": DEFINITIONS}).shape(schema) == shape


@table(
    ("schema", "name"),
    [
        (A_STATE, "open|closed"),
        ({"anyOf": [A_STATE, NULL]}, "open|closed|null"),
        (many(A_STATE), "[open|closed]"),
        (AN_ISSUE, "{number, by: {…}}"),
        ({"$ref": "#/$defs/Missing"}, "Missing"),
        ({"$ref": "#/$defs/List"}, "[[List]]"),
        (True, "any"),
    ],
)
def test_the_type_of_a_parameter_is_that_of_its_definition(schema: Any, name: str) -> None:
    assert Summary({"$defs": DEFINITIONS}).type_name(schema) == name


def test_a_shape_that_is_long_is_less_deep() -> None:
    names: dict[str, Any] = {f"a_rather_long_name_{number}": {} for number in range(12)}
    assert Summary({}).shape(fields(a=fields(**names))).startswith("{a: {a_rather_long_name_0, ")
    assert Summary({}).shape(fields(a=fields(**names), b=fields(**names))) == "{a: {…}, b: {…}}"


SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}, {"$ref": "#"}, {}, True]),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries(
            {"type": st.just("object"),
             "properties": st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)}
        ),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
    ),
    max_leaves=6,
)  # fmt: skip


@given(SCHEMAS, SCHEMAS, SCHEMAS)
def test_references_in_circles_end(a: Any, b: Any, schema: Any) -> None:
    whole = {"$defs": {"a": a, "b": b}, **(schema if isinstance(schema, dict) else {})}
    summary = Summary(whole)
    assert len(summary.shape(whole)) <= MAX_SHAPE_CHARS * 10
    assert summary.type_name(whole)
