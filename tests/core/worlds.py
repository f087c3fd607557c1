"""A world to drive a scheduler in: it draws DAGs and limits, carries out commands, answers them in any order, and
keeps its own books, so that each promise of the scheduler can be held against what really happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from plait.core.catalog import Catalog, ServerInfo, ServerState
from plait.core.check import check
from plait.core.dag import read_dag
from plait.core.events import (
    MOVES,
    Abort,
    Aborted,
    Call,
    CancelRequested,
    Changed,
    Event,
    Failed,
    Finished,
    Key,
    Sleep,
    Status,
    Step,
    Succeeded,
    Woke,
)
from plait.core.limits import Limits, Urgency
from plait.core.output import Output
from plait.core.plan import PlannedTask
from plait.core.policy import Policy
from plait.core.run import Run
from plait.core.scheduler import Scheduler
from plait.errors import CallError, CallTimeout, ConnectionLost, ToolError
from tests.fakes import tool

SERVERS = ("a", "b", "c")
CATALOG = Catalog(
    [tool(f"{server}:do", readOnlyHint=True) for server in SERVERS],
    [ServerInfo(server, ServerState.READY) for server in SERVERS],
)
ANSWER = Output({"x": 1, "items": [1, 2, 3], "none": []}, size_bytes=40)
LOST_FOR_GOOD = (ToolError("no"),)
MAY_PASS = (CallTimeout("late"), ConnectionLost("gone"))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A DAG of up to eight tasks with every option that the scheduler has to do with."""
    tasks: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 8))):
        task: dict[str, Any] = {"id": f"t{index}", "tool": f"{draw(st.sampled_from(SERVERS))}:do"}
        earlier = [other["id"] for other in tasks]
        needs = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        links = {need: draw(st.sampled_from(["order", "data", "guarded"])) for need in needs}
        task["depends_on"] = [need for need, link in links.items() if link == "order"]
        task["arguments"] = {
            need: f"$OUTPUT[{need}]" if link == "data" else f"${{OUTPUT[{need}] ?? 0}}"
            for need, link in links.items()
            if link != "order"
        }
        task["trigger_rule"] = draw(st.sampled_from(["all_success"] * 4 + ["all_done", "one_failed"]))
        task["retries"] = draw(st.sampled_from([0, 0, 0, 1, 2]))
        task["priority"] = draw(st.sampled_from([0, 0, 0, 1, -1]))
        task["weight"] = draw(st.sampled_from([1, 1, 1, 2, 9]))
        if draw(st.integers(0, 3)) == 0:
            task["for_each"] = [10, 20, 30][: draw(st.integers(0, 3))]
        tasks.append(task)
    document: dict[str, Any] = {"tasks": tasks, "fail_fast": draw(st.sampled_from([False, False, True]))}
    document["schedule"] = draw(st.sampled_from(["eager", "eager", "layers"]))
    document["max_concurrency"] = draw(st.sampled_from([None, None, 1, 2]))
    return document


