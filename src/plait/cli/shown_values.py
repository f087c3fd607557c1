"""Foreign names and values in lines of a given width, for a person to judge.

A value is JSON with all control characters escaped, or, if it is a text of several lines, these
behind a bar: no value can steer the terminal or pass for a line of the program. Unless all of it is
to be shown (`is_whole`), no more is looked at than is shown, and what is left out is counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from ..core.results.difference import Difference
from ..core.values.printable import printable
from ..core.values.strict import Json
from .style import Line, Look, Styled, counted, pretty
from .widths import fitting, width_of

MOST_LINES = 8
"""Most lines of one value."""
MOST_CHANGED = 16
"""Most lines of a difference."""
MOST_CHARS = 240
"""Most characters of one value, or of one line of it."""
MOST_NESTED_CHARS = 4_000
"""Most characters of a value that is laid out over lines."""


_LOOKS = {"+": Look.GREEN, "-": Look.RED, "@": Look.BLUE}


class Origin(str):
    """Where a value comes from that is not known yet."""

    __slots__ = ()


class Compared(NamedTuple):
    """A value, and what it changes in what it overwrites."""

    value: Json
    difference: Difference


def value_lines(value: Json | Compared, room: int, *, is_whole: bool) -> Iterator[Line]:
    """Show *value* in lines of at most *room*: a text of several lines as these, behind a bar; one
    that is compared as its difference and, if all of it is to be shown, then itself."""
    if isinstance(value, Compared):
        yield from _difference(value, room, is_whole=is_whole)
        return
    if isinstance(value, Origin):
        yield from ((Styled(part, Look.BLUE),) for part in words(value, room))
        return
    if isinstance(value, str) and "\n" in value.rstrip("\n"):
        yield from _lines_of(value, room, is_whole=is_whole)
        return
    if isinstance(value, dict | list) and value:
        yield from _nested(value, room, is_whole=is_whole)
        return
    for part in chunks(value_text(value, None if is_whole else MOST_CHARS), room):
        yield (part,)


def _difference(compared: Compared, room: int, *, is_whole: bool) -> Iterator[Line]:
    value, difference = compared
    size = len(value if isinstance(value, str) else value_text(value, None))
    said = f"{difference.counts} · {counted(size, 'character')} · read by {difference.reader}"
    yield from ((Styled(part, Look.DIM),) for part in words(printable(said), room))
    kept = difference.lines
    shown = kept if is_whole or len(kept) <= MOST_CHANGED else kept[: MOST_CHANGED - 1]
    for line in shown:
        look = _LOOKS.get(line[:1])
        for part in chunks(printable(line, "\t").expandtabs(4), room):
            yield (part if look is None else Styled(part, look),)
    if left := len(kept) + difference.left_out - len(shown):
        yield (Styled(f"… {counted(left, 'more line')}", Look.DIM),)
    if is_whole:
        yield (Styled("as it will be sent:", Look.DIM),)
        yield from value_lines(value, room, is_whole=True)


def _lines_of(text: str, room: int, *, is_whole: bool) -> Iterator[Line]:
    count = text.count("\n") + (not text.endswith("\n"))
    end = "" if text.endswith("\n") else ", no line break at the end"
    yield from (
        (Styled(part, Look.DIM),)
        for part in words(f"{count:,} lines, {len(text):,} characters{end}", room)
    )
    start, left = 0, count if is_whole else min(count, MOST_LINES)
    for _ in range(left):
        end_at = text.find("\n", start)
        end_at = len(text) if end_at < 0 else end_at
        line = text[start:end_at] if is_whole else text[start : min(end_at, start + MOST_CHARS + 1)]
        written = printable(line, "\t").expandtabs(4)
        if not is_whole and len(line) > MOST_CHARS:
            written = f"{written[:MOST_CHARS]}… ({end_at - start:,} characters)"
        for part in chunks(written, room - 2):
            yield (Styled("│ ", Look.DIM), part)
        start = end_at + 1
    if count > left:
        yield (Styled(f"… {counted(count - left, 'more line')}", Look.DIM),)


def _nested(value: Json, room: int, *, is_whole: bool) -> Iterator[Line]:
    text = json.dumps(value, ensure_ascii=False)
    if width_of(text) <= room or (len(text) > MOST_NESTED_CHARS and not is_whole):
        for part in chunks(value_text(value, None if is_whole else MOST_CHARS, text), room):
            yield (part,)
        return
    lines = pretty(value, room)
    for line in lines if is_whole else islice(lines, MOST_LINES):
        for part in chunks(printable(line), room):
            yield (part,)
    if left := sum(1 for _ in lines):
        yield (Styled(f"… {counted(left, 'more line')} ({len(text):,} characters)", Look.DIM),)


def value_text(value: Json, most: int | None, text: str | None = None) -> str:
    """Write *value* as JSON on one line of about *most* characters: what is left out is counted."""
    if isinstance(value, str) and most is not None and len(value) > most:
        text, whole = json.dumps(value[: most + 1], ensure_ascii=False)[:-1], len(value)
    else:
        text = json.dumps(value, ensure_ascii=False) if text is None else text
        whole = len(text)
    if most is None or whole <= most:
        return printable(text)
    return f"{printable(text[:most])}… ({whole:,} characters)"


def words(text: str, room: int) -> Iterator[str]:
    while (most := fitting(text, room)) < len(text):
        end = text.rfind(" ", 1, most + 1)
        end = most if end <= 0 else end
        yield text[:end]
        text = text[end:].lstrip(" ")
    yield text


def chunks(text: str, room: int) -> Iterator[str]:
    """Break *text* in pieces of at most *room*, behind a blank if there is one near; nothing of it
    is left out."""
    start = 0
    while (most := fitting(text, room, start)) < len(text):
        blank = text.rfind(" ", start + (most - start) * 2 // 3, most)
        end = most if blank < 0 else blank + 1
        yield text[start:end]
        start = end
    yield text[start:]


def foreign(text: str, most: int | None) -> str:
    """Make a foreign name safe to show, at most *most* characters of it."""
    if most is None or len(text) <= most:
        return printable(text)
    return f"{printable(text[:most])}… ({len(text):,} characters)"
