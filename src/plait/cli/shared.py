"""A command that the gateway of this user carries out, which other programs share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from ..core.values.strict import Json
from ..door.arguments import PLATFORMS
from .binary import SEE, write_files
from .console import Console
from .exits import Exit, Misused
from .invocation import Command
from .orders import AnyCommand, Call, written
from .reporting import write


def perform(
    command: Command,
    *,
    as_json: bool,
    debug: bool,
    config_file: Path | None,
    profile: str | None,
) -> int | None:
    """Let the gateway carry out *command*, and return the exit code; None if it cannot, and nothing
    has been done. Raises `Misused`."""
    if sys.platform not in PLATFORMS or not isinstance(command, AnyCommand):
        return None
    from ..door import commands

    try:
        order = commands.order(written(command), as_json=as_json, debug=debug)
    except ValueError:  # not all of it is text
        return None
    options = {"--config": config_file, "--profile": profile}
    arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
    try:
        return commands.carry_out(command.name, order, arguments, _saving(command))
    except commands.Misused as error:
        raise Misused(error.text, hint=error.hint) from None
    except commands.Lost as lost:
        return end_lost(lost, as_json=as_json)


def end_lost(lost: Exception, *, as_json: bool) -> Exit:
    """Show that the gateway has ended, and what is known of the command, and return the exit
    code."""
    from ..door.commands import Lost

    assert isinstance(lost, Lost)
    console = _console()
    sent = "unknown" if lost.is_taken else "no"
    text = "The shared gateway ended during this command. " + (
        "Whether its calls took effect is unknown: look at what they should have changed before "
        "you repeat it."
        if lost.is_taken
        else "Nothing was sent."
    )
    console.complain(text)
    if as_json and not lost.has_shown:
        notes: list[Json] = [text]
        errors: list[Json] = []
        console.out.json(
            {"status": "interrupted", "sent": sent, "errors": errors, "outputs": {}, "notes": notes}
        )
    if not lost.signal:
        return Exit.TASK_FAILED
    return Exit(128 + lost.signal)


def _saving(command: AnyCommand) -> Callable[[str, bytes], None]:
    """Return what writes the files of *command*: its reports as such, others as a result."""
    see = SEE if isinstance(command, Call) else ""
    reports = {str(report.path): report for report in getattr(command, "reports", ())}

    def save(path: str, content: bytes) -> None:
        if path in reports:
            write([(reports[path], content)], _console().complain)
        else:
            write_files([(Path(path), content)], see)

    return save


def _console() -> Console:
    return Console(sys.stdout, sys.stderr, os.environ)
