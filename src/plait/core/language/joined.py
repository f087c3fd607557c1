"""Texts that are put together as programs do it: quoted texts and references with signs between
them, and literals that a program fills in. Only the references would be replaced, so the signs and
quotes around them would be sent."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from .foreign import meaning

REASON = "Write one text with the references in it: n=$OUTPUT[id].path, without quotes and signs."
"""How to write such a text."""

OURS = (
    r"\$(?:OUTPUT|STATUS|ERROR)\[[\w.-]{1,128}\][\w.\[\]*\"-]{0,200}"
    r"|\$(?:ITEM|INDEX)[\w.\[\]]{0,200}"
)
_PART = re.compile(
    rf"\s{{0,9}}(?:(?P<quoted>\"[^\"\n]{{0,500}}\"|'[^'\n]{{0,500}}')|(?P<ours>{OURS})"
    r"|(?P<name>[A-Za-z_][\w.\[\]-]{0,200}))\s{0,9}"
)
_COMMA = re.compile(r",")
_SIGN = re.compile(r"\+|~|&(?!&)|\.\.")
_FORMATTED = re.compile(
    r"\s{0,9}(?:\"[^\"\n]{0,500}\"|'[^'\n]{0,500}')\s{0,9}(?:\.format\(|%\s{0,9}\(?)\s{0,9}"
    r"(?P<name>[A-Za-z_][\w.\[\]-]{0,200})[^\n]{0,200}"
)
_LITERAL = re.compile(
    r"(?<![\w$])(?:[fF][rR]?|[rR][fF]|\$@?)(?:\"[^\"\n]{0,500}?[{$]|'[^'\n]{0,500}?[{$])"
    r"|`[^`\n]{0,500}?\$\{[^`\n]{0,500}`"
    r"|[\"'`]\s{0,3}[+~&]\s{0,3}\S|\S\s{0,3}[+~&]\s{0,3}[\"'`]"
)
MAX_PARTS = 20
"""Most parts of one such text."""


class Joined(NamedTuple):
    """A text that joins others: the first reference in it, and the one text that means the same,
    or None if that is unclear."""

    first: str
    fixed: str | None


def joined(text: str, ids: Collection[str]) -> Joined | None:
    """Read the whole of *text* as quoted texts and references, with signs between them; None if it
    is anything else, or names none of the tasks *ids*."""
    if (formatted := _FORMATTED.fullmatch(text)) is not None:
        meant = meaning(formatted["name"].rstrip("."), ids)
        return None if meant is None or meant.endswith("]") else Joined(meant, None)
    return _put_together(text, _SIGN, ids, items=False)


def listed(text: str, ids: Collection[str], *, items: bool) -> Joined | None:
    """Read the whole of *text* as `joined` does, with commas between quoted texts and
    references."""
    return _put_together(text, _COMMA, ids, items=items)


def _put_together(
    text: str, between: re.Pattern[str], ids: Collection[str], *, items: bool
) -> Joined | None:
    position, parts, first, has_text = 0, list[str](), "", False
    is_clear = True
    while len(parts) < MAX_PARTS:
        if (part := _PART.match(text, position)) is None:
            return None
        if part["quoted"] is not None:
            parts.append(part["quoted"][1:-1])
            has_text = True
            is_clear = is_clear and not {"\\", "$", "{"} & {*parts[-1]}
        else:
            meant = part["ours"] or meaning(part["name"], ids, items=items)
            if meant is None:
                return None
            parts.append(f"${{{meant[1:]}}}")
            first = first or meant
        position = part.end()
        if position == len(text):
            break
        if (sign := between.match(text, position)) is None:
            return None
        is_clear = is_clear and sign[0] != ".."
        position = sign.end()
    if position < len(text) or len(parts) < 2 or not has_text or not first:
        return None
    return Joined(first, "".join(parts) if is_clear else None)


def is_in_a_program(text: str) -> bool:
    """Return whether *text* has a literal that a program fills in, or joins quoted texts."""
    return _LITERAL.search(text) is not None
