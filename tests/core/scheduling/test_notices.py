"""Notices by themselves; the tests of `observers/records.py` fold those of whole runs."""

from __future__ import annotations

from plait.core.scheduling.events import Failure, Key, Status
from plait.core.scheduling.notices import Changed

from ..tables import table

LOST = Failure("connection_lost", "lost")


def changed(before: Status, after: Status, error: Failure | None = None) -> Changed:
    return Changed(Key("r", "t"), "s:do", before, after, 1, 0.0, error)


@table(
    ("before", "after", "error", "is_next_round"),
    [
        (Status.RUNNING, Status.READY, None, True),
        (Status.RUNNING, Status.BACKING_OFF, None, True),
        (Status.RUNNING, Status.BACKING_OFF, LOST, False),
        (Status.RUNNING, Status.SUCCESS, None, False),
        (Status.BACKING_OFF, Status.READY, None, False),
        (Status.PENDING, Status.READY, None, False),
    ],
)
def test_a_call_that_was_answered_and_is_made_again_is_told_from_one_that_failed(
    before: Status, after: Status, error: Failure | None, is_next_round: bool
) -> None:
    assert changed(before, after, error).is_next_round is is_next_round


def test_a_change_names_its_run_and_the_code_of_its_error() -> None:
    failed = changed(Status.RUNNING, Status.FAILED, LOST)
    assert (failed.run, failed.code) == ("r", "connection_lost")
    assert changed(Status.PENDING, Status.READY).code is None
