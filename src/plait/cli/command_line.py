"""The session of a command, its end, and the text on exit codes, for all command lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from .exits import Misused

if TYPE_CHECKING:
    from typer.models import CommandInfo

    from .options import LogLevel
    from .orders import AnyCommand
    from .session import Session

EXITS = """\
Exit codes: 0 everything succeeded; 1 a task failed; 2 the command line was wrong; 3 the DAG was \
refused or denied, and
nothing was changed; 4 the configuration is wrong; 5 a server that was needed cannot be reached; \
6 it waits for a person; 124 the
run timed out; 129 its terminal was closed; 130 it was interrupted; 143 it was ended by SIGTERM."""


def asked_for(program: typer.Typer, words: Sequence[str]) -> typer.Typer:
    """Return *program* with the one command that *words* begin with, or with all of them if that is
    none: typer examines the options of all that it has, which takes longer than the rest."""
    asked = copy(program)
    asked.registered_commands = [
        one for one in program.registered_commands if [_name_of(one)] == words[:1]
    ]
    asked.registered_groups = [one for one in program.registered_groups if [one.name] == words[:1]]
    return asked if asked.registered_commands or asked.registered_groups else program


def _name_of(command: CommandInfo) -> str | None:
    return command.name or getattr(command.callback, "__name__", None)


def session_of(
    ctx: typer.Context,
    config: Path | None,
    profile: str | None,
    log_level: LogLevel | None,
    debug: bool,
    as_json: bool = False,
    isolated: bool = True,
) -> Session:
    """Return the session of a command. *ctx.obj* may be another function that opens a gateway. A
    command that is to show its log does all by itself."""
    from .session import Session

    level = "error" if log_level is None else log_level.value
    may_share = not isolated and log_level is None
    return Session(
        ctx.obj, config, profile, level, debug=debug, as_json=as_json, may_share=may_share
    )


def perform(session: Session, read: Callable[[], AnyCommand]) -> NoReturn:
    """Carry out the command that *read* makes of the command line."""
    end(lambda: session.perform(read()))


def end(work: Callable[[], int]) -> NoReturn:
    """Do *work* and end with its exit code. A wrong value is shown with the usage of the
    command."""
    try:
        code = work()
    except Misused as error:
        raise typer.BadParameter(str(error), param_hint=error.hint) from None
    raise typer.Exit(int(code))
