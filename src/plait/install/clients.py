"""The table of clients: where each keeps its servers, and how Plait is registered there.

The facts are those of the clients' own documentation, gathered in November 2026. Where a client has
several files, Plait is registered in each that says so (`registers`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from .machine import Machine, System

ENTRY = "plait"
"""The name under which Plait is registered."""
PROJECT_ENTRY = "plait-project"
"""Its name in a file of a project: an entry of the same name as the user's would take its place
there."""
READING_TOOLS = ("search_tools", "describe_tools", "get_run", "query_dag")
"""The tools of ours that a client may call without asking: they change nothing."""
CALL_S = 600
"""Seconds that a client is to wait for a call, where it can be set."""

Entry: TypeAlias = dict[str, Any]


class Format(StrEnum):
    JSON = "json"
    """With comments and trailing commas, as most clients accept them."""
    TOML = "toml"
    YAML = "yaml"


class Scope(StrEnum):
    """For whom a file holds servers."""

    USER = "user"
    """For the user, everywhere."""
    PROJECT = "project"
    """For all who work on a project; the file is in its repository."""
    LOCAL = "local"
    """For the user in one folder."""


class Variables(StrEnum):
    """The variables that a client expands in its file."""

    NONE = "none"
    BRACED = "braced"
    """`${NAME}` and `${NAME:-default}`"""
    SHELL = "shell"
    """`$NAME` and `${NAME}`"""
    EDITOR = "editor"
    """`${env:NAME}`, `${userHome}`, `${workspaceFolder}`, `${input:ID}`"""
    OPENCODE = "opencode"
    """`{env:NAME}` and `{file:PATH}`"""
    CONTINUE = "continue"
    """`${{ secrets.NAME }}`"""


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a client, and where in it servers are held."""

    path: Path
    root: tuple[str, ...] = ("mcpServers",)
    format: Format = Format.JSON
    scope: Scope = Scope.USER
    registers: bool = True
    """Whether Plait is registered here, rather than only moved from."""
    is_list: bool = False
    """Whether the servers are a list, each with its `name`."""

    @property
    def is_present(self) -> bool:
        """Whether the client has this file, or would read it: its folder is there."""
        return os.path.isfile(self.path) or (self.registers and os.path.isdir(self.path.parent))


@dataclass(frozen=True, slots=True)
class Approval:
    """A file in which a client keeps what it need not ask for, and what is put there."""

    path: Path
    format: Format
    at: tuple[str, ...]
    items: tuple[str, ...] = ()
    """Texts to append to the list there."""
    members: tuple[tuple[str, Any], ...] = ()
    """Members to add to the object there."""
    creates: bool = False
    """Whether the file is made if it is missing."""


@dataclass(frozen=True, slots=True)
class Start:
    """The command that starts the gateway for a client."""

    command: str
    args: tuple[str, ...]
    limit_s: int = 30
    """Seconds that a client is to wait until it is up, where it can be set."""


def _plain(start: Start) -> Entry:
    return {"command": start.command, "args": [*start.args]}


