"""Types of values, read from JSON Schemas: the type at a path, and whether it fits another schema.

All of it errs on one side: a type holds every value that its schema allows, and maybe more. So
"nothing can be there" and "no such value fits" are certain. An answer that takes too many steps is
unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from ..language.references import Every, Step
from ..values.strict import Json, short
from . import keywords
from .keywords import (
    KINDS,
    MAX_FORMS,
    MAX_OPTIONS,
    NOTHING,
    UNREAD,
    Form,
    Forms,
    Part,
    declared,
    declares,
    is_counted,
    is_undeclared,
    required_of,
)

MAX_STEPS = 2_000
"""Most subschemas examined for one answer."""
MAX_NAMED = 8
"""Most values of an `enum` that a message lists."""
DEPTH = 4
"""Most levels to which two types are compared."""


_SINGULAR = {
    "string": "a string",
    "integer": "an integer",
    "fraction": "a number",
    "boolean": "a boolean",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_PLURAL = {
    "string": "strings",
    "integer": "integers",
    "fraction": "numbers",
    "boolean": "booleans",
    "array": "lists",
    "object": "objects",
    "null": "nulls",
}
_WORD = {kind: kind for kind in _SINGULAR} | {"fraction": "number"}


class Fit(StrEnum):
    """The answer to whether a value of one type fits another type."""

    OK = "ok"
    WRONG = "wrong"
    """No value of the type fits."""
    EMPTY = "empty"
    """Only an empty list of the type fits."""
    UNKNOWN = "unknown"


@dataclass(slots=True)  # one is made for each reference, and a frozen one takes twice as long
class Value:
    """The value at the end of a path: of one of *forms*, inside *lists* nested lists, one for each
    `[*]` on the way. It is never changed."""

    forms: Forms
    lists: int = 0


class Types:
    """A reader of schemas with a budget: at most *room* subschemas, beyond which types are
    unknown."""

    def __init__(self, room: int = MAX_STEPS) -> None:
        self.room = room
        self._had = room

    @property
    def used(self) -> int:
        """The number of subschemas examined."""
        return self._had - self.room

    def forms(self, *parts: Part) -> Forms:
        """List the ways in which a value can satisfy all of *parts*."""
        found: list[Form] = []
        open_: list[tuple[Form, Form]] = [(parts, ())]
        while open_:
            todo, seen = open_.pop()
            while todo:
                self.room -= 1
                if (
                    self.room < 0
                    or len(found) + len(open_) + (len(todo) + len(seen)) // 8 > MAX_FORMS
                ):
                    return UNREAD
                part, todo = todo[-1], todo[:-1]
                if part.schema is False:
                    break
                if isinstance(part.schema, dict):
                    if any(part.schema is other.schema for other in seen):
                        continue
                    more, branches = keywords.in_place(part)
                    todo += more
                    seen += () if keywords.is_replaced(part) else (part,)
                    if branches is not None:
                        open_ += [
                            ((*todo, Part(branch, part.whole)), seen)
                            for branch in reversed(branches)
                        ]
                        break
            else:
                found.append(seen)
        return tuple(found)

    def kinds(self, form: Form) -> frozenset[str]:
        """Return the `KINDS` that a value of *form* can have; empty if no value is possible."""
        kinds = KINDS
        for schema, _ in form:
            assert isinstance(schema, dict)
            kinds &= keywords.kinds_of_type(schema.get("type"))
        options = keywords.options_of(form)
        return kinds if options is None else kinds.intersection(map(keywords.kind_of, options))

    def member(self, form: Form, name: str) -> Forms:
        """Return the type of member *name* in objects of *form*; empty if it cannot exist."""
        if "object" not in self.kinds(form):
            return NOTHING
        parts = [
            Part(keywords.member_of(schema, name), whole)
            for schema, whole in form
            if isinstance(schema, dict)
        ]
        if (options := keywords.options_of(form)) is not None:
            values = [
                option[name] for option in options if isinstance(option, dict) and name in option
            ]
            parts.append(Part({"enum": values}, {}) if values else Part(False, {}))
        return self.forms(*parts)

    def element(self, form: Form, index: int | None) -> Forms:
        """Return the type at *index* (None: any) in lists of *form*; empty if it cannot exist."""
        if "array" not in self.kinds(form):
            return NOTHING
        parts = [Part(keywords.element_of(part, index), part.whole) for part in form]
        if (options := keywords.options_of(form)) is not None:
            values = [
                element
                for option in options
                if isinstance(option, list)
                for element in keywords.taken_at(option, index)
            ]
            parts.append(
                Part({"enum": values[: MAX_OPTIONS + 1]}, {}) if values else Part(False, {})
            )
        return self.forms(*parts)

    def step(self, forms: Forms, step: Step) -> Forms:
        """Follow *step* from a value of *forms*; for `[*]`, to the elements."""
        if isinstance(step, Every):
            found = [self.element(form, None) for form in forms if "array" in self.kinds(form)]
            return united(found) or (
                UNREAD if found else NOTHING
            )  # a list that is always empty is a list
        if isinstance(step, int):
            return united(self.element(form, step) for form in forms)
        return united(self.member(form, step) for form in forms)

    def feeds(self, given: Value, wanted: Forms) -> Fit:
        """Return whether a *given* value can be one of *wanted*."""
        if not given.forms or not wanted:
            return Fit.UNKNOWN
        if given.lists:
            lists = [form for form in wanted if "array" in self.kinds(form)]
            if not lists:
                return Fit.WRONG
            elements = united(self.element(form, None) for form in lists)
            match self.feeds(Value(given.forms, given.lists - 1), elements or UNREAD):
                case Fit.WRONG | Fit.EMPTY:
                    return Fit.EMPTY
            return Fit.UNKNOWN
        if all(self.covers(wanted, form) for form in given.forms):
            return Fit.OK
        both = [self.forms(*one, *other) for one in given.forms for other in wanted]
        if not any(self.may_be(form) for forms in both for form in forms):
            return Fit.WRONG
        if not any(self.may_be(form, filled=True) for forms in both for form in forms):
            return Fit.EMPTY
        return Fit.UNKNOWN

    def described(self, value: Value) -> str:
        """Describe *value* as the end of a sentence: `an integer or null`."""
        if value.lists:
            return f"a list of {'lists' if value.lists > 1 else self._elements(value.forms)}"
        kinds = self._kinds(value.forms)
        options = [keywords.options_of(form) for form in value.forms]
        named = [option for found in options for option in found or ()]
        if all(found is not None for found in options) and 0 < len(named) <= MAX_NAMED:
            return (
                "one of " + ", ".join(short(option) for option in named)
                if len(named) > 1
                else short(named[0])
            )
        names = [_SINGULAR[kind] for kind in _SINGULAR if kind in kinds]
        return "any value" if kinds == KINDS else " or ".join(names)

    def name(self, part: Part) -> str:
        """Name the type of *part* in a word: `integer`, `string|null`."""
        kinds = self._kinds(self.forms(part))
        return (
            "any"
            if kinds == KINDS
            else "|".join(_WORD[kind] for kind in _SINGULAR if kind in kinds)
        )

    def _kinds(self, forms: Forms) -> frozenset[str]:
        kinds = frozenset[str]().union(*(self.kinds(form) for form in forms))
        return kinds - {"integer"} if "fraction" in kinds and kinds != KINDS else kinds

    def _elements(self, forms: Forms) -> str:
        kinds = self._kinds(forms)
        return _PLURAL[min(kinds)] if len(kinds) == 1 else "values"

    def may_be(self, form: Form, depth: int = DEPTH, *, filled: bool = False) -> bool:
        """Return whether a value of *form* is possible; not counting an empty list, if it must be
        *filled*."""
        kinds = self.kinds(form)
        if not kinds or kinds - {"array", "object"} or not depth or self.room < 0:
            return bool(kinds)
        if "object" in kinds and all(
            self._any(self.member(form, name), depth) for name in keywords.required_of(form)
        ):
            return True
        if "array" not in kinds:
            return False
        return not (filled or keywords.has_elements(form)) or self._any(
            self.element(form, 0), depth
        )

    def covers(self, wanted: Forms, form: Form, depth: int = DEPTH) -> bool:
        """Return whether every value of *form* is certainly one of *wanted*."""
        return any(all(self._covers_part(part, form, depth) for part in other) for other in wanted)

    def _covers_part(self, part: Part, form: Form, depth: int) -> bool:
        schema = part.schema
        if (
            not isinstance(schema, dict)
            or not schema.keys() <= keywords.PLAIN
            or keywords.is_draft_4(part)
        ):
            return False
        kinds = self.kinds(form)
        if not kinds <= keywords.kinds_of_type(schema.get("type")) or not keywords.has_option(
            schema, keywords.options_of(form)
        ):
            return False
        if "items" not in schema or "array" not in kinds:
            return True
        if isinstance(schema["items"], list):
            return False
        elements = self.element(form, None) if depth else UNREAD
        inner = self.forms(Part(schema["items"], part.whole))
        return all(self.covers(inner, element, depth - 1) for element in elements)

    def _any(self, forms: Forms, depth: int) -> bool:
        return any(self.may_be(form, depth - 1) for form in forms)


def constant(value: Json) -> Value:
    """Return the type that has one value."""
    return Value(((Part({"const": value}, {}),),))


def united(found: Iterable[Forms]) -> Forms:
    """Return what holds for any of *found*."""
    forms = tuple(form for forms in found for form in forms)
    return forms if len(forms) <= MAX_FORMS else UNREAD


Path: TypeAlias = tuple[Step, ...]


@dataclass(slots=True)  # as `Value`
class Walk:
    """The end of a path. It is never changed."""

    value: Value
    before: Forms
    """The value that its last step started from."""
    stopped: int | None = None
    """The index of the step that certainly leads nowhere; all other fields are then meaningless."""
    doubtful: tuple[int, Forms] | None = None
    """A step to an undeclared member, though others are declared; and the value it started from."""
    by_index: bool = False
    """Whether another index in the path may lead elsewhere."""


def walk(types: Types, forms: Forms, path: Path) -> Walk:
    """Follow *path* in a value of *forms*. Below `[*]` it stops where no element has the member."""
    before, lists = forms, 0
    by_index = False
    doubtful: tuple[int, Forms] | None = None
    for number, step in enumerate(path):
        before, forms = forms, types.step(forms, step)
        by_index = by_index or (isinstance(step, int) and is_counted(before))
        if not forms:
            return Walk(Value(NOTHING, lists), before, number, doubtful, by_index)
        if doubtful is None and isinstance(step, str) and is_undeclared(before, step):
            doubtful = (number, before)
        lists += step is Every.ELEMENT
    return Walk(Value(forms, lists), before, None, doubtful, by_index)


def walk_output(types: Types, forms: Forms, path: Path) -> Walk:
    """Follow *path* as `walk` does, from the output of a task: `.text` of a text is the text, and
    where the schema declares the wrapper `{"result": x}` of the SDKs, a path may go straight into
    x."""
    found = _walk_text(types, forms, path)
    if path and path[0] != "result":
        wrapped = united(types.member(form, "result") for form in forms if _may_wrap(form))
        if wrapped:
            is_wrapper = len(declared(forms)) == 1
            found = _either(_walk_text(types, wrapped, path), found, is_wrapper=is_wrapper)
    return found


def _walk_text(types: Types, forms: Forms, path: Path) -> Walk:
    """Follow *path* as `walk` does, where `.text` of a text is the text."""
    found = walk(types, forms, path)
    if not path or path[0] != "text":
        return found
    texts = united(types.forms(*form, Part({"type": "string"}, {})) for form in forms)
    texts = tuple(form for form in texts if types.kinds(form))
    return _either(walk(types, texts, path[1:]), found, is_wrapper=False) if texts else found


def _may_wrap(form: Form) -> bool:
    """Return whether objects of *form* declare exactly the one member of a wrapper."""
    return declares(form, "result") and {*required_of(form)} <= {"result"}


def _either(inside: Walk, around: Walk, *, is_wrapper: bool) -> Walk:
    """Choose between the walks that start *inside* a wrapper and *around* it. If both stop, a
    certain wrapper counts as inside."""
    by_index = inside.by_index or around.by_index
    match inside.stopped, around.stopped:
        case None, None:
            value = Value(united([inside.value.forms, around.value.forms]), inside.value.lists)
            return Walk(
                value, inside.before, None, inside.doubtful if around.doubtful else None, by_index
            )
        case None, _:
            return replace(inside, by_index=by_index)
        case int(stopped), None:
            doubtful = (stopped, inside.before) if around.doubtful is not None else None
            return replace(around, doubtful=doubtful, by_index=by_index)
    return replace(inside if is_wrapper else around, by_index=by_index)
