"""Reasons to hold a task back after its dependencies have settled: an earlier task that uses the
same resource, or the layer before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..tools.claims import ResourceClaim
from .conflicts import why_they_conflict
from .locks import Locks, Request


class ConflictOrder:
    """Makes tasks that use the same resource run one after the other, in the order in which they
    are given."""

    def __init__(self, tasks: Iterable[tuple[str, tuple[ResourceClaim, ...]]]) -> None:
        self._locks: Locks[str] = Locks()
        self._places: dict[str, Request[str]] = {
            id: self._locks.ask(id, claims) for id, claims in tasks
        }
        """The lock request of each unfinished task."""

    def has_come(self, id: str) -> bool:
        """Whether *id* waits for no task with the same resource."""
        return id not in self._places or self._places[id].blocker is None

    def end(self, id: str) -> list[tuple[str, str]]:
        """Finish *id*; gives the tasks that were waiting for it alone, each with the shared
        resource."""
        if (place := self._places.pop(id, None)) is None:
            return []
        return [
            (
                request.holder,
                why_they_conflict(*request.because)[0] if request.because is not None else "",
            )
            for request in self._locks.release(place)
        ]


class Layers:
    """Opens a layer once every task of the one before has finished."""

    def __init__(self, layer_of: Mapping[str, int]) -> None:
        self._layer_of = layer_of
        self._tasks: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
        for id, layer in layer_of.items():
            self._tasks[layer].append(id)
        self._left = [len(tasks) for tasks in self._tasks]
        self._open = 0

    def is_open(self, id: str) -> bool:
        return self._layer_of[id] <= self._open

    def end(self, id: str) -> Iterator[str]:
        """Finish *id*; gives the tasks of the layers that this opens."""
        self._left[self._layer_of[id]] -= 1
        while self._open < len(self._left) and self._left[self._open] == 0:
            self._open += 1
            if self._open < len(self._tasks):
                yield from self._tasks[self._open]
