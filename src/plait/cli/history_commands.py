"""`plait history` and `plait resume`: their options, as `commands.py` has those of the others."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .command_line import end, perform, session_of
from .exits import Exit, Misused
from .options import (
    ConfigOption,
    DebugOption,
    Detail,
    DetailOption,
    HtmlOption,
    IsolatedOption,
    JsonOption,
    JunitOption,
    LogLevelOption,
    MarkdownOption,
    ProfileOption,
    completing,
)

if TYPE_CHECKING:
    from .orders import Run
    from .session import Session

SHOW = "show"
WORDS = ("retry", "done", "skip")
IN_DOUBT = "--in-doubt"


class HistoryCommands(TyperGroup):
    """Takes any word that does not name a command for the id of a run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = bool(args) and args[0] in self.commands
        return super().resolve_command(ctx, args if known else [SHOW, *args])


history = typer.Typer(
    cls=HistoryCommands,
    rich_markup_mode=None,
    subcommand_metavar="[RUN | COMMAND]",
)


@history.callback(invoke_without_command=True)
def list_runs(
    ctx: typer.Context,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only runs that did not succeed.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Begun since: 2d, 3h, 30m, or a date."),
    ] = None,
    tool: Annotated[
        str | None,
        typer.Option(
            "--tool",
            metavar="GLOB",
            help="Only runs that called such a tool: git:*",
            autocompletion=completing("tools"),
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="Most runs that are shown.")
    ] = 20,
    calls: Annotated[bool, typer.Option("--calls", help="Calls by name, too.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    debug: DebugOption = False,
) -> None:
    """Show past runs, the latest first, or one by its id.

    Of all gateways of this user. The beginning of an id is enough. --config names settings whose
    secrets are not to be shown.
    """
    if ctx.invoked_subcommand is not None:
        if failed or since or tool or calls:
            ctx.fail("--failed, --since, --tool and --calls are for the list of runs.")
        return
    from ..core.history import Kind, RunQuery
    from .history import list_runs as show
    from .history import time_of, with_history

    session = session_of(ctx, config, profile, None, debug, as_json)

    def listed() -> int:
        query = RunQuery(
            limit,
            kind=None if calls else Kind.DAG,
            failed=failed,
            since=None if since is None else time_of(since, time.time()),
            tool=tool,
        )
        return with_history(session, lambda found: show(found, session, query))

    end(lambda: session.settle(listed))


@history.command(SHOW, hidden=True)
def show_run(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="The id of a run, or its beginning.",
            autocompletion=completing("runs"),
        ),
    ],
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Make it again from the history, and compare. No call is made."
        ),
    ] = False,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    detail: DetailOption = Detail.CONCISE,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    debug: DebugOption = False,
) -> None:
    """Show one run: its course, its calls, what is in doubt, and how to go on with it."""
    from .history import show_run as show
    from .history import with_history
    from .reporting import reports_of

    session = _session_below(ctx, config, profile, debug, as_json)
    reports = reports_of(junit, markdown, html, {})
    if verify:
        if reports:
            ctx.fail("--junit, --md and --html report a run that is shown, not one with --verify.")
        from .verifying import verify_run

        end(
            lambda: session.settle(
                lambda: with_history(session, lambda found: verify_run(found, session, run))
            )
        )
    is_whole = detail is Detail.FULL
    end(
        lambda: session.settle(
            lambda: with_history(
                session,
                lambda found: show(found, session, run, is_whole=is_whole, reports=reports),
            )
        )
    )


