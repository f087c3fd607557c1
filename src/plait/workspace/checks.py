"""format_code, run_tests and run_command: commands that the operator configured, or that are found
installed.

All three run code of the workspace. They take no option from the model: paths become absolute ones
inside of the root, a keyword is one word of a checked grammar, and `run_command` starts only what
an allowed command matches.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
from pydantic import Field

from .allowed import AllowedCommand
from .errors import WorkspaceError
from .paths import Root, WorkspacePath, explained, shown
from .processes import KEPT_BYTES, Command, Outcome, program
from .schema import Arguments, Output

BURST_S = 0.1
"""Least seconds between two reports of progress."""
MAX_LINE_CHARACTERS = 500
KEYWORD = re.compile(r"[\w.\[\]():, ][\w.\[\]():, -]{0,499}")
ENVIRONMENT = {"NO_COLOR": "1", "TERM": "dumb", "PYTHONUNBUFFERED": "1", "GIT_TERMINAL_PROMPT": "0"}

Paths = Annotated[
    list[WorkspacePath],
    Field(max_length=1000, description="Files and folders to work on; none for all of them."),
]
MaxOutput = Annotated[
    int, Field(ge=0, le=KEPT_BYTES, description="Most bytes of output to keep, from its end.")
]
Timeout = Annotated[
    float,
    Field(gt=0, le=3600, description="Seconds until the command and all it started are ended."),
]


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of the operator. None: look for what is installed."""

    allowed: tuple[AllowedCommand, ...] = ()
    formatter: tuple[str, ...] | None = None
    tests: tuple[str, ...] | None = None


class FormatCode(Arguments):
    """Format source files of the workspace with its formatter (ruff format, unless the server is
    set up otherwise).

    With check_only nothing is written, and `changed` names what would be. Symlinks and what
    .gitignore excludes are left out. It runs a program that the project
    configures, and which may run the project's code.
    """

    paths: Paths = Field(default_factory=list)
    check_only: Annotated[bool, Field(description="Only say what would change.")] = False
    timeout_s: Timeout = 120.0
    max_output_bytes: MaxOutput = 64 * 1024


class RunTests(Arguments):
    """Run the tests of the workspace (pytest, unless the server is set up otherwise), all of them
    or a part. This runs the project's code, with the rights of the user who started the server."""

    paths: Annotated[
        list[str],
        Field(
            max_length=1000,
            description="Test files, folders, or tests like tests/test_a.py::test_b; none for all.",
        ),
    ] = Field(default_factory=list)
    keyword: Annotated[
        str | None,
        Field(
            max_length=500, description='Only tests whose names match, like "login and not slow".'
        ),
    ] = None
    timeout_s: Timeout = 600.0
    max_output_bytes: MaxOutput = 64 * 1024


class RunCommand(Arguments):
    """Run a command in the workspace that the server was started to allow. It runs without a shell:
    no pipes, no globs."""

    argv: Annotated[
        list[str],
        Field(
            min_length=1,
            max_length=1000,
            description='The command as words, like ["npm", "run", "build"].',
        ),
    ]
    cwd: Annotated[str, Field(description="The folder to run it in, from the workspace root.")] = (
        "."
    )
    timeout_s: Timeout = 120.0
    max_output_bytes: MaxOutput = 64 * 1024


class CommandResult(Output):
    argv: Annotated[list[str], Field(description="The command that was run.")]
    exit_code: Annotated[int, Field(description="0 for success; negative for a signal.")]
    output: Annotated[
        str, Field(description="The end of what it printed, stdout and stderr in their order.")
    ]
    output_truncated: Annotated[
        bool, Field(description="Whether it printed more than output holds.")
    ]
    timed_out: Annotated[
        bool, Field(description="Whether it was ended because timeout_s had passed.")
    ]
    duration_s: float
    left_running: Annotated[
        list[str],
        Field(description="What it had started and left running, all of which was ended."),
    ]


class Verdict(CommandResult):
    passed: Annotated[
        bool, Field(description="Whether the command ended by itself with exit code 0.")
    ]


class Formatted(CommandResult):
    changed: Annotated[
        list[str], Field(description="Files that were changed, or with check_only would be.")
    ]
    clean: Annotated[
        bool, Field(description="Whether nothing had to be changed and the formatter succeeded.")
    ]
    files: Annotated[int, Field(description="Number of files that it was given, after argv.")]
    left_out: Annotated[
        list[str],
        Field(description="Files that are hard links, which may change files elsewhere too."),
    ]


Report = Callable[[float, str], Awaitable[None]]
"""Takes the seconds since the start and the last line of output."""


def formatting(root: Root, commands: Commands, call: FormatCode) -> Command:
    """Return the command that formats, to which files are added. Raises WorkspaceError if no
    formatter is found."""
    formatter = _resolved(root, commands.formatter) if commands.formatter else _found_formatter()
    check = ("--check",) if call.check_only else ()
    return _command(root.path, (*formatter, *check), call)


