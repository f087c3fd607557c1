"""JSON Schema: whether a value fits, and a schema summed up in one line.

Foreign schemas are treated as hostile: none is fetched over the network, patterns run in an engine
that takes linear time (or a bounded number of steps), and what would take too long to check
(`effort.py`) is not checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn, TypeAlias

import jsonschema_rs

from .effort import stray_reference, visits, visits_per_part
from .guess import guessed
from .older_drafts import modernized, pruned
from .problems import nearest
from .strict import Json, JsonObject, dumps, short
from .summary import Summary

Place: TypeAlias = "tuple[str | int, ...]"

MAX_BYTES = 64 * 1024
MAX_VISITS_PER_PART = 64
"""Visits of one part of a value above which the cost of checking a value is estimated first."""
MAX_VISITS = 50_000
"""A value that takes this many visits is not checked."""
MAX_EXPLAINED_VISITS = 5_000
"""For a value that takes this many visits, a mismatch is reported without its place."""
MAX_BACKTRACKING_CHARS = 10_000
"""Most characters of a value that is checked against patterns of the backtracking engine."""
_DRAFTS = frozenset(
    {f"http://json-schema.org/draft-0{number}/schema" for number in (4, 6, 7)}
    | {f"https://json-schema.org/draft/{year}/schema" for year in ("2019-09", "2020-12")}
)
_EVERY_PART: JsonObject = {"items": {"$ref": "#"}}
"""A schema that applies to every part of a value, for `visits` to count them."""
MAX_STEPS = 100_000
"""Most backtracking steps of a pattern that the linear-time engine cannot express."""
MAX_COMPLAINTS = 20
MAX_CHOICES = 8
"""Most alternatives inside of one another that a complaint goes into."""
MAX_GUESSED = 32
"""Most unknown parts of a value that are guessed; with more, none is."""

_CERTAIN_ABOVE_A_REFERENCE = frozenset({"required", "additionalProperties", "type"})
_BEFORE_A_NAME = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs"}
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One way in which a value does not fit. `place` leads to the part of the value that is
    wrong."""

    place: Place
    message: str


_OF_OTHER_MEMBERS = frozenset(
    {
        *("additionalProperties", "patternProperties", "unevaluatedProperties", "$ref"),
        *("allOf", "anyOf", "oneOf", "if", "dependentSchemas"),
    }
)
"""Keywords that may say something of members that `properties` does not name."""


