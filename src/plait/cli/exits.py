"""The exit codes, and the error for a wrong command line."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.results.result import RunResult


class Exit(IntEnum):
    SUCCESS = 0
    TASK_FAILED = 1  # also for a fault of the program itself, which is reported
    USAGE = 2
    REFUSED = 3  # nothing ran
    CONFIG = 4
    UNREACHABLE = 5
    WAITING = 6  # for a person
    TIMED_OUT = 124
    HUNG_UP = 129  # its terminal was closed
    INTERRUPTED = 130
    TERMINATED = 143


class Misused(Exception):
    """The value of the parameter `hint` is wrong: exit code 2."""

    def __init__(self, text: str, *, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


def exit_of(result: RunResult) -> Exit:
    """Return the exit code for the result of a run."""
    if result.status == "timeout":
        return Exit.TIMED_OUT
    if result.status == "waiting":
        return Exit.WAITING
    if any(error.code == "server_unavailable" for error in result.errors):
        return Exit.UNREACHABLE
    return Exit.SUCCESS if result.status == "success" else Exit.TASK_FAILED
