"""Rests in reading what a server sends, so that one that floods us takes a part of the time alone.

What answers a request is read as it comes: there are only as many answers as there were requests.
Anything else (messages, notifications, lines and events that cannot be read, comments) comes as
fast as the server likes, and the time that it takes is taken from the calls of all other servers.
So reading rests for some times as long as such things took (`rest_after` in `waiting.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

MANY, REST_S = 16, 0.01
"""Messages that are handled in a row, and the rest after them."""
HANDLING_S = 0.0003
"""About the time that the SDK takes to handle one message."""
SLICE_BYTES = 8_192
"""Most bytes of a stream of events that are read in a row: as many as a thousand empty events."""


def sliced(chunk: bytes) -> Iterator[bytes]:
    """Cut *chunk* into what is read in a row."""
    for start in range(0, len(chunk), SLICE_BYTES):
        yield chunk[start : start + SLICE_BYTES]
