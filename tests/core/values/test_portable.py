"""Output schemas that Ajv compiles, and those that it does not; `tests/interop` asks Ajv itself."""

from __future__ import annotations

from typing import Any

from plait.core.values.portable import uncompilable

from ..tables import table

COMPILED: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"id": {"type": "string"}, "nullable": True}},
    {"$ref": "#/$defs/x", "$defs": {"x": {"type": "object"}}},
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "prefixItems": [{}],
        "type": "array",
    },
    {"type": "string", "pattern": "^[a-z]+$", "format": "unheard-of"},
    {"type": "string", "nullable": True},
    {"enum": [{"id": 1, "pattern": "(?P<x>"}], "default": {"nullable": True}},
    {"patternProperties": {"^x-": {}}},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"$ref": "#/$defs/none"}, "none"),
    ({"$ref": "https://example.com/schema"}, "not a pointer into the schema"),
    ({"id": "x", "type": "object"}, "keyword id"),
    ({"properties": {"x": {"items": {"id": "x"}}}}, "keyword id"),
    ({"properties": {"x": {"nullable": True}}}, "nullable without a type"),
    ({"properties": {"x": {"pattern": "(?P<x>a)"}}}, "regex"),
    ({"patternProperties": {r"^[\w-.]+$": {"type": "string"}}}, "regex"),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"pattern": r"a\Z"}}}, "regex"),
    (
        {"$ref": "#/$defs/x", "$defs": {"x": {"items": {"pattern": r"\_"}}}},
        "JavaScript does not know the pattern",
    ),
    ({"type": "unheard-of"}, "unheard-of"),
    (
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {"x": {"minimum": 1, "exclusiveMinimum": True}},
        },
        "draft 7",
    ),
]


@table("schema", COMPILED)
def test_a_schema_that_clients_compile_is_accepted(schema: dict[str, Any]) -> None:
    assert uncompilable(schema) is None


@table(("schema", "reason"), REFUSED)
def test_a_schema_that_a_client_cannot_compile_is_refused_with_the_reason(
    schema: dict[str, Any], reason: str
) -> None:
    assert reason in str(uncompilable(schema))
