"""Strict JSON: the only kind that is accepted, and the only kind that is sent to a server.

UTF-8 without lone surrogates, finite numbers, exact integers, no duplicate members, bounded depth.
The decoders in use differ on each of these (one takes `NaN`, one rounds 2**64, all keep the last of
two members with one name), so one rule is kept here for all of them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

import orjson

from .extent import Extent, extent_of, holds_more_values, is_deeper

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
JsonObject: TypeAlias = "dict[str, Json]"

DOCUMENT_DEPTH = 64
RESULT_DEPTH = 180
MAX_VALUES = 250_000
"""The most values in one text that is read: it takes a tenth of a second then, and 25 MB."""

_AS_IT_IS = (
    orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)

_Place: TypeAlias = "tuple[str | int, ...]"


class NotStrict(ValueError):
    """The text or value is not strict JSON; the message says what and where. `place` leads to the
    flaw, if the rest is JSON, and `complaint` says what it is."""

    def __init__(self, message: str, place: _Place | None = None, complaint: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.complaint = complaint


class TooManyValues(NotStrict):
    """The text holds more than `MAX_VALUES` values. None of it was parsed."""

    def __init__(self) -> None:
        super().__init__(f"it holds more than {MAX_VALUES:,} values")


def loads(text: str | bytes, depth: int = DOCUMENT_DEPTH) -> Json:
    """Decode *text*, whose value is nested at most *depth* levels. Raises `NotStrict`, and
    `TooManyValues`."""
    value, is_plain = _known(text)
    if not is_plain:
        value = _decode(text)
    if not is_plain or (len(text) > depth and is_deeper(_as_bytes(text), depth)):
        measure(value, depth)
    return value


def _as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def decode(text: str | bytes) -> Json:
    """Decode *text* as `loads` does, but leave the checks of depth and strings to its users. Raises
    `NotStrict`, and `TooManyValues`."""
    value, is_plain = _known(text)
    return value if is_plain else _decode(text)


def _known(text: str | bytes) -> tuple[Json, bool]:
    """Return the value of *text*, and whether the fastest encoder gives the very same text back, as
    it does for most programs: then no member appeared twice and no number was rounded."""
    try:
        data = _as_bytes(text)
    except ValueError:  # lone surrogates
        return None, False
    if len(data) > 2 * MAX_VALUES and holds_more_values(data, MAX_VALUES):  # "1," is the shortest
        raise TooManyValues
    try:
        value: Json = orjson.loads(data)
        return value, orjson.dumps(value) == data
    except (ValueError, TypeError):  # not JSON, or not what this encoder takes
        return None, False


def _decode(text: str | bytes) -> Json:
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotStrict(f"not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        value: Json = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _not_json(error) from None
    except RecursionError:
        raise NotStrict("nested too deeply") from None
    except ValueError:
        raise _flaw_in(text) from None
    return value


def dumps(value: Json) -> str:
    """Encode *value* as compact JSON text."""
    if value.__class__ is int:  # single values are mostly integers or text
        return repr(value)
    return _ENCODER.encode(value)


def encode(value: Json) -> bytes:
    """Encode *value*, which is strict JSON, as compact UTF-8 JSON of the size that `measure`
    gives."""
    try:
        data = orjson.dumps(value, option=_AS_IT_IS)
        if b"null" not in data or orjson.loads(data) == value:  # orjson also turns NaN into null
            return data
    except TypeError:
        pass
    return dumps(value).encode()


def encode_known(value: Json) -> bytes:
    """Encode as `encode` does a value that was decoded or measured: it holds no NaN, which is what
    `encode` looks for wherever there is a null."""
    try:
        return orjson.dumps(value, option=_AS_IT_IS)
    except TypeError:
        return dumps(value).encode()


def encode_sorted(value: Json) -> bytes:
    """Encode a value that was decoded or measured, with the members of objects in the order of
    their names: equal values have equal texts, for digests."""
    try:
        return orjson.dumps(value, option=_AS_IT_IS | orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value, sort_keys=True).encode()


def present(**members: Json) -> JsonObject:
    """Return an object of the *members* that are not None, in their order."""
    return {name: value for name, value in members.items() if value is not None}


def measure(value: object, depth: int = RESULT_DEPTH, *, is_decoded: bool = False) -> int:
    """Return the size of *value* as compact JSON, in bytes; faster if it is made of values that
    were decoded from JSON. Raises `NotStrict`, naming the place, if it is not strict."""
    return len(_strict_text(value, depth, is_decoded=is_decoded))


def weigh(value: Json) -> Extent:
    """Return the size of *value*, which was decoded from JSON, as compact JSON, and the memory that
    it takes. Raises `NotStrict`."""
    return extent_of(_strict_text(value, RESULT_DEPTH, is_decoded=True))


def _strict_text(value: object, depth: int, *, is_decoded: bool = False) -> bytes:
    """Encode *value* as compact JSON. Raises `NotStrict`, naming the place, if it is not strict."""
    try:
        text = _text_as_it_is(value, depth, is_decoded=is_decoded)
        return _checked_text(value, depth) if text is None else text
    except (ValueError, TypeError, RecursionError):
        raise _what_is_wrong(value, depth) from None


def _checked_text(value: object, depth: int) -> bytes:
    """Encode any value like `_strict_text`. Raises `ValueError`, `TypeError` or
    `RecursionError`."""
    text = _ENCODER.encode(value).encode()
    if is_deeper(text, depth):
        raise ValueError
    _check_keys(value)
    return text


def short(value: object, most: int = 60) -> str:
    """Format *value* as JSON for a message, cut to *most* characters."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= most else text[: most - 1] + "…"


