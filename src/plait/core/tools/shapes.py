"""The shape of outputs: their fields and types. Never a value, and never a key that may be one.

The rule on keys: a key is kept only if each of its words is common in names of fields, or appears
in the definition of the tool (`fields.py`), and only if that holds for at least half of the keys of
its object. Any other object counts as a map: its keys are data, and are dropped. A shape says if
keys were dropped, so that they are not taken for absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import islice

from ..values.strict import Json, JsonObject
from .fields import is_field, looks_like_name

MAX_DEPTH = 6
MAX_NODES = 200
MAX_FIELDS = 64
"""Most keys of one object; an object with more is a map."""
MAX_ELEMENTS = 4
"""Most elements of one list that are examined."""
MAX_LOOKED_AT = 200
"""Most parts of one result that are examined."""

_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


@dataclass(frozen=True, slots=True)
class Shape:
    """The types and fields seen at one place of a tool's outputs."""

    types: frozenset[str] = frozenset()
    """Type names of JSON Schema."""
    items: Shape | None = None
    """The shape of the elements of lists; None if none was seen."""
    fields: Mapping[str, Shape] = field(default_factory=dict)
    has_more: bool = False
    """Whether objects had keys that are not kept."""

    @property
    def nodes(self) -> int:
        """The number of places below this one."""
        beneath = [*self.fields.values(), *([self.items] if self.items else [])]
        return len(beneath) + sum(shape.nodes for shape in beneath)

    def schema(self) -> JsonObject:
        """Return an open JSON Schema of types and fields. It says where keys are not kept."""
        types: list[Json] = [
            name for name in _TYPES if name in self.types and not self._is_covered_by_number(name)
        ]
        schema: JsonObject = {"type": types[0] if len(types) == 1 else types} if types else {}
        if self.fields:
            schema["properties"] = {name: shape.schema() for name, shape in self.fields.items()}
        if self.has_more:
            schema["additionalProperties"] = True
        if self.items is not None:
            schema["items"] = self.items.schema()
        return schema

    def _is_covered_by_number(self, name: str) -> bool:
        return name == "integer" and "number" in self.types


def shape_of(value: Json, words: Callable[[], Set[str]] = frozenset) -> Shape:
    """Return the shape of one output. *words* returns those of the tool's definition."""
    return _Look(words).at(value, MAX_DEPTH)


def merged(one: Shape, other: Shape) -> Shape:
    """Merge two shapes, within the bounds of a shape."""
    return _bounded(_merged(one, other))


def read_shape(schema: Json) -> Shape | None:
    """Read what `schema()` wrote; None if it is not a schema. What exceeds the bounds is
    dropped."""
    shape = _read(schema, MAX_DEPTH)
    return None if shape is None else _bounded(shape)


class _Look:
    """The reader of the shape of one result."""

    def __init__(self, words: Callable[[], Set[str]]) -> None:
        self._words_of_the_tool = words
        self._words: Set[str] | None = None
        self._verdicts: dict[str, bool] = {}
        """Whether each key met so far is the name of a field."""
        self._room = MAX_LOOKED_AT

    def at(self, value: Json, depth: int) -> Shape:
        match value:
            case dict():
                return self._object(value, depth)
            case list():
                return self._array(value, depth)
        return _PLAIN[_type(value)]

    def _object(self, members: JsonObject, depth: int) -> Shape:
        if len(members) > min(self._room, MAX_FIELDS if depth else 0):
            return _MAP
        self._room -= len(members)
        names = [key for key in members if self._is_field(key)]
        if 2 * len(names) < len(members):
            return _MAP
        fields = {name: self.at(members[name], depth - 1) for name in names}
        return Shape(_OBJECT, fields=fields, has_more=len(names) < len(members))

    def _array(self, elements: list[Json], depth: int) -> Shape:
        looked_at = elements[: min(self._room, MAX_ELEMENTS if depth else 0)]
        self._room -= len(looked_at)
        return Shape(_ARRAY, _union(self.at(element, depth - 1) for element in looked_at))

    def _is_field(self, key: str) -> bool:
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._verdicts[key] = looks_like_name(key) and (
                is_field(key) or self._is_of_the_tool(key)
            )
        return verdict

    def _is_of_the_tool(self, key: str) -> bool:
        if self._words is None:
            self._words = self._words_of_the_tool()
        return is_field(key, self._words)


def _bounded(shape: Shape) -> Shape:
    return shape if shape.nodes <= MAX_NODES else _Cut(MAX_NODES).of(shape)


class _Cut:
    """Cuts a shape to a number of nodes: all fields of an object come before those below them."""

    def __init__(self, room: int) -> None:
        self._room = room

    def of(self, shape: Shape) -> Shape:
        kept = dict(islice(shape.fields.items(), self._room))
        self._room -= len(kept)
        fields = {name: self.of(part) for name, part in kept.items()}
        has_more = shape.has_more or len(kept) < len(shape.fields)
        return replace(shape, fields=fields, items=self._items(shape.items), has_more=has_more)

    def _items(self, items: Shape | None) -> Shape | None:
        if items is None or self._room <= 0:
            return None
        self._room -= 1
        return self.of(items)


def _merged(one: Shape, other: Shape) -> Shape:
    if one is other:
        return one
    fields = dict(one.fields)
    for name, shape in other.fields.items():
        before = fields.get(name)
        fields[name] = shape if before is None else _merged(before, shape)
    return Shape(
        one.types | other.types,
        _union(items for items in (one.items, other.items) if items is not None),
        dict(islice(fields.items(), MAX_FIELDS)),
        one.has_more or other.has_more or len(fields) > MAX_FIELDS,
    )


def _union(shapes: Iterable[Shape]) -> Shape | None:
    found = list(shapes)
    return reduce(_merged, found) if found else None


def _read(schema: Json, depth: int) -> Shape | None:
    if not isinstance(schema, dict) or depth < 0:
        return None
    types, properties = schema.get("type"), schema.get("properties")
    names = types if isinstance(types, list) else [types]
    members = properties if isinstance(properties, dict) else {}
    read = {
        name: _read(part, depth - 1)
        for name, part in islice(members.items(), MAX_FIELDS)
        if looks_like_name(name)
    }
    fields = {name: shape for name, shape in read.items() if shape is not None}
    return Shape(
        frozenset(name for name in names if isinstance(name, str) and name in _TYPES),
        _read(schema.get("items"), depth - 1),
        fields,
        schema.get("additionalProperties") is True or len(fields) < len(members),
    )


def _type(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
    return "string"


_OBJECT = frozenset({"object"})
_ARRAY = frozenset({"array"})
_MAP = Shape(_OBJECT, has_more=True)
_PLAIN = {name: Shape(frozenset({name})) for name in _TYPES}
