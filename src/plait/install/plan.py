"""A plan as data: what moves, what stays and why, and the new text of each file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from .changes import Change, Drop, Extend, Put
from .clients import Client, Format, Place, Start
from .rules import Answer

Key: TypeAlias = tuple[str, str, str]
"""A server that a client holds: the client, the file, and the server's name there."""


@dataclass(frozen=True, slots=True)
class Options:
    """The wish of the caller."""

    clients: frozenset[str] = frozenset()
    """The clients by name; empty for all."""
    only: frozenset[str] = frozenset()
    """The servers by their clients' names; empty for all."""
    shares: bool = False
    """Whether each client gets all servers, rather than a profile of those that it had."""
    in_project: bool = False
    """Whether the servers of the project in this folder are moved, and those alone."""
    anyway: bool = False
    """Whether files of clients that run and write their own copy back are changed, too."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The files of ours."""

    settings: Path
    secrets: Path


@dataclass(frozen=True, slots=True)
class Held:
    """A server that a client holds."""

    client: Client
    place: Place
    name: str
    settings: Any = field(repr=False)

    @property
    def key(self) -> Key:
        return self.client.name, str(self.place.path), self.name


@dataclass(slots=True)
class Server:
    """A server in our settings."""

    name: str
    meaning: dict[str, Any] = field(repr=False)
    """Its settings with all values filled in."""
    settings: dict[str, Any] = field(repr=False)
    """Its settings as they are written."""
    held: list[Held] = field(default_factory=list)
    is_new: bool = True
    secrets: tuple[str, ...] = ()
    """The variables that were made for it."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A server that is not moved."""

    client: str
    name: str
    reason: str


@dataclass(slots=True)
class FileChange:
    """A file with its new text."""

    path: Path
    title: str
    before: bytes | None = field(repr=False)
    """None if the file is missing."""
    after: bytes = field(repr=False)
    kind: Format | None = None
    changes: tuple[Change, ...] = field(default=(), repr=False)
    removed: tuple[str, ...] = ()
    registers: bool = False
    profile: str = ""
    is_private: bool = False
    """Whether its owner alone may read it."""

    @property
    def lines(self) -> list[str]:
        """The change in words, to make it by hand where it cannot be written."""
        return [line for change in self.changes for line in by_hand(change)]


@dataclass(frozen=True, slots=True)
class Left:
    """A client or file that is left alone."""

    title: str
    path: Path
    reason: str
    lines: tuple[str, ...] = ()


@dataclass(slots=True)
class Plan:
    """All that is to be done."""

    options: Options
    start: Start
    targets: Targets
    clients: int = 0
    servers: list[Server] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    policy: list[tuple[Answer, str, str]] = field(default_factory=list)
    """Rules that are added: the answer, the rule, and the client that it comes from."""
    changes: list[FileChange] = field(default_factory=list)
    """In the order in which they are made: a server is in our settings before it leaves others."""
    notes: list[str] = field(default_factory=list)
    settings: bytes = field(default=b"", repr=False)
    """Our settings as they will be."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """The variables in secrets.env as they will be."""
    names: list[str] = field(default_factory=list)
    """The servers that were found, by the names that clients have for them."""


def by_hand(change: Change) -> Iterator[str]:
    """Yield lines that say how to make *change* by hand, without values that may be secret."""
    place = ".".join(change.at) or "the file"
    match change:
        case Drop(_, key):
            yield f"remove {key} from {place}"
        case Put(_, key, value):
            yield f"put into {place}: {json.dumps({key: value}, ensure_ascii=False)}"
        case Extend(_, items):
            yield f"append to {place}: {json.dumps([*items], ensure_ascii=False)}"
