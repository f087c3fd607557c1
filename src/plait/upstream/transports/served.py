"""The gateway as a link to a door sees it: how it answers the hello, and serves the client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from mcp.server import Server

from ...core.values.strict import JsonObject
from ...door.frames import HELLO_VERSION, read_record
from .conversation import Drain
from .frame_stream import FrameStream
from .reports import IsReadOnly

SERVE = "serve"
SERVE_HTTP = "serve --http"


@dataclass(frozen=True, slots=True)
class Hello:
    """The first step of the hello."""

    protocol: str
    """The version of the frames that the door sends."""
    version: str
    door: str
    """An id that no other door has."""
    folder: Path
    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    """The variables that decide which settings are read."""
    is_isolated: bool
    """Whether this gateway serves this door alone."""
    client: str = SERVE
    """`serve` for a door, `serve --http` for a port; else the command of a person."""

    @classmethod
    def read(cls, payload: bytes) -> Self:
        fields = read_record(payload)
        single = dict(fields)
        variables = (value.partition("=") for name, value in fields if name == "env")
        return cls(
            single.get("hello", ""),
            single.get("version", ""),
            single.get("door", ""),
            Path(single.get("folder", "/")),
            tuple(value for name, value in fields if name == "arg"),
            {name: value for name, _, value in variables},
            single.get("isolated") == "1",
            single.get("client", SERVE),
        )

    @property
    def is_person(self) -> bool:
        return self.client not in {SERVE, SERVE_HTTP}

    @property
    def is_understood(self) -> bool:
        return self.protocol == HELLO_VERSION


@dataclass(frozen=True, slots=True)
class Greeting:
    """The answer to a hello: the limit of a line, and the names of the variables that the settings
    use."""

    max_line_bytes: int
    names: Sequence[str]


class Refused(Exception):
    """The hello is refused, or the session cannot go on here. `code` is one of `frames.REFUSED`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Served:
    """The server of one client, and how its calls end."""

    server: Server[Any]
    drain: Drain
    max_message_bytes: int
    is_read_only: IsReadOnly = lambda name: False
    on_written: Callable[[], None] = lambda: None
    """Called after each message to the client."""
    settings: str = ""
    """Where its settings are from."""
    notice: str = ""
    """A note to its user about the settings; empty without one."""


class Errand(Protocol):
    """A command of a person."""

    url: str
    """The address that it serves; empty for a command that serves none."""
    settings: str
    """Where its settings are from."""

    async def run(self) -> None:
        """Carry it out."""

    async def drain(self) -> None:
        """Wait for its end, or end it soon."""


class Host(Protocol):
    """The gateway that doors connect to."""

    instance: str
    """A name that no other gateway has."""

    async def greet(self, hello: Hello) -> Greeting:
        """Answer the first step of the hello. Raises `Refused`."""

    def open(self, hello: Hello, values: dict[str, str]) -> AbstractAsyncContextManager[Served]:
        """Open what serves a client with these *values* of variables. Raises `Refused`."""

    def carry_out(
        self, hello: Hello, values: dict[str, str], order: bytes, stream: FrameStream
    ) -> AbstractAsyncContextManager[Errand]:
        """Open what carries out the command of a person at the other end of *stream*. Raises
        `Refused`."""

    async def control(self, command: str) -> JsonObject:
        """Carry out a command of a person."""
