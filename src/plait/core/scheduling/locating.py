"""Calls that wait for the place of a file: until it is known, their claims are unknown.

Which file a name means only the file system knows, so it is asked with a command, `Locate`, one for
all calls of a run that became ready in one step. Calls of one run claim in the order in which they
became ready, those of one step in document order: what is found sooner waits for what was ready
before it. That order must not let one mount that hangs hold up calls that use others. So a call
whose files are not found promptly loses its place in the order: its files get a command of their
own, and it claims whenever they are found, or fails. Direct calls have no order among each other
and are located one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from ...errors import CallError, ServerUnavailable
from ..tools.claims import Accesses, Places, ResourceClaim, ResourceName
from ..values.printable import printable
from .behind import HeldPlace
from .direct_calls import DirectCall
from .events import Key, Locate, Located
from .frame import TaskCall

PROMPT_S = 0.25
"""Seconds that calls of a run wait for the files of those that were ready before them."""
LOCATE_S = 10.0
"""Seconds that a call waits for its files in all; a sleeping disk needs some."""
LONGEST_NAME = 200
"""Most characters of a name in an error."""

Waiting: TypeAlias = TaskCall | DirectCall
"""A waiting call, of a run or direct."""
Claimant: TypeAlias = Waiting | HeldPlace
"""A call whose files are located: one that waits, or the place of one that is held."""
Ready: TypeAlias = tuple[Claimant, Accesses]
"""A ready call, or the place of a held one, and its accesses."""


@dataclass(slots=True)
class Outcome:
    """The consequences of new calls, or of an answer: names to locate, calls that can claim, calls
    that have failed."""

    commands: list[Locate] = field(default_factory=list)
    claims: list[tuple[Claimant, tuple[ResourceClaim, ...]]] = field(default_factory=list)
    refused: list[tuple[Claimant, CallError]] = field(default_factory=list)


class _Alone(NamedTuple):
    """A call without a place in an order, and the known places of its files."""

    call: Claimant
    accesses: Accesses
    places: Places


class _Batch:
    """Calls of one run that became ready in one step; `is_open` until their files are located, or
    the time is over."""

    __slots__ = ("calls", "is_open", "places")

    def __init__(self, calls: list[Ready], places: Places, *, is_open: bool) -> None:
        self.calls = calls
        self.places = places
        self.is_open = is_open


class Locating:
    """The calls whose files are being located."""

    def __init__(self) -> None:
        self._batches: dict[str, deque[_Batch]] = {}
        """By run, in the order in which they became ready: open ones, and those that wait for
        them."""
        self._open: dict[Key, _Batch] = {}
        """By the key of the command."""
        self._alone: dict[Key, _Alone] = {}

    def __repr__(self) -> str:
        return f"<Locating: {len(self._open)} batches, {len(self._alone)} calls alone>"

    @property
    def is_free(self) -> bool:
        return not self._batches and not self._alone

    def add(self, run: str, calls: list[Ready], places: Places) -> Outcome:
        """Add *calls* of *run*, which became ready in this order; *places* are known."""
        names = _missing(calls, places)
        batch = _Batch(calls, places, is_open=bool(names))
        self._batches.setdefault(run, deque()).append(batch)
        if not names:
            return Outcome(claims=list(self._take(run)))
        key = calls[0][0].key
        self._open[key] = batch
        return Outcome([Locate(key, names, PROMPT_S)])

    def add_alone(self, call: Waiting, accesses: Accesses) -> Outcome:
        """Add *call*, which is ready and in no order with others."""
        if not (names := accesses.files):
            return Outcome(claims=[(call, accesses.claims({}))])
        self._alone[call.key] = _Alone(call, accesses, {})
        return Outcome([Locate(call.key, names, LOCATE_S)])

    def answer(self, event: Located) -> Outcome:
        """Take the answer to a command, unless it is not waited for any more."""
        if (batch := self._open.pop(event.key, None)) is not None:
            return self._answer_batch(batch, event)
        if (alone := self._alone.pop(event.key, None)) is None:
            return Outcome()
        places = {**alone.places, **event.places}
        if names := _missing([(alone.call, alone.accesses)], places):
            return Outcome(refused=[(alone.call, _not_found(names[0]))])
        return Outcome(claims=[(alone.call, alone.accesses.claims(places))])

    def _answer_batch(self, batch: _Batch, event: Located) -> Outcome:
        batch.is_open = False
        batch.places = places = {**batch.places, **event.places}
        outcome = Outcome()
        in_order: list[Ready] = []
        for call, accesses in batch.calls:
            if names := _missing([(call, accesses)], places):
                self._alone[call.key] = _Alone(call, accesses, places)
                outcome.commands.append(Locate(call.key, names, LOCATE_S - PROMPT_S))
            else:
                in_order.append((call, accesses))
        batch.calls = in_order
        outcome.claims += self._take(event.key.run)
        return outcome

    def _take(self, run: str) -> Iterator[tuple[Claimant, tuple[ResourceClaim, ...]]]:
        """Yield the calls of *run* that no longer wait for an earlier batch."""
        batches = self._batches[run]
        while batches and not batches[0].is_open:
            batch = batches.popleft()
            yield from [(call, accesses.claims(batch.places)) for call, accesses in batch.calls]
        if not batches:
            del self._batches[run]

    def drop_run(self, run: str) -> list[Key]:
        """Forget *run*, which has ended; gives the keys of its unanswered commands."""
        self._batches.pop(run, None)
        keys = [key for key in (*self._open, *self._alone) if key.run == run]
        for key in keys:
            self._open.pop(key, None)
            self._alone.pop(key, None)
        return keys

    def drop(self, key: Key) -> bool:
        """Forget the call of *key*, if it was being located alone; True if it was."""
        return self._alone.pop(key, None) is not None

    def leave(self, key: Key) -> bool:
        """Forget the call of *key*, if it was being located with others or waits behind such; True
        if it did."""
        for batch in self._batches.get(key.run, ()):
            left = [(call, accesses) for call, accesses in batch.calls if call.key != key]
            if len(left) < len(batch.calls):
                batch.calls = left
                return True
        return False


def _missing(calls: list[Ready], places: Places) -> tuple[ResourceName, ...]:
    return tuple(
        dict.fromkeys(name for _, access in calls for name in access.files if name not in places)
    )


def _not_found(name: ResourceName) -> CallError:
    return ServerUnavailable(
        f"the file system gave no answer about {printable(name.key)[:LONGEST_NAME]} in "
        f"{LOCATE_S:g} s: "
        "the call was not sent",
        hint="Check whether a disk or a network mount hangs, then run it again.",
    )
