"""Folding the notices of a run gives its record."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.core.results.record import record_of
from plait.observers.records import RunRecords

from ..core.scheduling.worlds import Choices, World


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_notices_of_any_run_give_its_record(data: st.DataObject) -> None:
    fold(World.draw(Choices.of(data)))


@pytest.mark.parametrize("twenty", range(4))
def test_the_notices_of_many_runs_give_their_records(twenty: int) -> None:
    for seed in range(twenty * 20, twenty * 20 + 20):
        fold(World.draw(Choices.seeded(seed)))


def fold(world: World) -> None:
    """Let anything happen: at every step that says something of a run, its notices so far give its
    record."""
    records = RunRecords()
    for _ in world.steps():
        for notice in world.step.notices:
            records(notice)
        for id in {notice.run for notice in world.step.notices if notice.run}:
            assert records.record(id, world.now) == record_of(world.runs[id], world.now)
    for id, run in world.runs.items():
        assert records.record(id, world.now) == record_of(run, world.now)


def test_what_is_not_known_has_no_record() -> None:
    records = RunRecords()
    assert records.record("r", 0.0) is None
    world = World.draw(Choices.seeded(1))
    for _ in world.steps():
        for notice in world.step.notices:
            records(notice)
    assert records.record("r0", 0.0) is not None
    records.forget("r0")
    assert records.record("r0", 0.0) is None
