"""Lines as pieces of text, some with a style. Their text is escaped when it is written, so that it
cannot steer the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from itertools import accumulate, groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from ..core.values.strict import Json
from ..core.values.wording import counted as counted
from ..core.values.wording import milliseconds as milliseconds
from .widths import cut_text, letters, width_of

TIMES = "\N{MULTIPLICATION SIGN}"


class Look(StrEnum):
    """A style, and the terminal's code for it."""

    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    BLUE = "34"
    MAGENTA = "35"


class Styled(NamedTuple):
    text: str
    look: Look


Line: TypeAlias = tuple[str | Styled, ...]


class Verbatim(str):
    """Text of somebody else, whose lines are neither folded nor cut."""

    __slots__ = ()


def bare(piece: str | Styled) -> str:
    """Return the text of *piece*."""
    return piece.text if isinstance(piece, Styled) else piece


def length(line: Line) -> int:
    """Return the width of *line*, in cells."""
    return sum(width_of(bare(piece)) for piece in line)


def fold(line: Line, width: int) -> Iterator[Line]:
    """Break *line* between words into lines of at most *width*; all but the first are indented."""
    if length(line) <= width or any(isinstance(piece, Verbatim) for piece in line):
        yield line
        return
    left = [
        _Letter(letter, cells, piece.look if isinstance(piece, Styled) else None)
        for piece in line
        for letter, cells in letters(bare(piece))
    ]
    blanks = next((at for at, letter in enumerate(left) if letter.text != " "), 0)
    indent = min(blanks + 2, width // 2)
    while (most := _fitting(left, width)) < len(left):
        ends = (at for at in range(most, indent, -1) if left[at].text == " ")
        end = next(ends, most)
        yield _pieces(left[:end])
        while end < len(left) and left[end].text == " ":
            end += 1
        left = [_Letter(" ", 1, None)] * indent + left[end:]
    yield _pieces(left)


def cut(line: Line, width: int) -> Line:
    """Cut *line* to *width*."""
    if length(line) <= width:
        return line
    first = next(fold((*line[:-1], line[-1]), width - 1), line)
    return (*first, "…")


class _Letter(NamedTuple):
    text: str
    cells: int
    look: Look | None


def _fitting(letters: list[_Letter], width: int) -> int:
    """Return how many of *letters*, at least two, fit into *width*."""
    for count, end in enumerate(accumulate(letter.cells for letter in letters)):
        if end > width:
            return max(count, 2)
    return len(letters)


def _pieces(letters: list[_Letter]) -> Line:
    groups = groupby(letters, key=attrgetter("look"))
    texts = (("".join(letter.text for letter in group), look) for look, group in groups)
    return tuple(text if look is None else Styled(text, look) for text, look in texts)


def one_line(text: str, most: int) -> str:
    """Put *text* on one line of at most *most* cells."""
    return cut_text(" ".join(text.split()), most)


def pretty(value: Json, width: int) -> Iterator[str]:
    """Yield *value* as lines of JSON: what fits into *width* is on one line. Text stays as it
    is."""
    if isinstance(value, str):
        yield from value.splitlines() or [""]
    else:
        yield from _nested(value, width, "", "")


def _nested(value: Json, width: int, before: str, after: str) -> Iterator[str]:
    indent = " " * (len(before) - len(before.lstrip()))
    flat = json.dumps(value, ensure_ascii=False)
    if (
        len(before) + width_of(flat) + len(after) <= width
        or not isinstance(value, dict | list)
        or not value
    ):
        yield f"{before}{flat}{after}"
        return
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    yield before + opening
    members = list(_members(value))
    for index, (name, member) in enumerate(members):
        yield from _nested(
            member, width, f"{indent}  {name}", "," if index < len(members) - 1 else ""
        )
    yield f"{indent}{closing}{after}"


def _members(value: dict[str, Json] | list[Json]) -> Iterator[tuple[str, Json]]:
    if isinstance(value, list):
        yield from (("", member) for member in value)
    else:
        yield from (
            (f"{json.dumps(name, ensure_ascii=False)}: ", member) for name, member in value.items()
        )
