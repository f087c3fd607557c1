"""A server's stderr as lines: each is passed on, and the latest are kept to explain how the server
ended."""

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
"""Lines of a traceback, which match `_REASON` by accident."""
_OF_OURS = re.compile("|".join(map(re.escape, REFUSALS)))


class Stderr:
    """Feed it bytes as they arrive; *on_line* takes each line, in parts of at most
    `MAX_LINE_BYTES`."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._line = bytearray()
        self._last: deque[str] = deque(maxlen=LINES_KEPT)

    def feed(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line += line[:MAX_LINE_BYTES]
            self._finish_line()
        self._line += rest[:MAX_LINE_BYTES]
        if len(self._line) >= MAX_LINE_BYTES:
            self._finish_line()

    def _finish_line(self) -> None:
        line = self._line[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip()
        self._line.clear()
        if line:
            self._last.append(line)
            self._on_line(line)

    def reason(self) -> str:
        """The latest line that looks like a reason, else the latest line, as a suffix for an error
        message; empty if there is none. Lines about refusals of ours are left out."""
        latest = [
            line for line in reversed(self._last) if line.strip() and not _OF_OURS.search(line)
        ]
        reasons = (line for line in latest if _REASON.search(line) and not _FRAME.match(line))
        line = next(reasons, latest[0] if latest else "")
        return f"; its last message: {line.strip()[:300]}" if line else ""