def testing(root: Root, commands: Commands, call: RunTests) -> Command:
    """Return the command that tests. Raises WorkspaceError if none is found, or a path or keyword
    is refused."""
    tests = _resolved(root, commands.tests) if commands.tests else _found_tests(root)
    return _command(
        root.path, (*tests, *_keyword(tests, call.keyword), *_targets(root, call.paths)), call
    )


def running(root: Root, commands: Commands, call: RunCommand) -> Command:
    """Return the command to run. Raises WorkspaceError if it is not allowed, or not found."""
    argv = tuple(call.argv)
    if any("\0" in word for word in argv):
        raise WorkspaceError(
            "a word of argv contains a NUL character, which command lines cannot have."
        )
    if not any(allowed.matches(argv) for allowed in commands.allowed):
        raise WorkspaceError(f"{shlex.join(argv)} is not allowed. {what_is_allowed(commands)}")
    cwd = root.locate(call.cwd)
    if not cwd.path.is_dir():
        raise WorkspaceError(f"{cwd.name} is not a folder to run a command in.")
    return _command(cwd.path, _resolved(root, argv), call)


def what_is_allowed(commands: Commands) -> str:
    """Describe the allowed commands to models, in one sentence."""
    if not commands.allowed:
        return (
            "No command is allowed; whoever starts the server can allow one with "
            '--allow-command "pytest -q".'
        )
    listed = "; ".join(map(str, commands.allowed))
    stars = (
        " A * stands for any words without a leading dash, and what follows it for options."
        if any(allowed.is_open for allowed in commands.allowed)
        else ""
    )
    return f"The allowed commands are: {listed}.{stars}"


def _command(cwd: Path, argv: tuple[str, ...], call: FormatCode | RunTests | RunCommand) -> Command:
    return Command(
        argv,
        cwd,
        call.timeout_s,
        env=ENVIRONMENT,
        merged=True,
        keeps_end=True,
        kept_bytes=call.max_output_bytes,
    )


def _resolved(root: Root, argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command with the path of its program: inside of the root if it is written with a
    slash, else as installed."""
    name = argv[0]
    path = str(root.locate(name).path) if "/" in name and not os.path.isabs(name) else program(name)
    if path is None:
        raise WorkspaceError(f"{name} is not installed where this server runs.")
    return (path, *argv[1:])


def _found_formatter() -> tuple[str, ...]:
    ruff = program("ruff")
    if ruff is None:
        raise WorkspaceError(
            "no formatter is installed. Whoever starts the server names one with --formatter "
            '"black".'
        )
    # The project may choose a folder for the cache, wherever it likes.
    return (ruff, "format", "--no-cache", "--force-exclude")


def _found_tests(root: Root) -> tuple[str, ...]:
    """Find the project's own pytest, which knows the project's packages, else this server's."""
    own = root.path / ".venv" / "bin" / "pytest"
    pytest = str(own) if own.is_file() and os.access(own, os.X_OK) else program("pytest")
    if pytest is None:
        raise WorkspaceError(
            'pytest is not installed. Whoever starts the server names tests with --tests "npm '
            'test".'
        )
    return (pytest, "-q", "--color=no")


def _keyword(tests: Sequence[str], keyword: str | None) -> tuple[str, ...]:
    if keyword is None:
        return ()
    if not any("pytest" in Path(word).name for word in tests):
        raise WorkspaceError("keyword works with pytest only. Name test files in paths instead.")
    if not KEYWORD.fullmatch(keyword):
        raise WorkspaceError(
            f"{keyword!r} is not a keyword: use names, and, or, not, and parentheses."
        )
    return (f"-k{keyword}",)


def _targets(root: Root, paths: Sequence[str]) -> list[str]:
    """Return absolute paths, which no program takes for options; what follows `::` names a test in
    the file."""
    return [_target(root, given) for given in paths]


def _target(root: Root, given: str) -> str:
    path, colons, test = given.partition("::")
    place = root.locate(path)
    with explained(place.name):
        os.lstat(place.path)
    if "\0" in test:
        raise WorkspaceError("the name of a test contains a NUL character.")
    return f"{place.path}{colons}{test}"


class Progress:
    """Reports to a client how long a command has run, and its last line, every `BURST_S` at
    most."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._began = anyio.current_time()
        self._reported = self._began
        self._line = "started"

    def __repr__(self) -> str:
        return f"<Progress {self._line!r}>"

    async def receive(self, chunk: bytes) -> None:
        """Take a piece of output; an empty one means that time has passed."""
        lines = [line for line in chunk.decode("utf-8", "replace").splitlines() if line.strip()]
        self._line = lines[-1][:MAX_LINE_CHARACTERS] if lines else self._line
        now = anyio.current_time()
        if now - self._reported >= BURST_S:
            self._reported = now
            await self._report(round(now - self._began, 3), self._line)


def result_fields(command: Command, outcome: Outcome) -> dict[str, Any]:
    """Return the fields that every result of a command has."""
    return {
        "argv": [shown(word) for word in command.argv],
        "exit_code": outcome.exit_code,
        "output": outcome.output.decode("utf-8", "replace"),
        "output_truncated": outcome.truncated,
        "timed_out": outcome.timed_out,
        "duration_s": outcome.duration_s,
        "left_running": list(outcome.left),
    }
