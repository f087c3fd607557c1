"""The exit codes, and the answer of a command that was interrupted before it had one."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..core.results.result import RunResult


class Exit(IntEnum):
    SUCCESS = 0
    TASK_FAILED = 1  # also for a fault of the program itself, which is reported
    USAGE = 2
    REFUSED = 3  # nothing ran
    CONFIG = 4
    UNREACHABLE = 5
    TIMED_OUT = 124
    INTERRUPTED = 130
    TERMINATED = 143


INTERRUPTED: Final = (
    '{"status": "cancelled", "errors": [], "outputs": {}, '
    '"notes": ["interrupted before anything was sent"]}'
)
"""The document of `--json` then. It is text, so that it can be written while modules are
imported."""


def exit_of(result: RunResult) -> Exit:
    """Return the exit code for the result of a run."""
    if result.status == "timeout":
        return Exit.TIMED_OUT
    if any(error.code == "server_unavailable" for error in result.errors):
        return Exit.UNREACHABLE
    return Exit.SUCCESS if result.status == "success" else Exit.TASK_FAILED
