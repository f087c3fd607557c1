"""Types of values, as JSON Schemas tell them: what is at a path of a value, and may it go where a schema waits for one.

All of it leans to one side: a type holds every value that its schema allows, and maybe more. So "nothing can be there"
and "nothing of this fits that" are certain. What would take too many steps to find out is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ..language.references import Every, Step
from ..values.strict import Json, short
from . import keywords
from .keywords import KINDS, MAX_FORMS, MAX_OPTIONS, NOTHING, UNREAD, Form, Forms, Part

MAX_STEPS = 2_000
"""Subschemas that are looked at for one answer."""
MAX_NAMED = 8
"""Values of an `enum` that are told one by one."""
DEPTH = 4
"""Levels of two types that are held against each other."""


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
    """Whether a value of one type may go where another is wanted."""

    OK = "ok"
    WRONG = "wrong"
    """No value of it fits."""
    EMPTY = "empty"
    """Only an empty list of it fits."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Value:
    """What is at the end of a path: a value of one of *forms*, in so many *lists*, one for each `[*]` on the way."""

    forms: Forms
    lists: int = 0


class Types:
    """Reads schemas, as long as there is *room*: the subschemas that it may look at before all is unknown."""

    def __init__(self, room: int = MAX_STEPS) -> None:
        self.room = room
        self._had = room

    @property
    def used(self) -> int:
        """So many subschemas were looked at."""
        return self._had - self.room

    def forms(self, *parts: Part) -> Forms:
        """The ways in which a value can satisfy all of *parts*."""
        found: list[Form] = []
        open_: list[tuple[Form, Form]] = [(parts, ())]
        while open_:
            todo, seen = open_.pop()
            while todo:
                self.room -= 1
                if self.room < 0 or len(found) + len(open_) + (len(todo) + len(seen)) // 8 > MAX_FORMS:
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
                        open_ += [((*todo, Part(branch, part.whole)), seen) for branch in reversed(branches)]
                        break
            else:
                found.append(seen)
        return tuple(found)

    def kinds(self, form: Form) -> frozenset[str]:
        """The types that a value of *form* can have, of `KINDS`; none if it can have none."""
        kinds = KINDS
        for schema, _ in form:
            assert isinstance(schema, dict)
            kinds &= keywords.kinds_of_type(schema.get("type"))
        options = keywords.options_of(form)
        return kinds if options is None else kinds.intersection(map(keywords.kind_of, options))

    def member(self, form: Form, name: str) -> Forms:
        """What is at *name* in objects of *form*; nothing where there can be none."""
        if "object" not in self.kinds(form):
            return NOTHING
        parts = [Part(keywords.member_of(schema, name), whole) for schema, whole in form if isinstance(schema, dict)]
        if (options := keywords.options_of(form)) is not None:
            values = [option[name] for option in options if isinstance(option, dict) and name in option]
            parts.append(Part({"enum": values}, {}) if values else Part(False, {}))
        return self.forms(*parts)

    def element(self, form: Form, index: int | None) -> Forms:
        """What is at *index* (None: anywhere) in lists of *form*; nothing where there can be none."""
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
            parts.append(Part({"enum": values[: MAX_OPTIONS + 1]}, {}) if values else Part(False, {}))
        return self.forms(*parts)

    def step(self, forms: Forms, step: Step) -> Forms:
        """What *step* leads to from a value of *forms*; for `[*]`, what the elements are."""
        if isinstance(step, Every):
            found = [self.element(form, None) for form in forms if "array" in self.kinds(form)]
            return united(found) or (UNREAD if found else NOTHING)  # a list that is always empty is a list
        if isinstance(step, int):
            return united(self.element(form, step) for form in forms)
        return united(self.member(form, step) for form in forms)

    def feeds(self, given: Value, wanted: Forms) -> Fit:
        """Whether what is *given* can be one of *wanted*."""
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
        """What *value* is, as the end of a sentence: `an integer or null`."""
        if value.lists:
            return f"a list of {'lists' if value.lists > 1 else self._elements(value.forms)}"
        kinds = self._kinds(value.forms)
        options = [keywords.options_of(form) for form in value.forms]
        named = [option for found in options for option in found or ()]
        if all(found is not None for found in options) and 0 < len(named) <= MAX_NAMED:
            return "one of " + ", ".join(short(option) for option in named) if len(named) > 1 else short(named[0])
        names = [_SINGULAR[kind] for kind in _SINGULAR if kind in kinds]
        return "any value" if kinds == KINDS else " or ".join(names)

    def name(self, part: Part) -> str:
        """The type of *part* in a word: `integer`, `string|null`."""
        kinds = self._kinds(self.forms(part))
        return "any" if kinds == KINDS else "|".join(_WORD[kind] for kind in _SINGULAR if kind in kinds)

    def _kinds(self, forms: Forms) -> frozenset[str]:
        kinds = frozenset[str]().union(*(self.kinds(form) for form in forms))
        return kinds - {"integer"} if "fraction" in kinds and kinds != KINDS else kinds

    def _elements(self, forms: Forms) -> str:
        kinds = self._kinds(forms)
        return _PLURAL[min(kinds)] if len(kinds) == 1 else "values"

    def may_be(self, form: Form, depth: int = DEPTH, *, filled: bool = False) -> bool:
        """Whether there can be a value of *form*; only one that is no empty list, if it must be *filled*."""
        kinds = self.kinds(form)
        if not kinds or kinds - {"array", "object"} or not depth or self.room < 0:
            return bool(kinds)
        if "object" in kinds and all(self._any(self.member(form, name), depth) for name in keywords.required_of(form)):
            return True
        if "array" not in kinds:
            return False
        return not (filled or keywords.has_elements(form)) or self._any(self.element(form, 0), depth)

    def covers(self, wanted: Forms, form: Form, depth: int = DEPTH) -> bool:
        """Whether it is certain that every value of *form* is one of *wanted*."""
        return any(all(self._covers_part(part, form, depth) for part in other) for other in wanted)

    def _covers_part(self, part: Part, form: Form, depth: int) -> bool:
        schema = part.schema
        if not isinstance(schema, dict) or not schema.keys() <= keywords.PLAIN or keywords.is_draft_4(part):
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
    """The type that has one value."""
    return Value(((Part({"const": value}, {}),),))


def united(found: Iterable[Forms]) -> Forms:
    """What is so of any of *found*."""
    forms = tuple(form for forms in found for form in forms)
    return forms if len(forms) <= MAX_FORMS else UNREAD
