"""Files of what servers listed at earlier starts: one a server, served until the server is there.

A file holds the server's era, and its lists as it sent them. All of it is read as if the server had
said it just now, so a file is trusted with no more than that. Nothing depends on the files: the
first one that cannot be read or written is logged, and everything works without.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread

from ..core.tools.cached_listing import CachedListing
from ..core.values.strict import JsonObject, encode, loads
from ..waiting import Signal
from . import files

log = logging.getLogger(__name__)

FOLDER = "servers"
VERSION = 1
MAX_FILE_BYTES = 8 * 2**20
MAX_FILES = 500
"""With more, the oldest are deleted: their servers are hardly configured any more."""
PATIENCE_S = 1.0
"""Longest wait of a start or a stop for the disk, which may be slow or gone."""
PAUSE_S = 1.0
"""Changes that come within this time are written together."""
DEPTH = 100
"""Deepest nesting of a file: somewhat more than a list may have."""


class ListingCache:
    """The `Listings` in *folder*. With None nothing is read or written, but everything works."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder / FOLDER if folder is not None else None
        self._kept: dict[str, CachedListing] = {}
        self._unread: set[str] = set()
        self._written: dict[str, int] = {}
        """Number of changes of each that have been written."""
        self._digests: dict[str, bytes] = {}
        """Hash of each file, so that the same text is not written again."""
        self._changed = Signal()
        self._has_failed = False

    def __repr__(self) -> str:
        return f"<ListingCache of {len(self._kept)} servers in {self._folder}>"

    def of(self, key: str) -> CachedListing:
        if key not in self._kept:
            self._kept[key] = CachedListing(self._changed.notify)
            self._written[key] = 0
            self._unread.add(key)
        return self._kept[key]

    async def load(self) -> None:
        """Read the files that were not read yet, unless the disk takes too long."""
        unread, self._unread = sorted(self._unread), set()
        if self._folder is None or not unread:
            return
        with anyio.move_on_after(PATIENCE_S):
            for key, found in await to_thread.run_sync(
                _read_all, self._folder, unread, abandon_on_cancel=True
            ):
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
            log.warning(f"listing_cache.not_{what}", extra=fields)


@dataclass(frozen=True, slots=True)
class _Found:
    document: JsonObject
    digest: bytes


def _read_all(folder: Path, keys: list[str]) -> list[tuple[str, _Found | Exception]]:
    """Read the files of *keys*, each into a document or an error. Missing files are left out."""
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
    text, _ = files.read(file, MAX_FILE_BYTES)
    document = loads(text, DEPTH)
    if not isinstance(document, dict) or document.pop("version", None) != VERSION:
        raise ValueError("it is of another version of Plait")
    return _Found(document, hashlib.sha256(text).digest())


def _write(file: Path, document: JsonObject, known: bytes | None) -> bytes:
    """Replace *file* by *document*, unless it holds the *known* text; gives the hash of the
    text."""
    text = encode(document)
    digest = hashlib.sha256(text).digest()
    if digest != known:
        files.write(file, text, MAX_FILE_BYTES)
        _trim(file.parent)
    return digest


def _trim(folder: Path) -> None:
    """Delete the oldest files, where there are too many."""
    kept = [entry for entry in os.scandir(folder) if entry.name.endswith(".json")]
    if len(kept) > MAX_FILES:
        for entry in sorted(kept, key=lambda entry: entry.stat().st_mtime)[: len(kept) - MAX_FILES]:
            os.unlink(entry.path)