def _text_as_it_is(value: object, depth: int, *, is_decoded: bool = False) -> bytes | None:
    """Encode *value* if the fastest encoder and its decoder give an equal value back, and its depth
    is allowed: it is strict then. None if this way cannot tell. Of what *is_decoded*, only NaN can
    be lost, which becomes null."""
    try:
        data = orjson.dumps(value, option=_AS_IT_IS)
    except TypeError:
        return None
    is_same = (is_decoded and b"null" not in data) or orjson.loads(data) == value
    return data if is_same and not is_deeper(data, depth) else None


def _check_keys(value: object) -> None:
    """Raise `TypeError` for keys such as `None` and `1`, which the encoder would turn into text."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                raise TypeError
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _what_is_wrong(value: object, depth: int) -> NotStrict:
    stack: list[tuple[object, _Place]] = [(value, ())]
    while stack:
        item, place = stack.pop()
        if complaint := _complaint(item):
            return NotStrict(f"{_written(place)} {complaint}", place, complaint)
        if isinstance(item, dict | list):
            if len(place) >= depth:
                complaint = f"is nested deeper than {depth} levels"
                return NotStrict(f"{_written(place[:8])} {complaint}", place, complaint)
            pairs = list(enumerate(item) if isinstance(item, list) else item.items())
            stack.extend((child, (*place, key)) for key, child in reversed(pairs))
    return NotStrict(f"nested deeper than {depth} levels")


def _complaint(item: object) -> str | None:
    match item:
        case str():
            return _surrogate(item)
        case int():
            return _too_long(item)
        case None | list():
            return None
        case float():
            return None if math.isfinite(item) else f"is {item!r}: JSON numbers are finite"
        case dict():
            for key in item:
                if not isinstance(key, str):
                    return f"has the key {key!r}: JSON keys are strings"
                if flaw := _surrogate(key):
                    return f"has a key that {flaw}"
            return None
        case _Flaw(complaint):
            return complaint
    return f"is of the type {type(item).__name__}, which JSON does not have"


def _too_long(number: int) -> str | None:
    try:
        str(number)
    except ValueError:
        return "has too many digits"
    return None


def _surrogate(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds a lone surrogate (\\u{ord(text[error.start]):04x})"
    return None


def _written(place: _Place) -> str:
    written = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in place
    ).lstrip(".")
    return written[:200].encode("utf-8", "replace").decode() or "the value"


def _not_json(error: json.JSONDecodeError) -> NotStrict:
    message = error.msg.removesuffix(" at")
    return NotStrict(f"not JSON: {message} at line {error.lineno}, column {error.colno}")


@dataclass(frozen=True, slots=True)
class _Flaw:
    """Something that is not strict JSON, kept in a decoded value so that its place can be
    reported."""

    complaint: str


def _flaw_in(text: str) -> NotStrict:
    """Find what is not strict in *text*, which is JSON, and where: decode it again, keeping
    flaws."""
    try:
        value = _MARKING.decode(text)
    except json.JSONDecodeError as error:
        return _not_json(error)
    return _what_is_wrong(value, RESULT_DEPTH)


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("a member appears twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise NotStrict(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NotStrict(f"{digits[:20]} is beyond the numbers that JSON programs can hold")
    return number


def _mark_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for key, value in pairs:
        members[key] = _Flaw("appears twice in one object") if key in members else value
    return members


def _mark_constant(name: str) -> _Flaw:
    return _Flaw(f"is {name}, which is not a JSON number")


def _mark_float(digits: str) -> float | _Flaw:
    number = float(digits)
    return (
        number
        if math.isfinite(number)
        else _Flaw(f"is {digits[:20]}, which is beyond what JSON programs can hold")
    )


def _mark_int(digits: str) -> int | _Flaw:
    try:
        return int(digits)
    except ValueError:
        return _Flaw("has too many digits")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
)
_MARKING = json.JSONDecoder(
    object_pairs_hook=_mark_duplicates,
    parse_constant=_mark_constant,
    parse_float=_mark_float,
    parse_int=_mark_int,
)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
)
