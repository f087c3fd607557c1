"""Values that references may stand for, guessed from the schemas of their places.

If a whole value fits its schema with such guesses in it, nothing in it is certainly wrong, and no
further check is needed. A wrong guess costs that time and changes no result.
"""

from __future__ import annotations

from collections.abc import Iterable

from .effort import find
from .strict import Json, JsonObject

MAX_STEPS = 8
"""Most references and alternatives that are followed for one guess."""
_OF_TYPE: JsonObject = {
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
    "integer": 1,
    "number": 1,
}


def guessed(definition: JsonObject, value: Json, places: Iterable[tuple[str | int, ...]]) -> Json:
    """Return *value* with guesses at *places*; text stays where the schema may want text."""
    for place in places:
        value = _put(definition, _schema(definition, definition), value, place)
    return value


def _put(definition: JsonObject, schema: Json, value: Json, place: tuple[str | int, ...]) -> Json:
    if not place:
        return _guess(definition, schema, value)
    step, rest = place[0], place[1:]
    if isinstance(value, dict) and isinstance(step, str) and step in value:
        return {
            **value,
            step: _put(definition, _member(definition, schema, step), value[step], rest),
        }
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        part = _put(definition, _element(definition, schema), value[step], rest)
        return [*value[:step], part, *value[step + 1 :]]
    return value


def _member(definition: JsonObject, schema: Json, name: str) -> Json:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return _schema(definition, properties.get(name)) if isinstance(properties, dict) else None


def _element(definition: JsonObject, schema: Json) -> Json:
    return _schema(definition, schema.get("items")) if isinstance(schema, dict) else None


def _schema(definition: JsonObject, schema: Json) -> Json:
    """Follow the references that *schema* begins with, and the first of its alternatives."""
    for _ in range(MAX_STEPS):
        match schema:
            case {"$ref": str(target)}:
                schema = find(definition, target)
            case {"anyOf": [first, *_]} | {"oneOf": [first, *_]}:
                schema = first
            case _:
                break
    return schema


def _guess(definition: JsonObject, schema: Json, text: Json) -> Json:
    match schema:
        case {"const": None | bool() | int() | float() | str() as constant}:
            return constant
        case {"enum": [None | bool() | int() | float() | str() as option, *_]}:
            return option
        case {"type": "integer" | "number"} if isinstance(schema, dict):
            return _number(schema)
        case {"type": str(name)} | {"type": [str(name), *_]}:
            return _OF_TYPE.get(name, text)
    return text


def _number(schema: JsonObject) -> Json:
    for bound, beside in (
        ("minimum", 0),
        ("exclusiveMinimum", 1),
        ("maximum", 0),
        ("exclusiveMaximum", -1),
    ):
        if isinstance(number := schema.get(bound), int | float):
            return number + beside
    return 1
