"""Arguments that a tool does not declare, although its schema takes them: most are misspelt, and a
server ignores what it does not know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..tools.catalog import Tool
from ..values.problems import did_you_mean, written
from ..values.schema import Place
from ..values.strict import Json, JsonObject
from .keywords import Forms, Part, declared, is_undeclared
from .mismatch import MAX_NOTES
from .places import has_more
from .types import Types

_HAS_PARTS = (dict, list)


class Undeclared:
    """A reader of the arguments of one DAG, which adds at most `MAX_NOTES` to *notes*."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self._left = MAX_NOTES

    def note_names(self, tool: Tool, names: Iterable[str], path: str) -> None:
        """Note which of *names*, arguments of *tool* at *path*, it does not declare."""
        schema = tool.input
        is_wide = schema.definition.get("additionalProperties") is True
        if schema.declared is not None or is_wide:
            for name in sorted(name for name in names if name not in schema.properties):
                self._say(tool, (name,), schema.properties, path, is_wide=is_wide)

    def note_parts(self, tool: Tool, arguments: JsonObject, path: str) -> None:
        """Note the members of objects in *arguments*, which *tool* takes, that it does not
        declare."""
        if self._left and any(map(_has_objects, arguments.values())):
            definition, types = tool.input.definition, Types()
            forms = types.forms(Part(definition, definition))
            for place, around in _inside(types, arguments, forms, ()):
                self._say(tool, place, declared(around), path, is_wide=has_more(around))

    def _say(
        self, tool: Tool, place: Place, known: Iterable[str], path: str, *, is_wide: bool
    ) -> None:
        """Note the argument at *place*; one that the schema says it takes only where it is near to
        one of the *known* names."""
        near = did_you_mean(str(place[-1]), known) if self._left else None
        if not self._left or (is_wide and near is None):
            return
        self._left -= 1
        name, asked = written(place), near or f"Signature: {tool.signature}"
        said = f"{path}{name}: {tool.full_name} declares no {name.lstrip('.')}. {asked}"
        self._notes.append(said)


def _has_objects(value: Json) -> bool:
    """Whether *value* is or holds an object, or might."""
    if isinstance(value, list):
        return any(isinstance(part, _HAS_PARTS) for part in value)
    return isinstance(value, dict)


def _inside(types: Types, value: Json, forms: Forms, place: Place) -> Iterator[tuple[Place, Forms]]:
    """Yield the places of undeclared members inside of *value*, each with the type of the object
    that has it."""
    if isinstance(value, dict):
        for name, part in value.items():
            if place and is_undeclared(forms, name):
                yield (*place, name), forms
            elif isinstance(part, _HAS_PARTS):
                yield from _inside(types, part, types.step(forms, name), (*place, name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            if isinstance(part, _HAS_PARTS):
                yield from _inside(types, part, types.step(forms, index), (*place, index))
