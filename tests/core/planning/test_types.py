"""Types of values from schemas: what a path leads to, and what may go where. The laws hold them to
real values."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from plait.core.language.references import Every, Reference, Step, parse
from plait.core.language.templates import follow
from plait.core.planning.keywords import KINDS, Forms, Part, declared
from plait.core.planning.types import Fit, Types, Value, constant, walk, walk_output
from plait.core.tools.output import Output
from plait.core.values.effort import find
from plait.core.values.schema import Schema
from plait.errors import ReferenceFailed

from ...profiles import share_of_examples
from ..tables import table

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
STRING: dict[str, Any] = {"type": "string"}
INTEGER: dict[str, Any] = {"type": "integer"}
ISSUE: dict[str, Any] = {
    "type": "object",
    "properties": {"number": INTEGER, "title": STRING, "body": {"type": ["string", "null"]}},
    "required": ["number", "title"],
    "additionalProperties": False,
}
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/Issue"}},
        "total": INTEGER,
        "point": {"type": "array", "prefixItems": [INTEGER, STRING], "items": False},
        "state": {"enum": ["open", "closed"]},
        "first": {"anyOf": [{"$ref": "#/$defs/Issue"}, {"type": "null"}]},
        "labels": {"type": "object", "additionalProperties": {"type": "array", "items": STRING}},
        "open": {"type": "object", "properties": {"a": INTEGER}},
        "x": {
            "type": "object",
            "patternProperties": {"^x-": STRING},
            "additionalProperties": INTEGER,
        },
        "all": {"allOf": [{"type": ["string", "integer"]}, {"type": ["integer", "null"]}]},
        "tree": {"$ref": "#/$defs/Tree"},
        "any": True,
        "never": False,
        "few": {"type": "array", "items": STRING, "maxItems": 2},
    },
    "additionalProperties": False,
    "$defs": {
        "Issue": ISSUE,
        "Tree": {
            "type": "object",
            "properties": {
                "name": STRING,
                "kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
            },
            "additionalProperties": False,
        },
    },
}


def forms(schema: Any, whole: Any = None) -> Forms:
    return Types().forms(
        Part(schema, schema if whole is None and isinstance(schema, dict) else whole or {})
    )


def path(text: str) -> tuple[Step, ...]:
    [reference] = parse(f"$OUTPUT[a]{text}")
    assert isinstance(reference, Reference)
    return reference.path


def kinds_at(schema: Any, text: str) -> str:
    types = Types()
    found = walk_output(types, forms(schema), path(text))
    if found.stopped is not None:
        return f"nothing at {found.stopped}"
    kinds = {kind for form in found.value.forms for kind in types.kinds(form)}
    return "[]" * found.value.lists + ("any" if kinds == KINDS else "|".join(sorted(kinds)))


@table(
    ("text", "kinds"),
    [
        ("", "object"),
        (".total", "integer"),
        (".totle", "nothing at 0"),
        (".never", "nothing at 0"),
        (".any", "any"),
        (".any.thing[3][*].at", "[]any"),
        (".items", "array"),
        (".items[0]", "object"),
        (".items[-1].title", "string"),
        (".items[0].titel", "nothing at 2"),
        (".items.title", "nothing at 1"),
        (".items[*].title", "[]string"),
        (".items[*].titel", "nothing at 2"),
        (".total.x", "nothing at 1"),
        (".total[0]", "nothing at 1"),
        (".total[*]", "nothing at 1"),
        (".point[0]", "integer"),
        (".point[1]", "string"),
        (".point[2]", "nothing at 1"),
        (".point[-1]", "integer|string"),
        (".point[*]", "[]integer|string"),
        (".few[1]", "string"),
        (".few[2]", "nothing at 1"),
        (".few[-2]", "string"),
        (".few[-3]", "nothing at 1"),
        (".state", "string"),
        (".state.x", "nothing at 1"),
        (".first", "null|object"),
        (".first.title", "string"),
        (".first.body", "null|string"),
        (".first.titel", "nothing at 1"),
        (".labels.anything[0]", "string"),
        (".labels.anything.x", "nothing at 2"),
        (".open.b", "any"),
        (".open[0]", "nothing at 1"),
        (".x.a", "integer|string"),
        (".all", "integer"),
        (".tree.kids[0].kids[1].name", "string"),
        (".tree.kids[0].kid", "nothing at 3"),
        (".tree" + ".kids[*]" * 9 + ".name", "[]" * 9 + "string"),
    ],
)
def test_a_path_leads_to_what_the_schema_says_there(text: str, kinds: str) -> None:
    assert kinds_at(OUTPUT, text) == kinds


@table(
    ("schema", "text", "kinds"),
    [
        (STRING, ".text", "string"),
        (STRING, ".txt", "nothing at 0"),
        (STRING, ".text.x", "nothing at 0"),
        ({"type": ["string", "object"], "properties": {"text": INTEGER}}, ".text",
        "integer|string"),
        (OUTPUT, ".text", "nothing at 0"),
        ({"properties": {"result": ISSUE}, "required": ["result"], "type": "object"}, ".title",
        "any"),
        ({"properties": {"result": ISSUE}, "required": ["result"], "additionalProperties": False},
        ".title", "string"),
        ({"properties": {"result": ISSUE}, "required": ["result"], "additionalProperties": False},
        ".result", "object"),
        ({"properties": {"result": ISSUE}, "additionalProperties": False}, ".result.titel",
        "nothing at 1"),
        ({"properties": {"result": ISSUE}, "type": "object", "additionalProperties": False},
        ".titel", "nothing at 0"),
        ({"type": "object", "properties": {"result": {"type": "array", "items": ISSUE}}},
        "[0].title", "string"),
        ({"properties": {"result": ISSUE}, "required": ["n"], "additionalProperties": False},
        ".title", "nothing at 0"),
        (True, ".a[0]", "any"),
        ({}, "[*].a", "[]any"),
        ({"$ref": "#"}, ".a", "any"),
        ({"allOf": [{"$ref": "#"}], "type": "string"}, ".a", "nothing at 0"),
        ({"anyOf": [{"$ref": "#"}, STRING]}, ".a", "any"),
        ({"anyOf": [STRING] * 40}, ".a", "any"),
        ({"enum": [{"a": 1}, {"a": "x"}, 5]}, ".a", "integer|string"),
        ({"enum": [{"a": 1}, 5]}, ".b", "nothing at 0"),
        ({"const": [1, "x"]}, "[1]", "string"),
        ({"const": [1, "x"]}, "[2]", "nothing at 0"),
        ({"oneOf": [{"const": {"a": None}}, {"type": "null"}]}, ".a", "null"),
        ({"type": "array", "maxItems": 0}, "[*].x", "[]any"),
        ({"type": "array", "items": False}, "[*].x", "[]any"),
        ({"anyOf": [STRING, INTEGER], "oneOf": [INTEGER, {"type": "null"}]}, "", "integer"),
        ({"$schema": DRAFT_7, "prefixItems": [STRING], "items": INTEGER}, "[0]", "integer"),
        ({"$schema": DRAFT_7, "items": [STRING], "additionalItems": False}, "[1]", "nothing at 0"),
        ({"$schema": DRAFT_7, "$ref": "#/definitions/a", "type": "null",
          "definitions": {"a": STRING}}, "", "string"),
        ({"$ref": "#/$defs/a", "type": "null", "$defs": {"a": {"type": ["string", "null"]}}}, "",
        "null"),
    ],
)  # fmt: skip
def test_roots_of_outputs_are_read_as_references_read_them(
    schema: Any, text: str, kinds: str
) -> None:
    assert kinds_at(schema, text) == kinds


@table(
    ("text", "doubtful"),
    [
        (".a", None),
        (".b", 0),
        (".inner.c", None),
        (".inner.d.e", 1),
        (".map.anything", None),
        (".list[*].d", 2),
        (".none.x", None),
    ],
)
def test_a_member_that_is_not_declared_is_doubtful_where_others_are(
    text: str, doubtful: int | None
) -> None:
    inner = {"type": "object", "properties": {"c": INTEGER}, "additionalProperties": True}
    members = {
        "a": INTEGER,
        "inner": inner,
        "list": {"type": "array", "items": inner},
        "none": {"type": "object"},
    }
    members["map"] = {
        "type": "object",
        "properties": {"c": INTEGER},
        "additionalProperties": INTEGER,
    }
    found = walk_output(Types(), forms({"type": "object", "properties": members}), path(text))
    assert found.stopped is None
    assert (found.doubtful and found.doubtful[0]) == doubtful


NULLABLE = {"anyOf": [STRING, {"type": "null"}]}
LIST = {"type": "array", "items": STRING}
FILLED = {"type": "array", "items": INTEGER, "minItems": 1}
NAMED = {"type": "object", "properties": {"name": STRING}, "required": ["name"]}


@table(
    ("given", "wanted", "verdict"),
    [
        (STRING, STRING, Fit.OK),
        (INTEGER, STRING, Fit.WRONG),
        (INTEGER, {"type": "number"}, Fit.OK),
        ({"type": "number"}, INTEGER, Fit.UNKNOWN),
        ({"type": ["string", "null"]}, STRING, Fit.UNKNOWN),
        (STRING, {"type": ["string", "null"]}, Fit.OK),
        (STRING, NULLABLE, Fit.OK),
        (NULLABLE, STRING, Fit.UNKNOWN),
        (NULLABLE, INTEGER, Fit.WRONG),
        (NULLABLE, NULLABLE, Fit.OK),
        (STRING, {"oneOf": [STRING, INTEGER]}, Fit.UNKNOWN),
        (True, STRING, Fit.UNKNOWN),
        (STRING, True, Fit.OK),
        (STRING, {}, Fit.OK),
        (STRING, {"minLength": 3}, Fit.UNKNOWN),
        (STRING, {"not": STRING}, Fit.UNKNOWN),
        ({"enum": ["a", "b"]}, STRING, Fit.OK),
        ({"enum": ["a", "b"]}, {"enum": ["b", "a", "c"]}, Fit.OK),
        ({"enum": ["a", "b"]}, {"enum": ["b", "c"]}, Fit.UNKNOWN),
        ({"enum": ["a", "b"]}, {"enum": ["c", "d"]}, Fit.WRONG),
        ({"enum": ["a", "b"]}, INTEGER, Fit.WRONG),
        ({"enum": ["a", 1]}, INTEGER, Fit.UNKNOWN),
        ({"const": 1}, {"enum": [True]}, Fit.UNKNOWN),
        ({"const": 1.0}, INTEGER, Fit.OK),
        ({"const": 1.0}, {"$schema": DRAFT_4, "type": "integer"}, Fit.UNKNOWN),
        ({"const": 1.5}, INTEGER, Fit.WRONG),
        (INTEGER, {"const": "a"}, Fit.WRONG),
        (INTEGER, {"$schema": DRAFT_4, "const": "a"}, Fit.UNKNOWN),
        ({"enum": list(range(101))}, STRING, Fit.UNKNOWN),
        (STRING, {"enum": ["a"]}, Fit.UNKNOWN),
        (
            {"allOf": [{"type": ["string", "null"]}, {"type": ["string", "integer"]}]},
            STRING,
            Fit.OK,
        ),
        (LIST, LIST, Fit.OK),
        (LIST, {"type": "array"}, Fit.OK),
        (LIST, {"type": "array", "items": INTEGER}, Fit.EMPTY),
        (FILLED, LIST, Fit.WRONG),
        ({"type": "array", "items": NULLABLE}, LIST, Fit.UNKNOWN),
        ({"type": "array"}, LIST, Fit.UNKNOWN),
        ({"type": "array"}, {"$schema": DRAFT_7, "type": "array", "items": [INTEGER]}, Fit.UNKNOWN),
        (LIST, STRING, Fit.WRONG),
        (STRING, LIST, Fit.WRONG),
        (ISSUE, {"type": "object"}, Fit.OK),
        (ISSUE, NAMED, Fit.WRONG),
        ({**ISSUE, "additionalProperties": True}, NAMED, Fit.UNKNOWN),
        (ISSUE, {"type": "object", "properties": {"title": INTEGER}}, Fit.WRONG),
        (ISSUE, {"type": "object", "properties": {"body": INTEGER}}, Fit.UNKNOWN),
        (
            ISSUE,
            {"type": "object", "properties": {"number": INTEGER}, "additionalProperties": False},
            Fit.WRONG,
        ),
        ({"properties": {"a": STRING}, "type": "object"}, NAMED, Fit.UNKNOWN),
    ],
)
def test_a_value_is_wrong_where_nothing_of_its_type_fits(
    given: Any, wanted: Any, verdict: Fit
) -> None:
    assert Types().feeds(Value(forms(given)), forms(wanted)) is verdict


@table(
    ("given", "lists", "wanted", "verdict"),
    [
        (STRING, 1, LIST, Fit.UNKNOWN),
        (INTEGER, 1, LIST, Fit.EMPTY),
        (INTEGER, 1, STRING, Fit.WRONG),
        (STRING, 2, LIST, Fit.EMPTY),
        (STRING, 2, {"type": "array", "items": LIST}, Fit.UNKNOWN),
    ],
)
def test_what_is_mapped_over_lists_is_a_list(
    given: Any, lists: int, wanted: Any, verdict: Fit
) -> None:
    assert Types().feeds(Value(forms(given), lists), forms(wanted)) is verdict


@table(
    ("schema", "lists", "said"),
    [
        (INTEGER, 0, "an integer"),
        ({"type": "number"}, 0, "a number"),
        (NULLABLE, 0, "a string or null"),
        ({"enum": ["a", 1]}, 0, 'one of "a", 1'),
        ({"const": "a"}, 0, '"a"'),
        ({"enum": [f"option {n}" for n in range(9)]}, 0, "a string"),
        (True, 0, "any value"),
        (STRING, 1, "a list of strings"),
        (NULLABLE, 1, "a list of values"),
        (STRING, 2, "a list of lists"),
    ],
)
def test_a_type_reads_as_the_end_of_a_sentence(schema: Any, lists: int, said: str) -> None:
    assert Types().described(Value(forms(schema), lists)) == said


@cache
def hostile() -> list[Any]:
    """Schemas that double with each level, lead in circles, or are very wide or deep."""
    doubling = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(40)
    }
    all_of: Any = STRING
    for _ in range(400):
        all_of = {"allOf": [all_of, {"properties": {"a": True}}]}
    required = {
        "type": "object",
        "required": [f"f{n}" for n in range(50)],
        "additionalProperties": {"$ref": "#"},
    }
    return [
        {"$ref": "#/$defs/d0", "$defs": {**doubling, "d40": STRING}},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}], "properties": {"a": {"$ref": "#"}}},
        {"anyOf": [{"type": "array", "items": {"$ref": "#"}}] * 32, "minItems": 1},
        all_of,
        required,
        {"anyOf": [required] * 20, "required": ["a"]},
        {"properties": {f"f{n}": {"$ref": "#"} for n in range(3000)}},
        {"enum": [list(range(50))] * 100},
        {"type": "array", "prefixItems": [{"$ref": "#"}] * 1000, "items": {"$ref": "#"}},
        {"patternProperties": {f"^{n}": {"$ref": "#"} for n in range(500)}},
        {"$ref": "#/" + "a/" * 10_000},
    ]


@table("number", range(12))
def test_a_hostile_schema_takes_bounded_work(number: int) -> None:
    schema = hostile()[number]
    types = Types(200)
    found = walk(types, types.forms(Part(schema, schema)), ("a", 0, Every.ELEMENT, "a", "b"))
    for other in hostile():
        types.feeds(found.value, types.forms(Part(other, other)))
    # what is asked for once the room is used up takes a step at most
    assert types.used < 200 + 100


NAMES = st.sampled_from(["a", "b", "result", "text"])
PLAIN_VALUES = st.sampled_from(
    [None, True, False, 0, 1, 1.0, 2.5, "", "a", "b", [], {}, ["a"], {"a": 1}]
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": st.just(False) | inner,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=1),
        },
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array")},
        optional={
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 3),
        },
    )
    several = st.lists(inner, min_size=1, max_size=3)
    unions = st.fixed_dictionaries(
        {}, optional={"anyOf": several, "oneOf": several, "allOf": several, "not": inner}
    )
    return (
        objects | arrays | unions | st.builds(lambda one, other: {**one, **other}, objects, unions)
    )


LEAVES: st.SearchStrategy[Any] = (
    st.booleans()
    | TYPES.map(lambda name: {"type": name})
    | st.lists(TYPES, min_size=1, max_size=3, unique=True).map(lambda names: {"type": names})
    | st.lists(PLAIN_VALUES, min_size=1, max_size=3).map(lambda values: {"enum": values})
    | PLAIN_VALUES.map(lambda value: {"const": value})
    | st.sampled_from(
        [{"$ref": "#"}, {"$ref": "#/$defs/one"}, {"$ref": "#/$defs/two"}, {"minimum": 1}]
    )
)
SUBSCHEMAS = st.recursive(LEAVES, _schemas, max_leaves=8)
DRAFTS = st.sampled_from([None, None, DRAFT_7, DRAFT_4])
VALUES = st.recursive(
    PLAIN_VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
PATHS = st.lists(NAMES | st.integers(-2, 2) | st.just(Every.ELEMENT), max_size=4).map(tuple)


@st.composite
def schemas(draw: st.DrawFn) -> tuple[dict[str, Any], jsonschema_rs.Validator]:
    """A schema that can be used, and what holds values to it."""
    root: dict[str, Any] = draw(SUBSCHEMAS.filter(lambda schema: isinstance(schema, dict)))
    schema: dict[str, Any] = {**root, "$defs": {"one": draw(SUBSCHEMAS), "two": draw(SUBSCHEMAS)}}
    if draft := draw(DRAFTS):
        schema["$schema"] = draft
    usable = Schema(schema)
    assume(usable.unusable is None and usable.ignored is None)
    return usable.definition, jsonschema_rs.validator_for(usable.definition)


def values_of(schema: Any, whole: dict[str, Any], depth: int = 6) -> st.SearchStrategy[Any]:
    """Values that are likely to be valid, made by the schema; others among them."""
    if not isinstance(schema, dict) or not depth:
        return VALUES
    made: list[st.SearchStrategy[Any]] = []
    if isinstance(target := schema.get("$ref"), str):
        made.append(values_of(find(whole, target), whole, depth - 1))
    for name in ("anyOf", "oneOf", "allOf"):
        made += [values_of(branch, whole, depth - 1) for branch in schema.get(name, ())]
    if "enum" in schema or "const" in schema:
        made.append(st.sampled_from(schema.get("enum") or [schema["const"]]))
    named = schema.get("type", ())
    for kind in [named] if isinstance(named, str) else named:
        made.append(_values_of_type(kind, schema, whole, depth - 1))
    return st.one_of(made) if made else VALUES


def _values_of_type(
    kind: str, schema: dict[str, Any], whole: dict[str, Any], depth: int
) -> st.SearchStrategy[Any]:
    if kind == "object":
        more = schema.get("additionalProperties", True)
        members = {
            name: values_of(part, whole, depth)
            for name, part in schema.get("properties", {}).items()
        }
        required = {
            name: members.pop(name, values_of(more, whole, depth))
            for name in schema.get("required", ())
        }
        made = st.fixed_dictionaries(required, optional=members)
        others = st.dictionaries(NAMES, values_of(more, whole, depth), max_size=2)
        return made | st.builds(lambda one, other: {**other, **one}, made, others)
    if kind == "array":
        first = [values_of(part, whole, depth) for part in schema.get("prefixItems", ())]
        rest = st.lists(
            values_of(schema.get("items", True), whole, depth),
            min_size=schema.get("minItems", 0),
            max_size=3,
        )
        return st.builds(lambda one, other: [*one, *other], st.tuples(*first), rest) | rest
    return VALUES.filter(lambda value: jsonschema_rs.is_valid({"type": kind}, value))


def _through_an_empty_list(value: Any, steps: tuple[Step, ...]) -> bool:
    """Whether *steps* come to a `[*]` over a list that has no element, wherever they lead without
    it."""
    for number, step in enumerate(steps):
        if step is Every.ELEMENT:
            rest = steps[number + 1 :]
            return isinstance(value, list) and all(
                _through_an_empty_list(part, rest) for part in value
            )
        try:
            value = value[step]
        except (LookupError, TypeError):
            return False
    return False


LAWS = settings(
    share_of_examples(0.25),
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)


def test_the_text_of_a_text_in_a_wrapper_is_the_text() -> None:
    wrapper = {
        "type": "object",
        "properties": {"result": {"type": "string"}},
        "required": ["result"],
        "additionalProperties": False,
    }
    assert walk_output(Types(), forms(wrapper), path(".text")).stopped is None
    assert walk_output(Types(), forms(wrapper), path(".other")).stopped == 0


@LAWS
@given(st.data(), schemas(), PATHS)
def test_a_path_that_is_ruled_out_is_in_no_value_of_the_schema(
    data: st.DataObject, given_: Any, steps: Any
) -> None:
    schema, validator = given_
    found = walk_output(Types(), forms(schema), steps)
    value = data.draw(values_of(schema, schema).filter(validator.is_valid))
    is_wrapped = isinstance(value, dict) and value.keys() == {"result"}
    assume(not is_wrapped or "result" in declared(forms(schema)))
    reference = Reference("t", steps, text="$OUTPUT[t]")
    try:
        part = follow(Output(value, is_wrapped=is_wrapped), reference)
    except ReferenceFailed:
        return
    inside = value["result"] if is_wrapped and steps and steps[0] != "result" else value
    assert found.stopped is None or _through_an_empty_list(inside, steps)
    assert found.stopped is not None or _is_of(part, found.value)


def _is_of(part: Any, value: Value) -> bool:
    """Whether *part* has one of the types that *value* says."""
    if value.lists:
        return isinstance(part, list) and all(
            _is_of(inner, Value(value.forms, value.lists - 1)) for inner in part
        )
    types = Types()
    return types.feeds(constant(part), value.forms) is not Fit.WRONG


@LAWS
@given(st.data(), schemas(), schemas())
def test_a_verdict_holds_for_every_value(data: st.DataObject, given_: Any, wanted: Any) -> None:
    verdict = Types().feeds(Value(forms(given_[0])), forms(wanted[0]))
    value = data.draw(values_of(given_[0], given_[0]).filter(given_[1].is_valid))
    fits = wanted[1].is_valid(value)
    match verdict:
        case Fit.OK:
            assert fits
        case Fit.WRONG:
            assert not fits
        case Fit.EMPTY:
            assert not fits or value == []


@LAWS
@given(VALUES, schemas())
def test_a_constant_that_is_wrong_does_not_fit(value: Any, wanted: Any) -> None:
    verdict = Types().feeds(constant(value), forms(wanted[0]))
    assert verdict not in {Fit.WRONG, Fit.OK} or wanted[1].is_valid(value) is (verdict is Fit.OK)
