"""Values as they are understood: what is written in two ways and means the same is equal here."""

from __future__ import annotations

from typing import Any

from ..values.strict import Json
from .references import BadReference, Reference, parse, written_step
from .templates import OMIT


def meant_arguments(arguments: Any) -> Json:
    """Return *arguments* as `meant`, without those that are null or `$OMIT`: a tool that does not
    take null gets none of them."""
    if not isinstance(arguments, dict):
        return meant(arguments)
    return {
        name: meant(value)
        for name, value in arguments.items()
        if value is not None and value != OMIT
    }


def meant(value: Any) -> Json:
    """Return *value* with numbers in one form and each reference as its parts, to be compared."""
    match value:
        case str():
            return value if "$" not in value else _pieces(value)
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: meant(one) for name, one in value.items()}
        case list() | tuple():
            return [meant(one) for one in value]
    known: Json = value
    return known


def _pieces(text: str) -> Json:
    try:
        pieces = parse(text, items=True)
    except BadReference:
        return text
    if not any(isinstance(piece, Reference) for piece in pieces):
        return "".join(map(str, pieces))
    return {"pieces": [_parts(one) if isinstance(one, Reference) else one for one in pieces]}


def _parts(reference: Reference) -> Json:
    default: Json = repr(reference.default)
    if isinstance(reference.default, Reference):
        default = _parts(reference.default)
    expression = None if reference.pipe is None else reference.pipe.expression.text
    path: list[Json] = [written_step(step) for step in reference.path]
    return [reference.about, reference.task, path, default, expression]
