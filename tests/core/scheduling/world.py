"""A scheduler and all that is outside of it: what happens is given to both the scheduler and the
oracle, one event at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from plait.core.language.reader import Reading, read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan, TakenOver, in_order
from plait.core.results.record import record_of
from plait.core.results.resume import Tools, resume
from plait.core.scheduling.conflicts import Conflicts, find_conflicts, planned_accesses
from plait.core.scheduling.direct_calls import CallRequests
from plait.core.scheduling.earlier_items import EarlierItems
from plait.core.scheduling.events import (
    Aborted,
    Call,
    CancelRequested,
    Event,
    Failed,
    Key,
    Locate,
    Located,
    Paused,
    Resumed,
    Sent,
    Sleep,
    Status,
    Succeeded,
    Woke,
)
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler, Step
from plait.core.tools.claims import ResourceName
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy, Rule
from plait.core.tools.tool_stats import ToolStats
from plait.core.values.principal import USER, Principal
from plait.errors import (
    CallError,
    CallTimeout,
    CircuitOpen,
    ConnectionLost,
    ServerUnavailable,
    ToolError,
)

from ..runs import outputs_of
from .documents import CATALOG, PATHS
from .oracle import ALMOST_NOTHING, LINKS, Oracle

QUIET_S = 2.0
FAILURES: dict[str, Callable[[], CallError]] = {
    "refused": lambda: ToolError("no"),
    "late": lambda: CallTimeout("late"),
    "lost": lambda: ConnectionLost("gone"),
    "open": lambda: CircuitOpen("not yet", retry_after_s=QUIET_S),
    "not now": lambda: ServerUnavailable("busy", retry_after_s=QUIET_S),
}
ANSWERS = ("well",) * 5 + ("later", "asked", "sent", "cached", "call", "call", *FAILURES)
MOST_DIRECT_CALLS = 8
"""Direct calls at once."""


class Entry(NamedTuple):
    """One thing that happened to the scheduler, and its answer."""

    at: float
    what: Event | Limits | Callable[..., Run]
    """For a run that is submitted: makes the same run anew, once that one has ended."""
    step: Step


@dataclass(kw_only=True)
class World(Oracle):
    """One scheduler, and all that is outside of it. Every method that is a verb is one event, or
    none."""

    scheduler: Scheduler = field(init=False)
    jitter: float = 0.5
    """The random share of the next pause."""
    journal: list[Entry] = field(default_factory=list)
    """All that happened, in order: given to another scheduler, it has to give the same steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.first_limits = self.limits
        self.learned = ToolStats()
        self.scheduler = Scheduler(self.limits, self.learned)
        rules = () if self.writers is None else (Rule("?:write", max_concurrency=self.writers),)
        self.policy = Policy(rules)
        self.call_requests = CallRequests(self.policy)

    # What clients do.

    def submit(
        self, document: dict[str, Any], slow: Collection[str] = (), caller: Principal = USER
    ) -> None:
        """Submit a run of *document* for *caller*; the files at the paths of *slow* are not located
        before."""
        self._begin(document, read_dag(document), {}, {}, slow, caller)

    def resume(self, earlier: str, again: str) -> None:
        """Submit a run that goes on from *earlier*: what did not succeed is sent again, and also
        *again*, which has changed, and every second task that succeeded but for some items."""
        run, ids = self.runs[earlier], self.graphs[earlier].tasks
        sent_again = {id for id in ids if self.status(earlier, id) is not Status.SUCCESS} | {again}
        sent_again |= {id for id in ids if ids[id].index % 2 and self.lost_items(earlier, id)}
        select = run.plan.tasks[again].task.select
        changed = {"select": "@" if select is None else None}  # which changes no output
        all_tasks = [
            {**task, **changed} if task["id"] == again else task
            for task in self.graphs[earlier].document["tasks"]
        ]
        document = {"tasks": all_tasks, "return": ["*"]}
        tasks = [task for task in all_tasks if task["id"] in sent_again]
        reading = read_dag({**document, "tasks": tasks, "resume_from": earlier})
        completed, taken_over, outputs, items = resume(
            reading,
            record_of(run, self.now),
            outputs_of(run).get,
            Tools(may_repeat=lambda name: self.policy.of(CATALOG.tools[name]).may_repeat),
        )
        same: set[str] = set()
        needs = {id: (*task.needs, *task.reused_inputs) for id, task in run.plan.tasks.items()}
        for id in in_order(needs):
            planned = run.plan.tasks[id]
            calls = [planned, *(planned.inner.all_tasks() if planned.inner is not None else ())]
            may_run = all(
                call.task.allow_repeat or call.policy.may_repeat
                for call in calls
                if call.makes_calls
            )
            is_same = same.issuperset(needs[id])
            is_kept = id not in sent_again and (is_same or not may_run)
            if is_kept or (is_same and id != again and self.is_untaken(earlier, id)):
                same.add(id)
            assert (id in outputs) == is_kept
        assert all(output.value == self.outputs[earlier][id] for id, output in outputs.items())
        self.resumed[f"r{len(self.runs)}"] = earlier
        self.changed[f"r{len(self.runs)}"] = again
        self._begin(
            document,
            completed,
            taken_over,
            outputs,
            caller=run.principal,
            items=items,
        )

    def cancel(self, run: str) -> None:
        self._feed(CancelRequested(run))

    def request(self, tool: str, path: str, weight: int, caller: Principal = USER) -> None:
        """Request a direct call for *caller*."""
        arguments: dict[str, Any] = {} if tool.endswith(":do") else {"path": path}
        request = self.call_requests.make(
            len(self.requests), CATALOG, tool, {"arguments": arguments}, caller
        )
        self._feed(request._replace(slots=request.slots._replace(weight=weight)))

    def leave(self, key: Key, code: str) -> None:
        """The client of a direct call does not want it any more."""
        self._feed(Aborted(key, code))

    def change_limits(self, limits: Limits) -> None:
        self.limits_change(limits)
        step = self.scheduler.change_limits(limits, self.now)
        self._note(limits, step)

    # What answers commands.

    def succeed(self, key: Key, size: int, *, is_cached: bool = False) -> None:
        """The call of *key* gives an output with *size* items."""
        value: Any = {
            "by": str(key),
            "path": PATHS[size % len(PATHS)],
            "items": list(PATHS[:size]),
            "ok": size != 2,
        }
        call = self.open[key]
        assert isinstance(call, Call)
        output = Output(value, size_bytes=40) if key.run else None
        self._feed(Succeeded(key, output, is_cached and call.max_age_s > 0))

    def fail(self, key: Key, how: str, jitter: float = 0.5) -> None:
        """The call of *key* fails; *jitter* is the random share of the pause after it."""
        self.jitter = jitter
        self._feed(Failed(key, FAILURES[how]()))

    def end_aborted(self, key: Key) -> None:
        self._feed(Aborted(key))

    def pause(self, key: Key) -> None:
        self._feed(Paused(key))

    def go_on(self, key: Key) -> None:
        self._feed(Resumed(key))

    def send(self, key: Key) -> None:
        """The server of *key* is there only now."""
        self._feed(Sent(key))

    def locate(self, key: Key, slow: Collection[str] = ()) -> None:
        """The files of the command of *key* are located, but for those at the paths of *slow*."""
        command = self.open[key]
        assert isinstance(command, Locate)
        self._feed(Located(key, _places(command.names, slow)))

    def wake(self, key: Key) -> None:
        """The sleep of *key* is over, later than it should be if it has to be."""
        self.now = max(self.now, self.due[key])
        self._feed(Woke(key))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, at most until a sleep is over that looks again at a rate: that wakes."""
        until = self.now + seconds
        look = min(self._looks, key=self.due.__getitem__, default=None)
        if look is not None and self.due[look] <= until + ALMOST_NOTHING:
            self.wake(look)
        else:
            self.nothing_happens(until)

    def answer(self, how: str, place: int) -> None:
        """Answer one of the open commands, the one at *place* of those that can be answered now, as
        *how* says. With `later` time passes, with `call` a client requests a direct call."""
        if how == "call" and len(self.direct) < MOST_DIRECT_CALLS:
            self.request(("a:do", "a:do", "b:do", "b:do", "a:read", "b:write")[place], PATHS[1], 1)
            return
        keys = sorted((*self.calls, *self.locating, *self.sleeping), key=str) or sorted(
            self.open, key=self.due.__getitem__
        )
        if not keys or how == "later":
            self.pass_time(1.0)
            return
        key = keys[place % len(keys)]
        match self.open[key]:
            case Locate():
                self.locate(key, () if how == "well" else PATHS[:2])
            case Sleep() if key in self.aborted:
                self.end_aborted(key)
            case Sleep():
                self.wake(key)
            case Call() if how == "asked" and key in self.asking:
                self.go_on(key)
            case Call() if how == "asked":
                self.pause(key)
            case Call() if how == "sent" and key in self.calls_at_once:
                self.send(key)
            case Call() if key in self.aborted and how == "well":
                self.end_aborted(key)
            case Call() if how in FAILURES:
                self.fail(key, how)
            case Call():
                self.succeed(key, 1 + place % 3, is_cached=how == "cached")

    def replay(self) -> Iterator[tuple[Entry, Step]]:
        """Each entry of the journal with what another scheduler answers to it, once all runs have
        ended."""
        scheduler = Scheduler(self.first_limits, ToolStats())
        for entry in self.journal:
            match entry.what:
                case Limits() as limits:
                    yield entry, scheduler.change_limits(limits, entry.at)
                case tuple() as event:
                    yield entry, scheduler.handle(event, entry.at)
                case make:
                    yield entry, scheduler.submit(make(), entry.at)

    # What can happen next.

    @property
    def calls(self) -> list[Key]:
        return [call.key for call in self.in_flight]

    @property
    def calls_at_once(self) -> list[Key]:
        """Calls in flight whose client was asked nothing, so that their server may still have to
        start."""
        return [key for key in self.calls if key not in self.asking and not self.paused[key]]

    @property
    def direct(self) -> list[Key]:
        """Direct calls that have not ended."""
        return [key for key in self.requests if not self.seen[key].is_final]

    @property
    def direct_in_flight(self) -> list[Key]:
        return [key for key in self.calls if not key.run]

    @property
    def locating(self) -> list[Key]:
        return [key for key, command in self.open.items() if isinstance(command, Locate)]

    @property
    def sleeping(self) -> list[Key]:
        """Sleeps of runs that are over before the next look at a rate."""
        look = min((self.due[key] for key in self._looks), default=float("inf"))
        return [
            key
            for key, command in self.open.items()
            if isinstance(command, Sleep) and key.run and self.due[key] < look
        ]

    @property
    def to_abort(self) -> list[Key]:
        """Commands that were aborted, and have not ended."""
        return [key for key in self.open if key in self.aborted]

    @property
    def ended(self) -> list[str]:
        return [id for id in self.runs if self.finished[id]]

    @property
    def _looks(self) -> list[Key]:
        return [
            key
            for key, command in self.open.items()
            if isinstance(command, Sleep) and not key.run and key not in self.aborted
        ]

    def _begin(
        self,
        document: Mapping[str, Any],
        reading: Reading,
        taken_over: Mapping[str, TakenOver],
        reused: Mapping[str, Output],
        slow: Collection[str] = (),
        caller: Principal = USER,
        items: Mapping[str, EarlierItems] | None = None,
    ) -> None:
        number = len(self.runs)
        plan = check(reading, CATALOG, self.policy, reused=taken_over)
        accesses = planned_accesses(plan, reused)
        places = _places(accesses.files(), slow)
        conflicts = find_conflicts(plan, accesses, places)

        def make(
            plan: Plan, jitter: Callable[[], float], conflicts: Conflicts | None = conflicts
        ) -> Run:
            return Run(
                f"r{number}",
                plan,
                principal=caller,
                number=number,
                conflicts=conflicts,
                reused=reused,
                earlier_items=items,
                jitter=jitter,
            )

        def make_anew(
            jitter: Callable[[], float] | None = None, conflicts: Conflicts | None = conflicts
        ) -> Run:
            """Make the run from its record: its document, the tools that the digest stands for,
            and the random shares that were drawn."""
            record = record_of(run, self.now)
            plan = check(read_dag(record.dag), CATALOG, self.policy, reused=taken_over)
            noted = replace(plan, notes=record.notes)  # places in notes are of what was sent
            again = make(noted, jitter or iter(record.jitters).__next__, conflicts)
            assert again.digest == record.digest
            return again

        run = make(plan, lambda: self.jitter)
        self.begins(run, document, {id: output.value for id, output in reused.items()}, places)
        step = self.scheduler.submit(run, self.now)
        self._note(make_anew, step)

    def _feed(self, event: Event) -> None:
        self.happens(event)
        self._note(event, self.scheduler.handle(event, self.now))

    def _note(self, what: Event | Limits | Callable[..., Run], step: Step) -> None:
        self.journal.append(Entry(self.now, what, step))
        self.follows(step)


def _places(names: Iterable[ResourceName], slow: Collection[str]) -> dict[ResourceName, str]:
    """Where the files of these names are, but for those at the paths of *slow*."""
    paths = {name: name.key.removeprefix("file:") for name in names}
    return {
        name: f"file:{LINKS.get((name.server, path), path)}"
        for name, path in paths.items()
        if path not in slow
    }
