"""Folding the notices of a run gives its record."""

from __future__ import annotations

from hypothesis.stateful import run_state_machine_as_test

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import TakenOver
from plait.core.results.record import record_of
from plait.core.scheduling.earlier_items import EarlierItems
from plait.core.scheduling.events import Failure, Key, Status
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.observers.records import RunRecords
from tests.fakes import tool

from ..core.scheduling.machine import SchedulerMachine
from ..core.scheduling.world import World
from ..profiles import share_of_examples


class Folded(SchedulerMachine):
    """At every step that says something of a run, its notices so far give its record."""

    def __init__(self) -> None:
        super().__init__()
        self.records = RunRecords()
        self.read = 0
        """The steps whose notices were folded."""

    def check_step(self, world: World) -> None:
        notices = [notice for entry in world.journal[self.read :] for notice in entry.step.notices]
        self.read = len(world.journal)
        for notice in notices:
            self.records(notice)
        for id in {notice.run for notice in notices if notice.run}:
            assert self.records.record(id, world.now) == record_of(world.runs[id], world.now)

    def check_end(self, world: World) -> None:
        for id, run in world.runs.items():
            assert self.records.record(id, world.now) == record_of(run, world.now)


def test_the_notices_of_any_run_give_its_record() -> None:
    run_state_machine_as_test(Folded, settings=share_of_examples(0.5))


def test_notes_on_arguments_that_became_known_are_in_the_record() -> None:
    catalog = Catalog(
        [tool("s:do"), tool("s:typed", {"n": {"type": "integer"}})],
        [ServerInfo("s", ServerState.READY)],
    )
    tasks = [
        {"id": "a", "tool": "s:do"},
        {"id": "b", "tool": "s:typed", "arguments": {"n": "$OUTPUT[a].n"}},
    ]
    run = Run("r0", check(read_dag({"tasks": tasks}), catalog, Policy()))
    run.begin(0.0)
    run.start(run.ready.pop(), 0.0)
    run.succeed(Key("r0", "a"), Output({"n": None}), 1.0)
    records = RunRecords()
    for notice in run.notices:
        records(notice)
    folded = records.record("r0", 1.0)
    assert folded == record_of(run, 1.0)
    assert folded is not None
    assert "b.arguments.n was null" in folded.notes[-1]


def test_a_list_with_failed_items_that_is_taken_over_is_in_the_record() -> None:
    catalog = Catalog([tool("s:t")], [ServerInfo("s", ServerState.READY)])
    each = {"id": "m", "tool": "s:t", "for_each": ["x", "y"], "arguments": {"x": "$ITEM"}}
    use = {"id": "q", "tool": "s:t", "arguments": {"x": "$OUTPUT[m]"}}
    reading = read_dag({"tasks": [each, use]})
    kept = Output(["X", None])
    failure = Failure("tool_error", "no")
    statuses = (Status.SUCCESS, Status.FAILED)
    items = EarlierItems(reading.dag.tasks[0], "s:t", kept, statuses, ((1, failure),), failure, {})
    plan = check(reading, catalog, Policy(), reused={"m": TakenOver("s:t", ())})
    run = Run("r", plan, reused={"m": kept}, earlier_items={"m": items})
    records = RunRecords()
    for notice in Scheduler(Limits()).submit(run, 0.0).notices:
        records(notice)
    record = records.record("r", 1.0)
    assert record == record_of(run, 1.0)
    assert record is not None
    task = record.tasks["m"]
    assert task.items is not None
    assert (task.status, task.items.statuses) == (Status.FAILED, statuses)
    assert (task.items.errors, task.has_result) == (((1, failure),), True)


def test_what_is_not_known_has_no_record() -> None:
    records = RunRecords()
    assert records.record("r0", 0.0) is None
    world = World(limits=Limits(), writers=None)
    world.submit({"tasks": [{"id": "t0", "tool": "a:do"}]})
    for notice in world.step.notices:
        records(notice)
    assert records.record("r0", 0.0) is not None
    records.forget("r0")
    assert records.record("r0", 0.0) is None
