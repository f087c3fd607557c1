"""Optional arguments that were filled with nothing: models that must give every field send null, or
empty text, for those that they have no value for. Where a schema takes neither, they are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..language.dag import Task
from ..language.references import Omitted
from ..language.templates import Template
from ..values.problems import Fix, Op, Problem, written
from ..values.schema import Complaint, Place, Schema
from ..values.strict import Json, JsonObject
from .places import part_at

MAX_PLACES = 20
"""Most places in the arguments of one call that are tried."""


def left_out(
    schema: Schema,
    arguments: JsonObject,
    complaints: Sequence[Complaint],
    unknown: frozenset[Place] = frozenset(),
) -> tuple[JsonObject, list[Place], Sequence[Complaint]]:
    """Leave out of *arguments*, of which *schema* has *complaints*, each null and empty text that
    it takes as missing, but not as it is. Returns the rest, the places that were left out, and
    the complaints that remain. The parts at the places in *unknown* are still unknown."""
    places = [place for place in _empty(arguments, ()) if _is_meant(place, complaints)]
    gone: list[Place] = []
    for tried in [*([place] for place in places[:MAX_PLACES]), places[:MAX_PLACES]]:
        kept = arguments
        for place in tried:
            kept = without(kept, place)
        rest = schema.complaints(kept, unknown=unknown)
        if len(rest) < len(complaints) and {c.place for c in rest} <= {c.place for c in complaints}:
            arguments, complaints = kept, rest
            gone += tried
        if not complaints:
            break
    return arguments, list(dict.fromkeys(gone)), complaints


def misplaced(template: Template, path: str, task: Task) -> Iterator[Problem]:
    """Yield the places of *template*, at *path* in the document, where `$OMIT` or the default
    `OMIT` leaves out what is not an argument of *task*."""
    of_arguments = path.endswith(".arguments")
    for place in template.omitted:
        if not (of_arguments and _is_member(place)):
            message = "$OMIT leaves out an argument, and this is not one."
            yield _not_omitted(path, place, message, None, task)
    for place, reference in template.heads:
        if not isinstance(reference.last, Omitted):
            continue
        text = part_at(template.value, place)
        is_alone = text.strip() == reference.text
        if of_arguments and is_alone and _is_member(place):
            continue
        message = f"{reference.text} leaves out an argument, and this is not one."
        if of_arguments and not is_alone:
            message = f"{reference.text} leaves out the argument, so it stands alone in it."
        meant = "null" if is_alone else '""'
        if not place and not path.endswith(".value"):
            meant = "{}" if of_arguments else "[]"
        fixed = text.replace("OMIT", meant) if text.count("OMIT") == 1 else None
        yield _not_omitted(path, place, message, fixed, task)


def _is_member(place: Place) -> bool:
    return bool(place) and isinstance(place[-1], str)


def _not_omitted(path: str, place: Place, message: str, to: Json, task: Task) -> Problem:
    fix = Fix(Op.REPLACE, to)
    where = f"{path}{written(place)}"
    return Problem(where, "invalid_reference", message, fix.advice, task.id, fix)


def _empty(value: Json, place: Place) -> Iterator[Place]:
    """Find the members of objects in *value* that are null or empty text."""
    if isinstance(value, dict):
        for name, child in value.items():
            if child is None or child == "":
                yield (*place, name)
            else:
                yield from _empty(child, (*place, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _empty(child, (*place, index))


def _is_meant(place: Place, complaints: Sequence[Complaint]) -> bool:
    """Return whether one of *complaints* is about the value at *place*, or about what holds it."""
    return any(place[: len(complaint.place)] == complaint.place for complaint in complaints)


def without(value: Json, place: Place) -> JsonObject:
    """Return a copy of *value* without the member at *place*; itself if there is none."""
    assert isinstance(value, dict)
    return _cut(value, place)  # type: ignore[return-value]  # an object stays one


def _cut(value: Json, place: Place) -> Json:
    step = place[0]
    if isinstance(value, dict) and step in value:
        if len(place) == 1:
            return {name: child for name, child in value.items() if name != step}
        return {**value, step: _cut(value[step], place[1:])}
    if isinstance(value, list) and isinstance(step, int):
        return [*value[:step], _cut(value[step], place[1:]), *value[step + 1 :]]
    return value
