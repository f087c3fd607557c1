"""Foreign text made safe to show: it cannot steer a terminal or forge a line; and made safe to
read."""

from __future__ import annotations

import re
import unicodedata

_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
"""A sequence of a terminal: a style or a movement, or a title or a link (ECMA-48)."""


def plain(text: str) -> str:
    """Drop from *text* the sequences of terminals, and all characters that `printable` escapes
    except line breaks and tabs."""
    if text.isprintable():
        return text
    text = _SEQUENCE.sub("", text)
    return "".join(char for char in text if char in "\n\t" or not _steers(char))


def printable(text: str, keep: str = "") -> str:
    r"""Escape control characters, direction marks and lone surrogates in *text* (`\x1b`), except
    those in *keep*."""
    if text.isprintable():
        return text
    return "".join(char if char in keep or not _steers(char) else _escaped(char) for char in text)


def _steers(char: str) -> bool:
    return unicodedata.category(char) in _STEERING


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()
