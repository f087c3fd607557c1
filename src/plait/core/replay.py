"""A run made again from what the history has of it, without a call: what happened is given to the
pure run in its order, and it has to make the same calls, to end the same tasks, in the same way.

The history has every event of a run at its place. What a shared scheduler decides is an event, too:
that a call may start depends on the limits and on other runs, so here a call that is ready starts
where its admission stands, and the calls that are ready have to contain it. A run that went on from
another is answered first what that had found, as it was then.

Two things that follow from an event depend on other runs: whether a failed call is tried again,
which takes from the budget of its server, and whether a ready call is refused, because its file was
not found in time. They are rows of their own, right behind the event (`BACKED_OFF`, `REFUSED`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from ..errors import CallError
from .history import (
    ASKED,
    BACKED_OFF,
    BEHIND,
    DECIDED,
    OUTDATED,
    REFUSED,
    SAID,
    Happened,
    KeptCall,
    KeptEvent,
    Settled,
    digest_of_arguments,
)
from .kept_decisions import KeptDecision
from .results.record import InnerRecord, RunRecord, TaskRecord, record_of
from .scheduling.attempts import Known
from .scheduling.events import Call, Failed, Failure, Key, Sleep, Succeeded
from .scheduling.frame import TaskCall
from .scheduling.retry import RetryBudgets
from .scheduling.run import Run
from .tools.output import Output
from .values.strict import Json, dumps

KNOWN = frozenset({"woke", "sent", REFUSED, OUTDATED, BEHIND, "paused", "resumed", "located"})
"""The kinds of events that may have no effect: the last three free slots and resources alone."""
LONGEST_SHOWN = 200
Answer: TypeAlias = Succeeded | Failed
AnswerOf: TypeAlias = Callable[[Call], "tuple[float, Answer] | None"]
"""Gives the answer that a call has without being sent, with its place among these; None if it is to
be sent."""


class Differs(Exception):
    """The run that was replayed is not the one that was kept; the message says where."""


class Verified(NamedTuple):
    """A run that was replayed, and gave the same."""

    events: int
    calls: int
    is_whole: bool
    """Whether the run has ended, so that its end is the same, too."""


class _Row(NamedTuple):
    number: int
    what: KeptCall | Happened
    is_end: bool = False
    """Whether it is the end of the call; else the call is admitted."""


class _Retries(RetryBudgets):
    """Allows the retries that there were."""

    def __init__(self, was_tried_again: Callable[[], bool]) -> None:
        super().__init__()
        self._was_tried_again = was_tried_again

    def take(self, server: str) -> bool:
        return self._was_tried_again()


class Replay:
    """A run as it was kept: its *calls* and *events*. *answer* gives the answers that it had from
    the runs that it goes on from, and all that it knows of them is *known*."""

    def __init__(
        self,
        calls: Iterable[KeptCall],
        events: Iterable[KeptEvent],
        answer: AnswerOf | None = None,
        known: Known | None = None,
    ) -> None:
        unheard = (SAID, ASKED)
        rows = [_Row(kept.number, kept.event) for kept in events if kept.event.kind not in unheard]
        for call in calls:
            rows.append(_Row(call.admitted, call))
            if call.ended is not None:
                rows.append(_Row(call.ended, call, is_end=True))
        self._rows = sorted(rows, key=lambda row: row.number)
        self._next = 0
        self._answer = answer
        self._known = known
        self._answers: list[tuple[float, int, Answer]] = []
        """The answers that were there at once and are not handled yet."""
        self._count = 0
        self._ready: dict[Key, TaskCall] = {}
        self._behind: dict[Key, TaskCall] = {}
        """The calls that came after held ones."""
        self._failing: Key | None = None
        self._now = 0.0

    def verify(
        self,
        make: Callable[[Callable[[], float]], Run],
        settled: Iterable[Settled],
        record: RunRecord | None,
    ) -> Verified:
        """Replay the run that *make* makes with the random shares of its pauses. It has to end its
        tasks as *settled* and *record* say; without a record it has not ended. Raises `Differs`."""
        run = self._run = make(self._jitter)
        self._next_step = Key(run.id, "", 0)
        answer = self._answer
        if answer is not None:
            run.known = self._known or Known(lambda call: answer(call) is not None)
        run.begin(0.0, _Retries(self._was_tried_again))
        self._follow()
        while self._next < len(self._rows):
            row = self._rows[self._next]
            self._next += 1
            if isinstance(row.what, Happened):
                self._now = row.what.at
                self._happen(row.what)
            elif row.is_end:
                assert row.what.ended_at is not None
                self._now = row.what.ended_at
                self._end(row.what)
            else:
                raise Differs(self._not_ready(row.what))
            self._follow()
        calls = sum(not isinstance(row.what, Happened) and not row.is_end for row in self._rows)
        for one in settled:
            self._compare_settled(one)
        if record is not None:
            self._compare(record)
        return Verified(len(self._rows) - calls, calls, record is not None)

    # What happens to the run.

    def _happen(self, event: Happened) -> None:
        run, now = self._run, self._now
        key = Key(run.id, "") if event.key is None else Key(run.id, *event.key[:3])
        kind = event.kind
        if kind == "cancelled":
            run.stop(kind, now, at_once=event.detail is True)
        elif kind == "woke" and (key in run.open or not key.task):
            run.wake(key, now)
        elif kind == DECIDED and run.question is not None:
            run.decide(KeptDecision.read(event.detail).event(run.question), now)
        elif kind == "sent" and key in run.open:
            run.sent(key, now)
        elif kind == REFUSED and (call := self._ready.pop(key, None)) is not None:
            run.refuse(call, _failure(event.detail).error(), now)
        elif kind == BEHIND and (call := self._ready.pop(key, None)) is not None:
            self._behind[key] = call
            run.stand_behind(call, now)
        elif kind == BEHIND and (call := self._behind.pop(key, None)) is not None:
            run.line_up_again(call, now)
        elif kind == OUTDATED and (call := self._ready.pop(key, None)) is not None:
            run.hold_again(call, now)
        elif kind == BACKED_OFF:
            raise Differs(f"{_place(key)} was tried again; replayed, it is not")
        elif kind not in KNOWN:
            raise Differs(f'the history has an event of a kind that is unknown here: "{kind}"')

    def _end(self, kept: KeptCall) -> None:
        """End the call of *kept*, unless it is not awaited any more."""
        key = Key(self._run.id, *kept.key[:3])
        if key in self._run.open:
            error = None if kept.error is None else kept.error.error(kept.output)
            self._answer_call(key, kept.output, error, cached=kept.cached)

    def _answer_call(
        self, key: Key, output: Output | None, error: CallError | None, *, cached: bool
    ) -> None:
        self._failing = key
        if error is None:
            self._run.succeed(key, output or Output.of(None), self._now, cached=cached)
        else:
            self._run.fail(key, error, self._now)

    def _follow(self) -> None:
        """Do what follows from what happened: start the calls that were admitted then, and give the
        answers that are there at once."""
        while True:
            self._take()
            while self._admit():
                pass
            if not self._answers:
                return
            match heapq.heappop(self._answers)[2]:
                case Succeeded(key, output, cached) if key in self._run.open:
                    self._answer_call(key, output, None, cached=cached)
                case Failed(key, error) if key in self._run.open:
                    self._answer_call(key, None, error, cached=False)

    def _take(self) -> None:
        """Take from the run what it gives to its scheduler."""
        run = self._run
        is_waiting = True
        while is_waiting:
            is_waiting = False
            for call in run.withdrawn:
                self._ready.pop(call.key, None)
            run.withdrawn.clear()
            ready, run.ready[:] = list(run.ready), []
            for call in ready:
                command = call.command(call.attempts + 1)
                known = None if self._answer is None else self._answer(command)
                if known is None:
                    self._ready[call.key] = call
                else:
                    run.start(call, self._now)
                    self._count += 1
                    heapq.heappush(self._answers, (known[0], self._count, known[1]))
            sleeps = [one.key for one in run.commands if isinstance(one, Sleep)]
            run.commands.clear()
            run.notices.clear()
            if run.is_done:
                self._ready.clear()
            elif self._next_step in sleeps and not self._comes(self._next_step):
                # with other runs it made less at once, and needed no further step
                run.wake(self._next_step, self._now)
                is_waiting = True

    def _comes(self, key: Key) -> bool:
        """Whether the pause of *key* was over at some time after now."""
        name = key[1:4]
        return any(
            isinstance(row.what, Happened)
            and row.what.kind == "woke"
            and row.what.key is not None
            and row.what.key[:3] == name
            for row in self._rows[self._next :]
        )

    def _admit(self) -> bool:
        """Start the call that is admitted next, if that comes next and the call is ready."""
        if self._next == len(self._rows):
            return False
        row = self._rows[self._next]
        if isinstance(row.what, Happened) or row.is_end:
            return False
        kept = row.what
        call = self._ready.get(Key(self._run.id, *kept.key[:3]))
        if call is None or (call.rounds, call.attempts + 1) != (kept.key.round, kept.attempt):
            return False
        self._next += 1
        self._now = kept.admitted_at
        del self._ready[call.key]
        made, sent = call.planned.tool.full_name, digest_of_arguments(call.arguments)
        if made != kept.tool:
            raise Differs(f"{_place(call.key)} called {kept.tool}; replayed, it calls {made}")
        if sent != kept.arguments_digest:
            raise Differs(
                f"{kept.tool} of {_place(call.key)} was called with {_shown(kept.arguments)}; "
                f"replayed, it is called with {_shown(call.arguments)}"
            )
        self._run.start(call, self._now)
        return True

    def _not_ready(self, kept: KeptCall) -> str:
        key = Key(self._run.id, *kept.key[:3])
        call = self._ready.get(key)
        what = f"{kept.tool} of {_place(key)} was called"
        if call is None:
            return f"{what}; replayed, it is not called there"
        return (
            f"{what} for the {_nth(kept.attempt)} time in round {kept.key.round + 1}; replayed, "
            f"for the {_nth(call.attempts + 1)} in round {call.rounds + 1}"
        )

    # What depended on other runs.

    def _was_tried_again(self) -> bool:
        """Whether the call that fails now was tried again."""
        event = self._backed_off()
        assert self._failing is not None
        return event is not None and event.key is not None and event.key[:3] == self._failing[1:]

    def _jitter(self) -> float:
        event = self._backed_off()
        assert event is not None
        self._next += 1
        return float(event.detail) if isinstance(event.detail, int | float) else 0.5

    def _backed_off(self) -> Happened | None:
        if self._next == len(self._rows):
            return None
        what = self._rows[self._next].what
        return what if isinstance(what, Happened) and what.kind == BACKED_OFF else None

    # What has to be the same.

    def _compare_settled(self, one: Settled) -> None:
        state = self._run.states.get(one.task)
        if state is None:
            raise Differs(f"{one.task} ended; replayed, the run has no such task")
        _same(one.task, "ended as", str(one.status), str(state.status))
        _same(one.task, "failed with", _error(one.error), _error(state.error))
        outputs = [
            None if output is None else output.value for output in (one.output, state.output)
        ]
        _same(one.task, "gave", *outputs)

    def _compare(self, kept: RunRecord) -> None:
        made = record_of(self._run, self._now)
        if not self._run.is_done:
            left = [id for id, task in made.tasks.items() if not task.status.is_final]
            raise Differs(f"the run ended as {kept.status}; replayed, {left[0]} does not end")
        for id, task in kept.tasks.items():
            for what, before, after in zip(
                _WORDS, _facts(task), _facts(made.tasks[id]), strict=True
            ):
                _same(id, what, before, after)
        for before_, after_ in zip(kept.inner, made.inner, strict=True):
            for what, before, after in zip(
                _INNER_WORDS, _inner_facts(before_), _inner_facts(after_), strict=True
            ):
                _same(before_.id, what, before, after)
        _same("the run", "ended as", str(kept.status), str(made.status))
        _same("the run", "was stopped by", kept.stopped_by, made.stopped_by)


_WORDS = (
    "ended as",
    "failed with",
    "had items that ended as",
    "gave as many bytes as",
    "was called as often as",
    "was called again as often as",
    "was answered from the cache:",
)
_INNER_WORDS = ("ended as", "had passages that ended as", "was called as often as", "failed with")


def _facts(task: TaskRecord) -> tuple[Json, ...]:
    items = task.items
    ended: Json = None
    if items is not None:
        errors: list[Json] = [[index, _error(error)] for index, error in items.errors]
        ended = [[str(status) for status in items.statuses], errors]
    return (
        str(task.status),
        _error(task.error),
        ended,
        task.output_bytes,
        task.attempts,
        task.rounds,
        task.cached,
    )


def _inner_facts(task: InnerRecord) -> tuple[Json, ...]:
    return (
        {str(status): count for status, count in task.statuses.items()},
        dict(task.passages),
        task.attempts,
        [[place, _error(error)] for place, error in task.errors],
    )


def _same(where: str, what: str, before: Json, after: Json) -> None:
    if before != after:
        raise Differs(f"{where} {what} {_shown(before)}; replayed, it is {_shown(after)}")


def _error(error: Failure | None) -> Json:
    return None if error is None else f"{error.code}: {error.message}"


def _failure(detail: Json) -> Failure:
    return Failure(**detail) if isinstance(detail, dict) else Failure("internal", "")  # type: ignore[arg-type]  # as it was written


def _place(key: Key) -> str:
    """Write the task of *key*, with the items that it is for."""
    items = [*key.at, *([] if key.item is None else [key.item])]
    return key.task + "".join(f"[{item}]" for item in items)


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else dumps(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _nth(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
