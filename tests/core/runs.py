"""What there is to read of a live run: its record, its outputs and its result."""

from __future__ import annotations

from plait.core.results.record import record_of
from plait.core.results.result import RunResult, result_of
from plait.core.scheduling.run import Run
from plait.core.tools.output import Output


def outputs_of(run: Run) -> dict[str, Output]:
    return {id: state.output for id, state in run.states.items() if state.output is not None}


def result_at(run: Run, now: float) -> RunResult:
    return result_of(record_of(run, now), outputs_of(run).get)
