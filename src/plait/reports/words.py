"""Texts of a run as a report may hold them.

Names and messages come from documents and servers. Secrets are taken out before anything is dropped
or cut, and once more after what could steer a reader was dropped: a secret may have been written
around it. Each format escapes its own markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from ..core.values.printable import plain, printable

Redact: TypeAlias = Callable[[str], str]
"""Takes the secrets out of a text."""

MAX_NAME = 200
MAX_LINE = 500
MAX_TEXT = 10_000
_NO_CHARACTERS = re.compile("[\ufffe\uffff]")
"""Unicode has no such characters, and XML forbids them."""


class Words:
    """Makes texts fit for a report, without the secrets that *redact* takes out."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact
        self._names: dict[str, str] = {}
        """Names as they are shown: the one of a tool stands in many places."""

    def name(self, text: str, most: int = MAX_NAME) -> str:
        """Return a name on one line of at most *most* characters, control characters escaped; `-`
        if it is empty."""
        if (known := self._names.get(text)) is None:
            known = _known(printable(self._redact(" ".join(text.split()))))
            self._names[text] = known
        return _cut(known, most) or "-"

    def line(self, text: str, most: int = MAX_LINE) -> str:
        """Return *text* on one line of at most *most* characters."""
        return _cut(" ".join(self._plain(text).split()), most)

    def text(self, text: str, most: int = MAX_TEXT) -> str:
        """Return *text* with its lines, cut to *most* characters."""
        return _cut(self._plain(text), most)

    def _plain(self, text: str) -> str:
        return _known(self._redact(plain(self._redact(text))))


def _known(text: str) -> str:
    return _NO_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
