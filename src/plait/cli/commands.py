"""The commands and their options. Each command imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from .approval_commands import apply, approve, deny
from .command_line import EXITS, end, perform, session_of
from .history_commands import history, resume
from .instead import Commands
from .options import (
    AgainOption,
    ConfigOption,
    DagArgument,
    DebugOption,
    Detail,
    DetailOption,
    GraphFormat,
    HtmlOption,
    IsolatedOption,
    JsonOption,
    JunitOption,
    LogLevel,
    LogLevelOption,
    MarkdownOption,
    ProfileOption,
    Shell,
    SkillClient,
    Survives,
    completing,
)

program = typer.Typer(
    cls=Commands,
    help="Run DAGs of MCP tool calls in parallel, on any number of MCP servers.",
    epilog=EXITS,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@program.callback()
def _plait(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=lambda given: _show_version(given),
            help="Show the version.",
        ),
    ] = False,
) -> None: ...


@program.command("try")
def try_out(
    ctx: typer.Context,
    step: Annotated[
        int | None,
        typer.Option("--step", min=1, max=4, metavar="N", help="Only this step, 1 to 4."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Press no keys: say yes, and go on by itself.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """See in a minute what Plait does, on made-up services.

    It needs no files, keys or network. 1: a job call by call and as one DAG. 2: writes that wait
    for a yes. 3: a leak that is refused. 4: a gateway that is killed, and its run that goes on.
    """
    from .trying import try_out

    session = session_of(ctx, None, None, None, debug)
    end(lambda: session.settle(lambda: try_out(session, step, says_yes=yes)))


@program.command(epilog=EXITS)
def install(
    ctx: typer.Context,
    clients: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLIENT]...", help="Only these, such as cursor; default: all."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="SERVER", help="Move only this one. Can be repeated."),
    ] = None,
    share: Annotated[
        bool, typer.Option("--share", help="Give every client all servers, not those it had.")
    ] = False,
    project: Annotated[
        bool, typer.Option("--project", help="Move the servers of the project in this folder.")
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also change files of clients that run.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last installation back.")] = False,
    prints: Annotated[
        bool, typer.Option("--print", help="Only show what would be changed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without being asked.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Register Plait in your clients and move their servers here.

    Shows what changes in which file and asks once. Servers that would not work as before stay.
    """
    from .installing import Wish, install

    session = session_of(ctx, None, None, None, debug, as_json)
    wish = Wish(clients or (), only or (), yes, prints, share, project, anyway, undoes=undo)
    end(lambda: session.settle(lambda: install(session, wish)))


