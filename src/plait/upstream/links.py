"""URIs of resources in results and outputs, as clients know them: a link that a client got can be
read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import is_
from typing import TypeAlias

from ..core.results.record import RunRecord
from ..core.values.strict import Json, JsonObject

MOST_BLOCKS = 500
"""Most content blocks of one output that are examined; no answer has room for more."""
Up: TypeAlias = Callable[[str], str]
"""Maps a URI of the server that answered to its URI upstream."""
AddressOf: TypeAlias = Callable[[str, str], str]
"""Maps a server and a URI of it to the URI upstream, which is remembered to be of that server."""


def as_it_is(server: str, uri: str) -> str:
    """Return *uri*: an `AddressOf` where no resources are served."""
    return uri


def outputs_with_addresses(
    outputs: Mapping[str, Json], record: RunRecord, address_of: AddressOf
) -> JsonObject:
    """Return *outputs* of the tasks of *record*, each as `output_with_addresses` does."""
    return {
        id: output_with_addresses(value, record.tasks[id].tool, address_of)
        for id, value in outputs.items()
    }


def output_with_addresses(value: Json, tool: str, address_of: AddressOf) -> Json:
    """Return *value*, an output of *tool* (`server:name`), with the URIs of its links and embedded
    resources as clients know them."""
    server = tool.partition(":")[0]
    return _mapped(value, lambda uri: address_of(server, uri), MOST_BLOCKS)


def _mapped(value: Json, up: Up, most: int) -> Json:
    if isinstance(value, list) and most:  # of blocks, or of the outputs of a for_each task
        changed = [_mapped(inner, up, most // 20) for inner in value[:most]]
        return value if all(map(is_, changed, value)) else [*changed, *value[most:]]
    if isinstance(value, dict) and isinstance(blocks := value.get("content"), list):
        new = _mapped(blocks, up, most)
        return value if new is blocks else {**value, "content": new}
    return with_address(value, up)


def with_addresses(method: str, result: JsonObject, up: Up) -> JsonObject:
    """Return *result* of a *method* request with the URIs of its resource links, embedded resources
    and contents mapped by *up*. Whatever needs no change stays the same object."""
    match method:
        case "tools/call":
            return _with_each(result, "content", with_address, up)
        case "prompts/get":
            return _with_each(result, "messages", _message, up)
        case "resources/read":
            return _with_each(result, "contents", _uri, up)
    return result


def _with_each(
    result: JsonObject, member: str, change: Callable[[Json, Up], Json], up: Up
) -> JsonObject:
    values = result.get(member)
    if not isinstance(values, list):
        return result
    changed = [change(value, up) for value in values]
    return result if all(map(is_, changed, values)) else {**result, member: changed}


def _message(message: Json, up: Up) -> Json:
    if not isinstance(message, dict):
        return message
    old = message.get("content")
    new = with_address(old, up)
    return message if new is old else {**message, "content": new}


def with_address(block: Json, up: Up) -> Json:
    """Return a content block with the URI of its resource mapped by *up*; any other value as it
    is."""
    if not isinstance(block, dict):
        return block
    match block.get("type"):
        case "resource_link":
            return _uri(block, up)
        case "resource":
            old = block.get("resource")
            new = _uri(old, up)
            return block if new is old else {**block, "resource": new}
    return block


def _uri(value: Json, up: Up) -> Json:
    if not isinstance(value, dict) or not isinstance(old := value.get("uri"), str):
        return value
    new = up(old)
    return value if new is old else {**value, "uri": new}
