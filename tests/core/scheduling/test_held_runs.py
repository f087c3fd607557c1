"""Drawn runs with calls that a person says yes to first: whatever is asked for, in whatever order
it is answered, only what was approved is sent, as it was shown, and the rest is as without
asking."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.results.record import record_of
from plait.core.scheduling.events import (
    Abort,
    Aborted,
    Ask,
    Call,
    CancelRequested,
    Command,
    Confirm,
    Confirmed,
    Decided,
    Event,
    Failed,
    Key,
    Locate,
    Located,
    Sleep,
    Succeeded,
    Woke,
)
from plait.core.scheduling.holding import ASK_S
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler, Step
from plait.core.tools.output import Output
from plait.core.tools.overwriting import Reading
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.values.strict import dumps
from plait.errors import CallTimeout, ToolError
from plait.observers.records import RunRecords

from ...profiles import share_of_examples
from .documents import CATALOG, PATHS, documents
from .places import as_named, conflicts_in

RULES = st.sampled_from(
    (
        Rules(ask=("write",)),
        Rules(ask=("*:do",)),
        Rules(ask=("read", "write")),
        Rules(ask=("a:*",), ask_each=("b:*",)),
        Rules(ask_each=("write",), allow=("a:write",)),
    )
)
ENOUGH = 2_000
"""Events after which every run has ended."""
READING = Reading("content", "s:read", {}, is_file=True, digest="d")


class Story:
    """One run of *document* under *rules*, whose commands are answered in an order and with answers
    that *seed* decides. *person* is the share of calls that are approved."""

    def __init__(
        self, document: dict[str, Any], rules: Rules, seed: int, person: float, *, preview: bool
    ) -> None:
        self.rules = rules
        self.random = random.Random(seed)
        self.person = person
        policy = Policy(tables=(rules,))
        sent = {**document, "preview": preview}
        self.plan: Plan = check(read_dag(sent), CATALOG, policy)
        self.run = Run("r", self.plan, conflicts=conflicts_in(self.plan))
        self.scheduler = Scheduler(Limits(3))
        self.open: dict[Key, Command] = {}
        self.due: dict[Key, float] = {}
        self.records = RunRecords()
        self.now = 0.0
        self.sent: list[Call] = []
        self.approved: dict[tuple[Key, int], str] = {}
        """The arguments of each approved call and round."""
        self.to_confirm: set[Key] = set()
        """The approved calls of which a difference was shown, and that were not confirmed."""
        self.is_shown_again = False
        """Whether something was not as it was shown, so that a preview may be shown again."""
        self.is_previewing = preview
        self._take(self.scheduler.submit(self.run, self.now))

    def _take(self, step: Step) -> None:
        for command in step.commands:
            match command:
                case Abort(key):
                    self.open.pop(key, None)
                case Locate(key):
                    self.open[key] = command
                case Call():
                    self._may_be_sent(command)
                    self.open[command.key] = command
                case Confirm(key):
                    assert key in self.to_confirm
                    self.open[key] = command
                case Ask():
                    self._may_ask(command)
                    self.open[command.key] = command
                case Sleep(key, seconds):
                    self.open[key] = command
                    self.due[key] = self.now + seconds
        for notice in step.notices:
            self.records(notice)
        record = self.records.record("r", self.now)
        assert record == record_of(self.run, self.now)

    def _may_be_sent(self, call: Call) -> None:
        self.sent.append(call)
        needs_yes = call.policy.needs_yes
        assert call.key not in self.to_confirm
        assert not (self.is_previewing and not call.tool.is_read_only)
        if needs_yes:
            assert self.approved.get((call.key, call.round)) == dumps(call.arguments)
            assert call.is_approved

    def _may_ask(self, ask: Ask) -> None:
        assert not any(isinstance(one, Ask) for one in self.open.values())
        assert ask.calls
        indices = {task.id: task.index for task in self.plan.all_tasks()}
        places = [(indices[call.key.task], call.key.item or 0) for call in ask.calls]
        assert places == sorted(places)
        assert ask.is_preview <= (self.is_previewing or self.is_shown_again)
        in_flight = {call.key for call in self.open.values() if isinstance(call, Call)}
        assert not in_flight & {call.key for call in ask.calls}
        is_idle = not any(isinstance(one, Call) for one in self.open.values())
        assert is_idle or self.now >= ASK_S

    def play(self) -> None:
        """Answer what is open until the run has ended."""
        for _ in range(ENOUGH):
            if self.run.is_done:
                return
            now = [key for key, one in self.open.items() if not isinstance(one, Sleep)]
            ripe = [key for key, one in self.open.items() if isinstance(one, Sleep)]
            if now and (self.random.random() < 0.9 or not ripe):
                key = self.random.choice(sorted(now, key=str))
            else:
                key = min(ripe, key=self.due.__getitem__)
                self.now = max(self.now, self.due[key])
            self.now += 0.01
            command = self.open.pop(key)
            self._take(self.scheduler.handle(self._answer(command), self.now))
        raise AssertionError("the run does not end")

    def _answer(self, command: Command) -> Event:
        match command:
            case Locate(key, names):
                return Located(key, as_named(names))
            case Sleep(key):
                return Woke(key)
            case Call(key):
                return answer_of(command)
            case Ask(key, calls, _, is_preview):
                yes = [call for call in calls if self.random.random() < self.person]
                if is_preview:
                    yes = [*calls] if self.person else []
                    self.is_previewing = not yes
                else:
                    for call in yes:
                        self.approved[call.key, call.round] = dumps(call.arguments)
                compared = [
                    call.key
                    for call in yes
                    if self.run.conflicts.accesses(call.key.task, call.arguments)
                    and self.random.random() < 0.5
                ]
                self.to_confirm -= {call.key for call in calls}  # the last question counts
                self.to_confirm |= set(compared)
                return Decided(
                    key,
                    frozenset(call.key for call in yes),
                    "approval_denied",
                    readings=tuple([(key, READING) for key in compared]),
                )
            case Confirm(key, call):
                self.to_confirm.discard(key)
                is_outdated = self.random.random() < 0.3
                if is_outdated:
                    self.is_shown_again = True
                    self.approved.pop((key, call.round), None)
                return Confirmed(key, is_outdated)
        raise AssertionError(command)

    @property
    def ends(self) -> dict[str, tuple[str, Any]]:
        return {
            id: (str(state.status), None if state.output is None else state.output.value)
            for id, state in self.run.states.items()
        }


def answer_of(call: Call) -> Event:
    """The answer to *call*: the same for the same task, item, attempt and arguments."""
    chosen = random.Random(f"{call.key[1:]} {call.attempt} {dumps(call.arguments)}")
    if chosen.random() < 0.12:
        error = ToolError("no") if chosen.random() < 0.5 else CallTimeout("late")
        return Failed(call.key, error)
    size = chosen.randint(0, 3)
    value: Any = {
        "path": PATHS[size % len(PATHS)],
        "items": list(PATHS[:size]),
        "ok": size != 2,
    }
    return Succeeded(call.key, Output(value, size_bytes=40))


@given(documents(), RULES, st.integers(0, 99), st.sampled_from((0.0, 0.5, 1.0)), st.booleans())
@share_of_examples(3)
def test_only_what_was_approved_is_sent_as_it_was_shown(
    document: dict[str, Any], rules: Rules, seed: int, person: float, preview: bool
) -> None:
    story = Story(document, rules, seed, person, preview=preview)
    story.play()
    assert all(state.status.is_final for state in story.run.states.values())
    assert not story.open


def test_observers_know_that_a_run_goes_on_once_a_call_behind_a_held_one_does() -> None:
    write = {"id": "t0", "tool": "a:write", "arguments": {"path": "$ITEM"}, "for_each": ["d"]}
    read = {"id": "t1", "tool": "a:do", "reads": ["d/x"]}
    document = {"tasks": [{"allow_repeat": True, **task} for task in (write, read)]}
    story = Story(document, Rules(ask=("write",)), seed=0, person=0.5, preview=True)
    story.play()  # at every step, what observers know of the run is how it stands
    assert story.run.is_done


@given(documents(), RULES, st.integers(0, 99))
@share_of_examples(3)
def test_with_a_yes_to_everything_a_run_ends_as_it_does_without_asking(
    document: dict[str, Any], rules: Rules, seed: int
) -> None:
    ends_early = {"fail_fast", "timeout_s"}  # where it depends on the order of what happens
    document = {name: one for name, one in document.items() if name not in ends_early}
    document["tasks"] = [  # whether a call is tried again depends on the other calls of its server
        {name: one for name, one in task.items() if name != "retries"} for task in document["tasks"]
    ]
    asked = Story(document, rules, seed, 1.0, preview=False)
    asked.play()
    free = Story(document, Rules(), seed, 1.0, preview=False)
    free.play()
    assert asked.ends == free.ends
    assert {(call.key, call.attempt, dumps(call.arguments)) for call in asked.sent} == {
        (call.key, call.attempt, dumps(call.arguments)) for call in free.sent
    }


@given(documents(), RULES, st.integers(0, 99), st.integers(1, 12))
@share_of_examples(2)
def test_a_run_that_is_cancelled_while_it_asks_sends_nothing_that_was_not_approved(
    document: dict[str, Any], rules: Rules, seed: int, steps: int
) -> None:
    story = Story(document, rules, seed, 0.5, preview=False)
    for _ in range(steps):
        if story.run.is_done:
            return
        key = story.random.choice(sorted(story.open, key=str))
        command = story.open.pop(key)
        story.now = max(story.now + 0.01, story.due.get(key, 0.0))
        story._take(story.scheduler.handle(story._answer(command), story.now))
    if story.run.is_done:
        return
    before = {*story.open}
    story._take(story.scheduler.handle(CancelRequested("r"), story.now))
    aborted = before - {*story.open}
    for key in aborted:
        story._take(story.scheduler.handle(Aborted(key), story.now))
    story.play()
    assert all(state.status.is_final for state in story.run.states.values())