@program.command()
def serve(
    ctx: typer.Context,
    http: Annotated[
        str | None,
        typer.Option(
            "--http",
            metavar="[HOST:]PORT",
            help="Serve over HTTP, on this machine only or on HOST.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A host name that clients may use. Can be repeated.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="URL",
            help="An origin whose web pages may call. Can be repeated.",
        ),
    ] = None,
    no_auth: Annotated[
        bool,
        typer.Option("--no-auth", help="Over HTTP, let everybody in who reaches the address."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Reload the settings when their file changes.")
    ] = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Serve clients, over a pipe (stdin and stdout) or HTTP."""
    from .serving import serve

    session = session_of(ctx, config, profile, log_level or LogLevel.INFO, debug)
    session.may_ask = sys.stdin is not None and sys.stdin.isatty()  # else a client started us
    hosts, origins = tuple(allow_host or ()), tuple(allow_origin or ())
    end(
        lambda: session.settle(
            lambda: serve(
                session,
                http,
                hosts,
                origins,
                is_watching=watch,
                is_open=no_auth,
                is_isolated=isolated,
            )
        )
    )


@program.command(epilog=EXITS)
def run(
    ctx: typer.Context,
    dag: DagArgument,
    as_json: JsonOption = False,
    detail: DetailOption = Detail.CONCISE,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="The first failure ends the run.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j", "--jobs", min=1, metavar="N", help="Most tasks in flight at once; 1: one by one."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="ID.ARG=VALUE", help="Set an argument: JSON, or text. Can be repeated."
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.001, metavar="S", help="Seconds for the whole run."),
    ] = None,
    durable: Annotated[
        Survives | None,
        typer.Option(
            "--durable", help="The death that the run survives: of its process, or power."
        ),
    ] = None,
    earlier: Annotated[
        str | None,
        typer.Option(
            "--resume", metavar="RUN", help="Go on from this run: only what changed is run again."
        ),
    ] = None,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Only read, and show what would be changed: plait apply."),
    ] = False,
    approve: Annotated[
        bool,
        typer.Option("--approve", help='Say yes to all of it, if [policy] approve names "flag".'),
    ] = False,
    again: AgainOption = False,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    html: HtmlOption = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Run a DAG. Results go to standard output, everything else to standard error.

    Ctrl-C cancels the run and shows its results so far; a second one exits at once.
    """
    from .documents import Changes, read_source
    from .orders import Run
    from .reporting import reports_of

    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)

    def command() -> Run:
        reports = reports_of(junit, markdown, html, os.environ)
        resume_from = None
        if earlier is not None:
            from .history import whole_id

            resume_from = whole_id(earlier, "--resume")
        survives = None if durable is None else durable.value
        changes = Changes(
            fail_fast, jobs, timeout, tuple(settings or ()), survives, resume_from, preview, again
        )
        is_whole = detail is Detail.FULL
        return Run(read_source(dag), changes, is_whole=is_whole, says_yes=approve, reports=reports)

    perform(session, command)


@program.command(epilog=EXITS)
def plan(
    ctx: typer.Context,
    dag: DagArgument,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Check a DAG and show how it would run; nothing runs.

    Shows its layers, the critical path, conflicts, the expected time, and what it changes.
    """
    from .documents import read_source
    from .orders import Plan

    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)
    perform(session, lambda: Plan(read_source(dag)))


@program.command(epilog=EXITS)
def explain(
    ctx: typer.Context,
    dag: DagArgument,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Say in sentences what a DAG would do; nothing runs.

    Says what runs when and on what condition, what is read and what is changed, and what is
    returned.
    """
    from .documents import read_source
    from .orders import Explain

    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)
    perform(session, lambda: Explain(read_source(dag)))


@program.command(epilog=EXITS)
def graph(
    ctx: typer.Context,
    drawn: Annotated[
        str,
        typer.Argument(
            metavar="DAG|RUN",
            help="A file, JSON or TOML, - for standard input, or the id of a run.",
            autocompletion=completing("dags_and_runs"),
        ),
    ],
    form: Annotated[
        GraphFormat | None,
        typer.Option(
            "--format",
            case_sensitive=False,
            help="Default: by the end of FILE; ascii on a terminal, else mermaid.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to this file.")
    ] = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Draw a DAG, or a past run with the ends of its tasks.

    Nothing runs. A word that names no file is the id of a run, or its beginning.
    """
    from .drawing import check_output, draw_run, format_of, is_file

    session = session_of(ctx, config, profile, log_level, debug, False, isolated)
    chosen = format_of(form, output)
    if not is_file(drawn):
        from .history import with_history

        def of_run() -> int:
            check_output(output)
            return with_history(
                session, lambda found: draw_run(found, session, drawn, chosen, output)
            )

        end(lambda: session.settle(of_run))

    def command() -> Graph:
        check_output(output)
        return Graph(read_source(drawn), chosen, output)

    from .documents import read_source
    from .orders import Graph

    perform(session, command)


@program.command()
def tools(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]", help="What the tool should do.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="NAME",
            help="Only tools of this server.",
            autocompletion=completing("servers"),
        ),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """List the tools, or find some by words.

    [w] marks those that are not read-only.
    """
    from .orders import Tools

    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)
    perform(session, lambda: Tools(" ".join(words or ()), server))


@program.command(epilog=EXITS)
def call(
    ctx: typer.Context,
    tool: Annotated[
        str,
        typer.Argument(metavar="TOOL", help="server:tool", autocompletion=completing("tools")),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ARGUMENTS]",
            help="key=value, a JSON object, @FILE, or - for standard input. Can be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Save the result: images and other data as such."
        ),
    ] = None,
    again: AgainOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Call one tool and show its result."""
    from .binary import check_place
    from .calling import read_words
    from .orders import Call

    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)

    def command() -> Call:
        if output is not None:
            check_place(output)
        return Call(tool, tuple(read_words(arguments or ())), output, again)

    perform(session, command)


@program.command()
def servers(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="accept NAME",
            help="accept: take the tools of a server as they are described now, shown first.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept without being asked.")] = False,
    of_all: Annotated[
        bool,
        typer.Option("--all", help="Those of all settings in the shared gateway, as they are now."),
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    isolated: IsolatedOption = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = False,
) -> None:
    """Show the state of each server, and why one does not start.

    Waits until every server has answered or failed, for about half a minute at most. The exit code
    is 0 in any case: the states are the result.
    """
    from .orders import Servers

    session = session_of(ctx, config, profile, log_level, debug, as_json, isolated)
    if words:
        from .accepting import accept_words

        end(lambda: session.settle(lambda: accept_words(session, words, yes=yes)))
    if of_all:
        from .machine import show_all_servers

        end(lambda: session.settle(lambda: show_all_servers(session)))
    perform(session, Servers)