@dataclass
class World:
    """One scheduler, its runs, and the books of whoever carries its commands out."""

    scheduler: Scheduler
    limits: Limits
    runs: dict[str, Run]
    now: float = 0.0
    open: dict[Key, Call | Sleep] = field(default_factory=dict)
    """Commands that are not answered yet."""
    aborted: set[Key] = field(default_factory=set)
    started: dict[Key, int] = field(default_factory=dict)
    """Attempts that were sent, by call."""
    just_started: list[Call] = field(default_factory=list)
    seen: dict[Key, Status] = field(default_factory=dict)
    finished: Counter[str] = field(default_factory=Counter)
    may_pass: Counter[Key] = field(default_factory=Counter)
    """Failures that may pass, by call."""

    @classmethod
    def draw(cls, data: st.DataObject) -> World:
        servers = tuple((server, data.draw(st.integers(1, 3))) for server in SERVERS[:2])
        limits = Limits(data.draw(st.integers(1, 5)), servers)
        runs = {}
        for number, document in enumerate(data.draw(st.lists(documents(), min_size=1, max_size=3))):
            plan = check(read_dag(document), CATALOG, Policy())
            runs[f"r{number}"] = Run(f"r{number}", plan, number=number, timeout_s=data.draw(st.sampled_from([None, 9])))
        return cls(Scheduler(limits), limits, runs)

    def submit(self, run: Run) -> None:
        self._carry_out(self.scheduler.submit(run, self.now))

    def cancel(self, run_id: str) -> None:
        self._feed(CancelRequested(run_id))

    def answer(self, key: Key, data: st.DataObject) -> None:
        """Answer one open command, in one of the ways in which it can be."""
        command = self.open.pop(key)
        if key in self.aborted and data.draw(st.integers(0, 3)):
            self.aborted.discard(key)
            self._feed(Aborted(key))
            return
        self.aborted.discard(key)
        if isinstance(command, Sleep):
            self._feed(Woke(key))
            return
        errors: list[CallError | None] = [None, None, None, *LOST_FOR_GOOD, *MAY_PASS]
        error = data.draw(st.sampled_from(errors))
        self.may_pass[key] += error in MAY_PASS
        self._feed(Succeeded(key, ANSWER) if error is None else Failed(key, error))

    def _feed(self, event: Event) -> None:
        self.now += 1
        self._carry_out(self.scheduler.handle(event, self.now))

    def _carry_out(self, step: Step) -> None:
        self.just_started = []
        for command in step.commands:
            match command:
                case Abort(key):
                    assert key in self.open, f"{key} is aborted and is not under way"
                    self.aborted.add(key)
                case Call(key) | Sleep(key):
                    assert key not in self.open, f"{key} is under way already"
                    self.open[key] = command
                    if isinstance(command, Call):
                        self.started[key] = self.started.get(key, 0) + 1
                        self.just_started.append(command)
        for notice in step.notices:
            if isinstance(notice, Changed):
                before = self.seen.get(notice.key, Status.PENDING)
                assert notice.before is before, f"{notice.key} was {before}, not {notice.before}"
                assert notice.after in MOVES[before]
                self.seen[notice.key] = notice.after
            elif isinstance(notice, Finished):
                self.finished[notice.run] += 1

    # What the books say, reckoned without the scheduler's own.

    @property
    def in_flight(self) -> list[Call]:
        """Calls that were sent and not answered, aborted ones too: they take room until they have ended."""
        return [command for command in self.open.values() if isinstance(command, Call)]

    @property
    def waiting(self) -> list[tuple[Run, Key]]:
        """Calls that could start but for want of room."""
        waiting = []
        for run in self.runs.values():
            if run.id not in self.scheduler.runs:
                continue
            for id, state in run.states.items():
                if state.status in {Status.READY, Status.RUNNING, Status.BACKING_OFF}:
                    keys = self._calls_of(run, id)
                    waiting += [(run, key) for key in keys if key not in self.open and not self._is_over(run, key)]
        return waiting

    def _calls_of(self, run: Run, id: str) -> list[Key]:
        items = run.states[id].items
        if items is None:
            return [Key(run.id, id)]
        return [Key(run.id, id, index) for index in range(len(items.outputs))]

    def _is_over(self, run: Run, key: Key) -> bool:
        items = run.states[key.task].items
        if items is None or key.item is None:
            return run.states[key.task].status is not Status.READY
        return items.outputs[key.item] is not None or any(index == key.item for index, _ in items.errors)

    def room_of(self, planned: PlannedTask, run: str) -> dict[str, int]:
        """The slots that a call of *planned* takes, by limit."""
        capacities = self.capacities(run, planned.tool.server)
        return {name: min(planned.weight, capacity) for name, capacity in capacities.items()}

    def capacities(self, run: str, server: str) -> dict[str, int]:
        capacities = {"gateway": self.limits.gateway}
        if isinstance(slots := dict(self.limits.servers).get(server), int):
            capacities[f"server {server}"] = slots
        if most := self.runs[run].plan.dag.max_concurrency:
            capacities[f"run {run}"] = most
        return capacities

    def taken_by(self, calls: list[Call]) -> Counter[str]:
        taken: Counter[str] = Counter()
        for call in calls:
            taken.update(self.room_of(self.planned(call.key), call.key.run))
        return taken

    def planned(self, key: Key) -> PlannedTask:
        return self.runs[key.run].plan.tasks[key.task]

    def fits(self, key: Key, beside: list[Call]) -> bool:
        planned = self.planned(key)
        taken = self.taken_by(beside)
        capacities = self.capacities(key.run, planned.tool.server)
        return all(taken[name] + slots <= capacities[name] for name, slots in self.room_of(planned, key.run).items())

    def urgency(self, key: Key) -> Urgency:
        """As the contract says it: priority, then the longer remaining path, then document order."""
        run, planned = self.runs[key.run], self.planned(key)
        number = int(run.id[1:])
        return (-planned.task.priority, -run.plan.remaining[key.task], number, planned.index, key.item or 0)
