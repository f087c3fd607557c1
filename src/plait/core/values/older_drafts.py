"""Schemas of older drafts and of OpenAPI 3.0, written as the draft of today says it.

Servers send them without naming their draft. Each keyword that means something else today, or
nothing, is rewritten; a keyword that is still not valid is left out, so that the rest of the schema
counts.
"""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from .strict import Json, JsonObject

MAX_PRUNED = 20
"""Most keywords that are left out of one schema; with more, none of it is used."""

_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_SAME_TYPE = {
    **dict.fromkeys(("int", "int32", "int64", "long"), "integer"),
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    **dict.fromkeys(("str", "text", "date", "datetime", "uuid"), "string"),
    **dict.fromkeys(("bool",), "boolean"),
    **dict.fromkeys(("list", "tuple", "set"), "array"),
    **dict.fromkeys(("dict", "map"), "object"),
    **dict.fromkeys(("none", "None"), "null"),
}
"""Names of types in programming languages, which some servers send."""
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    *("items", "additionalItems", "additionalProperties", "contains", "propertyNames", "not"),
    *("if", "then", "else", "unevaluatedItems", "unevaluatedProperties"),
)
_HOLDERS = frozenset((*_MAPS, *_LISTS, *_SINGLE))
_OLD = frozenset(
    [
        "exclusiveMinimum",
        "exclusiveMaximum",
        "divisibleBy",
        "nullable",
        "items",
        "prefixItems",
        "properties",
    ]
)
"""Keywords that may be of an older draft, or hold something of one."""
MAX_DEPTH = 64


def modernized(definition: JsonObject) -> JsonObject:
    """Return *definition* as today's draft writes it; itself if it is that already."""
    draft = str(definition.get("$schema", ""))
    if "draft-03" in draft:
        definition = {name: part for name, part in definition.items() if name != "$schema"}
        draft = ""
    return _schema(definition, draft, MAX_DEPTH)


def pruned(definition: JsonObject) -> tuple[JsonObject, str | None]:
    """Leave out the keywords of *definition* that are not JSON Schema; also return why the first of
    them is not, None if all are."""
    reason: str | None = None
    for _ in range(MAX_PRUNED):
        try:
            jsonschema_rs.meta.validate(definition)
        except jsonschema_rs.ValidationError as error:
            place = list(error.instance_path)
            reason = reason or str(error).splitlines()[0][:300]
            if not place:
                break
            definition = _without(definition, place)
        except (ValueError, jsonschema_rs.ReferencingError) as error:  # an unknown draft
            return definition, reason or str(error).splitlines()[0][:300]
        else:
            return definition, reason
    return {}, reason


def _schema(node: JsonObject, draft: str, depth: int) -> JsonObject:
    """Rewrite *node* and all schemas in it. Nothing that stays the same is copied."""
    if not depth:
        return node
    inside = node if _HOLDERS.isdisjoint(node) else _inside(node, draft, depth - 1)
    said = inside.get("type")
    if (said is None or (isinstance(said, str) and said in _TYPES)) and _OLD.isdisjoint(inside):
        return inside  # as most
    new = dict(inside)
    _rewrite_type(new)
    _rewrite_bounds(new, draft)
    _rewrite_lists(new, draft)
    _rewrite_required(new, node)
    is_same = len(new) == len(node) and all(new.get(name) is value for name, value in node.items())
    return node if is_same else new


def _inside(node: JsonObject, draft: str, depth: int) -> JsonObject:
    """Rewrite the schemas in *node*."""
    new: dict[str, Json] = {}
    for name in _MAPS:
        if isinstance(children := node.get(name), dict):
            inner = {key: _child(child, draft, depth) for key, child in children.items()}
            if any(inner[key] is not child for key, child in children.items()):
                new[name] = inner
    for name in (*_LISTS, "items"):
        if isinstance(branches := node.get(name), list):
            schemas = [_child(child, draft, depth) for child in branches]
            if any(a is not b for a, b in zip(schemas, branches, strict=True)):
                new[name] = schemas
    for name in _SINGLE:
        child = node.get(name)
        if (better := _child(child, draft, depth)) is not child:
            new[name] = better
    return {**node, **new} if new else node


def _child(node: Json, draft: str, depth: int) -> Json:
    return _schema(node, draft, depth) if isinstance(node, dict) else node


def _rewrite_type(new: dict[str, Any]) -> None:
    """Take names of types as they are meant, and `nullable` as one more type."""
    said = new.get("type")
    named = said if isinstance(said, list) else [said] if isinstance(said, str) else []
    known = [_SAME_TYPE.get(name, name) if isinstance(name, str) else name for name in named]
    if any(name not in _TYPES for name in known if isinstance(name, str)) or any(
        not isinstance(name, str) for name in known
    ):
        new.pop("type", None)  # "any", or a schema: nothing is ruled out
        known = []
    elif known != named:
        new["type"] = known if isinstance(said, list) else known[0]
    if new.get("nullable") is not True:
        return
    if known and "null" not in known:
        new["type"] = [*known, "null"]
    if isinstance(options := new.get("enum"), list) and None not in options:
        new["enum"] = [*options, None]


def _rewrite_bounds(new: dict[str, Any], draft: str) -> None:
    """Rewrite bounds of drafts 3 and 4, where `exclusiveMinimum` gives the kind of `minimum`."""
    if "draft-04" not in draft:
        for exclusive, bound in (
            ("exclusiveMinimum", "minimum"),
            ("exclusiveMaximum", "maximum"),
        ):
            if isinstance(is_exclusive := new.get(exclusive), bool):
                del new[exclusive]
                if is_exclusive and bound in new:
                    new[exclusive] = new.pop(bound)
    if "divisibleBy" in new:
        new.setdefault("multipleOf", new.pop("divisibleBy"))


def _rewrite_lists(new: dict[str, Any], draft: str) -> None:
    """Rewrite `items` with a schema for each place, as drafts before 2020-12 have it."""
    if isinstance(new.get("items"), list) and (not draft or "2020-12" in draft):
        new["prefixItems"] = new.pop("items")
        if "additionalItems" in new:
            new["items"] = new.pop("additionalItems")
    if new.get("prefixItems") == []:
        del new["prefixItems"]


def _rewrite_required(new: dict[str, Any], node: JsonObject) -> None:
    """Collect the `required: true` of members, as draft 3 has it."""
    members = new.get("properties")
    if not isinstance(members, dict):
        return
    said = {
        name: member["required"]
        for name, member in members.items()
        if isinstance(member, dict) and isinstance(member.get("required"), bool)
    }
    if not said:
        return
    new["properties"] = {
        name: {key: value for key, value in member.items() if key != "required"}
        if name in said
        else member
        for name, member in members.items()
    }
    before = node.get("required")
    others = before if isinstance(before, list) else []
    named = [name for name in others if not isinstance(name, str) or name not in said]
    if required := [*named, *(name for name, is_required in said.items() if is_required)]:
        new["required"] = required


def _without(node: Any, place: list[str | int]) -> Any:
    """Return a copy of *node* without the keyword, or the element of a list, at *place*."""
    step, *rest = place
    if rest:
        child = _without(node[step], rest)
        if isinstance(node, dict):
            return {**node, step: child}
        return [child if index == step else other for index, other in enumerate(node)]
    if isinstance(node, dict):
        return {name: value for name, value in node.items() if name != step}
    return [other for index, other in enumerate(node) if index != step]
