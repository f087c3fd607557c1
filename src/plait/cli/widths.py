"""The width of text on a terminal, in cells: letters of some scripts and emoji take two of them,
and combining marks none."""

from __future__ import annotations

from collections.abc import Iterator

LONGER_THAN_LINES = 10_000
"""Characters above which a text is certain not to fit into a line, and is not measured."""


def width_of(text: str) -> int:
    """Return the width of *text*; of a very long one its number of characters."""
    if text.isascii() or len(text) > LONGER_THAN_LINES:
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fitting(text: str, room: int, start: int = 0) -> int:
    """Return the end of the part of *text* from *start* that is at most *room* wide. It has at
    least one letter, with all marks on it."""
    most = max(room, 1)
    part = text[start : start + most + 1]  # what follows may be a mark on the last letter
    if part.isascii():
        return start + min(len(part), most)
    part = text[start : start + 2 * room + 8]
    left = room
    for begin, end, width in _letters(part):
        left -= width
        if left < 0:
            return start + (begin or end)
    return start + len(part)


def letters(text: str) -> Iterator[tuple[str, int]]:
    """Yield the letters of *text*, each with the marks on it, and their widths."""
    if text.isascii():
        yield from ((char, 1) for char in text)
    else:
        yield from ((text[begin:end], width) for begin, end, width in _letters(text))


def padded(text: str, width: int) -> str:
    """Fill *text* up with blanks to *width*."""
    return text + " " * (width - width_of(text))


def cut_text(text: str, most: int) -> str:
    """Cut *text* to a width of *most*, but to no less than its mark of a cut."""
    if width_of(text) <= most:
        return text
    part = text[: fitting(text, most - 1)]
    return f"{part}…" if width_of(part) < most else "…"


def _letters(text: str) -> list[tuple[int, int, int]]:
    from rich.cells import split_graphemes

    spans, _ = split_graphemes(text)
    return [*spans]
