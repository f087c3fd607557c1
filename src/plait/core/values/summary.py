"""A schema in one line, for those who write calls: types of parameters, and shapes of outputs.

Schemas that are written with definitions (`$ref`), as SDKs make them of classes, are summed up like
those that are written out: the fields of the elements of a list are what a `select` needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from .effort import find
from .strict import Json, JsonObject, dumps

MAX_SHAPE_CHARS = 300
"""Most characters of a shape in which objects within objects are written out."""
MAX_DEPTH = 3
MAX_FIELDS = 16
MAX_OPTIONS = 8


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums up parts of the schema *whole*, in which their references lead. Each reference that is
    followed costs one level of depth, so those that lead in circles end."""

    whole: JsonObject

    def shape(self, schema: Json) -> str:
        """Format the fields of *schema*, such as `{items: [{number, title}], total}`: as deeply as
        fits."""
        for depth in range(MAX_DEPTH, 1, -1):
            if len(line := self._shape(schema, depth)) <= MAX_SHAPE_CHARS:
                return line
        return self._shape(schema, 1)

    def type_name(self, schema: Json, depth: int = 2) -> str:
        """Format the type of *schema*, such as `open|closed`, `[string]` or `{path, line}`."""
        match schema:
            case {"enum": [*options]}:
                names = [option if isinstance(option, str) else dumps(option) for option in options]
                more = "|…" if len(names) > MAX_OPTIONS else ""
                return "|".join(names[:MAX_OPTIONS]) + more
            case {"const": constant}:
                return dumps(constant)
            case {"type": "array", "items": items}:
                return f"[{self.type_name(items, depth)}]"
            case {"type": "object", "properties": dict()}:
                return self._shape(schema, min(depth, 1))
            case {"type": str(name)}:
                return name
            case {"type": [*names]}:
                return "|".join(str(name) for name in names)
            case {"anyOf": [*options]} | {"oneOf": [*options]}:
                named = [self._alternative(option, depth) for option in options[:6]]
                return "|".join(dict.fromkeys(named))
            case {"$ref": str(target)}:
                found = find(self.whole, target) if depth else None
                name = target.rpartition("/")[2]
                return name if found is None else self.type_name(found, depth - 1)
        return "any"

    def _alternative(self, schema: Json, depth: int) -> str:
        """Name the type of one of several alternatives: with the constants that distinguish it,
        and the types of the other members."""
        match schema:
            case {"properties": dict(properties)} if any(
                isinstance(part, dict) and "const" in part for part in properties.values()
            ):
                fields = [
                    f"{name}: {self.type_name(part, depth)}"
                    for name, part in list(properties.items())[:MAX_OPTIONS]
                ]
                more = ", …" if len(properties) > MAX_OPTIONS else ""
                return "{" + ", ".join(fields) + more + "}"
        return self.type_name(schema, depth)

    def _shape(self, schema: Json, depth: int) -> str:
        match schema:
            case {"properties": dict(properties)} if depth > 0:
                fields = [
                    self._field(name, part, depth)
                    for name, part in list(properties.items())[:MAX_FIELDS]
                ]
                return (
                    "{" + ", ".join(fields) + (", …" if len(properties) > MAX_FIELDS else "") + "}"
                )
            case {"type": "array", "items": items}:
                return f"[{self._shape(items, depth)}]"
            case {"$ref": str(target)} if depth > 0 and (found := find(self.whole, target)):
                return self._shape(found, depth - 1)
            case {"$ref": _} | {"type": "object"} | {"properties": _}:
                return "{…}"
        return self.type_name(schema, depth)

    def _field(self, name: str, schema: Json, depth: int) -> str:
        match schema:
            case {"anyOf": [inner, {"type": "null"}] | [{"type": "null"}, inner]}:
                return self._field(name, inner, depth)
            case {"$ref": _} | {"properties": _} | {"type": "array", "items": _}:
                line = self._shape(schema, depth - 1)
                return f"{name}: {line}" if line.startswith(("{", "[")) else name
        return name
