"""The cost of checking a value against a schema, estimated before it is done.

A schema that refers back to itself twice for one part of a value (`anyOf` of two `$ref: "#"`)
doubles the work with each level of the value: a few bytes from a hostile server could take hours.
The unit of cost is a visit: one subschema checks one part of the value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote

from .strict import Json, JsonObject

_BRANCHES = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("not", "if", "then", "else")
_NAMED_CONDITIONS = ("dependentSchemas", "dependencies")
_FOR_MEMBERS = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_AGAIN = ("unevaluatedProperties", "unevaluatedItems")
"""Keywords that evaluate their sibling subschemas again, to learn which parts those checked."""
_FOR_ELEMENTS = ("items", "additionalItems", "unevaluatedItems", "contains")
_OF_SUBSCHEMAS = frozenset(
    {
        *("$ref", *_BRANCHES, *_CONDITIONS, *_NAMED_CONDITIONS, *_FOR_MEMBERS, *_FOR_ELEMENTS),
        *("properties", "patternProperties", "prefixItems"),
    }
)
"""Keywords with subschemas that are followed here. Most subschemas have none of them."""


def visits_per_part(definition: JsonObject) -> float:
    """Return the most visits that one part of a value gets: infinite if the schema is recursive."""
    known: dict[str, tuple[float, float]] = {}

    def count_visits(node: Json, following: frozenset[str]) -> tuple[float, float]:
        """Return the visits of the part that *node* applies to, and the most of a part below."""
        if not isinstance(node, dict) or _OF_SUBSCHEMAS.isdisjoint(node):
            return 1, 0
        target = node.get("$ref")
        same = [count_target(target, following)] if isinstance(target, str) else []
        same += [count_visits(child, following) for child in _in_place(node)]
        here = sum(visits for visits, _ in same) * _times(node)
        beneath = sum(visits for _, visits in same) * _times(node)
        properties = node.get("properties")
        members = properties.values() if isinstance(properties, dict) else ()
        beneath += max((max(count_visits(child, following)) for child in members), default=0)
        beneath += sum(max(count_visits(child, following)) for child in _beneath(node))
        return here + 1, beneath

    def count_target(target: str, following: frozenset[str]) -> tuple[float, float]:
        if target in following:
            return math.inf, math.inf
        if target not in known:
            known[target] = count_visits(find(definition, target), following | {target})
        return known[target]

    try:
        return max(count_visits(definition, frozenset({"#"})))
    except RecursionError:
        return math.inf


def visits(definition: JsonObject, value: Json, most: int) -> int:
    """Count the visits that checking *value* takes if no branch is skipped; stop at *most*."""
    stack: list[tuple[Json, Json]] = [(definition, value)]
    count = 1
    while stack and count < most:
        node, part = stack.pop()
        if isinstance(node, dict) and not _OF_SUBSCHEMAS.isdisjoint(node):
            size = len(stack)
            stack.extend(islice(_meetings(definition, node, part), most - count))
            count += len(stack) - size
    return count


def stray_reference(definition: JsonObject) -> str | None:
    """Return a reference in *definition* that is not a pointer into it (as `#/$defs/x` is), or
    None. The cost of following such a reference is unknown."""
    is_old = "draft-04" in str(definition.get("$schema"))
    stack: list[Json] = [definition]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            stack.extend(node.values())
            target = node.get("$ref")
            if isinstance(target, str) and find(definition, target) is None:
                return target
            bases = () if node is definition else ("id", "$id") if is_old else ("$id",)
            for name in (*bases, "$dynamicRef", "$recursiveRef"):
                if isinstance(reference := node.get(name), str):
                    return reference
    return None


def find(definition: JsonObject, target: str) -> Json:
    """Return the subschema that the reference *target* leads to, or None."""
    if target != "#" and not target.startswith("#/"):
        return None
    node: Json = definition
    for step in target.split("/")[1:]:
        step = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = (
                node[int(step)]
                if step.isdecimal() and len(step) < 6 and int(step) < len(node)
                else None
            )
        else:
            node = node.get(step) if isinstance(node, dict) else None
    return node


def _meetings(definition: JsonObject, node: JsonObject, part: Json) -> Iterator[tuple[Json, Json]]:
    """Yield the subschemas of *node*, each with what it checks: *part*, or a value in it."""
    target = node.get("$ref")
    for _ in range(_times(node)):
        if isinstance(target, str):
            yield find(definition, target), part
        yield from ((child, part) for child in _in_place(node))
    if isinstance(part, dict):
        properties = node.get("properties")
        known = properties if isinstance(properties, dict) else {}
        yield from ((known[name], member) for name, member in part.items() if name in known)
    elements = part if isinstance(part, list) else part.values() if isinstance(part, dict) else ()
    for child in _beneath(node):
        yield from ((child, element) for element in elements)


def _times(node: JsonObject) -> int:
    """Return how often the subschemas for the same part are evaluated."""
    return 3 if any(name in node for name in _AGAIN) else 1


def _in_place(node: JsonObject) -> Iterator[Json]:
    """Yield the subschemas of *node* for the same part of a value, except `$ref`."""
    for name in _BRANCHES:
        branches = node.get(name)
        yield from branches if isinstance(branches, list) else ()
    for name in _CONDITIONS:
        if name in node:
            yield node[name]
    for name in _NAMED_CONDITIONS:
        conditions = node.get(name)
        yield from conditions.values() if isinstance(conditions, dict) else ()


def _beneath(node: JsonObject) -> Iterator[Json]:
    """Yield the subschemas of *node* for what a value contains, except its `properties`."""
    patterns = node.get("patternProperties")
    yield from patterns.values() if isinstance(patterns, dict) else ()
    for name in (*_FOR_MEMBERS, *_FOR_ELEMENTS, "prefixItems"):
        child = node.get(name)
        if isinstance(child, list):
            yield from child
        elif isinstance(child, dict):
            yield child
