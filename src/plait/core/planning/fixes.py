"""Fixes for arguments, where it is certain what was meant: every fix offered has been checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..language.spelling import snake_case
from ..values.problems import MAX_FIX_CHARS, REMOVE, Fix, Op, nearest, slip_of
from ..values.schema import Place, Schema
from ..values.strict import Json, JsonObject, NotStrict, dumps, loads
from .keywords import Forms, Part, declared, declares, options_of, required_of
from .places import part_at
from .types import Types

MAX_RENAMED = 4
"""Most missing names, and most unknown ones, that are tried for each other."""
_SEPARATORS = frozenset(",;|\n")
"""Signs between the values of a list that came as text."""
_WORDS: dict[str, Json] = {"true": True, "false": False}


_AKIN = (
    {"text", "message", "msg", "body", "content", "contents", "comment", "description", "note"},
    {"path", "file", "filename", "filepath", "location"},
    {"dir", "directory", "folder", "path", "root"},
    {"query", "q", "search", "keyword", "keywords", "term", "sql", "statement", "pattern", "regex"},
    {"url", "uri", "link", "href", "address"},
    {"id", "number", "no", "num", "key", "nr"},
    {"title", "name", "subject", "summary", "headline"},
    {"channel", "room", "conversation", "chat"},
    {"repo", "repository", "project"},
    {"owner", "org", "organization", "organisation"},
    {"user", "username", "login", "email", "account"},
    {"to", "recipient", "recipients", "receiver", "address", "addresses"},
    {"command", "cmd", "script", "argv"},
    {"data", "content", "payload", "value", "json", "rows", "records", "items"},
    {"labels", "label", "tags", "tag"},
    {"limit", "count", "size", "max", "top", "page", "per"},
)
"""Words that stand for each other in the names of arguments."""


def fixed_argument(
    schema: Schema,
    arguments: JsonObject,
    place: Place,
    unknown: frozenset[Place],
    *,
    is_certain: bool,
) -> Fix | None:
    """Return how to fix *place*, of which *schema* complains: by another value or, for an unknown
    name, by the right name or by leaving it out; None if unclear. The parts of *arguments* at the
    places in *unknown* are still unknown. With *is_certain* nothing is left out, and names are akin
    to those that take their place: what the call does depends on it."""
    holder, name = part_at(arguments, place[:-1]), place[-1:]
    if not name or not _is_in(name[0], holder):
        return None  # it is missing
    types = Types()
    forms = types.forms(Part(schema.definition, schema.definition))
    for step in place[:-1]:
        forms = types.step(forms, step)
    wanted = types.step(forms, name[0])
    if not wanted and isinstance(name[0], str) and isinstance(holder, dict):
        free = [known for known in declared(forms) if known not in holder]
        if (slip := slip_of(name[0], free)) is not None:
            return Fix(Op.RENAME, slip)
        missing = _renamed(schema, arguments, place, unknown, forms)
        found = missing or _fixed_name(name[0], free, forms)
        if found is None or not is_certain:
            return found
        return found if found.op is Op.RENAME and _are_akin(name[0], found.to) else None
    if any(part[: len(place)] == place for part in unknown):
        return None  # it is partly unknown
    value = part_at(arguments, place)
    for meant in _meant(value, wanted) if len(dumps(value)) <= MAX_FIX_CHARS else ():
        rest = schema.complaints(_with(arguments, place, meant), unknown=unknown)
        if not any(complaint.place[: len(place)] == place for complaint in rest):
            return Fix(Op.REPLACE, meant)
    return None


def misnamed(
    schema: Schema, arguments: JsonObject, place: Place, unknown: frozenset[Place]
) -> str | None:
    """Return the name that stands where that at *place*, which is missing, was certainly meant:
    one that *schema* does not declare, spelt almost alike or akin, whose value alone fits."""
    holder, missing = part_at(arguments, place[:-1]), place[-1:]
    if not missing or not isinstance(holder, dict) or not isinstance(missing[0], str):
        return None
    types = Types()
    forms = types.forms(Part(schema.definition, schema.definition))
    for step in place[:-1]:
        forms = types.step(forms, step)
    others = [name for name in holder if not any(declares(form, name) for form in forms)]
    if missing[0] in holder or len(others) > MAX_RENAMED:
        return None
    meant = []
    for name in others:
        found = _renamed(schema, arguments, (*place[:-1], name), unknown, forms)
        is_near = slip_of(name, [missing[0]]) is not None or _are_akin(name, missing[0])
        meant += [name] if found is not None and found.to == missing[0] and is_near else []
    return meant[0] if len(meant) == 1 else None


def _fixed_name(name: str, free: Sequence[str], forms: Forms) -> Fix | None:
    """Rename *name*, which is unknown, to the one of the *free* names that it is near to. Without
    one it is left out, unless something is missing that it may have been meant for."""
    near = nearest(name, free, 2)
    if len(near) == 1:
        return Fix(Op.RENAME, near[0])
    is_missing = all(any(known in free for known in required_of(form)) for form in forms)
    return None if near or is_missing else REMOVE


def _are_akin(name: str, other: Json) -> bool:
    """Return whether both names have a word in common, or words that stand for each other."""
    one, another = (set(snake_case(str(each)).split("_")) for each in (name, other))
    return bool(one & another) or any(one & words and another & words for words in _AKIN)


def _renamed(
    schema: Schema,
    arguments: JsonObject,
    place: Place,
    unknown: frozenset[Place],
    forms: Forms,
) -> Fix | None:
    """Rename what *arguments* have at *place*, an unknown name, to the missing one that it must be:
    the only one that takes its value, which no other unknown name fits."""
    holder = part_at(arguments, place[:-1])
    missing = [name for form in forms for name in required_of(form) if name not in holder]
    others = [name for name in holder if not any(declares(form, name) for form in forms)]
    if not 0 < len(missing) <= MAX_RENAMED or len(others) > MAX_RENAMED:
        return None

    def takes(free: str, name: str) -> bool:
        inside, moved = (*place[:-1], name), (*place[:-1], free)
        renamed = {free if one == name else one: value for one, value in holder.items()}
        there = [(moved + one[len(inside) :]) for one in unknown if one[: len(inside)] == inside]
        given = _with(arguments, place[:-1], renamed)
        rest = schema.complaints(given, unknown=unknown.union(there))
        return not any(complaint.place[: len(moved)] == moved for complaint in rest)

    meant = [name for name in missing if takes(name, str(place[-1]))]
    if len(meant) != 1 or any(takes(meant[0], one) for one in others if one != place[-1]):
        return None
    return Fix(Op.RENAME, meant[0])


def _meant(value: Json, wanted: Forms) -> Iterator[Json]:
    """List what *value* may have been meant as, the likeliest first."""
    if isinstance(value, str):
        yield from _decoded(value)
        options = {
            option
            for form in wanted
            for option in options_of(form) or ()
            if isinstance(option, str)
        }
        same = [option for option in options if option.casefold() == value.strip().casefold()]
        yield from same if len(same) == 1 else ()
    is_several = isinstance(value, str) and not _SEPARATORS.isdisjoint(value.strip())
    if value is not None and not isinstance(value, list) and not is_several:
        yield [value]


def _decoded(text: str) -> Iterator[Json]:
    if text.strip().casefold() in _WORDS:
        yield _WORDS[text.strip().casefold()]
    else:
        try:
            value = loads(text.strip())
        except NotStrict:
            return
        yield from () if value is None else (value,)


def _is_in(step: str | int, holder: Json) -> bool:
    if isinstance(holder, list):
        return isinstance(step, int) and step < len(holder)
    return isinstance(holder, dict) and step in holder


def _with(value: Any, place: Place, part: Json) -> Any:
    if not place:
        return part
    copy = value.copy()
    copy[place[0]] = _with(value[place[0]], place[1:], part)
    return copy
