"""JSON Schemas of tools: what is said of a value that does not fit, and what a hostile schema
cannot do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.values import schema as schemas
from plait.core.values.schema import MAX_COMPLAINTS, Complaint, Schema

from ...profiles import share_of_examples
from ..steps import steps
from ..strategies import json_values, nested
from ..tables import table

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "age": {"type": ["integer", "null"], "minimum": 0},
        "role": {"enum": ["admin", "user", None]},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "home": {
            "type": "object",
            "properties": {"zip": {"pattern": "^[0-9]+$"}},
            "additionalProperties": False,
        },
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "kind": {"const": "person"},
        "then": {"type": "integer"},
        "one": {"oneOf": [{"minimum": 1}, {"maximum": 5}]},
        "never": False,
    },
    "required": ["name"],
    "additionalProperties": False,
}


@table(
    ("value", "place", "message"),
    [
        ({}, ("name",), "is missing"),
        ({"name": 5}, ("name",), "must be a string; it is 5"),
        ({"name": "abcdef"}, ("name",), 'is longer than 5 characters; it is "abcdef"'),
        ({"name": "a", "age": "x"}, ("age",), 'must be an integer or null; it is "x"'),
        ({"name": "a", "age": -1}, ("age",), "is less than the minimum of 0; it is -1"),
        (
            {"name": "a", "role": "boss"},
            ("role",),
            'must be one of "admin", "user", null; it is "boss"',
        ),
        ({"name": "a", "tags": ["x", 1]}, ("tags", 1), "must be a string; it is 1"),
        ({"name": "a", "tags": ["x", "x"]}, ("tags",), 'has non-unique elements; it is ["x", "x"]'),
        (
            {"name": "a", "home": {"zip": "x"}},
            ("home", "zip"),
            'does not match "^[0-9]+$"; it is "x"',
        ),
        ({"name": "a", "home": {"zap": 1}}, ("home", "zap"), "is not a known field"),
        ({"name": "a", "either": 5}, ("either",), "must be a string or null; it is 5"),
        ({"name": "a", "kind": "cat"}, ("kind",), 'must be "person"; it is "cat"'),
        (
            {"name": "a", "one": 3},
            ("one",),
            "fits more than one of the alternatives in its schema; it is 3",
        ),
        ({"name": "a", "never": 1}, ("never",), "is not allowed here"),
        ({"name": "a", "rol": "user"}, ("rol",), 'is not a parameter; did you mean "role"?'),
        ({"name": "a", "zzzzz": 1}, ("zzzzz",), "is not a parameter"),
        (5, (), "must be an object; it is 5"),
    ],
)
def test_a_value_that_does_not_fit_is_reported_with_its_place_and_what_would_fit(
    value: Any, place: tuple[Any, ...], message: str
) -> None:
    assert Schema(PERSON).complaints(value) == [Complaint(place, message)]


def test_a_value_that_fits_gives_no_complaint() -> None:
    assert Schema(PERSON).complaints({"name": "Ann", "age": None, "home": {"zip": "1"}}) == []


def test_a_misspelt_name_explains_the_missing_one() -> None:
    complaints = Schema(PERSON).complaints({"nam": "Ann"})
    assert complaints == [Complaint(("nam",), 'is not a parameter; did you mean "name"?')]


def test_a_name_that_is_there_already_is_not_suggested() -> None:
    complaints = Schema(PERSON).complaints({"name": "Ann", "nam": "Ann"})
    assert complaints == [Complaint(("nam",), "is not a parameter")]


def test_a_long_value_does_not_hide_the_reason() -> None:
    [complaint] = Schema(PERSON).complaints({"name": "x" * 10_000})
    assert complaint.message.startswith("is longer than 5 characters")
    assert len(complaint.message) < 150


def test_complaints_are_bounded() -> None:
    assert len(Schema({"items": {"type": "string"}}).complaints(list(range(100)))) <= MAX_COMPLAINTS
    assert (
        len(Schema(PERSON).complaints({f"x{index}": 1 for index in range(100)}))
        <= MAX_COMPLAINTS + 1
    )


def test_a_large_value_that_does_not_fit_is_refused_without_the_places() -> None:
    complaints = Schema({"items": {"type": "string"}}).complaints(list(range(10_000)))
    assert complaints == [Complaint((), "does not fit its schema, and is too large to say where")]


@table(
    ("value", "unknown", "places"),
    [
        ({"name": "$OUTPUT[a]"}, {("name",)}, []),
        ({"name": "$OUTPUT[a]", "age": "x"}, {("name",)}, [("age",)]),
        ({"age": "$OUTPUT[a]"}, {("age",)}, [("name",)]),
        ({"name": "a", "home": {"zap": "$OUTPUT[a]"}}, {("home", "zap")}, [("home", "zap")]),
        ({"name": "a", "zzz": "$OUTPUT[a]"}, {("zzz",)}, [("zzz",)]),
        ({"name": "a", "tags": ["$OUTPUT[a]", 1]}, {("tags", 0)}, [("tags", 1)]),
        ({"name": "a", "tags": ["$OUTPUT[a]", "$OUTPUT[a]"]}, {("tags", 0), ("tags", 1)}, []),
        ({"name": "a", "either": {"x": "$OUTPUT[a]"}}, {("either", "x")}, []),
        ({"name": "$OUTPUT[a]", "then": "soon"}, {("name",)}, [("then",)]),
    ],
)
def test_of_values_that_are_not_known_yet_only_certain_mistakes_are_reported(
    value: Any, unknown: set[tuple[Any, ...]], places: list[Any]
) -> None:
    complaints = Schema(PERSON).complaints(value, unknown=frozenset(unknown))
    assert [complaint.place for complaint in complaints] == places


@table(
    "schema",
    [
        {"if": {"properties": {"a": {"const": 1}}}, "else": {"required": ["b"]}},
        {
            "if": {"properties": {"a": {"const": 1}}},
            "then": True,
            "else": {"$ref": "#/$defs/b"},
            "$defs": {"b": False},
        },
        {"properties": {"a": {"type": "integer", "minimum": 5}, "c": {"const": "x"}}},
        {
            "properties": {
                "a": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "c": {"enum": ["x", "y"]},
            }
        },
        {
            "properties": {"a": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"type": "number", "exclusiveMaximum": 0}},
        },
    ],
)
def test_a_condition_on_a_value_that_is_not_known_yet_is_not_reported(schema: Any) -> None:
    value: dict[str, Any] = {"a": "$OUTPUT[x]", "c": "x"}
    assert Schema(schema).complaints(value, unknown=frozenset({("a",)})) == []
    [complaint] = Schema({**schema, "required": ["z"]}).complaints(
        value, unknown=frozenset({("a",)})
    )
    assert complaint.place == ("z",)


@table(
    ("schema", "line"),
    [
        ({}, ""),
        (
            PERSON,
            (
                "name: string, age?: integer|null, role?: admin|user|null, tags?: [string], home?: "
                "{zip}, "
            ),
        ),
        (
            {"properties": {"a": {"type": "string"}, "b": {}}, "required": ["b"]},
            "b: any, a?: string",
        ),
        ({"properties": {"x": {"$ref": "#/$defs/Point"}}}, "x?: Point"),
        (
            {"properties": {"x": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
            "x?: string|null",
        ),
        ({"properties": {"x": {"enum": list("abcdefghij")}}}, "x?: a|b|c|d|e|f|g|h|…"),
        ({"properties": {f"p{n}": True for n in range(30)}}, "p23?: any, …"),
        ({"properties": {"x": "nonsense"}, "required": "nonsense"}, "x?: any"),
    ],
)
def test_the_parameters_stand_in_one_line_the_required_first(schema: Any, line: str) -> None:
    assert line in Schema(schema).parameters()


@table(
    ("schema", "shape"),
    [
        ({"type": "string"}, "text"),
        ({"type": "integer"}, "integer"),
        ({"properties": {"result": {"type": "string"}}}, "text"),
        ({"properties": {"result": {"type": "array", "items": {"type": "integer"}}}}, "[integer]"),
        ({"properties": {"result": {"properties": {"id": {}}}}}, "{id}"),
        ({"properties": {"result": {"type": "string"}, "id": {}}}, "{result, id}"),
        ({"type": "object"}, "{…}"),
        ({"properties": {"n": {"type": "integer"}, "s": {}}}, "{n, s}"),
        ({"type": "array", "items": {"properties": {"id": {}, "name": {}}}}, "[{id, name}]"),
        (
            {
                "properties": {
                    "items": {"type": "array", "items": {"properties": {"id": {}}}},
                    "total": {},
                }
            },
            "{items: [{id}], total}",
        ),
        (
            {"properties": {"tags": {"type": "array", "items": {"type": "string"}}}},
            "{tags: [string]}",
        ),
    ],
)
def test_the_shape_of_an_output_stands_in_one_line(schema: Any, shape: str) -> None:
    assert Schema(schema).shape() == shape


KEYWORDS = (
    st.sampled_from(
        [
            "type",
            "properties",
            "items",
            "required",
            "enum",
            "const",
            "anyOf",
            "oneOf",
            "allOf",
            "not",
            "if",
        ]
    )
    | st.sampled_from(
        [
            "$ref",
            "$defs",
            "$schema",
            "$id",
            "a",
            "additionalProperties",
            "pattern",
            "format",
            "minimum",
        ]
    )
    | st.sampled_from(
        [
            "maxLength",
            "prefixItems",
            "unevaluatedProperties",
            "dependentSchemas",
            "then",
            "contains",
        ]
    )
)
WORDS = st.sampled_from(
    ["string", "object", "array", "integer", "#", "#/$defs/a", "#/properties/a", "a", "(", "^a+$"]
)
SCHEMAS = json_values(leaves=WORDS, keys=KEYWORDS)


@share_of_examples(0.4)
@given(SCHEMAS, json_values(keys=st.sampled_from(["a", "b", "type"])))
def test_no_schema_and_no_value_is_ever_an_error(schema: Any, value: Any) -> None:
    tested = Schema(schema)
    for complaint in tested.complaints(value) + tested.complaints(
        value, unknown=frozenset({("a",)})
    ):
        assert complaint.message
    assert tested.fits(value) == (tested.complaints(value) == [])
    assert isinstance(tested.parameters() + tested.shape(), str)
    assert tested.unusable is None or tested.unusable


OBJECTS = st.dictionaries(
    st.sampled_from(["a", "b", "then"]), json_values(keys=st.just("a")), max_size=3
)
BRANCH = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "integer", "string", "array", ["string", "null"]]),
        "required": st.just(["b"]),
        "const": st.sampled_from([1, "x"]),
        "minimum": st.integers(-2, 2),
        "maxLength": st.integers(0, 4),
        "additionalProperties": st.booleans(),
    },
)
PARTS = st.dictionaries(st.sampled_from(["a", "b", "then"]), BRANCH, max_size=3)
CONDITIONS = st.fixed_dictionaries(
    {"properties": PARTS},
    optional={
        "if": st.fixed_dictionaries({"properties": PARTS}),
        "then": BRANCH,
        "else": BRANCH,
        "allOf": st.lists(BRANCH, min_size=1, max_size=2),
        "oneOf": st.lists(BRANCH, min_size=1, max_size=2),
        "not": BRANCH,
        "dependentSchemas": st.dictionaries(st.just("a"), BRANCH, max_size=1),
        "unevaluatedProperties": st.just(False),
        "required": st.just(["a"]),
    },
)


@share_of_examples(0.4)
@given(CONDITIONS | SCHEMAS, OBJECTS, st.sets(st.sampled_from(["a", "b", "then"])))
def test_a_value_that_fits_once_it_is_known_is_not_reported_before(
    schema: Any, value: Any, names: set[str]
) -> None:
    tested = Schema(schema)
    unknown = frozenset((name,) for name in names & value.keys())
    written = {name: "$OUTPUT[t]" if (name,) in unknown else part for name, part in value.items()}
    if not tested.complaints(value):
        assert tested.complaints(written, unknown=unknown) == []


@share_of_examples(0.4)
@given(CONDITIONS | SCHEMAS, OBJECTS, st.sets(st.sampled_from(["a", "b", "then"])))
def test_a_guess_spares_work_and_changes_no_verdict(
    schema: Any, value: Any, names: set[str]
) -> None:
    tested = Schema(schema)
    unknown = frozenset((name,) for name in names & value.keys())
    written = {name: "$OUTPUT[t]" if (name,) in unknown else part for name, part in value.items()}
    if not tested.unusable:
        assert tested.complaints(written, unknown=unknown) == tested.explained(written, unknown)


# Schemas that mean harm.


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server on this machine that nothing should connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "URL/x"},
        {"$ref": "URL/x#/$defs/a"},
        {"$schema": "URL/meta", "type": "object"},
        {"$id": "URL/x", "properties": {"a": {"$ref": "y"}}},
        {"$id": "URL/x", "$ref": "#/$defs/a", "$defs": {"a": {"$id": "URL/z", "$ref": "w"}}},
        {"$dynamicRef": "URL/x"},
        {"properties": {"a": {"allOf": [{"$ref": "file:///etc/passwd"}]}}},
    ],
)
def test_nothing_is_fetched_for_a_schema(schema: Any, listener: socket.socket) -> None:
    url = "http://{}:{}".format(*listener.getsockname())
    tested = Schema(with_url(schema, url))
    assert tested.complaints({"a": 1}) == []
    assert tested.unusable
    assert tested.malformed is None
    with pytest.raises(BlockingIOError):
        listener.accept()


def with_url(schema: Any, url: str) -> Any:
    if isinstance(schema, dict):
        return {key: with_url(value, url) for key, value in schema.items()}
    if isinstance(schema, list):
        return [with_url(value, url) for value in schema]
    return schema.replace("URL", url)


@table(
    "pattern",
    [r"^(a+)+$", r"^(a|aa)+$", r"^(?=(a+)+$)b", r"^(a+)+\1$", r"^((a*)*)*b", r"(?<!x)(a+)+$"],
)
def test_a_pattern_cannot_take_forever(pattern: str) -> None:
    tested = Schema({"pattern": pattern})
    assert tested.unusable is None
    tested.complaints("a" * 50_000 + "!")


def test_look_around_is_understood() -> None:
    tested = Schema({"pattern": "^(?!secret)"})
    assert tested.complaints("public") == []
    assert len(tested.complaints("secret")) == 1


def doubling(levels: int) -> dict[str, Any]:
    """A schema of a few hundred bytes that holds every value against 2**levels subschemas."""
    definitions: dict[str, Any] = {"a0": {"type": "integer"}}
    for level in range(1, levels):
        definitions[f"a{level}"] = {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}] * 2}
    return {"$defs": definitions, "$ref": f"#/$defs/a{levels - 1}"}


def asking_again(levels: int) -> dict[str, Any]:
    """A chain in which each level asks the ones beneath it once more what they have seen."""
    definitions: dict[str, Any] = {"a0": {"properties": {"x": {}}}}
    for level in range(1, levels):
        definitions[f"a{level}"] = {
            "allOf": [{"$ref": f"#/$defs/a{level - 1}"}],
            "unevaluatedProperties": False,
        }
    return {"$defs": definitions, "$ref": f"#/$defs/a{levels - 1}"}


TREE = {
    "$ref": "#/$defs/n",
    "$defs": {"n": {"items": {"anyOf": [{"$ref": "#/$defs/n"}] * 2}, "type": "array"}},
}
MEMBERS = {
    "type": "object",
    "additionalProperties": {"oneOf": [{"$ref": "#"}, {"$ref": "#"}, {"type": "string"}]},
}


@table(
    ("schema", "value"),
    [
        (doubling(18), 1),
        (doubling(30), "x"),
        (asking_again(20), {"x": 1}),
        ({"allOf": [{"$ref": "#"}]}, 1),
        ({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, 1),
        ({"$ref": "#"}, 1),
        (
            {
                "$ref": "#/$defs/a",
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
            },
            1,
        ),
        (TREE, nested(64)),
        (TREE, nested(16)),
        ({"items": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}, nested(64)),
        (
            MEMBERS,
            {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 5}}}}}}}}}}}},
        ),
        ({"items": {"$dynamicRef": "#n"}, "$dynamicAnchor": "n"}, nested(64)),
        (
            {
                "$defs": {"n": {"$anchor": "n", "items": {"anyOf": [{"$ref": "#n"}] * 2}}},
                "$ref": "#n",
            },
            nested(64),
        ),
        (
            {"$defs": {"n": {"$id": "n", "items": {"anyOf": [{"$ref": "n"}] * 2}}}, "$ref": "n"},
            nested(64),
        ),
        ({"anyOf": [{"type": "integer", "minimum": number} for number in range(210)]}, "x"),
        ({"items": {"anyOf": [{"const": number} for number in range(210)]}}, ["x"] * 50),
        ({"pattern": "((a{0,100}){0,100}){0,100}"}, "a" * 1000),
        ({"patternProperties": {f"^(a+)+{number}$": {} for number in range(210)}}, {"a" * 5000: 1}),
        ({"description": "x" * 65_536}, 1),
        ({"multipleOf": 1e-300}, 1e300),
        ({"uniqueItems": True}, [[number] for number in range(500)]),
    ],
)
def test_no_schema_takes_more_than_so_many_steps(
    schema: Any, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "MAX_VISITS", 200)
    found: list[Complaint] = []
    assert steps(lambda: found.extend(Schema(schema).complaints(value))) < 20_000
    assert len(found) <= 1


@table(
    ("schema", "reason"),
    [
        (doubling(18), "its references multiply its size beyond what can be checked"),
        (doubling(60), "its references multiply its size beyond what can be checked"),
        ({"description": "x" * 65_536}, "it is larger than 64 KiB"),
        (
            {"$ref": "https://example.com/x"},
            "the reference https://example.com/x is not a pointer into the schema",
        ),
        (
            {"$ref": "#/$defs/nowhere"},
            "the reference #/$defs/nowhere is not a pointer into the schema",
        ),
        ({"pattern": "("}, '"(" is not a "regex"'),
    ],
)
def test_a_schema_that_cannot_be_used_says_why_and_refuses_nothing(
    schema: Any, reason: str
) -> None:
    assert str(Schema(schema).unusable).startswith(reason)
    assert Schema(schema).complaints({"any": "value"}) == []


def test_a_part_that_is_not_json_schema_is_left_out_and_the_rest_counts() -> None:
    tested = Schema(
        {
            "properties": {
                "a": {"type": "integer", "minimum": "1"},
                "b": {"enum": {}, "type": "string"},
            },
            "required": "a",
        }
    )
    assert tested.unusable is None
    assert str(tested.ignored) == '"1" is not of type "number"'
    assert [complaint.place for complaint in tested.complaints({"a": "x", "b": 5})] == [
        ("a",),
        ("b",),
    ]


CIRCLE: dict[str, Any] = {
    "properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}},
    "required": ["kind", "radius"],
    "type": "object",
}
LABEL: dict[str, Any] = {
    "properties": {"kind": {"const": "label"}, "text": {"type": "string"}},
    "required": ["kind"],
    "type": "object",
}


@table("union", ["oneOf", "anyOf"])
@table(
    ("others", "value", "place", "message"),
    [
        ([], {"kind": "circle", "radius": "1"}, ("radius",), 'must be a number; it is "1"'),
        ([], {"kind": "circle"}, ("radius",), "is missing"),
        ([], {"kind": "square"}, ("kind",), 'must be one of "circle", "label"; it is "square"'),
        (
            [{"type": "string"}],
            {"kind": "square"},
            ("kind",),
            'must be one of "circle", "label"; it is "square"',
        ),
        (
            [{"type": "string"}],
            {"kind": "label", "text": 1},
            ("text",),
            "must be a string; it is 1",
        ),
        (
            [{"type": "array", "items": {"type": "integer"}}],
            ["a"],
            (0,),
            'must be an integer; it is "a"',
        ),
        ([], {"radius": 1}, (), 'fits none of the alternatives in its schema; it is {"radius": 1}'),
    ],
)
def test_a_complaint_goes_into_the_alternative_that_the_value_chose(
    union: str, others: list[Any], value: Any, place: tuple[Any, ...], message: str
) -> None:
    schema = Schema({"properties": {"x": {union: [CIRCLE, LABEL, *others]}}})
    assert schema.complaints({"x": value}) == [Complaint(("x", *place), message)]


def test_an_alternative_that_is_not_known_yet_is_not_complained_about() -> None:
    schema = Schema({"properties": {"x": {"oneOf": [CIRCLE, LABEL]}}})
    value: Any = {"x": {"kind": "$OUTPUT[a]", "text": 1}}
    assert schema.complaints(value, unknown=frozenset({("x", "kind")})) == []


def test_alternatives_are_shown_with_their_constants_and_types() -> None:
    line = Schema({"properties": {"x": {"oneOf": [CIRCLE, LABEL]}}}).parameters()
    assert line == 'x?: {kind: "circle", radius: number}|{kind: "label", text: string}'


def test_an_honest_recursive_schema_is_used() -> None:
    tree: Any = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"items": {"$ref": "#/$defs/node"}},
                },
            }
        },
    }
    value: dict[str, Any] = {
        "name": "root",
        "children": [{"name": "x", "children": []}, {"name": 5}],
    }
    assert Schema(tree).complaints(value) == [
        Complaint(("children", 1, "name"), "must be a string; it is 5")
    ]


def test_a_model_used_in_many_places_does_not_multiply() -> None:
    field = {"$ref": "#/$defs/a%20b"}
    schema: Any = {
        "properties": {f"p{n}": field for n in range(100)},
        "$defs": {"a b": {"anyOf": [{"type": "null"}, {"type": "string"}]}},
    }
    assert Schema(schema).complaints({"p7": 5}) == [
        Complaint(("p7",), "must be a string or null; it is 5")
    ]
