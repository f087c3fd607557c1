"""Forecasts the time of a plan: the scheduler itself runs it, and each call takes the time that its
tool took before."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from ..language.scope import Scope
from ..language.templates import Template
from ..planning.plan import Plan, PlannedTask
from ..scheduling.conflicts import Conflicts
from ..scheduling.events import (
    Abort,
    Aborted,
    Call,
    Event,
    Key,
    Locate,
    Located,
    Sleep,
    Succeeded,
    Woke,
)
from ..scheduling.frame import TaskCall
from ..scheduling.limits import Limits
from ..scheduling.run import Run
from ..scheduling.scheduler import Scheduler, Step
from ..scheduling.state import Items
from ..tools.catalog import Tool
from ..tools.output import Output
from ..values.strict import Json, JsonObject
from .record import record_of
from .result import Metrics, metrics_of


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected `metrics` of a run. If `is_timed` is false, no tool is known: then the times
    mean nothing, but the rest is valid."""

    metrics: Metrics
    is_timed: bool
    untimed: tuple[str, ...]
    """Tools that were never called: each is assumed to be as fast as the median of the others."""
    uncounted: tuple[str, ...]
    """`for_each` tasks whose list is known only when they run: one item is assumed."""

    def document(self) -> JsonObject:
        """Make the `estimate` of a dry run."""
        metrics = self.metrics.document()
        names = ["execution_time_ms", "sequential_time_ms"] if self.is_timed else []
        names += ["speedup"] if self.is_timed and not self.metrics.unproven else []
        shown = [name for name in [*names, "max_parallelism"] if name in metrics]
        document: JsonObject = {name: metrics[name] for name in shown}
        if self.untimed:
            document["untimed_tools"] = list[Json](self.untimed)
        if self.uncounted:
            document["uncounted"] = list[Json](self.uncounted)
        return document


def forecast(
    plan: Plan,
    conflicts: Conflicts,
    limits: Limits,
    done: Collection[str] = (),
    has_met_others: Callable[[Tool], bool] = lambda tool: True,
) -> Forecast:
    """Run *plan*, except the tasks that are *done*, in no time: every call succeeds in its expected
    time, and every condition is true. Files are located in no time. *has_met_others* says whether
    calls of a tool were timed while others ran: if not, it is unknown how much faster it is at
    once."""
    run = Run(
        "forecast",
        replace(
            _expected_plan(plan),
            alone_s={
                id: seconds
                for id, seconds in plan.alone_s.items()
                if has_met_others(plan.tasks[id].tool)
            },
        ),
        conflicts=_known_only(conflicts),
        reused=dict.fromkeys(done, _NOTHING),
        calls=_expected_calls,
    )
    untimed = _untimed(plan)
    ended_at = _drive(Scheduler(limits), run, _costs(plan))
    return Forecast(
        metrics=metrics_of(record_of(run, ended_at)),
        is_timed=any(
            task.makes_calls and task.tool.full_name not in untimed for task in plan.all_tasks()
        ),
        untimed=untimed,
        uncounted=tuple(
            task.id for task in plan.all_tasks() if task.items is not None and task.items.fill
        ),
    )


def calls_of(plan: Plan) -> int:
    """Return how many calls and values a forecast of *plan* goes through."""
    return sum(
        (1 if task.items is None else _count(task.items))
        * (1 if task.inner is None else calls_of(task.inner))
        for task in plan.tasks.values()
    )


def _expected(planned: PlannedTask) -> PlannedTask:
    """Return *planned* without what depends on outputs, which are unknown."""
    if planned.makes_calls:
        return replace(planned, select=None, when=None)
    items = None if planned.items is None else Template([None] * _count(planned.items))
    inner = None if planned.inner is None else _expected_plan(planned.inner)
    return replace(
        planned, select=None, when=None, arguments=Template(None), items=items, inner=inner
    )


def _expected_plan(plan: Plan) -> Plan:
    return replace(plan, tasks={id: _expected(task) for id, task in plan.tasks.items()})


def _untimed(plan: Plan) -> tuple[str, ...]:
    """List the tools that were never called, those of inner tasks too."""
    names = [*plan.untimed]
    for task in plan.tasks.values():
        names += () if task.inner is None else _untimed(task.inner)
    return tuple(dict.fromkeys(names))


def _costs(plan: Plan) -> Mapping[str, float]:
    """Return the expected durations of the calls of all tasks, inner ones too."""
    costs = dict(plan.costs)
    for task in plan.tasks.values():
        costs |= {} if task.inner is None else _costs(task.inner)
    return costs


def _count(items: Template) -> int:
    return len(items.value) if isinstance(items.value, list) else 1


def _drive(scheduler: Scheduler, run: Run, costs: Mapping[str, float]) -> float:
    """Answer every command of *run* at its time; gives the time of the end."""
    now, count = 0.0, 0
    answers: list[tuple[float, int, Event]] = []
    gone: set[Key] = set()
    step = scheduler.submit(run, now)
    while True:
        for at, event in _answers(step, now, run, costs, gone):
            count += 1
            heapq.heappush(answers, (at, count, event))
        if run.is_done or not answers:
            return now
        now, _, event = heapq.heappop(answers)
        if not (isinstance(event, Woke) and event.key in gone):
            step = scheduler.handle(event, now)
        else:
            step = scheduler.handle(Aborted(event.key), now)


def _answers(
    step: Step, now: float, run: Run, costs: Mapping[str, float], gone: set[Key]
) -> Iterable[tuple[float, Event]]:
    for command in step.commands:
        match command:
            case Locate(key):
                yield now, Located(key, run.conflicts.places)
            case Call(key):
                yield now + costs[key.task], Succeeded(key, _NOTHING)
            case Sleep(key, pause):
                yield now + pause, Woke(key)
            case Abort(key):
                gone.add(key)


def _expected_calls(
    key: Key, planned: PlannedTask, scope: Scope, max_items: int, *_: object
) -> tuple[list[TaskCall], Items | None]:
    """Make the calls of a task, with references as they are written: their values are unknown."""
    given = planned.task.arguments
    arguments = {} if isinstance(given, str) else given
    if planned.items is None:
        return [TaskCall(key, planned, arguments)], None
    count = _count(planned.items)
    return [
        TaskCall(key._replace(item=index), planned, arguments) for index in range(count)
    ], Items(count)


def _known_only(conflicts: Conflicts) -> Conflicts:
    known = {id for id, _ in conflicts.known}
    return replace(
        conflicts,
        access_rules={id: rules for id, rules in conflicts.access_rules.items() if id in known},
    )


_NOTHING = Output(None)