@history.command()
def stats(ctx: typer.Context, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show how often, how long and how well each tool was called."""
    from .history import show_statistics, with_history

    session = _session_below(ctx, None, None, debug, as_json)
    end(
        lambda: session.settle(
            lambda: with_history(session, lambda found: show_statistics(found, session))
        )
    )


@history.command()
def audit(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Only rows of this run, or call by name."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only rows since: 2d, 3h, 30m, or a date."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="Most rows: 50, and all with --json."),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Verify, and show no rows.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what was decided about calls, and each that changed something; verify all of it.

    Exits with 1 if a row was changed, deleted or added by another program.
    """
    from .audit import AuditQuery, show_audit
    from .history import time_of, with_history

    session = _session_below(ctx, None, None, debug, as_json)

    def shown() -> int:
        at = None if since is None else time_of(since, time.time())
        query = AuditQuery(run, at, limit, verifies_only=verify)
        return with_history(session, lambda found: show_audit(found, session, query))

    end(lambda: session.settle(shown))


@history.command()
def export(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs; all without any.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to this file.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Write runs as lines of JSON, with all values as they are.

    Secrets that outputs hold are in it.
    """
    from .history import export_runs, with_history

    session = _session_below(ctx, None, None, debug)
    end(
        lambda: session.settle(
            lambda: with_history(
                session, lambda found: export_runs(found, session, runs or (), output)
            )
        )
    )


@history.command("import")
def take_in(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file, or - for standard input.")],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Take in runs that export wrote; no run goes on from them."""
    from .documents import read_input
    from .history import import_runs, with_history

    session = _session_below(ctx, None, None, debug, as_json)
    end(
        lambda: session.settle(
            lambda: with_history(
                session,
                lambda found: import_runs(found, session, read_input(file, "FILE").splitlines()),
                creates=True,
            )
        )
    )


@history.command()
def clear(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Delete all runs but those that run now."""
    from .history import clear as delete
    from .history import with_history

    session = _session_below(ctx, None, None, debug, as_json)

    def cleared() -> int:
        if not yes:
            if not sys.stdin.isatty():
                raise Misused("say --yes: it can ask at a terminal alone.", hint="--yes")
            session.console.err.line("Delete all runs, also interrupted ones? [y/N]")
            if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
                return Exit.TASK_FAILED
        return with_history(session, lambda found: delete(found, session))

    end(lambda: session.settle(cleared))


def resume(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="The id of a run, or its beginning.",
            autocompletion=completing("runs"),
        ),
    ],
    in_doubt: Annotated[
        list[str] | None,
        typer.Option(
            IN_DOUBT,
            metavar="TASK=WORD",
            help="retry, done, done:JSON or skip, for calls in doubt. *=…: all. Can be repeated.",
        ),
    ] = None,
    as_json: JsonOption = False,
    detail: DetailOption = Detail.CONCISE,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Go on with an interrupted run, as plait run runs a DAG.

    Needs the settings that it began with. plait history RUN shows what is in doubt.
    """
    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)
    is_whole = detail is Detail.FULL
    perform(session, lambda: _going_on(run, in_doubt or (), is_whole=is_whole))


def _going_on(run: str, words: Sequence[str], *, is_whole: bool) -> Run:
    """Return the command that goes on with *run*. Raises `Misused`."""
    from .documents import Changes, Source
    from .history import whole_id
    from .orders import Run

    says = dict(map(read_word, words))
    run_id = whole_id(run)
    document = {"tasks": [], "resume_from": run_id, **({"in_doubt": says} if says else {})}
    return Run(Source(run_id, json.dumps(document).encode()), Changes(), is_whole=is_whole)


def read_word(text: str) -> tuple[str, Any]:
    """Read what is said about a task in doubt: `TASK=WORD`. Raises `Misused`."""
    from ..core.values.strict import NotStrict, loads

    task, _, word = text.partition("=")
    if task and word in WORDS:
        return task, word
    if not task or not word.startswith("done:"):
        ways = "TASK=retry, TASK=done, TASK=done:JSON or TASK=skip"
        raise Misused(f"{text}: write {ways}.", hint=IN_DOUBT)
    try:
        return task, {"done": loads(word.removeprefix("done:"))}
    except NotStrict as error:
        example = """such as done:'{"id": 7}' or done:'"text"'"""
        raise Misused(
            f"{text}: the output is {error}; write JSON, {example}.", hint=IN_DOUBT
        ) from None


def _session_below(
    ctx: typer.Context,
    config: Path | None,
    profile: str | None,
    debug: bool,
    as_json: bool = False,
) -> Session:
    """Return the session of a command of `plait history`, with options that stand before its
    name."""
    before = ctx.parent.params if ctx.parent is not None else {}
    return session_of(
        ctx,
        config or before.get("config"),
        profile or before.get("profile"),
        None,
        debug or bool(before.get("debug")),
        as_json or bool(before.get("as_json")),
    )
