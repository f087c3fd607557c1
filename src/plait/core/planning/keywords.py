"""JSON Schema keywords: the subset from which types are built (`types.py`).

All of it errs on one side. A schema is read as the most that it allows: keywords that are not
understood (`not`, `if`, `format`, `pattern`, bounds) allow everything. So a type that is empty here
is certainly empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ..values.effort import find
from ..values.strict import Json, JsonObject

MAX_FORMS = 32
"""Most alternatives of one schema; a schema with more is taken to allow everything."""
MAX_OPTIONS = 100
"""Most values of one `enum` that are examined."""
MAX_REQUIRED = 32
MAX_TARGET_CHARS = 500

_BY_TYPE: Mapping[str, frozenset[str]] = {
    **{
        name: frozenset({name})
        for name in ("null", "boolean", "integer", "string", "array", "object")
    },
    "number": frozenset({"integer", "fraction"}),
}
KINDS = frozenset(name for names in _BY_TYPE.values() for name in names)
"""The types of JSON Schema; `fraction` stands for numbers other than integers."""
_OLD = "json-schema.org/draft-0"
_SAYS_NOTHING = frozenset(
    [
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$schema",
        "$comment",
        "$defs",
        "definitions",
        "$id",
    ]
)
PLAIN = _SAYS_NOTHING | {"type", "enum", "const", "items", "$ref", "anyOf", "allOf"}
"""Keywords that are fully understood when a whole type is compared with another."""
_COUNTING = frozenset({"prefixItems", "additionalItems", "maxItems", "enum", "const"})


class Part(NamedTuple):
    """A subschema, with the whole schema that its references resolve in."""

    schema: Json
    whole: JsonObject


Form: TypeAlias = tuple[Part, ...]
"""Parts that a value satisfies all at once. Their `$ref`, `allOf`, `anyOf` and `oneOf` are resolved
already."""
Forms: TypeAlias = tuple[Form, ...]
"""Alternatives, one of which a value has; empty if no value is possible."""

NOTHING: Forms = ()
ANYTHING: Forms = ((),)
ALLOWS_EVERYTHING: JsonObject = {"not": False}
UNREAD: Forms = ((Part(ALLOWS_EVERYTHING, {}),),)
"""The reading of a schema that takes too much work: it seems to allow everything."""


def declared(forms: Forms) -> dict[str, Part]:
    """List the members that objects of *forms* declare, in their order."""
    found: dict[str, Part] = {}
    for form in forms:
        for schema, whole in form:
            properties = schema.get("properties") if isinstance(schema, dict) else None
            for name, child in properties.items() if isinstance(properties, dict) else ():
                found.setdefault(name, Part(child, whole))
        for option in options_of(form) or ():
            for name, value in option.items() if isinstance(option, dict) else ():
                found.setdefault(name, Part({"const": value}, {}))
    return {name: part for name, part in found.items() if part.schema is not False}


def declares(form: Form, name: str) -> bool:
    """Return whether objects of *form* declare a member *name*."""
    return any(name in properties for properties in _properties(form)) or any(
        isinstance(option, dict) and name in option for option in options_of(form) or ()
    )


def is_undeclared(forms: Forms, name: str) -> bool:
    """Return whether objects of *forms* declare members, and merely allow *name*."""
    if any(declares(form, name) for form in forms) or not any(
        any(_properties(form)) for form in forms
    ):
        return False
    return not has_schema_for_others(forms)


def has_schema_for_others(forms: Forms) -> bool:
    """Return whether undeclared members of objects of *forms* have a schema of their own."""
    schemas = [schema for form in forms for schema, _ in form if isinstance(schema, dict)]
    return any(
        schema.get("patternProperties") or isinstance(schema.get("additionalProperties"), dict)
        for schema in schemas
    )


def is_read(forms: Forms) -> bool:
    """Return whether *forms* say anything of their values."""
    return all(any(schema not in (True, ALLOWS_EVERYTHING) for schema, _ in form) for form in forms)


def _properties(form: Form) -> Iterator[JsonObject]:
    for schema, _ in form:
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if isinstance(properties, dict):
            yield properties


def is_counted(forms: Forms) -> bool:
    """Return whether elements of a list of *forms* differ by index."""
    schemas = [part.schema for form in forms for part in form]
    return any(isinstance(schema, dict) and not _COUNTING.isdisjoint(schema) for schema in schemas)


def in_place(part: Part) -> tuple[Form, Sequence[Json] | None]:
    """Return what else a value of *part* satisfies: all of the first and, if there are
    alternatives, one of the second."""
    schema, whole = part
    assert isinstance(schema, dict)
    more: list[Json] = []
    if isinstance(target := schema.get("$ref"), str):
        more.append(find(whole, target) if len(target) <= MAX_TARGET_CHARS else ALLOWS_EVERYTHING)
        if is_replaced(part):
            return (Part(more[0], whole),), None
    for name in ("allOf", "anyOf", "oneOf"):
        branches = schema.get(name)
        if not isinstance(branches, list) or len(branches) > MAX_FORMS:
            more += [ALLOWS_EVERYTHING] if name in schema else []
        elif name == "allOf":
            more += branches
        elif name == "anyOf" and "oneOf" in schema:
            more.append({"anyOf": branches})
        else:
            return tuple(Part(schema, whole) for schema in more), branches
    return tuple(Part(schema, whole) for schema in more), None


def is_replaced(part: Part) -> bool:
    """Return whether *part* is a reference whose siblings are ignored, as in old drafts."""
    return isinstance(part.schema, dict) and "$ref" in part.schema and _OLD in _draft(part)


def is_draft_4(part: Part) -> bool:
    """Return whether *part* is of draft 4, where `1.0` is not an integer and `const` is unknown."""
    return _OLD + "4" in _draft(part)


def _draft(part: Part) -> str:
    return str(part.whole.get("$schema", ""))


def kinds_of_type(said: Json) -> frozenset[str]:
    if isinstance(said, str):
        return _BY_TYPE.get(said, KINDS)
    if isinstance(said, list) and len(said) <= len(KINDS):
        return frozenset().union(
            *(_BY_TYPE.get(name, KINDS) for name in said if isinstance(name, str))
        )
    return KINDS


def kind_of(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "integer" if value == value // 1 else "fraction"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def options_of(form: Form) -> list[Json] | None:
    """List the values that *form* names, if any; above `MAX_OPTIONS` it counts as naming none."""
    found: list[Json] | None = None
    for part in form:
        for values in _enumerated(part):
            found = values if found is None else [value for value in found if value in values]
    return found


def _enumerated(part: Part) -> Iterator[list[Json]]:
    schema = part.schema
    if isinstance(schema, dict):
        if isinstance(values := schema.get("enum"), list) and len(values) <= MAX_OPTIONS:
            yield values
        if "const" in schema and not is_draft_4(part):
            yield [schema["const"]]


def has_option(schema: JsonObject, options: list[Json] | None) -> bool:
    """Return whether *schema*, if it names values, names each of *options*."""
    named = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(named, list) or ("const" in schema and "enum" in schema):
        return "enum" not in schema
    return options is not None and all(
        any(_is_same(one, other) for other in named) for one in options
    )


def _is_same(one: Json, other: Json) -> bool:
    return type(one) is type(other) and not isinstance(one, list | dict) and one == other


def member_of(schema: JsonObject, name: str) -> Json:
    properties, patterns = schema.get("properties"), schema.get("patternProperties")
    if isinstance(properties, dict) and name in properties:
        return properties[name]
    more = schema.get("additionalProperties", True)
    if isinstance(patterns, dict) and patterns:  # the patterns are not matched against the name
        return {"anyOf": [*patterns.values(), more]} if len(patterns) < MAX_FORMS else True
    return more


def element_of(part: Part, index: int | None) -> Json:
    schema = part.schema
    assert isinstance(schema, dict)
    most = schema.get("maxItems")
    if index is not None and isinstance(most, int) and not -most <= index < most:
        return False
    first, rest = _tuple(part)
    if index is not None and 0 <= index < len(first):
        return first[index]
    if first and (index is None or index < 0):
        return {"anyOf": [*first, rest]} if len(first) < MAX_FORMS else True
    return rest


def _tuple(part: Part) -> tuple[list[Json], Json]:
    """Return the schemas of the first elements of a list, and of the rest."""
    schema = part.schema
    assert isinstance(schema, dict)
    items = schema.get("items", True)
    if isinstance(items, list):
        return items, schema.get("additionalItems", True)
    draft = _draft(part)
    first = schema.get("prefixItems") if not draft or "2020-12" in draft else None
    return first if isinstance(first, list) else [], items


def taken_at(elements: list[Json], index: int | None) -> list[Json]:
    if index is None:
        return elements
    return [elements[index]] if -len(elements) <= index < len(elements) else []


def required_of(form: Form) -> list[str]:
    named = [schema.get("required") for schema, _ in form if isinstance(schema, dict)]
    names = [
        name for required in named if isinstance(required, list) for name in required[:MAX_REQUIRED]
    ]
    return [name for name in dict.fromkeys(names) if isinstance(name, str)]


def has_elements(form: Form) -> bool:
    """Return whether a list of *form* has at least one element."""
    counts = [schema.get("minItems") for schema, _ in form if isinstance(schema, dict)]
    return any(isinstance(count, int) and count > 0 for count in counts)
