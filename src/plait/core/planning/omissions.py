"""Optional arguments that were filled with nothing: models that must give every field send null, or
empty text, for those that they have no value for. Where a schema takes neither, they are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..values.schema import Complaint, Place, Schema
from ..values.strict import Json, JsonObject

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
