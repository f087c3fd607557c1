"""Entries of lists and content blocks as the strictest client in use reads them.

One entry that a client cannot read costs it a whole list, and one block a whole answer, of all
servers and ours. Clients differ: the official TypeScript SDK takes no null, only objects as schemas
of properties, and plain base64; the Python SDK 1.30 takes URLs alone as addresses
(`core/tools/addresses.py`). So what servers list is fitted here: an optional member that some
client could not read is left out, and so is an entry or a block that cannot be read without one.
Whatever fits stays the same object, with its unknown members.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from operator import is_
from typing import Final, TypeAlias

from ..core.values.portable import uncompilable
from ..core.values.strict import Json, JsonObject

Fit: TypeAlias = Callable[[Json], Json]
"""Returns a value as every client reads it, the same object if it already is. Raises `Unfit`."""

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*", re.ASCII)
_URL_SAFE: Final = str.maketrans("-_", "+/", " \t\r\n\f")


class Unfit(ValueError):
    """Some client cannot read the value."""


def fit_entry(method: str, entry: JsonObject) -> JsonObject | None:
    """Fit one *entry* of the list that *method* asks for; None if it has to be left out."""
    try:
        fitted = _ENTRIES[method](entry)
    except Unfit:
        return None
    assert isinstance(fitted, dict)
    return fitted


def for_handshake_era(tool: JsonObject) -> JsonObject:
    """Fit a *tool* for clients of up to 2025-11-25, whose structured content is an object."""
    output = tool.get("outputSchema")
    if isinstance(output, dict) and output.get("type") != "object":
        return {name: value for name, value in tool.items() if name != "outputSchema"}
    return tool


def fit_media(block: JsonObject) -> JsonObject | None:
    """Fit the content block of an image or audio; None if it has to be left out. A data URL is
    taken for its data."""
    data = block.get("data")
    if isinstance(data, str) and (found := _DATA_URL.match(data)):
        kind = block.get("mimeType") or found[1]
        block = {**block, "data": data[found.end() :], "mimeType": kind}
    try:
        fitted = _MEDIA(block)
    except Unfit:
        return None
    assert isinstance(fitted, dict)
    return fitted


def _of_kind(*kinds: type) -> Fit:
    def fit(value: Json) -> Json:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise Unfit
        return value

    return fit


def _one_of(*texts: str) -> Fit:
    def fit(value: Json) -> Json:
        if value not in texts:
            raise Unfit
        return value

    return fit


def _each(fit_one: Fit) -> Fit:
    """A list without the elements that do not fit."""

    def fit(value: Json) -> Json:
        if not isinstance(value, list):
            raise Unfit
        fitted: list[Json] = []
        for element in value:
            with suppress(Unfit):
                fitted.append(fit_one(element))
        is_same = len(fitted) == len(value) and all(map(is_, fitted, value))
        return value if is_same else fitted

    return fit


def _object(needed: Mapping[str, Fit], optional: Mapping[str, Fit] | None = None) -> Fit:
    """An object without the *optional* members that do not fit. Without a *needed* one it does not
    fit itself."""
    fits = {**needed, **(optional or {})}

    def fit(value: Json) -> Json:
        if not isinstance(value, dict) or not needed.keys() <= value.keys():
            raise Unfit
        changed: JsonObject = {}
        unread: set[str] = set()
        for name, member in value.items():
            if name not in fits:
                continue
            try:
                if (fitted := fits[name](member)) is not member:
                    changed[name] = fitted
            except Unfit:
                if name in needed:
                    raise
                unread.add(name)
        if not changed and not unread:
            return value
        return {name: value[name] for name in value if name not in unread} | changed

    return fit


def _time(value: Json) -> Json:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise Unfit
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise Unfit from None
    return value


def _share(value: Json) -> Json:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise Unfit
    return value


def _size(value: Json) -> Json:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != int(value):
        raise Unfit
    return value


def _base64(value: Json) -> Json:
    """Plain base64 with its padding, from any of the usual forms."""
    if not isinstance(value, str):
        raise Unfit
    bare = value.translate(_URL_SAFE).rstrip("=")
    if not _BASE64.fullmatch(bare) or len(bare) % 4 == 1:
        raise Unfit
    padded = bare + "=" * (-len(bare) % 4)
    return value if padded == value else padded


def _input_schema(value: Json) -> Json:
    if not isinstance(value, dict):
        raise Unfit
    fitted = _with_object_properties(value)
    return fitted if "type" in fitted else {"type": "object", **fitted}


def _output_schema(value: Json) -> Json:
    if not isinstance(value, dict):
        raise Unfit
    fitted = _with_object_properties(value)
    if uncompilable(fitted) is not None:
        raise Unfit
    return fitted


def _with_object_properties(schema: JsonObject) -> JsonObject:
    """Write the property schemas `true` and `false` as the objects that mean the same."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or all(map(_is_object, properties.values())):
        return schema
    as_objects: Mapping[bool, JsonObject] = {True: {}, False: {"not": {}}}
    written: JsonObject = {
        name: as_objects[part] if isinstance(part, bool) else part
        for name, part in properties.items()
    }
    return {**schema, "properties": written}


def _is_object(value: Json) -> bool:
    return isinstance(value, dict)


_text, _flag, _any_object = _of_kind(str), _of_kind(bool), _of_kind(dict)
_ANNOTATIONS: Final = _object(
    {},
    {
        "audience": _each(_one_of("user", "assistant")),
        "priority": _share,
        "lastModified": _time,
    },
)
_ICON: Final = _object(
    {"src": _text},
    {"mimeType": _text, "sizes": _each(_text), "theme": _one_of("light", "dark")},
)
_DISPLAYED: Final[Mapping[str, Fit]] = {
    "title": _text,
    "description": _text,
    "icons": _each(_ICON),
    "_meta": _any_object,
}
_HINTS: Final = {
    f"{name}Hint": _flag for name in ("readOnly", "destructive", "idempotent", "openWorld")
}
_ENTRIES: Final[Mapping[str, Fit]] = {
    "tools/list": _object(
        {"name": _text, "inputSchema": _input_schema},
        {
            **_DISPLAYED,
            "outputSchema": _output_schema,
            "annotations": _object({}, {"title": _text, **_HINTS}),
            "execution": _object({}, {"taskSupport": _one_of("required", "optional", "forbidden")}),
        },
    ),
    "resources/list": _object(
        {"name": _text, "uri": _text},
        {**_DISPLAYED, "mimeType": _text, "size": _size, "annotations": _ANNOTATIONS},
    ),
    "resources/templates/list": _object(
        {"name": _text, "uriTemplate": _text},
        {**_DISPLAYED, "mimeType": _text, "annotations": _ANNOTATIONS},
    ),
    "prompts/list": _object(
        {"name": _text},
        {
            **_DISPLAYED,
            "arguments": _each(
                _object({"name": _text}, {"title": _text, "description": _text, "required": _flag})
            ),
        },
    ),
}
_MEDIA: Final = _object(
    {"type": _one_of("image", "audio"), "data": _base64, "mimeType": _text},
    {"annotations": _ANNOTATIONS, "_meta": _any_object},
)
