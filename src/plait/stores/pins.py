"""Pins: the definitions of tools as they were when they were first used, in small private files,
one a server.

A definition steers models, so one that changes later may be an upgrade or an attack. What was first
used stays pinned until a person accepts another one (`plait servers accept`). Several gateways and
that command share the files: each adds what is not there yet, under a lock, and only the command
replaces. A disk that cannot be read or written stops no call: it is logged once.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
from anyio import to_thread

from ..core.tools.definitions import described, hash_of
from ..core.values.strict import Json, JsonObject, encode, loads
from ..waiting import Signal
from . import files

log = logging.getLogger(__name__)

FOLDER = "pins"
VERSION = 1
MAX_FILE_BYTES = 16 * 2**20
PATIENCE_S = 1.0
"""Longest wait of a call, a start or a stop for the disk, which may be slow or gone."""
PAUSE_S = 0.5
"""Pins that come within this time are written together."""
DEPTH = 100


class Pins:
    """The pins of all servers, in *folder*. With None nothing is read or written, and all is
    forgotten at the end."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._of: dict[str, ServerPins] = {}
        self._new = Signal()

    def __repr__(self) -> str:
        return f"<Pins of {len(self._of)} servers in {self._folder}>"

    def of(self, key: str) -> ServerPins:
        """Return the pins of the server that *key* identifies."""
        if key not in self._of:
            file = None if self._folder is None else file_of(self._folder, key)
            self._of[key] = ServerPins(file, self._new.notify)
        return self._of[key]

    async def load(self) -> None:
        """Read the files that were not read yet; bounded in time. What is left is read when it is
        asked for."""
        with anyio.move_on_after(PATIENCE_S):
            for pins in list(self._of.values()):
                await pins.load()

    async def keep(self) -> None:
        """Write what is new, until cancelled."""
        seen = 0
        while True:
            await self._new.wait(seen)
            await anyio.sleep(PAUSE_S)
            seen = self._new.count
            await self.save()

    async def save(self) -> None:
        """Write what is new; bounded in time."""
        with anyio.move_on_after(PATIENCE_S):
            for pins in list(self._of.values()):
                await pins.save()


class ServerPins:
    """The pins of one server, in *file*. *on_new* is called after each new one."""

    def __init__(self, file: Path | None, on_new: Callable[[], None] = lambda: None) -> None:
        self._file = file
        self._on_new = on_new
        self._hashes: dict[str, str] = {}
        self._unwritten: dict[str, JsonObject] = {}
        self._stamp: files.Stamp | None = None
        """The file as it was last read or written."""
        self._is_read = file is None
        self._has_failed = False

    def __repr__(self) -> str:
        return f"<ServerPins of {len(self._hashes)} tools in {self._file}>"

    def has(self, tool: str, hash: str) -> bool:
        """Return whether the pinned definition of *tool* is known and has that *hash*."""
        return self._hashes.get(tool) == hash

    async def settle(self, tool: str, hash: str, definition: JsonObject) -> bool:
        """Return whether *definition*, whose hash is *hash*, may be that of *tool*: it is the
        pinned one, or the first, which is pinned then."""
        if not self._is_read or self._hashes.get(tool, hash) != hash:
            await self.load(again=True)  # a person may have accepted it meanwhile
        if (pinned := self._hashes.get(tool)) is not None:
            return pinned == hash
        self._hashes[tool] = hash
        if self._file is not None:
            self._unwritten[tool] = described(definition)
            self._on_new()
        return True

    def changed(self, hash_of: Callable[[str], str | None]) -> tuple[str, ...]:
        """Return the tools whose definition is not the pinned one. *hash_of* gives the hash of a
        tool, None for one that is not there."""
        now = {tool: hash_of(tool) for tool in self._hashes}
        return tuple(
            tool for tool, pinned in self._hashes.items() if now[tool] not in {pinned, None}
        )

    async def load(self, *, again: bool = False) -> None:
        """Read the file if that was not done yet or, *again*, if it has changed; bounded in
        time."""
        if self._file is None or (self._is_read and not again):
            return
        with anyio.move_on_after(PATIENCE_S) as scope:
            try:
                found = await to_thread.run_sync(
                    _read_if_changed, self._file, self._stamp, abandon_on_cancel=True
                )
            except (OSError, ValueError, RecursionError) as error:
                self._complain("read", error)
            else:
                if found is not None:
                    tools, self._stamp = found
                    self._hashes |= {name: hash_of(one) for name, one in tools.items()}
        if scope.cancelled_caught:
            self._complain("read", TimeoutError("it takes too long"))
        self._is_read = True

    async def save(self) -> None:
        """Write the new pins; bounded in time."""
        if self._file is None or not self._unwritten:
            return
        new, self._unwritten = self._unwritten, {}
        with anyio.move_on_after(PATIENCE_S):
            try:
                await to_thread.run_sync(add, self._file, new, abandon_on_cancel=True)
            except (OSError, ValueError, RecursionError) as error:
                self._complain("written", error)

    def _complain(self, what: str, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning(
                f"pins.not_{what}", extra={"file": str(self._file), "error": str(error)[:300]}
            )


def file_of(folder: Path, key: str) -> Path:
    """Return the file in the state *folder* for the pins of the server that *key* identifies."""
    return folder / FOLDER / f"{key}.json"


def read(file: Path) -> dict[str, JsonObject]:
    """Return the pinned definitions in *file*, by tool; none if there is no file. Raises `OSError`
    and `ValueError`."""
    found = _read_if_changed(file, None)
    return {} if found is None else found[0]


def add(file: Path, new: Mapping[str, JsonObject]) -> None:
    """Pin the *new* definitions in *file*, except of the tools that are pinned there. Raises
    `OSError` and `ValueError`."""
    with _locked(file):
        before = read(file)
        if not new.keys() <= before.keys():
            _write(file, {**new, **before})


def accept(file: Path, now: Mapping[str, JsonObject]) -> None:
    """Pin the definitions *now* in *file*, in the place of those that are pinned there. Raises
    `OSError` and `ValueError`."""
    with _locked(file):
        _write(file, {**read(file), **{name: described(one) for name, one in now.items()}})


def _write(file: Path, tools: Mapping[str, JsonObject]) -> None:
    document: dict[str, Json] = {"version": VERSION, "tools": dict[str, Json](tools)}
    files.write(file, encode(document), MAX_FILE_BYTES)


def _read_if_changed(
    file: Path, known: files.Stamp | None
) -> tuple[dict[str, JsonObject], files.Stamp] | None:
    """Return what *file* holds, with its stamp; None if there is none, or if it is the *known*
    one."""
    try:
        text, stamp = files.read(file, MAX_FILE_BYTES)
    except FileNotFoundError:
        return None
    if stamp == known:
        return None
    document = loads(text, DEPTH)
    tools = document.get("tools") if isinstance(document, dict) else None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ValueError("it is of another version of Plait")
    kept = tools.items() if isinstance(tools, dict) else ()
    return {name: one for name, one in kept if isinstance(one, dict)}, stamp


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the lock of the folder of *file*, which is made if it is missing."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
