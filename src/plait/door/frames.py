"""The frames between a door and a shared gateway: a kind, a number, a length, a payload.

A door numbers its client's lines 1, 2, 3 … for as long as it lives, over the deaths of gateways;
*number* says which of them a frame is about. An answer carries the number of its request, so that a
gateway that is killed cannot have sent one and not the word that it has; any other message carries
0.

A *record* is a list of `name=value` with NUL between them, which no path, argument or variable can
contain. The door reads no JSON: importing `json` would take longer than the rest of its start.
"""

from __future__ import annotations

import os
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = Struct("!cII")
HELLO_VERSION = "1"
"""Only a door and a gateway with the same one can talk."""

# In both directions.
MESSAGE = b"m"
"""A JSON-RPC message without a line end."""
CONTROL = b"c"
"""A command of `plait ps`, `stop` or `restart`, and its answer in JSON."""

# From the door.
HELLO = b"h"
"""A record: `hello`, `version`, `door` (its id), `pid`, `folder`, `client` (`serve`, or the command
of a person), `isolated` (0 or 1), each `arg`, and as `env` the variables with which the settings
are found: `PLAIT_*`, `HOME` and `XDG_CONFIG_HOME`."""
VALUES = b"v"
"""A record of variables: those that the gateway named, and the safe ones."""
REPLAY = b"r"
"""Key NUL note NUL line: a message that an earlier gateway kept for this session. It is not
answered again."""
LOST = b"l"
"""Id NUL note of a request that an earlier gateway took and did not answer."""
TOO_LONG = b"o"
"""The beginning of a line above the limit."""
END = b"e"
"""The client has closed its end. A socket that closes without it is a door that was killed."""

# From a command of a person, and about it.
COMMAND = b"w"
"""The command and the form of the streams, in JSON (`cli/orders.py`). It follows the hello."""
INTERRUPT = b"i"
"""The number of a signal, in decimal: the first one cancels the command, the second one ends it at
once. For a port, SIGHUP has the settings read anew, and any other one closes it."""
OUT = b"1"
ERR = b"2"
"""Bytes for standard output, and for standard error. A door gets the latter as a note about its
client's settings."""
FILE = b"f"
"""Path NUL content of a file to write."""
MISUSED = b"y"
"""Parameter NUL text: the command line is wrong, and nothing was done."""
EXIT = b"z"
"""The exit code, in decimal: the command has ended."""
QUESTION = b"?"
"""A line of the person's terminal is wanted, with this number. What it is for is shown next."""
ANSWER = b"!"
"""The line for the question of this number; empty without a terminal, or once it is closed."""
WITHDRAWN = b"."
"""The line is not wanted any more."""
PORT = b"p"
"""The URL of the port that was opened for `plait serve --http`."""

# From the gateway.
NAMES = b"n"
"""A record: `instance`, `version`, `max_line` (bytes), and each `name` of a variable that the
settings use."""
REFUSED = b"x"
"""Code NUL text. The code is `version`, `settings` or `protocol`."""
TAKEN = b"t"
"""Id NUL note: from now on the request may have effects, and must not be sent again. For a command
of a person it is empty."""
SAFE = b"s"
"""Id: the request is being answered, has no effects, and may be sent to another gateway. Only one
whose answer takes a while is reported."""
DONE = b"d"
"""No answer will come: the line was a notification, an answer, or a request that was cancelled."""
KEEP = b"k"
"""Key NUL note: the line belongs to the state of the session."""
DROP = b"u"
"""Key: the line that was kept under it does not any more."""
ASKED = b"q"
"""The id of a question to the client."""
SETTLED = b"a"
"""The id of a question that is answered or withdrawn."""
BYE = b"b"
"""`stop` or `restart`: the gateway was asked to end, and has answered everything."""


def frame(kind: bytes, payload: bytes = b"", number: int = 0) -> bytes:
    return HEADER.pack(kind, number, len(payload)) + payload


class Frames:
    """Cuts what is read from a stream into frames. The rest at the end of the stream is of a frame
    that was never sent whole."""

    def __init__(self) -> None:
        self._data = bytearray()

    def __repr__(self) -> str:
        return f"<Frames: {len(self._data)} bytes of the next one>"

    def feed(self, data: bytes) -> list[tuple[bytes, int, bytes]]:
        """Add *data*, and return the frames that are whole now: kind, number, payload."""
        source: bytes | bytearray = data
        if self._data:
            self._data += data
            source = self._data
        found: list[tuple[bytes, int, bytes]] = []
        start, size = 0, len(source)
        while size - start >= HEADER.size:
            kind, number, length = HEADER.unpack_from(source, start)
            end = start + HEADER.size + length
            if end > size:
                break
            found.append((kind, number, bytes(source[start + HEADER.size : end])))
            start = end
        if source is data:
            self._data += data[start:]
        else:
            del self._data[:start]
        return found


def record(pairs: Iterable[tuple[str, str]]) -> bytes:
    return b"\0".join(os.fsencode(f"{name}={value}") for name, value in pairs)


def read_record(data: bytes) -> list[tuple[str, str]]:
    """Return the pairs of a record, in order. A name may be there several times."""
    fields = (os.fsdecode(field).partition("=") for field in data.split(b"\0") if field)
    return [(name, value) for name, _, value in fields]
