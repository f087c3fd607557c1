"""What keeps a task back whose dependencies have settled: one before it that touches the same, or
the layer before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..tools.claims import ResourceClaim
from .conflicts import why_they_conflict
from .locks import Locks, Request


class ConflictOrder:
    """Tasks that touch the same resource go one after the other, in the order in which they are
    given."""

    def __init__(self, tasks: Iterable[tuple[str, tuple[ResourceClaim, ...]]]) -> None:
        self._locks: Locks[str] = Locks()
        self._places: dict[str, Request[str]] = {
            id: self._locks.ask(id, claims) for id, claims in tasks
        }
        """Of each task, until it has come to its end."""

    def has_come(self, id: str) -> bool:
        """Whether no task has to end before *id* for what they touch."""
        return id not in self._places or self._places[id].blocker is None

    def end(self, id: str) -> list[tuple[str, str]]:
        """*id* has come to its end: the tasks whose turn has come by that, each with the resource
        that both touch."""
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
    """A layer is open once every task of the one before has come to its end."""

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
        """*id* has come to its end: the tasks of the layers that are open by that."""
        self._left[self._layer_of[id]] -= 1
        while self._open < len(self._left) and self._left[self._open] == 0:
            self._open += 1
            if self._open < len(self._tasks):
                yield from self._tasks[self._open]
