"""From types to shapes and back: what schemas say, as expressions read it, and what an expression
gives, as references read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from ..expressions.shapes import ANY, KINDS, Shape, or_null
from ..language.references import Every
from ..values.strict import Json, JsonObject, dumps
from .keywords import (
    MAX_FORMS,
    Forms,
    declared,
    has_schema_for_others,
    is_read,
    options_of,
    required_of,
)
from .places import has_more
from .types import Types

MAX_LEVELS = 6
"""Most levels of a schema that become a shape."""
MAX_MEMBERS = 500
_UNDECLARED = "\0"
"""The name of a member that no schema declares."""
_KINDS = {
    "null": "null",
    "boolean": "boolean",
    "integer": "integer",
    "fraction": "number",
    "string": "text",
    "array": "list",
    "object": "object",
}
_TYPES = {kind: "number" if name == "fraction" else name for name, kind in _KINDS.items()}
"""The types of JSON Schema for the kinds of shapes."""


def shape_of(
    types: Types, forms: Forms, *, is_learned: bool = False, levels: int = MAX_LEVELS
) -> Shape:
    """Make the shape of a value of *forms*. A learned shape is open, whatever it declares."""
    if not forms or not levels or not is_read(forms):
        return replace(ANY, is_learned=is_learned)
    kinds = frozenset(_KINDS[kind] for form in forms for kind in types.kinds(form))
    members: dict[str, Shape] = {}
    others = None
    is_closed = False
    if "object" in kinds:
        required = [frozenset(required_of(form)) for form in forms if "object" in types.kinds(form)]
        always = frozenset.intersection(*required) if required and not is_learned else frozenset()
        names = [*declared(forms)][:MAX_MEMBERS]
        for name in names:
            if inner := types.step(forms, name):
                part = shape_of(types, inner, is_learned=is_learned, levels=levels - 1)
                members[name] = part if name in always else or_null(part)
        is_closed = not is_learned and len(names) < MAX_MEMBERS
        is_closed = is_closed and not types.step(forms, _UNDECLARED)
        if has_schema_for_others(forms) or (is_learned and has_more(forms)):
            others = ANY
    element = None
    if "list" in kinds:
        inner = types.step(forms, Every.ELEMENT)
        element = shape_of(types, inner, is_learned=is_learned, levels=levels - 1)
    return Shape(
        kinds,
        members,
        is_closed=is_closed and bool(members),
        of_members=others,
        element=element,
        options=_options(forms),
        is_learned=is_learned,
        levels=levels,
    )


def _options(forms: Forms) -> tuple[str | int | float, ...] | None:
    """List the values that *forms* name, if those are all that is possible besides null."""
    named = [options_of(form) for form in forms]
    values = list(chain.from_iterable(options or () for options in named))
    plain = [value for value in values if type(value) in (str, int, float)]
    if None in named or len(plain) != len([value for value in values if value is not None]):
        return None
    return tuple(value for value in plain if isinstance(value, str | int | float)) or None


def schema_of(shape: Shape, *, learned: bool = False) -> Json:
    """Make the JSON Schema of the values of *shape*. Parts that were learned from earlier outputs
    allow anything, unless *learned*: then they declare what was seen."""
    return _schema(shape, learned, {})


def has_learned_parts(shape: Shape) -> bool:
    """Return whether a part of *shape* was learned from earlier outputs."""
    open_, seen = [shape], set[int]()
    while open_:
        part = open_.pop()
        if part.is_learned:
            return True
        if id(part) not in seen:
            seen.add(id(part))
            inner = (*part.members.values(), part.element, part.of_members)
            open_ += [one for one in inner if one is not None]
    return False


def _schema(shape: Shape, learned: bool, made: dict[int, Json]) -> Json:
    if (known := made.get(id(shape))) is not None:  # parts may be shared
        return known
    if shape.kinds == KINDS or (shape.is_learned and not learned):
        return True
    schema: JsonObject = {"type": [name for kind, name in _TYPES.items() if kind in shape.kinds]}
    made[id(shape)] = schema
    if shape.options is not None and shape.kinds <= {"text", "integer", "number", "null"}:
        schema["enum"] = [*shape.options, *([None] if "null" in shape.kinds else [])]
    if "list" in shape.kinds and shape.element is not None:
        schema["items"] = _schema(shape.element, learned, made)
    if "object" in shape.kinds and shape.members:
        schema["properties"] = {
            name: _schema(part, learned, made) for name, part in shape.members.items()
        }
        if always := [name for name, part in shape.members.items() if "null" not in part.kinds]:
            schema["required"] = list[Json](always)
        if shape.of_members is not None:
            schema["additionalProperties"] = _schema(shape.of_members, learned, made)
        elif shape.is_closed and shape.kinds <= {"object", "null"}:
            schema["additionalProperties"] = False
    return schema


def schema_of_values(values: Sequence[Json]) -> Json:
    """Make a schema that takes *values*, by their members and types alone."""
    kinds = {dumps(kind): kind for kind in map(_kind_of_value, values)}
    return {"anyOf": [*kinds.values()]} if 0 < len(kinds) <= MAX_FORMS else True


def _kind_of_value(value: Json) -> Json:
    match value:
        case dict():
            return {
                "type": "object",
                "properties": {name: _kind_of_value(value[name]) for name in sorted(value)},
                "required": list[Json](sorted(value)),
                "additionalProperties": False,
            }
        case list():
            return {"type": "array", "items": schema_of_values(value)}
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
    return {"type": "null" if value is None else "string"}
