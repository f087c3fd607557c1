"""How a run ended, as an exit code."""

from __future__ import annotations

import pytest

from plait.cli.exits import Exit, exit_of
from plait.core.results.record import RunStatus, TaskRecord
from plait.core.scheduling.events import Failure, Status

from .records import ended, record

FAILED = record("f", Status.FAILED, error=Failure("tool_error", "x"))
GONE = record("g", Status.FAILED, error=Failure("server_unavailable", "x"))
WELL = record("w")


@pytest.mark.parametrize(
    ("status", "tasks", "code"),
    [
        (RunStatus.SUCCESS, [WELL], Exit.SUCCESS),
        (RunStatus.PARTIAL, [WELL, FAILED], Exit.TASK_FAILED),
        (RunStatus.FAILED, [FAILED], Exit.TASK_FAILED),
        (RunStatus.CANCELLED, [WELL], Exit.TASK_FAILED),
        (RunStatus.PARTIAL, [WELL, FAILED, GONE], Exit.UNREACHABLE),
        (RunStatus.WAITING, [WELL], Exit.WAITING),
        (RunStatus.TIMEOUT, [WELL], Exit.TIMED_OUT),
        (RunStatus.TIMEOUT, [GONE], Exit.TIMED_OUT),
    ],
)
def test_the_exit_code_follows_from_the_result(
    status: RunStatus, tasks: list[TaskRecord], code: Exit
):
    assert exit_of(ended(status, *tasks)) is code


def test_the_codes_are_those_that_scripts_know():
    assert [code.value for code in Exit] == [0, 1, 2, 3, 4, 5, 6, 124, 129, 130, 143]
