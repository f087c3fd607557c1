"""`plait apply`, `plait approve` and `plait deny`: their options, as `commands.py` has those of the
others."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .command_line import perform, session_of
from .options import (
    ConfigOption,
    DebugOption,
    Detail,
    DetailOption,
    IsolatedOption,
    JsonOption,
    LogLevelOption,
    ProfileOption,
    completing,
)

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="The id of a run, or its beginning.", autocompletion=completing("runs")
    ),
]


def apply(
    ctx: typer.Context,
    run: RunArgument,
    as_json: JsonOption = False,
    detail: DetailOption = Detail.CONCISE,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Let the run of a preview go on as it was shown.

    What the policy asks for is still asked for.
    """
    from .documents import Changes, Source
    from .history import whole_id
    from .orders import Run

    def applied() -> Run:
        run_id = whole_id(run)
        document = json.dumps({"tasks": [], "apply": run_id}).encode()
        return Run(Source(run_id, document), Changes(), is_whole=detail is Detail.FULL)

    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)
    perform(session, applied)


def approve(
    ctx: typer.Context,
    run: RunArgument,
    as_json: JsonOption = False,
    detail: DetailOption = Detail.CONCISE,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Show what a waiting run wants to do, and ask at the terminal.

    Then shows the run at its end. It goes on if this command ends before.
    """
    from .history import whole_id
    from .orders import Approve

    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)
    perform(session, lambda: Approve(whole_id(run), detail is Detail.FULL))


def deny(
    ctx: typer.Context,
    run: RunArgument,
    as_json: JsonOption = False,
    detail: DetailOption = Detail.CONCISE,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Say no to what a waiting run wants to do: none of it is sent."""
    from .history import whole_id
    from .orders import Deny

    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)
    perform(session, lambda: Deny(whole_id(run), detail is Detail.FULL))
