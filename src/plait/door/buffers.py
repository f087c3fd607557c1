"""Bytes on their way through a door: the client's, cut into lines, and those that wait to be
written."""

from __future__ import annotations

from .frames import MESSAGE, TOO_LONG

SHOWN_BYTES = 4096
"""The part of a line above the limit that is passed on, for its id."""


class LineCutter:
    """Cuts what a client writes into lines. Empty ones are left out, and of a line above the limit
    only the beginning is kept."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._partial = bytearray()
        self._is_passing_over = False

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Add *data*, and return the lines that are whole now, each with the kind of its frame. No
        data ends the last line."""
        found: list[tuple[bytes, bytes]] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._end_line(data[start:end], found)
            start = end + 1
        if not data:
            self._end_line(b"", found)
        elif not self._is_passing_over:
            self._partial += data[start:]
            if len(self._partial) > self.max_bytes:
                found.append((TOO_LONG, bytes(self._partial[:SHOWN_BYTES])))
                self._partial, self._is_passing_over = bytearray(), True
        return found

    def _end_line(self, rest: bytes, found: list[tuple[bytes, bytes]]) -> None:
        if self._is_passing_over:
            self._is_passing_over = False
            return
        if self._partial:
            self._partial += rest
            rest, self._partial = bytes(self._partial), bytearray()
        if len(rest) > self.max_bytes:
            found.append((TOO_LONG, rest[:SHOWN_BYTES]))
        elif line := rest.strip():
            found.append((MESSAGE, line))


class Outbox:
    """Bytes that wait to be written, in their order. `size` says how many."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes | memoryview] = []

    def __repr__(self) -> str:
        return f"<Outbox: {self.size} bytes>"

    def add(self, *parts: bytes) -> None:
        for part in parts:
            self._parts.append(part)
            self.size += len(part)

    def first(self, most: int) -> bytes | memoryview:
        """Return at most *most* bytes from the front, and at least one: small parts together, a
        large one without a copy. There must be some."""
        if self.size <= most:
            if len(self._parts) > 1:
                self._parts = [b"".join(self._parts)]
            return self._parts[0]
        if len(self._parts[0]) < most:
            self._parts[:64] = [b"".join(self._parts[:64])]
        return memoryview(self._parts[0])[:most]

    def remove(self, size: int) -> None:
        """Drop the first *size* bytes of what `first` returned: they are written."""
        self.size -= size
        if size == len(self._parts[0]):
            del self._parts[0]
        elif size:
            self._parts[0] = memoryview(self._parts[0])[size:]

    def clear(self) -> None:
        self.size = 0
        self._parts.clear()
