"""Whatever happens to runs that share a scheduler, each can be made again from its own events."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis.stateful import run_state_machine_as_test

from plait.core.history import (
    BACKED_OFF,
    REFUSED,
    CallKey,
    Effect,
    Happened,
    KeptCall,
    KeptEvent,
    Settled,
)
from plait.core.replay import Replay, Verified
from plait.core.results.record import record_of
from plait.core.scheduling.conflicts import Conflicts
from plait.core.scheduling.events import (
    Aborted,
    Call,
    CancelRequested,
    Changed,
    Failed,
    Failure,
    Key,
    Located,
    Status,
    Succeeded,
)
from plait.core.scheduling.run import Run
from plait.core.values.strict import encode

from ..profiles import share_of_examples
from .scheduling.machine import SchedulerMachine
from .scheduling.world import World


class Kept:
    """What the history would have of one run of *world*."""

    def __init__(self, world: World, run_id: str) -> None:
        self.run = world.runs[run_id]
        self.calls: list[KeptCall] = []
        self.events: list[KeptEvent] = []
        self._number = 0
        self._air: dict[Key, int] = {}
        """The place of each call in the air among the calls."""
        for at, what, step in world.journal:
            if callable(what):
                if what().id == run_id:
                    self._began = at
            elif isinstance(what, CancelRequested):
                if what.run == run_id:
                    self._event(at, "cancelled", None, what.at_once or None)
            elif isinstance(what, tuple) and what.key.run == run_id:
                self._happens(at, what)
            for notice in step.notices:
                if isinstance(notice, Changed) and notice.key.run == run_id:
                    self._decided(at, notice)
            for command in step.commands:
                if isinstance(command, Call) and command.key.run == run_id:
                    self._admit(at, command)

    @property
    def settled(self) -> list[Settled]:
        return [
            Settled(id, 0.0, state.status, state.error, state.output)
            for id, state in self.run.states.items()
        ]

    def verify(self, make: Callable[..., Run]) -> Verified:
        record = record_of(self.run, 0.0)
        replay = Replay(self.calls, self.events)
        order = Conflicts.of_order(self.run.conflicts.order())
        return replay.verify(lambda jitter: make(jitter, order), self.settled, record)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _event(self, at: float, kind: str, key: Key | None, detail: Any = None) -> None:
        name = None if key is None else CallKey(key.task, key.item, key.at)
        event = Happened(at - self._began, kind, name, detail)
        self.events.append(KeptEvent(self.run.id, self._next(), event))

    def _happens(self, at: float, event: Any) -> None:
        key = event.key
        match event:
            case Succeeded() | Failed() | Aborted():
                if (place := self._air.pop(key, None)) is not None:
                    self._end(place, at, event)
            case Located():
                self._event(at, "located", key, [])
            case _:
                self._event(at, type(event).__name__.lower(), key)

    def _end(self, place: int, at: float, event: Succeeded | Failed | Aborted) -> None:
        output, error, cached = None, None, False
        match event:
            case Succeeded():
                output, cached = event.output, event.cached
            case Failed():
                error = Failure.of(event.error)
            case Aborted():
                error = Failure("cancelled", "the call was cancelled")
        self.calls[place] = replace(
            self.calls[place],
            ended=self._next(),
            ended_at=at - self._began,
            output=output,
            error=error,
            cached=cached,
        )

    def _decided(self, at: float, change: Changed) -> None:
        if change.jitter is not None:
            self._event(at, BACKED_OFF, change.key, change.jitter)
        elif change.before is Status.READY and change.after is Status.FAILED:
            assert change.error is not None
            self._event(at, REFUSED, change.key, change.error.document())

    def _admit(self, at: float, call: Call) -> None:
        key = call.key
        self._air[key] = len(self.calls)
        self.calls.append(
            KeptCall(
                self.run.id,
                CallKey(key.task, key.item, key.at, call.round),
                call.attempt,
                call.tool.full_name,
                Effect.READ,
                self._next(),
                at - self._began,
                None,
                None,
                None,
                hashlib.sha256(encode(call.arguments)).hexdigest(),
                call.arguments,
            )
        )


def makers(world: World) -> dict[str, Callable[..., Run]]:
    return {entry.what().id: entry.what for entry in world.journal if callable(entry.what)}


class Replayed(SchedulerMachine):
    """Each run alone, without the limits, the conflicts and the runs around it."""

    def check_end(self, world: World) -> None:
        for run_id, make in makers(world).items():
            kept = Kept(world, run_id)
            verified = kept.verify(make)
            assert verified.calls == len(kept.calls)
            assert verified.is_whole


def test_each_run_of_any_story_is_made_again_from_its_own_events() -> None:
    run_state_machine_as_test(Replayed, settings=share_of_examples(0.5))
