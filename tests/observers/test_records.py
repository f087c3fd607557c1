"""Folding the notices of a run gives its record."""

from __future__ import annotations

from hypothesis.stateful import run_state_machine_as_test

from plait.core.results.record import record_of
from plait.core.scheduling.limits import Limits
from plait.observers.records import RunRecords

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