class Schema:
    """One JSON Schema of a tool, compiled when first needed."""

    def __init__(self, definition: Json) -> None:
        """*definition* is as the server sent it, of whatever draft."""
        self._sent: JsonObject = definition if isinstance(definition, dict) else {}
        self._is_backtracking = False
        self._ignored: str | None = None

    @cached_property
    def definition(self) -> JsonObject:
        """The schema in today's draft, without what is not understood of it."""
        return modernized(self._sent)

    @property
    def ignored(self) -> str | None:
        """The reason why a part of it is left out; None if all of it is understood."""
        return None if self.unusable else self._ignored

    @property
    def properties(self) -> Mapping[str, Json]:
        properties = self.definition.get("properties")
        return properties if isinstance(properties, dict) else {}

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the members that it declares."""
        return frozenset(self.properties)

    @cached_property
    def declared(self) -> frozenset[str] | None:
        """The names of its members, where it says nothing of others and so takes them; None if
        others are ruled out, or expected."""
        says_more = self.definition.keys() & _OF_OTHER_MEMBERS
        return frozenset(self.properties) if self.properties and not says_more else None

    @property
    def required(self) -> tuple[str, ...]:
        required = self.definition.get("required")
        return (
            tuple(name for name in required if isinstance(name, str))
            if isinstance(required, list)
            else ()
        )

    @cached_property
    def malformed(self) -> str | None:
        """The reason why the schema as it was sent is not a JSON Schema; None if it is one."""
        try:
            draft = self._sent.get("$schema")
            if draft is None or str(draft).rstrip("#") in _DRAFTS:  # any other would be fetched
                jsonschema_rs.meta.validate(self._sent)
        except (
            ValueError,
            jsonschema_rs.ReferencingError,
        ) as error:  # a ValidationError is a ValueError
            return str(error).splitlines()[0][:300]
        return None

    @cached_property
    def unusable(self) -> str | None:
        """The reason why values cannot be checked against this schema; None if they can."""
        try:
            if len(dumps(self.definition)) > MAX_BYTES:
                return f"it is larger than {MAX_BYTES // 1024} KiB"
            if (target := stray_reference(self.definition)) is not None:
                return f"the reference {target[:200]} is not a pointer into the schema"
            if MAX_VISITS < self._visits_per_part < math.inf:
                return "its references multiply its size beyond what can be checked"
            self._validator  # noqa: B018 - compiling is the question
        except RecursionError:
            return "it is nested too deeply"
        except ValueError as error:
            return (
                self.malformed or _without_mask(self.definition) or str(error).splitlines()[0][:300]
            )
        return None

    def fits(self, value: Json) -> bool:
        """Whether there are no complaints about *value*, of which all is known."""
        if self._is_quick:
            return self._validator.is_valid(value)
        return not self.complaints(value)

    @cached_property
    def _is_quick(self) -> bool:
        """Whether the cost of checking a value needs no second thought, as for most schemas."""
        is_cheap = not self.unusable and self._visits_per_part <= MAX_VISITS_PER_PART
        return is_cheap and not self._is_backtracking

    def complaints(
        self, value: Json, *, unknown: frozenset[Place] = frozenset()
    ) -> list[Complaint]:
        """List how *value* does not fit; empty if it fits, if the schema is unusable, or if
        checking takes too much work.

        The parts of *value* at the places in *unknown* become known only when the task runs. No
        complaint is about them, and what contains them gets only complaints that hold whatever they
        will be.
        """
        if self.unusable:
            return []
        effort = (
            visits(self.definition, value, MAX_VISITS)
            if self._visits_per_part > MAX_VISITS_PER_PART
            else 0
        )
        if self._is_backtracking and len(dumps(value)) > MAX_BACKTRACKING_CHARS:
            return []
        if effort >= MAX_VISITS or self._validator.is_valid(value):
            return []  # a reference is text here: if that fits, most likely text is wanted
        if 0 < len(unknown) <= MAX_GUESSED and self._validator.is_valid(
            guessed(self.definition, value, unknown)
        ):
            return []  # it can become a value that fits
        if max(effort, visits(_EVERY_PART, value, MAX_EXPLAINED_VISITS)) >= MAX_EXPLAINED_VISITS:
            return (
                []
                if unknown
                else [Complaint((), "does not fit its schema, and is too large to say where")]
            )
        return self.explained(value, unknown)

    def explained(self, value: Json, unknown: frozenset[Place]) -> list[Complaint]:
        """List complaints as `complaints` does, about a value that does not fit and is cheap to
        check. The schema must be usable."""
        found: list[Complaint] = []
        for whole in self._validator.iter_errors(value):
            for error in _chosen(whole):
                place = tuple(error.instance_path)
                if not _hidden(place, error, unknown):
                    found.extend(_explain(place, error, value, self))
            if len(found) >= MAX_COMPLAINTS:
                break
        return _without_guessed(list(dict.fromkeys(found)))

    def parameters(self) -> str:
        """Format the parameters: `required: type, optional?: type`, the required ones first."""
        summary = Summary(self.definition)
        required = [name for name in self.required if name in self.properties]
        names = [*required, *(name for name in self.properties if name not in required)]
        shown = [
            f"{name}{'' if name in required else '?'}: {summary.type_name(self.properties[name])}"
            for name in names[:24]
        ]
        return ", ".join(shown) + (", …" if len(names) > 24 else "")

    def shape(self) -> str:
        """Format the fields of an output in one line, such as `{items: [{number, title}], total}`,
        or `text`. References and expressions look through the wrapper `{result}`, and so does
        this."""
        definition = self.definition
        match definition:
            case {"properties": {"result": dict(inner), **others}} if not others:
                definition = inner
        line = Summary(self.definition).shape(definition)
        return "text" if line == "string" else line

    @cached_property
    def _visits_per_part(self) -> float:
        return visits_per_part(self.definition)

    @cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        try:
            return self._compiled()
        except ValueError:
            draft = self.definition.get("$schema")
            if draft is not None and str(draft).rstrip("#") not in _DRAFTS:
                raise  # its draft would be fetched
            definition, self._ignored = pruned(self.definition)
            if self._ignored is None:
                raise
            self.definition = definition
            return self._compiled()

    def _compiled(self) -> jsonschema_rs.Validator:
        try:
            return _compile(self.definition, jsonschema_rs.RegexOptions())
        except ValueError:  # look-around and back-references exist in one engine only
            self._is_backtracking = True
            return _compile(
                self.definition, jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_STEPS)
            )


def _compile(
    definition: JsonObject, patterns: jsonschema_rs.RegexOptions | jsonschema_rs.FancyRegexOptions
) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        definition, retriever=_refuse, pattern_options=patterns, mask="it"
    )


def _without_mask(definition: JsonObject) -> str | None:
    """Return why *definition* cannot be compiled, quoting the wrong part; None if it can."""
    try:
        jsonschema_rs.validator_for(definition, retriever=_refuse)
    except ValueError as error:
        return str(error).splitlines()[0][:300]
    return None


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"the reference {uri} leads outside the schema")


def _hidden(place: Place, error: jsonschema_rs.ValidationError, unknown: frozenset[Place]) -> bool:
    """Return whether *error*, at *place*, may disappear once all is known."""
    for part in unknown:
        if place[: len(part)] == part:
            return True
        if part[: len(place)] == place and error.kind.name not in _CERTAIN_ABOVE_A_REFERENCE:
            return True
    return bool(unknown) and _is_conditional(error.evaluation_path)


def _is_conditional(path: Iterable[str | int]) -> bool:
    """Return whether *path*, of keywords and names, leads through `then` or `else`, which do not
    apply to every value."""
    steps = iter(path)
    for step in steps:
        if step in {"then", "else"}:
            return True
        if step in _BEFORE_A_NAME:
            next(steps, None)
    return False


def _chosen(
    error: jsonschema_rs.ValidationError, depth: int = MAX_CHOICES
) -> Sequence[jsonschema_rs.ValidationError]:
    """Return the errors of the one alternative that the value chose by its type, or by a constant
    in one of its members (`kind`); *error* itself if it chose none."""
    if error.kind.name not in {"anyOf", "oneOf"} or not depth:
        return [error]
    branches = error.kind.as_dict()["context"]
    place = list(error.instance_path)
    meant = [
        branch for branch in branches if branch and not any(_rules_out(e, place) for e in branch)
    ]
    if len(meant) == 1 and all(branches):
        return [inner for reason in meant[0] for inner in _chosen(reason, depth - 1)]
    return [error]


def _rules_out(error: jsonschema_rs.ValidationError, place: list[str | int]) -> bool:
    """Return whether *error*, of an alternative for *place*, says that the value is of another."""
    at = list(error.instance_path)
    if error.kind.name == "type":
        return at == place
    return error.kind.name == "const" and at[:-1] == place


def _tags(branches: Iterable[Any], place: Place) -> tuple[Place, list[Json]] | None:
    """Return the member whose constant each of *branches* wants that are of the right type, with
    these constants."""
    reasons = [
        [reason for reason in branch if reason.kind.name == "const"][:1]
        for branch in branches
        if not any(
            reason.kind.name == "type" and tuple(reason.instance_path) == place for reason in branch
        )
    ]
    places = {tuple(reason.instance_path) for found in reasons for reason in found}
    if not all(reasons) or len(places) != 1:
        return None
    [tag] = places
    constants = [reason.kind.as_dict()["expected_value"] for [reason] in reasons]
    return (tag, constants) if tag[:-1] == place else None


def _explain(
    place: Place, error: jsonschema_rs.ValidationError, value: Json, schema: Schema
) -> Iterator[Complaint]:
    facts = error.kind.as_dict()
    match error.kind.name:
        case "required":
            yield Complaint((*place, facts["property"]), "is missing")
        case "additionalProperties":
            for name in facts["unexpected"][:MAX_COMPLAINTS]:
                yield Complaint((*place, name), _not_a_parameter(name, place, schema, value))
        case "enum":
            options = ", ".join(dumps(option) for option in facts["options"][:20])
            options += ", …" if len(facts["options"]) > 20 else ""
            yield Complaint(
                place, f"must be one of {options}; it is {short(_value_at(value, place))}"
            )
        case "anyOf" | "oneOf" if (tags := _tags(facts["context"], place)) is not None:
            tag, constants = tags
            options = ", ".join(map(dumps, constants[:20]))
            yield Complaint(tag, f"must be one of {options}; it is {short(_value_at(value, tag))}")
        case "falseSchema":
            yield Complaint(place, "is not allowed here")
        case _:
            yield Complaint(place, f"{_wanted(error)}; it is {short(_value_at(value, place))}")


def _wanted(error: jsonschema_rs.ValidationError) -> str:
    """Describe what would fit, as the end of a sentence."""
    facts = error.kind.as_dict()
    match error.kind.name:
        case "type":
            return f"must be {_types(facts['types'])}"
        case "const":
            return f"must be {short(facts['expected_value'])}"
        case "anyOf":
            reasons = [reason for branch in facts["context"] for reason in branch]
            if all(
                reason.kind.name == "type" and reason.instance_path == error.instance_path
                for reason in reasons
            ):
                kinds = [name for reason in reasons for name in reason.kind.as_dict()["types"]]
                return f"must be {_types(kinds)}"
            return "fits none of the alternatives in its schema"
        case "oneOf" if not all(facts["context"]):
            return "fits more than one of the alternatives in its schema"
        case "oneOf":
            return "fits none of the alternatives in its schema"
    message = error.message[:300]
    return message.removeprefix("it ") if message.startswith("it ") else f"does not fit: {message}"


def _types(names: Iterable[str]) -> str:
    return " or ".join(
        _article(name) for name in sorted(dict.fromkeys(names), key=lambda name: name == "null")
    )


def _not_a_parameter(name: str, place: Place, schema: Schema, value: Json) -> str:
    if place:
        return "is not a known field"
    free = [
        known for known in schema.properties if not isinstance(value, dict) or known not in value
    ]
    near = nearest(name, free)
    return "is not a parameter" + (f'; did you mean "{near[0]}"?' if near else "")


def _without_guessed(found: list[Complaint]) -> list[Complaint]:
    """Drop complaints about missing names that a complaint about a misspelt name explains."""
    meant = {
        c.message.rpartition('"?')[0].rpartition('"')[2]
        for c in found
        if "did you mean" in c.message
    }
    return [
        c
        for c in found
        if not (c.message == "is missing" and len(c.place) == 1 and c.place[0] in meant)
    ]


def _value_at(value: Json, place: Place) -> Json:
    for step in place:
        value = value[step]  # type: ignore[index]  # the validator's own path leads there
    return value


def _article(noun: str) -> str:
    if noun == "null":
        return noun
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"