def _no_approvals(machine: Machine) -> tuple[Approval, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Client:
    """A program that starts MCP servers."""

    name: str
    """Its name on the command line, and that of its profile."""
    title: str
    places: Callable[[Machine], Iterable[Place]]
    entry: Callable[[Start], Entry] = _plain
    """The entry that registers Plait."""
    variables: Variables = Variables.NONE
    programs: tuple[str, ...] = ()
    """Its programs, if they keep the file in memory and write their own copy back."""
    approvals: Callable[[Machine], tuple[Approval, ...]] = _no_approvals
    has_shell: bool = False
    """Whether it is started from a shell, and so has that one's PATH."""

    def __repr__(self) -> str:
        return f"<Client {self.name}>"

    def present(self, machine: Machine) -> list[Place]:
        """Return the places of the client that there are on *machine*."""
        places = [place for place in self.places(machine) if place.is_present]
        of_user = {place.path for place in places if place.scope is Scope.USER}
        return [  # in the home itself, a file of the user is not one of a project
            place
            for place in places
            if place.scope is not Scope.PROJECT or place.path not in of_user
        ]


def _of_claude_code(machine: Machine) -> Iterator[Place]:
    named = machine.environ.get("CLAUDE_CONFIG_DIR", "")
    file = Path(named, ".claude.json") if named else machine.home / ".claude.json"
    is_used = os.path.isfile(file) or os.path.isdir(_claude_folder(machine))
    yield Place(file, registers=is_used)
    folder = str(machine.folder)
    yield Place(file, ("projects", folder, "mcpServers"), scope=Scope.LOCAL, registers=False)
    yield _of_project(machine.folder / ".mcp.json")


def _claude_folder(machine: Machine) -> Path:
    return machine.named("CLAUDE_CONFIG_DIR", ".claude")


def _of_claude_desktop(machine: Machine) -> Iterator[Place]:
    name = "claude_desktop_config.json"
    yield Place(machine.application_data / "Claude" / name)
    if machine.system is System.WINDOWS:  # from the store
        folder = machine.local_data / "Packages"
        for package in sorted(folder.glob("Claude_*")):
            yield Place(package / "LocalCache" / "Roaming" / "Claude" / name)


def _of_cursor(machine: Machine) -> Iterator[Place]:
    yield Place(machine.home / ".cursor" / "mcp.json")
    yield _of_project(machine.folder / ".cursor" / "mcp.json")


def _code_folder(machine: Machine) -> Path:
    return machine.application_data / "Code" / "User"


def _of_vscode(machine: Machine) -> Iterator[Place]:
    folder = _code_folder(machine)
    yield Place(folder / "mcp.json", ("servers",))
    yield Place(folder / "settings.json", ("mcp", "servers"), registers=False)
    yield _of_project(machine.folder / ".vscode" / "mcp.json", ("servers",))


def _of_codex(machine: Machine) -> Iterator[Place]:
    folder, root = machine.named("CODEX_HOME", ".codex"), ("mcp_servers",)
    yield Place(folder / "config.toml", root, Format.TOML)
    yield _of_project(machine.folder / ".codex" / "config.toml", root, Format.TOML)


def _of_gemini(machine: Machine) -> Iterator[Place]:
    yield Place(machine.home / ".gemini" / "settings.json")
    yield _of_project(machine.folder / ".gemini" / "settings.json")


def _zed_settings(machine: Machine) -> Path:
    is_windows = machine.system is System.WINDOWS
    folder = machine.application_data / "Zed" if is_windows else machine.config / "zed"
    return folder / "settings.json"


def _of_zed(machine: Machine) -> Iterator[Place]:
    yield Place(_zed_settings(machine), ("context_servers",))
    yield _of_project(machine.folder / ".zed" / "settings.json", ("context_servers",))


def _of_windsurf(machine: Machine) -> Iterator[Place]:
    yield Place(machine.home / ".codeium" / "windsurf" / "mcp_config.json")


def _of_cline(machine: Machine) -> Iterator[Place]:
    name = "cline_mcp_settings.json"
    extension = _code_folder(machine) / "globalStorage" / "saoudrizwan.claude-dev"
    yield Place(extension / "settings" / name)
    yield Place(machine.home / ".cline" / "data" / "settings" / name)


def _goose_folder(machine: Machine) -> Path:
    if machine.system is System.WINDOWS:
        return machine.application_data / "Block" / "goose" / "config"
    return machine.config / "goose"


def _of_goose(machine: Machine) -> Iterator[Place]:
    yield Place(_goose_folder(machine) / "config.yaml", ("extensions",), Format.YAML)


def _of_opencode(machine: Machine) -> Iterator[Place]:
    folder = machine.config / "opencode"
    names = ("opencode.json", "opencode.jsonc", "config.json")
    there = [name for name in names if os.path.isfile(folder / name)] or [names[0]]
    for index, name in enumerate(there):
        yield Place(folder / name, ("mcp",), registers=index == 0)
    for name in names[:2]:
        yield _of_project(machine.folder / name, ("mcp",))


def _of_continue(machine: Machine) -> Iterator[Place]:
    yield Place(machine.home / ".continue" / "config.yaml", format=Format.YAML, is_list=True)
    folder = machine.folder / ".continue" / "mcpServers"
    for file in sorted(folder.glob("*")):
        if file.suffix in {".yaml", ".yml"}:
            yield Place(
                file, format=Format.YAML, scope=Scope.PROJECT, registers=False, is_list=True
            )
        elif file.suffix == ".json":
            yield _of_project(file)


def _of_lm_studio(machine: Machine) -> Iterator[Place]:
    for folder in (machine.home / ".lmstudio", machine.home / ".cache" / "lm-studio"):
        yield Place(folder / "mcp.json")


def _of_project(
    path: Path, root: tuple[str, ...] = ("mcpServers",), kind: Format = Format.JSON
) -> Place:
    return Place(path, root, kind, Scope.PROJECT, registers=False)


def _with_type(start: Start) -> Entry:
    return {"type": "stdio", **_plain(start)}


def _for_codex(start: Start) -> Entry:
    approved = {name: {"approval_mode": "approve"} for name in READING_TOOLS}
    return {
        **_plain(start),
        "startup_timeout_sec": start.limit_s,
        "tool_timeout_sec": CALL_S,
        "supports_parallel_tool_calls": True,
        "tools": approved,
    }


def _for_gemini(start: Start) -> Entry:
    return {**_plain(start), "timeout": CALL_S * 1000}


def _for_zed(start: Start) -> Entry:
    return {"source": "custom", **_plain(start), "env": {}}


def _for_cline(start: Start) -> Entry:
    return {**_plain(start), "timeout": CALL_S, "autoApprove": [*READING_TOOLS], "disabled": False}


def _for_goose(start: Start) -> Entry:
    return {
        "enabled": True,
        "type": "stdio",
        "name": ENTRY,
        "cmd": start.command,
        "args": [*start.args],
        "envs": {},
        "timeout": CALL_S,
    }


def _for_opencode(start: Start) -> Entry:
    return {
        "type": "local",
        "command": [start.command, *start.args],
        "enabled": True,
        "timeout": start.limit_s * 1000,
    }


def _for_continue(start: Start) -> Entry:
    return {"name": ENTRY, **_plain(start)}


def _by_claude_code(machine: Machine) -> tuple[Approval, ...]:
    file = _claude_folder(machine) / "settings.json"
    items = tuple(f"mcp__{ENTRY}__{name}" for name in READING_TOOLS)
    return (Approval(file, Format.JSON, ("permissions", "allow"), items, creates=True),)


def _by_zed(machine: Machine) -> tuple[Approval, ...]:
    members = tuple((f"mcp:{ENTRY}:{name}", {"default": "allow"}) for name in READING_TOOLS)
    at = ("agent", "tool_permissions", "tools")
    return (Approval(_zed_settings(machine), Format.JSON, at, members=members),)


def _by_goose(machine: Machine) -> tuple[Approval, ...]:
    file = _goose_folder(machine) / "permission.yaml"
    items = tuple(f"{ENTRY}__{name}" for name in READING_TOOLS)
    return (Approval(file, Format.YAML, ("user", "always_allow"), items),)


CLIENTS: tuple[Client, ...] = (
    Client(
        "claude-code",
        "Claude Code",
        _of_claude_code,
        _with_type,
        Variables.BRACED,
        approvals=_by_claude_code,
        has_shell=True,
    ),
    Client(
        "claude-desktop",
        "Claude Desktop",
        _of_claude_desktop,
        programs=("Claude.app/", "claude-desktop", "Claude.exe"),
    ),
    Client("cursor", "Cursor", _of_cursor, variables=Variables.EDITOR),
    Client("vscode", "VS Code", _of_vscode, _with_type, Variables.EDITOR),
    Client("codex", "Codex", _of_codex, _for_codex, has_shell=True),
    Client("gemini", "Gemini CLI", _of_gemini, _for_gemini, Variables.SHELL, has_shell=True),
    Client("zed", "Zed", _of_zed, _for_zed, approvals=_by_zed),
    Client("windsurf", "Windsurf", _of_windsurf, variables=Variables.EDITOR),
    Client("cline", "Cline", _of_cline, _for_cline, Variables.EDITOR),
    Client("goose", "Goose", _of_goose, _for_goose, approvals=_by_goose, has_shell=True),
    Client("opencode", "OpenCode", _of_opencode, _for_opencode, Variables.OPENCODE, has_shell=True),
    Client("continue", "Continue", _of_continue, _for_continue, Variables.CONTINUE),
    Client("lm-studio", "LM Studio", _of_lm_studio),
)


def found(
    machine: Machine, clients: Sequence[Client] = CLIENTS
) -> list[tuple[Client, list[Place]]]:
    """Return the clients that *machine* has, each with its places that are there."""
    pairs = ((client, client.present(machine)) for client in clients)
    return [(client, places) for client, places in pairs if places]
