"""The number of values in JSON text, and about the memory that they take once they are parsed.

A limit on bytes alone bounds neither work nor memory: ten megabytes of `{},{},…` are three million
objects, take a second to read and 25 times their size to keep. What is counted here are values: the
elements of lists, the members of objects, and the lists and objects themselves. Counting looks at
the bytes and parses nothing, so text can be refused before any of it is built. The outermost value
does not count, and an empty list or object counts twice.
"""

from __future__ import annotations

from typing import NamedTuple

VALUE_BYTES = 100
"""About the memory that a parsed value takes besides its text: the place in its list or object, and
its share of that object."""

_LONG_BYTES = 16 * 1024
_FEW = 100
"""Text of at most this number of values is not searched for strings: what they hold counts too."""


class Extent(NamedTuple):
    """The size of a value: `bytes` as compact JSON, `memory` in bytes as it is kept."""

    bytes: int
    memory: int


def extent_of(text: bytes) -> Extent:
    """Return the size of the value that *text*, compact JSON, is written for."""
    is_long = len(text) > _LONG_BYTES
    values = _count_up_to(text, b",{[", _FEW) if is_long else _most_values(text)
    if values > _FEW:
        values = count_values(text)
    return Extent(len(text), len(text) + VALUE_BYTES * values)


def holds_more_values(text: bytes, most: int) -> bool:
    """Whether the JSON *text* holds more than *most* values."""
    return _most_values(text) > most and (
        text.count(b'"') > 4 * most + text.count(b'\\"') or count_values(text) > most
    )


def count_values(text: bytes) -> int:
    """Count the values in the JSON *text*; what its strings hold does not count."""
    return _most_values(_without_strings(text))


def is_deeper(text: bytes, most: int) -> bool:
    """Whether lists and objects that are not empty are nested deeper than *most* levels in *text*,
    which is compact JSON."""
    if len(text) <= 2 * most:  # each level has two brackets
        return False
    if len(text) > _LONG_BYTES:
        opened = _count_up_to(text, b"{[", most)
    else:
        opened = text.count(b"{") + text.count(b"[")
    if opened <= most:
        return False
    marks = _without_strings(text).replace(b"{}", b"0").replace(b"[]", b"0")
    marks = marks.translate(_AS_BRACKETS, _NO_BRACKETS)
    for _ in range(most):  # each time the innermost level goes
        if not marks:
            return False
        marks = marks.replace(b"[]", b"")
    return bool(marks)


def _without_strings(text: bytes) -> bytes:
    if b'"' not in text:
        return text
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"0".join(text.split(b'"')[::2])  # a list of one string is not empty


def _count_up_to(text: bytes, marks: bytes, most: int) -> int:
    """Count *marks* in *text*, exactly up to *most*. Where they are few, as in long text, to look
    for the next one is ten times as fast as to count all."""
    number = 0
    for mark in marks:
        position = text.find(mark)
        while position >= 0 and number <= most:
            number += 1
            position = text.find(mark, position + 1)
    return number


def _most_values(text: bytes) -> int:
    return text.count(b",") + text.count(b"{") + text.count(b"[")


_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
