"""What a server says on stderr, as lines: each is told, and the last of them are kept for its
obituary."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from ..server_requests.requests import REFUSALS

MAX_LINE_BYTES = 8 * 1024
LINES_KEPT = 20
_REASON = re.compile(
    r"\berror\b|\w(Error|Exception)\b|\bcannot\b|\bnot found\b|\b(fatal|panic)", re.IGNORECASE
)
_FRAME = re.compile(r"\s+(at |File |raise |throw )|\s*\^|Traceback ")
_OF_OURS = re.compile("|".join(map(re.escape, REFUSALS)))


class Stderr:
    """Give it bytes as they come; *on_line* is told each line, and no more than `MAX_LINE_BYTES` of
    it at once."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._line = bytearray()
        self._last: deque[str] = deque(maxlen=LINES_KEPT)

    def hear(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line += line[:MAX_LINE_BYTES]
            self._say()
        self._line += rest[:MAX_LINE_BYTES]
        if len(self._line) >= MAX_LINE_BYTES:
            self._say()

    def _say(self) -> None:
        line = self._line[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip()
        self._line.clear()
        if line:
            self._last.append(line)
            self._on_line(line)

    def last_words(self) -> str:
        """The last that was said and looks like a reason, or else the last, to be put behind how
        the server ended; nothing if it said nothing. What it says of answers of ours is no
        reason."""
        said = [line for line in reversed(self._last) if line.strip() and not _OF_OURS.search(line)]
        words = next(filter(_is_reason, said), said[0] if said else "")
        return f"; its last words: {words.strip()[:300]}" if words else ""


def _is_reason(line: str) -> bool:
    """Whether it could say why a program ended; the lines of a traceback do not."""
    return _REASON.search(line) is not None and _FRAME.match(line) is None