program.add_typer(history, name="history")
for _command in (resume, apply, approve, deny):
    program.command(epilog=EXITS)(_command)


@program.command()
def ps(ctx: typer.Context, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show the shared gateway: its clients, servers and runs."""
    from .machine import show_gateway

    session = session_of(ctx, None, None, None, debug, as_json)
    end(lambda: session.settle(lambda: show_gateway(session)))


@program.command()
def stop(ctx: typer.Context, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """End the shared gateway, once its calls have ended.

    A client starts a new one with its next message.
    """
    from .machine import end_gateway

    session = session_of(ctx, None, None, None, debug, as_json)
    end(lambda: session.settle(lambda: end_gateway(session, "stop")))


@program.command()
def restart(ctx: typer.Context, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """End the shared gateway; its clients start a new one at once.

    Its calls may end first.
    """
    from .machine import end_gateway

    session = session_of(ctx, None, None, None, debug, as_json)
    end(lambda: session.settle(lambda: end_gateway(session, "restart")))


@program.command()
def init(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Write it without being asked.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a first servers.toml for this folder.

    It is made of what is there: a git repository, package.json, the variable of a database. It is
    shown first, and never written over another one.
    """
    from .initializing import initialize

    session = session_of(ctx, None, None, None, debug, as_json)
    end(lambda: session.settle(lambda: initialize(session, yes=yes)))


@program.command()
def doctor(
    ctx: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="Make the changes that are safe; shown first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Make them without being asked.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    debug: DebugOption = False,
) -> None:
    """Show what is or may be wrong, each with its fix.

    Starts every server once. The exit code is 1 if something is wrong, else 0.
    """
    session = session_of(ctx, config, profile, None, debug, as_json)

    def work() -> int:
        from .doctoring import doctor

        return doctor(session, fixes=fix, yes=yes)

    end(lambda: session.settle(work))


@program.command(epilog=EXITS)
def trust(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A servers.toml in some folder.")],
    debug: DebugOption = False,
) -> None:
    """Let a settings file be used where it is found, as it is now.

    Shows what it starts and reaches. After a change it is asked for again.
    """
    from .trusting import trust

    session = session_of(ctx, None, None, None, debug)
    end(lambda: session.settle(lambda: trust(session.console, file)))


@program.command()
def skill(
    ctx: typer.Context,
    install: Annotated[
        list[SkillClient] | None,
        typer.Option(
            "--install",
            metavar="CLIENT",
            help=f"Put it where {', '.join(SkillClient)} reads it. Can be repeated.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write without being asked.")] = False,
    debug: DebugOption = False,
) -> None:
    """Print a skill for coding agents, or put it where they read it.

    It says how to use plait from a shell. A file that plait did not write is never changed.
    """
    from .skill import install_skill, show_skill

    session = session_of(ctx, None, None, None, debug)
    console = session.console
    if install is None:
        end(lambda: session.settle(lambda: show_skill(console)))
    end(lambda: session.settle(lambda: install_skill(console, [*install], yes=yes)))


@program.command()
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish")],
) -> None:
    """Print a script that completes names in a shell.

    For bash: eval "$(plait completion bash)"
    """
    from .completion import script

    typer.echo(script(shell.value))


def _show_version(given: bool) -> None:
    if given:
        typer.echo(f"plait {__version__}")
        raise typer.Exit()
