"""Output schemas that the clients in use can compile.

Clients of the official TypeScript SDK compile the output schema of every listed tool, with Ajv as
draft 7, and lose the whole list if one cannot be compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import jsonschema_rs

from .js_pattern import is_js_pattern
from .schema import Schema
from .strict import Json, JsonObject

_DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"
_DATA: Final = frozenset({"const", "default", "enum", "examples"})
_OF_NAMES: Final = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"}
)


def uncompilable(definition: JsonObject) -> str | None:
    """The reason why a client may fail to compile the schema *definition*; None if none will."""
    schema = Schema(definition)
    if (reason := schema.malformed or schema.unusable) is not None:
        return reason
    parts = [definition.get("definitions"), definition.get("$defs")]
    named = {name: part for part in parts if isinstance(part, dict) for name, part in part.items()}
    try:
        jsonschema_rs.meta.validate({**definition, "$schema": _DRAFT_7, "definitions": named})
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        return f"not of draft 7: {str(error).splitlines()[0][:200]}"
    return next((flaw for part in _parts(definition) if (flaw := _flaw(part))), None)


def _flaw(part: JsonObject) -> str | None:
    """The reason why the keywords of *part* alone cannot be compiled."""
    if "id" in part:
        return "it has the keyword id, which is $id now"
    if "nullable" in part and "type" not in part:
        return "it has nullable without a type"
    patterns = [part.get("pattern")]
    if isinstance(named := part.get("patternProperties"), dict):
        patterns += named
    for pattern in patterns:
        if isinstance(pattern, str) and not is_js_pattern(pattern):
            return f"JavaScript does not know the pattern {pattern[:100]}"
    return None


def _parts(definition: JsonObject) -> Iterator[JsonObject]:
    """All subschemas of *definition*, itself included."""
    stack: list[Json] = [definition]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack += part
        elif isinstance(part, dict):
            yield part
            for keyword, value in part.items():
                if keyword in _OF_NAMES and isinstance(value, dict):
                    stack += value.values()
                elif keyword not in _DATA:
                    stack.append(value)
