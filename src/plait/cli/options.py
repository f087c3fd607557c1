"""The arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


class SkillClient(StrEnum):
    """The clients of `install/skill.py`, which is imported when it is needed."""

    CLAUDE_CODE = "claude-code"
    CODEX = "codex"
    CURSOR = "cursor"
    GEMINI = "gemini"
    OPENCODE = "opencode"


class Detail(StrEnum):
    CONCISE = "concise"
    FULL = "full"


class GraphFormat(StrEnum):
    MERMAID = "mermaid"
    DOT = "dot"
    ASCII = "ascii"
    SVG = "svg"


class Survives(StrEnum):
    OFF = "off"
    PROCESS = "process"
    POWER = "power"


def completing(function: str) -> Callable[[typer.Context, str], list[str]]:
    """Complete a word with *function* of `completion`, which is imported when it is called."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        from . import completion

        names: list[str] = getattr(completion, function)(ctx, incomplete)
        return names

    return complete


DagArgument = Annotated[
    str,
    typer.Argument(
        metavar="DAG",
        help="A file, JSON or TOML, or - for standard input.",
        autocompletion=completing("dags"),
    ),
]
DetailOption = Annotated[
    Detail,
    typer.Option("--detail", case_sensitive=False, help="full: cut nothing, and show every task."),
]
AgainOption = Annotated[
    bool,
    typer.Option(
        "--again", help="Run it, though an equal one was interrupted an hour ago or less."
    ),
]
JunitOption = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write a JUnit report, for build servers."),
]
MarkdownOption = Annotated[
    Path | None, typer.Option("--md", metavar="FILE", help="Write a report in Markdown.")
]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a report as one HTML page.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one complete JSON document.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The settings file, instead of the servers.toml that would be found.",
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        envvar="PLAIT_PROFILE",
        metavar="NAME",
        help="Only the part of the settings in [profiles.NAME].",
    ),
]
LogLevelOption = Annotated[
    LogLevel | None,
    typer.Option(
        "--log-level",
        envvar="PLAIT_LOG_LEVEL",
        case_sensitive=False,
        help="Log this level and those above it.",
    ),
]
DebugOption = Annotated[
    bool, typer.Option("--debug", envvar="PLAIT_DEBUG", help="Show where an error happened.")
]
IsolatedOption = Annotated[
    bool,
    typer.Option(
        "--isolated",
        envvar="PLAIT_ISOLATED",
        help="Use no gateway that others share: everything is in this process.",
    ),
]
