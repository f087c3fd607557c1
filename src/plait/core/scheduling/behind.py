"""Calls that would come after held calls of their run, since they use one resource.

A held call claims nothing, so that no other run waits for a person. Within its run the order of
resources holds all the same: what would have waited for its claims had it not been held waits until
it is decided, in a line of its own for each run. Where all resources are known before anything runs
the plan has that order already; this is for arguments with references, whose resources are known
only once a call is held, or ready.

So the files of held calls are located too, in one order with those of the calls that are ready. A
held call stands in the line until it is decided; any other call that meets it there stays in the
line behind it, and leaves it for the real claims once nothing in it is before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..tools.claims import ResourceClaim
from .events import Key
from .frame import TaskCall
from .locks import LockRequest, Locks


@dataclass(frozen=True, slots=True)
class HeldPlace:
    """A held call, as it stands for others in the line; *key* names what locates its files."""

    key: Key
    call: TaskCall


@dataclass(slots=True)
class _Line:
    locks: Locks[TaskCall] = field(default_factory=Locks)
    held: dict[Key, LockRequest[TaskCall]] = field(default_factory=dict)
    """The held calls."""
    waiting: set[Key] = field(default_factory=set)
    """The calls behind these."""


class Behind:
    """The lines of all runs."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._count = 0

    def __repr__(self) -> str:
        return f"<Behind: {len(self._lines)} runs>"

    def place_of(self, call: TaskCall) -> HeldPlace:
        """Return what stands for *call*, which is held."""
        self._count += 1
        return HeldPlace(Key(call.key.run, "", self._count, (0,)), call)

    def hold(self, call: TaskCall, claims: Sequence[ResourceClaim]) -> list[TaskCall]:
        """Put *call*, which is held, into the line with *claims*; gives the calls that are free to
        go since it has others than before."""
        freed = self.let_go([call.key])
        line = self._lines.setdefault(call.key.run, _Line())
        line.held[call.key] = line.locks.ask(call, claims)
        return freed

    def waits(self, call: TaskCall, claims: Sequence[ResourceClaim]) -> bool:
        """Return whether *call*, with *claims*, comes after a held call; then it stays in the
        line."""
        if (line := self._lines.get(call.key.run)) is None:
            return False
        request = line.locks.ask(call, claims)
        if request.blocker is None:
            line.locks.release(request)
            return False
        line.waiting.add(call.key)
        return True

    def let_go(self, keys: Iterable[Key]) -> list[TaskCall]:
        """Take the calls of *keys*, which are held no more, out of the line; gives those behind
        them that are free to go, in the order in which they came."""
        freed: list[TaskCall] = []
        for key in keys:
            line = self._lines.get(key.run)
            if line is None or (request := line.held.pop(key, None)) is None:
                continue
            gone = [request]
            while gone:
                for next in line.locks.release(gone.pop(0)):
                    if next.holder.key in line.waiting:
                        line.waiting.remove(next.holder.key)
                        freed.append(next.holder)
                        gone.append(next)
            if not line.held:
                del self._lines[key.run]
        return freed

    def drop_run(self, run: str) -> None:
        self._lines.pop(run, None)
