"""The resources of the calls of all runs, by call: who asked for which, and who got them.

A call asks once, before its first attempt, for all that it accesses, and keeps what it got until it
has finished: a retry is still the same call.
"""

from __future__ import annotations

from ..tools.claims import ResourceClaim
from .conflicts import why_they_conflict
from .events import Key
from .frame import TaskCall
from .locating import Waiting
from .locks import LockRequest, Locks


class CallClaims:
    """The claims of ready and running calls, direct ones too. Times are in seconds."""

    def __init__(self) -> None:
        self._locks: Locks[Waiting] = Locks()
        self._requests: dict[str, dict[Key, LockRequest[Waiting]]] = {}
        """By run; `NO_RUN` for direct calls."""

    def __repr__(self) -> str:
        return f"<CallClaims in {self._locks}>"

    @property
    def is_free(self) -> bool:
        """Whether no call has asked for any resource, or all have released them."""
        return self._locks.is_free

    def ask(self, call: Waiting, claims: tuple[ResourceClaim, ...]) -> bool:
        """Ask for *claims* for *call*. Returns whether it has them; else `release` gives it once it
        has."""
        request = self._locks.ask(call, claims)
        self._requests.setdefault(call.key.run, {})[call.key] = request
        return request.blocker is None

    def has_asked(self, key: Key) -> bool:
        return key in self._requests.get(key.run, ())

    def is_waiting(self, key: Key) -> bool:
        """Whether the call of *key* has asked for resources that it did not get yet."""
        request = self._requests.get(key.run, {}).get(key)
        return request is not None and request.blocker is not None

    def of(self, key: Key) -> tuple[ResourceClaim, ...]:
        """Return the claims of the call of *key*; empty if it has none."""
        request = self._requests.get(key.run, {}).get(key)
        return () if request is None else tuple(request.claims)

    def keys(self, run: str) -> list[Key]:
        """List the calls of *run* that have asked, the earliest first."""
        return [*self._requests.get(run, ())]

    def release(self, key: Key, now: float) -> list[Waiting]:
        """Free the resources of the call of *key*, if it has asked for any. Returns the calls that
        got theirs by it, the earliest first."""
        requests = self._requests.get(key.run)
        if requests is None or (request := requests.pop(key, None)) is None:
            return []
        if not requests:
            del self._requests[key.run]
        freed = self._locks.release(request)
        for one in freed:
            if isinstance(one.holder, TaskCall) and one.because is not None:
                on, resource = _waited_for(one.holder, key, *one.because)
                one.holder.waited("conflict", on, now, resource)
        return [one.holder for one in freed]


def _waited_for(
    call: TaskCall, key: Key, lease: ResourceClaim, own: ResourceClaim
) -> tuple[str, str]:
    """Name the call of *key* and the resource for which *call* waited. Another run may be another
    client's, so nothing of it is named, not even the resource if that is narrower than *own*."""
    if key.run == call.key.run:
        return key.task, why_they_conflict(lease, own)[0]
    return "another run" if key.run else f"a call of {key.task}", own.key
