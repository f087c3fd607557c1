"""The calls of one run that a person says yes to first.

*The idea.* A call that the policy asks for is held once its arguments are known, before it claims a
resource or takes a slot. Everything else goes on. When nothing else is left to do, or `ASK_S` after
the first call was held, all calls that are held then are asked for with one question, in document
order. The answer releases those that were approved and fails the others. Calls that are held
meanwhile are asked for by the next question.

A preview holds every call that may change something as well, whatever the policy says. Reads that
the policy asks for are asked first, since the preview shows what follows from them; and it is shown
only when nothing else is left to do, so that it shows all that can be known.

*Invariants.* A run has at most one open question. A call is held at most once for each time that it
is to be made: an approved call is sent under its `retries` too, its next page is another call.
While a run only waits for a person, its own time stands still.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from operator import attrgetter

from ..planning.plan import PlannedTask
from ..tools.rules import Answer
from .events import Key, Why
from .frame import TaskCall

ASK_S = 30.0
"""Longest time between the first call that is held and the question, if other calls go on."""


class Holding:
    """The held calls of one run, and its question."""

    def __init__(self, *, is_preview: bool = False) -> None:
        self.is_preview = is_preview
        """Whether calls that may change something are held, whatever the policy says."""
        self.held: dict[Key, tuple[TaskCall, Why]] = {}
        self.asked: dict[Key, TaskCall] = {}
        """The calls of the open question, in document order."""
        self.why_asked = Why.POLICY
        self.question: Key | None = None
        """Names the open question."""
        self.by_policy = 0
        """The number of held calls that the policy asks for."""
        self._new: list[TaskCall] = []
        self.let_go: list[Key] = []
        """The calls that are held no more, for the scheduler to take."""
        self.covered: frozenset[str] = frozenset()
        """The tasks whose calls were approved before they were known."""

    def __repr__(self) -> str:
        return f"<Holding: {len(self.held)} calls held, {len(self.asked)} asked for>"

    def reason(self, call: TaskCall) -> Why | None:
        """Return why *call*, whose arguments are known, is to be held; None if it may start."""
        planned = call.planned
        if call.is_approved or not needs_yes(planned, is_preview=self.is_preview):
            return None
        if self.is_preview and not planned.tool.is_read_only:
            return Why.PREVIEW
        return None if self.covers(call) else Why.POLICY

    def covers(self, call: TaskCall) -> bool:
        """Return whether *call* was approved before it was known."""
        planned = call.planned
        return planned.id in self.covered and planned.policy.decision.answer is Answer.ASK

    def add(self, call: TaskCall, why: Why) -> None:
        self.held[call.key] = call, why
        self.by_policy += why is Why.POLICY
        self._new.append(call)

    def forget(self, key: Key) -> None:
        """Forget the call of *key*, if it is held: its task or item has ended."""
        if self._drop(key):
            self.asked.pop(key, None)

    def take_new(self) -> list[TaskCall]:
        """Return the calls that are held since this was last called."""
        new, self._new = self._new, []
        return [call for call in new if call.key in self.held]

    def to_ask(self) -> list[TaskCall]:
        """Return the calls to ask for next, in document order: those of the preview last."""
        for why in Why:
            calls = [call for call, reason in self.held.values() if reason is why]
            if calls:
                self.why_asked = why
                return sorted(calls, key=attrgetter("planned.index", "key.at", "key.item"))
        return []

    def ask(self, key: Key, calls: list[TaskCall]) -> None:
        """Open the question *key* about *calls*."""
        self.question = key
        self.asked = {call.key: call for call in calls}

    def close(self, about: Container[Key] | None = None) -> Iterator[TaskCall]:
        """End the open question, and yield the calls that it was about, which are held no more: of
        these only *about*, if given; the others are asked for again. A call whose task has ended by
        its turn, since another one failed, is left out."""
        calls = [call for key, call in self.asked.items() if about is None or key in about]
        self.question, self.asked = None, {}
        for call in calls:
            if self._drop(call.key):
                yield call

    def _drop(self, key: Key) -> bool:
        """Hold the call of *key* no longer; returns whether it was held."""
        if (entry := self.held.pop(key, None)) is None:
            return False
        self.by_policy -= entry[1] is Why.POLICY
        self.let_go.append(key)
        return True


def needs_yes(planned: PlannedTask, *, is_preview: bool = False) -> bool:
    """Return whether the calls of *planned* wait for a person: by the policy, or in a preview."""
    return planned.policy.needs_yes or (is_preview and not planned.tool.is_read_only)
