"""JSON Schema: does a value fit, and what does a schema say in one line.

Foreign schemas are hostile until shown otherwise: none is fetched over the network, patterns run in an engine that
takes linear time (or a bounded number of steps), and a schema that multiplies itself by references is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn, TypeAlias

import jsonschema_rs

from .problems import nearest
from .strict import Json, JsonObject, dumps

Place: TypeAlias = "tuple[str | int, ...]"

MAX_BYTES = 64 * 1024
MAX_SUBSCHEMAS = 20_000
"""Subschemas after expanding references; a schema above it is not used to check values."""
MAX_STEPS = 100_000
"""Backtracking steps of a pattern that the linear-time engine cannot express."""
MAX_COMPLAINTS = 20

_CERTAIN_ABOVE_A_REFERENCE = frozenset({"required", "additionalProperties", "type"})


@dataclass(frozen=True, slots=True)
class Complaint:
    """One way in which a value does not fit. `place` leads to the part of the value that is wrong."""

    place: Place
    message: str


class Schema:
    """One JSON Schema of a tool, compiled when first needed."""

    def __init__(self, definition: Json) -> None:
        self.definition: JsonObject = definition if isinstance(definition, dict) else {}

    @property
    def properties(self) -> Mapping[str, Json]:
        properties = self.definition.get("properties")
        return properties if isinstance(properties, dict) else {}

    @property
    def required(self) -> tuple[str, ...]:
        required = self.definition.get("required")
        return tuple(name for name in required if isinstance(name, str)) if isinstance(required, list) else ()

    @cached_property
    def malformed(self) -> str | None:
        """Why this is no JSON Schema at all, if it is none."""
        try:
            jsonschema_rs.meta.validate(self.definition)
        except (ValueError, jsonschema_rs.ReferencingError) as error:  # a ValidationError is a ValueError
            return str(error).splitlines()[0][:300]
        return None

    @cached_property
    def unusable(self) -> str | None:
        """Why values cannot be checked against this schema, if they cannot."""
        if _cost(self.definition) > MAX_SUBSCHEMAS:
            return "it multiplies itself by references"
        try:
            self._validator  # noqa: B018 - compiling is the question
        except ValueError as error:
            return str(error).splitlines()[0][:300]
        return None

    def complaints(self, value: Json, *, unknown: frozenset[Place] = frozenset()) -> list[Complaint]:
        """How *value* does not fit; empty if it fits or the schema cannot be used.

        The parts of *value* at the places in *unknown* are known only when the task runs: nothing is said of them,
        and of what holds them only what is certain whatever they will be.
        """
        if self.unusable or (not unknown and self._validator.is_valid(value)):
            return []
        found: list[Complaint] = []
        for error in self._validator.iter_errors(value):
            place = tuple(error.instance_path)
            if not _hidden(place, error.kind.name, unknown):
                found.extend(_explain(place, error, value, self))
            if len(found) >= MAX_COMPLAINTS:
                break
        return _without_guessed(found)

    def parameters(self) -> str:
        """`required: type, optional?: type`, the required first."""
        required = [name for name in self.required if name in self.properties]
        names = [*required, *(name for name in self.properties if name not in required)]
        shown = [f"{name}{'' if name in required else '?'}: {_type_name(self.properties[name])}" for name in names[:24]]
        return ", ".join(shown) + (", …" if len(names) > 24 else "")

    def shape(self) -> str:
        """The fields of a value in one line, such as `{items: [{number, title}], total}`."""
        return _shape(self.definition, 3)

    @cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        if len(dumps(self.definition)) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES // 1024} KiB")
        try:
            return _compile(self.definition, jsonschema_rs.RegexOptions())
        except ValueError:  # look-around and back-references exist in one engine only
            return _compile(self.definition, jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_STEPS))


def _compile(
    definition: JsonObject, patterns: jsonschema_rs.RegexOptions | jsonschema_rs.FancyRegexOptions
) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(definition, retriever=_refuse, pattern_options=patterns)


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"the reference {uri} leads outside the schema")


def _cost(definition: JsonObject) -> int:
    """How many subschemas one walk of *definition* meets, following references; at most just above the limit."""
    known: dict[str, int] = {}

    def walk(node: Json, following: frozenset[str]) -> int:
        total = 1
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        for child in children:
            if isinstance(child, dict | list):
                total += walk(child, following)
        target = node.get("$ref") if isinstance(node, dict) else None
        if isinstance(target, str) and target.startswith("#/") and target not in following:
            if target not in known:
                known[target] = walk(_at(definition, target), following | {target})
            total += known[target]
        return min(total, MAX_SUBSCHEMAS + 1)

    try:
        return walk(definition, frozenset())
    except RecursionError:
        return MAX_SUBSCHEMAS + 1


def _at(definition: JsonObject, pointer: str) -> Json:
    node: Json = definition
    for step in pointer[2:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        node = node.get(step) if isinstance(node, dict) else None
    return node


def _hidden(place: Place, kind: str, unknown: frozenset[Place]) -> bool:
    for part in unknown:
        if place[: len(part)] == part:
            return True
        if part[: len(place)] == place and kind not in _CERTAIN_ABOVE_A_REFERENCE:
            return True
    return False


def _explain(place: Place, error: jsonschema_rs.ValidationError, value: Json, schema: Schema) -> Iterator[Complaint]:
    facts = error.kind.as_dict()
    match error.kind.name:
        case "required":
            yield Complaint((*place, facts["property"]), "is missing")
        case "additionalProperties":
            for name in facts["unexpected"]:
                yield Complaint((*place, name), _not_a_parameter(name, place, schema, value))
        case "enum":
            options = ", ".join(dumps(option) for option in facts["options"][:20])
            yield Complaint(place, f"must be one of {options}; it is {_short(_value_at(value, place))}")
        case "type":
            wanted = " or ".join(facts["types"])
            yield Complaint(place, f"must be {_article(wanted)}; it is {_short(_value_at(value, place))}")
        case _:
            yield Complaint(place, error.message[:300])


def _not_a_parameter(name: str, place: Place, schema: Schema, value: Json) -> str:
    if place:
        return "is not a known field"
    free = [known for known in schema.properties if not isinstance(value, dict) or known not in value]
    near = nearest(name, free)
    return "is not a parameter" + (f'; did you mean "{near[0]}"?' if near else "")


def _without_guessed(found: list[Complaint]) -> list[Complaint]:
    """A misspelt name explains the missing one: one complaint, not two."""
    meant = {c.message.rpartition('"?')[0].rpartition('"')[2] for c in found if "did you mean" in c.message}
    return [c for c in found if not (c.message == "is missing" and len(c.place) == 1 and c.place[0] in meant)]


def _value_at(value: Json, place: Place) -> Json:
    for step in place:
        value = value[step]  # type: ignore[index]  # the validator's own path leads there
    return value


def _short(value: Json) -> str:
    text = dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


def _type_name(schema: Json) -> str:
    if not isinstance(schema, dict):
        return "any"
    match schema:
        case {"enum": [*options]}:
            names = [option if isinstance(option, str) else dumps(option) for option in options]
            return "|".join(names[:8]) + ("|…" if len(names) > 8 else "")
        case {"const": constant}:
            return dumps(constant)
        case {"type": "array", "items": items}:
            return f"[{_type_name(items)}]"
        case {"type": "object", "properties": dict()}:
            return _shape(schema, 1)
        case {"type": str(name)}:
            return name
        case {"type": [*names]}:
            return "|".join(str(name) for name in names)
        case {"anyOf": [*options]} | {"oneOf": [*options]}:
            return "|".join(dict.fromkeys(_type_name(option) for option in options[:6]))
        case {"$ref": str(target)}:
            return target.rpartition("/")[2]
    return "any"


def _shape(schema: Json, depth: int) -> str:
    match schema:
        case {"properties": dict(properties)}:
            if not depth:
                return "{…}"
            fields = [_field(name, part, depth) for name, part in list(properties.items())[:16]]
            return "{" + ", ".join(fields) + (", …" if len(properties) > 16 else "") + "}"
        case {"type": "array", "items": items}:
            return f"[{_shape(items, depth)}]"
        case {"$ref": _} | {"type": "object"}:
            return "{…}"
    return _type_name(schema)


def _field(name: str, schema: Json, depth: int) -> str:
    match schema:
        case {"properties": dict()} | {"type": "array", "items": {"properties": dict()}}:
            return f"{name}: {_shape(schema, depth - 1)}"
        case {"type": "array", "items": items}:
            return f"{name}: [{_type_name(items)}]"
    return name
