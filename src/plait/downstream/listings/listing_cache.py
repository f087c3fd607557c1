"""What is known of servers from earlier starts, kept in one file for each, and served until the live one is there.

A file holds the verdict on a server's era, and its lists as it sent them. None is trusted with more than that: all of
it is read as if the server had said it just now. Nothing depends on the files; one that cannot be read or written is
told once, and everything goes on without.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import anyio
from anyio import to_thread

from ...config import ServerSettings
from ...core.values.strict import Json, JsonObject, encode, loads
from ...waiting import Signal

log = logging.getLogger(__name__)

FOLDER = "servers"
VERSION = 1
MAX_FILE_BYTES = 8 * 2**20
MAX_FILES = 500
"""Of servers that are configured no more; the oldest go first."""
PATIENCE_S = 1.0
"""How long a start or a stop waits for the disk, which may be slow or gone."""
PAUSE_S = 1.0
"""Changes that come together are written together."""
DEPTH = 100
"""Of a file: somewhat more than what is listed may have."""


class CachedListing:
    """What is kept of one server: a JSON object, to be read and replaced member by member."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.document: JsonObject = {}
        self.changes = 0
        self._on_change = on_change

    def __repr__(self) -> str:
        return f"<Remembered: {', '.join(self.document) or 'nothing'}>"

    def get(self, member: str) -> Json:
        """What was kept under that name; None if nothing was. It may be any strict JSON."""
        return self.document.get(member)

    def put(self, member: str, value: Json) -> None:
        """Keep *value* from now on, nothing for None. Whoever puts it does not change it any more."""
        document = {name: kept for name, kept in self.document.items() if name != member}
        if value is not None:
            document[member] = value
        self.document = document
        self.changes += 1
        self._on_change()

    def load(self, document: JsonObject) -> None:
        """Take what a file holds; what is known already stays."""
        self.document = {**document, **self.document}


class ListingCache:
    """The files of all servers. Without a *folder* nothing is read or written, but everything works."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder / FOLDER if folder is not None else None
        self._kept: dict[str, CachedListing] = {}
        self._unread: set[str] = set()
        self._written: dict[str, int] = {}
        """How many changes of each have been written."""
        self._digests: dict[str, bytes] = {}
        """Of the text in each file, so that the same is not written again."""
        self._changed = Signal()
        self._has_failed = False

    def __repr__(self) -> str:
        return f"<Shelf of {len(self._kept)} servers in {self._folder}>"

    def of(self, name: str, settings: ServerSettings) -> CachedListing:
        """What is kept of the server *name*; empty until it is loaded."""
        key = file_key(name, settings)
        if key not in self._kept:
            self._kept[key] = CachedListing(self._changed.notify)
            self._written[key] = 0
            self._unread.add(key)
        return self._kept[key]

    async def load(self) -> None:
        """Read the files that were not yet, unless the disk takes too long."""
        unread, self._unread = sorted(self._unread), set()
        if self._folder is None or not unread:
            return
        with anyio.move_on_after(PATIENCE_S):
            for key, found in await to_thread.run_sync(_read_all, self._folder, unread, abandon_on_cancel=True):
                self._take(key, found)

    async def keep(self) -> None:
        """Write what changed, until cancelled."""
        seen = 0
        while True:
            await self._changed.wait(seen)
            await anyio.sleep(PAUSE_S)
            seen = self._changed.count
            await self.save()

    async def save(self) -> None:
        """Write what changed, unless the disk takes too long."""
        changed = [key for key, kept in self._kept.items() if kept.changes != self._written[key]]
        if self._folder is None or not changed:
            return
        with anyio.move_on_after(PATIENCE_S):
            for key in changed:
                await self._save(key, self._folder / f"{key}.json")

    async def _save(self, key: str, file: Path) -> None:
        kept = self._kept[key]
        self._written[key], document = kept.changes, {"version": VERSION, **kept.document}
        try:
            self._digests[key] = await to_thread.run_sync(
                _write, file, document, self._digests.get(key), abandon_on_cancel=True
            )
        except (OSError, ValueError, TypeError, RecursionError) as error:
            self._complain("written", key, error)

    def _take(self, key: str, found: _Found | Exception) -> None:
        if isinstance(found, Exception):
            self._complain("read", key, found)
        else:
            self._digests[key] = found.digest
            self._kept[key].load(found.document)

    def _complain(self, what: str, key: str, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            fields = {"file": f"{self._folder}/{key}.json", "error": str(error)[:300]}
            log.warning(f"remembered.not_{what}", extra=fields)


def file_key(name: str, settings: ServerSettings) -> str:
    """Which file is that of a server: by what makes it this server and no other, and by nothing that is a secret.

    Of variables, headers and the query of a URL only the names count.
    """
    parts = urlsplit(settings.url or "")
    said: JsonObject = {
        "name": name,
        "command": settings.command,
        "args": list(settings.args),
        "env": list[Json](sorted(settings.env)),
        "cwd": str(settings.cwd),
        "url": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
        "query": list[Json](sorted(key for key, _ in parse_qsl(parts.query, keep_blank_values=True))),
        "headers": list[Json](sorted(settings.headers)),
        "kind": settings.kind,
        "builtin": settings.builtin,
        "root": str(settings.root) if settings.builtin is not None else None,
        "commands": list(settings.allow_commands),
        "protocol": settings.protocol,
    }
    return f"{name}-{hashlib.sha256(encode(said)).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True)
class _Found:
    document: JsonObject
    digest: bytes


def _read_all(folder: Path, keys: list[str]) -> list[tuple[str, _Found | Exception]]:
    """What the files of *keys* hold, or why one cannot be used. Those that are not there are left out."""
    found: list[tuple[str, _Found | Exception]] = []
    for key in keys:
        try:
            found.append((key, _read(folder / f"{key}.json")))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            found.append((key, error))
    return found


def _read(file: Path) -> _Found:
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a named pipe would wait for a writer
    with open(descriptor, "rb") as source:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            raise OSError("it is not a file that Plait has written")
        text = source.read(MAX_FILE_BYTES)
    document = loads(text, DEPTH)
    if not isinstance(document, dict) or document.pop("version", None) != VERSION:
        raise ValueError("it is of another version of Plait")
    return _Found(document, hashlib.sha256(text).digest())


def _write(file: Path, document: JsonObject, known: bytes | None) -> bytes:
    """Put *document* in the place of *file* at once, unless it holds the *known* text; gives the hash of the text."""
    text = encode(document)
    digest = hashlib.sha256(text).digest()
    if digest == known:
        return digest
    if len(text) > MAX_FILE_BYTES:
        raise OSError("what the server lists is too large to be kept")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # its mode is 0600
    try:
        with open(descriptor, "wb") as target:
            target.write(text)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
    _trim(file.parent)
    return digest


def _trim(folder: Path) -> None:
    """Let the oldest files go, where there are too many."""
    files = [entry for entry in os.scandir(folder) if entry.name.endswith(".json")]
    if len(files) > MAX_FILES:
        for entry in sorted(files, key=lambda entry: entry.stat().st_mtime)[: len(files) - MAX_FILES]:
            os.unlink(entry.path)
