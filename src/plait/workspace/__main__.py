"""The command line: `python -P -m plait.workspace --root DIR`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence

import anyio

from ..privacy import hide_memory
from .allowed import AllowedCommand
from .checks import Commands
from .errors import WorkspaceError
from .processes import adopt_orphans
from .server import build_server
from .stdio import stdio_streams


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one folder over stdin and stdout until the client hangs up or a signal comes.

    Returns:
        The exit code: 0, or 2 for a root that is not a folder.
    """
    options = _parser().parse_args(argv)
    commands = Commands(tuple(options.allow_command), options.formatter, options.tests)
    try:
        anyio.run(_serve, options, commands)
    except WorkspaceError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -P -m plait.workspace", description="An MCP server for one folder."
    )
    parser.add_argument(
        "--root", default=".", metavar="DIR", help="the folder to serve (default: this one)"
    )
    parser.add_argument(
        "--read-only", action="store_true", help="offer only the tools that change nothing"
    )
    parser.add_argument(
        "--tool",
        action="append",
        default=[],
        metavar="NAME",
        help="offer only this tool; can be repeated",
    )
    parser.add_argument(
        "--protect",
        action="append",
        default=[],
        metavar="FILE",
        help="never write this file; can be repeated",
    )
    parser.add_argument(
        "--allow-command",
        action="append",
        default=[],
        type=_allowed,
        metavar="COMMAND",
        help='let run_command start exactly this, or with "npm run *" more words; can be repeated',
    )
    parser.add_argument(
        "--formatter", type=_words, metavar="COMMAND", help='what format_code runs, like "black"'
    )
    parser.add_argument(
        "--tests", type=_words, metavar="COMMAND", help='what run_tests runs, like "npm test --"'
    )
    return parser


def _allowed(text: str) -> AllowedCommand:
    try:
        return AllowedCommand.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _words(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    if not words:
        raise argparse.ArgumentTypeError("a command needs at least one word")
    return words


async def _serve(options: argparse.Namespace, commands: Commands) -> None:
    hide_memory()
    adopt_orphans()
    server = build_server(
        options.root,
        commands=commands,
        read_only=options.read_only,
        only=options.tool,
        protected=options.protect,
    )
    async with anyio.create_task_group() as group:
        group.start_soon(_stop_on_signal, group.cancel_scope)
        async with stdio_streams() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
        group.cancel_scope.cancel()


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    """Cancel all calls on a signal, which also ends the processes that they started."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for _ in signals:
            scope.cancel()


if __name__ == "__main__":
    raise SystemExit(main())
