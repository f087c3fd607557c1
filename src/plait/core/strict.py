"""Strict JSON: what may enter from anywhere, and what may leave to a server.

UTF-8 without lone surrogates, finite numbers, exact integers, no duplicate members, bounded depth. The decoders in
use differ on each of these (one takes `NaN`, one rounds 2**64, all keep the last of two equal members), so one rule
is kept here for all of them.
"""

from __future__ import annotations

import json
import math
from typing import NoReturn, TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
JsonObject: TypeAlias = "dict[str, Json]"

DOCUMENT_DEPTH = 64
RESULT_DEPTH = 180

_Place: TypeAlias = "tuple[str | int, ...]"


class NotStrict(ValueError):
    """The text or value is not strict JSON; the message says what and where."""


def loads(text: str | bytes, depth: int = DOCUMENT_DEPTH) -> Json:
    """The value that *text* holds, nested at most *depth* levels. Raises `NotStrict`."""
    value = decode(text)
    measure(value, depth)
    return value


def decode(text: str | bytes) -> Json:
    """As `loads`, for values whose depth and text are measured where they are used. Raises `NotStrict`."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotStrict(f"not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        value: Json = _DECODER.decode(text)
    except NotStrict:
        raise
    except json.JSONDecodeError as error:
        raise NotStrict(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise NotStrict("nested too deeply") from None
    except ValueError:
        raise NotStrict("a number has too many digits") from None
    return value


def dumps(value: Json) -> str:
    """*value* as compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def measure(value: object, depth: int = RESULT_DEPTH) -> int:
    """How many bytes *value* takes as compact JSON. Raises `NotStrict`, with the place, if it is not strict."""
    try:
        text = _ENCODER.encode(value)
        size = len(text) if text.isascii() else len(text.encode())
    except (ValueError, TypeError, RecursionError):
        raise _what_is_wrong(value, depth) from None
    if text.count("{") + text.count("[") > depth and _depth(value) > depth:
        raise NotStrict(f"nested deeper than {depth} levels")
    if not text.isascii() or "{" in text:
        _check_keys(value)
    return size


def _depth(value: object) -> int:
    level: list[object] = [value]
    depth = -1
    while level:
        depth += 1
        level = [child for item in level if isinstance(item, dict | list) for child in _members(item)]
    return depth


def _members(item: dict[object, object] | list[object]) -> list[object]:
    return item if isinstance(item, list) else list(item.values())


def _check_keys(value: object) -> None:
    """The encoder turns keys such as `None` and `1` into text; strict JSON has none of them."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            for key in item:
                if not isinstance(key, str):
                    raise _what_is_wrong(value, RESULT_DEPTH)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _what_is_wrong(value: object, depth: int) -> NotStrict:
    stack: list[tuple[object, _Place]] = [(value, ())]
    while stack:
        item, place = stack.pop()
        if complaint := _complaint(item):
            return NotStrict(f"{_written(place)} {complaint}")
        if isinstance(item, dict | list):
            if len(place) >= depth:
                break
            pairs = enumerate(item) if isinstance(item, list) else item.items()
            stack.extend((child, (*place, key)) for key, child in pairs)
    return NotStrict(f"nested deeper than {depth} levels")


def _complaint(item: object) -> str | None:
    match item:
        case str():
            return _surrogate(item)
        case None | bool() | int() | list():
            return None
        case float():
            return None if math.isfinite(item) else f"is {item!r}: JSON numbers are finite"
        case dict():
            for key in item:
                if not isinstance(key, str):
                    return f"has the key {key!r}: JSON keys are strings"
                if said := _surrogate(key):
                    return f"has a key that {said}"
            return None
    return f"is a {type(item).__name__}, which JSON does not have"


def _surrogate(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds a lone surrogate (\\u{ord(text[error.start]):04x})"
    return None


def _written(place: _Place) -> str:
    written = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
    return written.encode("utf-8", "replace").decode() or "the value"


def _no_duplicates(pairs: list[tuple[str, Json]]) -> JsonObject:
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


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NotStrict(f"{digits[:20]} is beyond the numbers that JSON programs can hold")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)
