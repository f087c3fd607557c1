"""The addresses in results, as they are served. What holds none that had to change stays the very same object."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ...core.values.strict import Json, JsonObject

Up: TypeAlias = Callable[[str], str]
"""Gives what an address of the server that answered is called upstream."""


def with_addresses(method: str, result: JsonObject, up: Up) -> JsonObject:
    """*result* of a request of that *method*, its resource links, embedded resources and contents by their addresses
    upstream."""
    match method:
        case "tools/call":
            return _member(result, "content", lambda blocks: _each(blocks, lambda block: _block(block, up)))
        case "prompts/get":
            return _member(result, "messages", lambda messages: _each(messages, lambda message: _message(message, up)))
        case "resources/read":
            return _member(result, "contents", lambda contents: _each(contents, lambda content: _uri(content, up)))
    return result


def _message(message: Json, up: Up) -> Json:
    return _member(message, "content", lambda block: _block(block, up)) if isinstance(message, dict) else message


def _block(block: Json, up: Up) -> Json:
    if not isinstance(block, dict):
        return block
    match block.get("type"):
        case "resource_link":
            return _uri(block, up)
        case "resource":
            return _member(block, "resource", lambda resource: _uri(resource, up))
    return block


def _uri(value: Json, up: Up) -> Json:
    if not isinstance(value, dict):
        return value
    return _member(value, "uri", lambda uri: up(uri) if isinstance(uri, str) else uri)


def _each(values: Json, change: Callable[[Json], Json]) -> Json:
    if not isinstance(values, list):
        return values
    changed = [change(value) for value in values]
    return values if all(new is old for new, old in zip(changed, values, strict=True)) else changed


def _member(value: JsonObject, name: str, change: Callable[[Json], Json]) -> JsonObject:
    old = value.get(name)
    new = change(old)
    return value if new is old else {**value, name: new}
