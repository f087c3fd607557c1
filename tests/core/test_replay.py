"""Whatever happens to runs that share a scheduler, each can be made again from its own events."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from plait.core.history import (
    BACKED_OFF,
    BEHIND,
    DECIDED,
    OUTDATED,
    REFUSED,
    CallKey,
    Effect,
    Happened,
    KeptCall,
    KeptEvent,
    Settled,
)
from plait.core.kept_decisions import KeptDecision
from plait.core.replay import Replay, Verified
from plait.core.results.approval import approval_of
from plait.core.results.record import record_of
from plait.core.scheduling.conflicts import Conflicts
from plait.core.scheduling.events import (
    Aborted,
    Ask,
    Call,
    CancelRequested,
    Command,
    Confirmed,
    Decided,
    Event,
    Failed,
    Failure,
    Key,
    Located,
    Status,
    Succeeded,
)
from plait.core.scheduling.notices import Changed, StoodBehind
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Step
from plait.core.tools.rules import Rules
from plait.core.values.strict import encode

from ..profiles import share_of_examples
from .scheduling.documents import documents
from .scheduling.machine import SchedulerMachine
from .scheduling.test_held_runs import RULES, Story
from .scheduling.world import Entry, World


class Kept:
    """What the history would have of one run of *world*."""

    def __init__(self, world: World | HeldStory, run_id: str) -> None:
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
                elif isinstance(notice, StoodBehind) and notice.key.run == run_id:
                    self._event(at, BEHIND, notice.key, notice.is_behind)
            for command in step.commands:
                if isinstance(command, Call) and command.key.run == run_id:
                    self._admit(at, command)
                elif isinstance(command, Ask):
                    self._question = approval_of(self.run, command, "")

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
            case Decided():
                kept = KeptDecision.of(event, self._question)
                self._event(at, DECIDED, None, kept.document())
            case Confirmed(is_outdated=is_outdated):
                if is_outdated:  # else the call goes on, and nothing happens to its run
                    self._event(at, OUTDATED, key)
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


class HeldStory(Story):
    """A run with calls that a person says yes to first, and a journal of it."""

    def __init__(self, *story: Any, **more: Any) -> None:
        self.journal: list[Entry] = []
        self._last: Any = lambda: self.run
        super().__init__(*story, **more)
        self.runs = {"r": self.run}

    def _take(self, step: Step) -> None:
        self.journal.append(Entry(self.now, self._last, step))
        super()._take(step)

    def _answer(self, command: Command) -> Event:
        self._last = event = super()._answer(command)
        return event

    def make(self, jitter: Callable[[], float], order: Conflicts) -> Run:
        return Run("r", self.plan, conflicts=order, jitter=jitter)


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


@given(documents(), RULES, st.integers(0, 99), st.sampled_from((0.0, 0.5, 1.0)))
@share_of_examples(3)
def test_a_run_that_a_person_was_asked_about_is_made_again_with_the_answers(
    document: dict[str, Any], rules: Rules, seed: int, person: float
) -> None:
    story = HeldStory(document, rules, seed, person, preview=False)
    story.play()
    kept = Kept(story, "r")
    assert kept.verify(story.make).calls == len(kept.calls)
