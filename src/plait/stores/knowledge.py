"""Keeps what callers have seen in one private file, over the death of a gateway.

It holds names of tools and of resources, no values (`core/flows/knowledge.py`). Several gateways
may share it: each has entries of its own, under its process id, and the next one takes over those
of a process that is gone. A gateway writes as soon as anything changes, and forgets a place when
its last client leaves, so what is left in the file is of clients that were there when a gateway
died. Commands that work alone read it and write nothing.

Nothing depends on the file: if it cannot be read or written, that is logged once.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio import to_thread

from ..core.flows.knowledge import Facts, Knowledge, Owner
from ..core.values.principal import Principal
from ..core.values.strict import Json, JsonObject, NotStrict, encode, loads
from . import files

log = logging.getLogger(__name__)

FILE_NAME = "seen.json"
VERSION = 1
PATIENCE_S = 1.0
"""Seconds that anything waits for the file, whose disk may be slow or gone."""
MAX_FILE_BYTES = 8 * 2**20
MAX_AGE_S = 30 * 86_400.0
"""The greatest age of entries that are taken over: their clients do not come back."""


class Entry(NamedTuple):
    """The knowledge of one owner, as one process wrote it."""

    holder: int
    """The id of the process."""
    at: float
    """The time at which it was written, in seconds since 1970."""
    owner: Owner
    facts: Facts

    def document(self) -> JsonObject:
        return {
            "holder": self.holder,
            "at": self.at,
            "principal": self.owner.principal,
            "place": self.owner.place,
            **self.facts.document(),
        }

    @classmethod
    def read(cls, document: Json) -> Entry:
        """Read what `document` made. Raises `ValueError` for anything else."""
        match document:
            case {
                "holder": int(holder),
                "at": int() | float() as at,
                "principal": str(principal),
                "place": str(place),
            }:
                owner = Owner(Principal(principal), place)
                return cls(holder, float(at), owner, Facts.read(document))
        raise ValueError("an entry is not one")


class _OtherVersion(ValueError):
    """The file is of another version of Plait, which may still use it."""


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # of another user
    return True


class KnowledgeFile:
    """Keeps *knowledge* in *folder*, once `is_keeping` is set. *is_alive* says whether a process is
    there."""

    def __init__(
        self,
        knowledge: Knowledge,
        folder: Path,
        *,
        holder: int | None = None,
        is_alive: Callable[[int], bool] = _is_alive,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.is_keeping = False
        self._knowledge = knowledge
        self._file = folder / FILE_NAME
        self._holder = os.getpid() if holder is None else holder
        self._is_alive = is_alive
        self._now = now
        self._kept = 0
        """The changes of the knowledge that are in the file."""
        self._others: dict[Owner, Facts] = {}
        """The knowledge that was read of living processes: it is theirs to write."""
        self._taken_over: set[tuple[int, Owner]] = set()
        """The entries of others that are known here, and written with ours."""
        self._turn = anyio.Lock()
        self._has_failed = False

    def __repr__(self) -> str:
        return f"<KnowledgeFile of {self._knowledge} in {self._file}>"

    async def load(self) -> None:
        """Learn what the file holds."""
        try:
            with anyio.fail_after(PATIENCE_S):
                entries = await to_thread.run_sync(_read, self._file, abandon_on_cancel=True)
        except (OSError, NotStrict, ValueError) as error:
            self._report("read", error)
            return
        oldest = self._now() - MAX_AGE_S
        for entry in entries:
            if entry.at < oldest:
                continue
            self._knowledge.take_in(entry.owner, entry.facts)
            if self._is_alive(entry.holder):
                self._others.setdefault(entry.owner, Facts()).take_in(entry.facts)
            else:
                self._taken_over.add((entry.holder, entry.owner))
                self._kept = -1

    async def save(self) -> None:
        """Write what has changed."""
        async with self._turn:
            changes = self._knowledge.changes
            if not self.is_keeping or changes == self._kept:
                return
            write = partial(_write, self._file, self._holder, self._own(), self._is_gone)
            try:
                with anyio.fail_after(PATIENCE_S):
                    await to_thread.run_sync(write, abandon_on_cancel=True)
                self._kept = changes
            except (OSError, NotStrict, ValueError) as error:
                self._report("written", error)

    def _own(self) -> list[Entry]:
        """Return our entries: those with anything that no living process writes."""
        now = self._now()
        return [
            Entry(self._holder, now, owner, facts)
            for owner, facts in self._knowledge.owners.items()
            if not _holds(self._others.get(owner), facts)
        ]

    def _is_gone(self, entry: Entry) -> bool:
        """Return whether *entry* of another process is not to be kept as it is."""
        is_known = (entry.holder, entry.owner) in self._taken_over
        return is_known or entry.at < self._now() - MAX_AGE_S

    def _report(self, verb: str, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning(f"seen.not_{verb}", extra={"file": str(self._file), "error": str(error)})


def _holds(known: Facts | None, facts: Facts) -> bool:
    if known is None:
        return not facts.seen and not facts.written
    return facts.seen <= known.seen and all(
        tools <= known.written.get(steps, set()) for steps, tools in facts.written.items()
    )


def _read(file: Path) -> list[Entry]:
    try:
        text, _ = files.read(file, MAX_FILE_BYTES)
    except FileNotFoundError:
        return []
    match loads(text):
        case {"version": 1, "entries": list(entries)}:
            return [Entry.read(one) for one in entries]
        case {"version": int(version)} if version != VERSION:
            raise _OtherVersion("it is of another version of Plait")
    raise ValueError("it is not one of ours")


def _write(file: Path, holder: int, own: Sequence[Entry], is_gone: Callable[[Entry], bool]) -> None:
    with _locked(file.parent):
        try:
            found = _read(file)
        except _OtherVersion:
            raise
        except ValueError:  # damaged: what was in it is lost
            found = []
        others = [one for one in found if one.holder != holder and not is_gone(one)]
        entries: list[Json] = [one.document() for one in (*others, *own)]
        document: JsonObject = {"version": VERSION, "entries": entries}
        files.write(file, encode(document), MAX_FILE_BYTES)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of *folder*, which is made if it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
