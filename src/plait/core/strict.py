"""Strict JSON: what may enter from anywhere, and what may leave to a server.

UTF-8 without lone surrogates, finite numbers, exact integers, no duplicate members, bounded depth: the decoders in
use differ on each of these (one takes `NaN`, one rounds 2**64, all keep the last of two equal members), so that one
rule is kept here for all of them.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn, TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
JsonObject: TypeAlias = "dict[str, Json]"

DOCUMENT_DEPTH = 64
RESULT_DEPTH = 180


class NotStrict(ValueError):
    """The text or value is not strict JSON; the message says what and where."""


def loads(text: str | bytes, depth: int = DOCUMENT_DEPTH) -> Json:
    """The value that *text* holds. Raises `NotStrict`."""
    if isinstance(text, bytes | bytearray | memoryview):
        try:
            text = bytes(text).decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotStrict(f"not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        value: Json = json.loads(text, object_pairs_hook=_members, parse_constant=_no_constant)
    except NotStrict:
        raise
    except json.JSONDecodeError as error:
        raise NotStrict(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise NotStrict(f"nested deeper than {depth} levels") from None
    except ValueError:
        raise NotStrict("a number has too many digits") from None
    check(value, depth)
    return value


def dumps(value: Json) -> str:
    """*value* as compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def size(value: Json) -> int:
    """How many bytes *value* takes as compact JSON."""
    return len(dumps(value).encode("utf-8", "surrogatepass"))


def check(value: object, depth: int = RESULT_DEPTH) -> None:
    """Raise `NotStrict`, with the place, unless *value* is strict JSON nested at most *depth* levels."""
    stack: list[tuple[object, tuple[str | int, ...]]] = [(value, ())]
    while stack:
        item, path = stack.pop()
        match item:
            case str():
                _check_text(item, path)
            case None | bool() | int():
                pass
            case float():
                if not math.isfinite(item):
                    raise NotStrict(f"{_place(path)} is {item!r}: JSON numbers are finite")
            case dict() | list():
                if len(path) >= depth:
                    raise NotStrict(f"nested deeper than {depth} levels")
                stack.extend(_children(item, path))
            case _:
                raise NotStrict(f"{_place(path)} is a {type(item).__name__}, which JSON does not have")


def _children(item: dict[Any, Any] | list[Any], path: tuple[str | int, ...]) -> list[tuple[object, tuple[str | int, ...]]]:
    if isinstance(item, list):
        return [(child, (*path, index)) for index, child in enumerate(item)]
    for key in item:
        if not isinstance(key, str):
            raise NotStrict(f"{_place(path)} has the key {key!r}: JSON keys are strings")
        _check_text(key, path)
    return [(child, (*path, key)) for key, child in item.items()]


def _check_text(text: str, path: tuple[str | int, ...]) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotStrict(f"{_place(path)} holds a lone surrogate (\\u{ord(text[error.start]):04x})") from None


def _place(path: tuple[str | int, ...]) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    return place.encode("utf-8", "replace").decode() or "the value"


def _members(pairs: list[tuple[str, Json]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise NotStrict(f'the member "{key}" stands twice in one object')
            seen.add(key)
    return members


def _no_constant(name: str) -> NoReturn:
    raise NotStrict(f"{name} is not a JSON number")
