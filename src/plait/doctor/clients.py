"""The clients of this machine: what each starts as Plait, how long it waits, and which servers it
has next to it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from .. import __version__
from ..config import Config
from ..config.environment import home_of, state_folder_of
from ..config.parse import parse
from ..errors import ConfigError
from ..install import backups
from ..install.changes import Put
from ..install.clients import CALL_S, ENTRY, Client, Place, found
from ..install.entries import (
    MAX_BYTES,
    Unreadable,
    is_plait,
    servers_in,
    values_of,
    words_of,
)
from ..install.launcher import lasts, launcher
from ..install.machine import Machine
from ..install.running import running
from .case import Case
from .commands import WITHOUT_SHELL
from .findings import Finding, look, well, wrong
from .mending import PutBack

ABOUT = "clients"
CLAUDE_LIMIT = "MCP_TOOL_TIMEOUT"
VERSION_S = 5.0
CONNECT_S = 1.0
WAIT_S = 50.0
"""Seconds after which `execute_dag` answers, if the settings say nothing else."""
MARGIN_S = 5.0
RUNNER_S = 60.0
"""Seconds that a runner may need, which looks for a newer version at each start."""
_RUNNERS = frozenset({"uv", "uvx", "pipx"})


@dataclass(frozen=True, slots=True)
class Limit:
    """A time limit of a client."""

    key: str
    unit_s: float
    default_s: float
    is_of_start: bool = False


LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "codex": (
        Limit("tool_timeout_sec", 1, 60),
        Limit("startup_timeout_sec", 1, 10, is_of_start=True),
    ),
    "gemini": (Limit("timeout", 0.001, 600),),
    "cline": (Limit("timeout", 1, 60),),
    "goose": (Limit("timeout", 1, 300),),
    "opencode": (Limit("timeout", 0.001, 5, is_of_start=True),),
}
"""The limits in the entries of clients, by the client's name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of Plait in a client's file."""

    client: Client
    place: Place
    name: str
    settings: Any


async def check(case: Case, config: Config | None) -> list[Finding]:
    """Check all clients of this machine."""
    findings, entries = await to_thread.run_sync(partial(_read, case, config))
    versions: dict[str, str] = {}
    programs = {at for entry in entries if (at := _program(case, entry)) is not None}

    async def ask(program: str) -> None:
        versions[program] = await _version_of(program)

    async with anyio.create_task_group() as tasks:
        for program in programs:
            if program != str(case.program):
                tasks.start_soon(ask, program)
    for entry in entries:
        of_entry = [*_of_entry(case, config, entry, versions)]
        if not of_entry:
            shown = " ".join(words_of(entry.settings)) or _address(entry.settings)
            of_entry = [well(entry.client.title, f"starts {shown}")]
        findings += of_entry
    vanished = await to_thread.run_sync(partial(_vanished, case, config, entries))
    findings += vanished
    if not entries and not vanished:
        is_any = bool(found(Machine.here(case.environ, case.folder)))
        says = "none of them starts Plait" if is_any else "none was found on this machine"
        findings.append(look(ABOUT, says, "plait install") if is_any else well(ABOUT, says))
    return findings


def _read(case: Case, config: Config | None) -> tuple[list[Finding], list[Entry]]:
    """Read the files of all clients. Returns what is wrong in them, and the entries of Plait."""
    findings: list[Finding] = []
    entries: list[Entry] = []
    unread: set[Path] = set()
    for client, places in found(Machine.here(case.environ, case.folder)):
        of_client: list[Entry] = []
        others: dict[str, Any] = {}
        for place in places:
            if not place.path.is_file() or place.path in unread:
                continue
            try:
                with open(place.path, "rb") as file:
                    data = file.read(MAX_BYTES + 1)
                servers = servers_in(place, values_of(data, place.format))
            except (OSError, Unreadable) as error:
                unread.add(place.path)
                reason = error.strerror if isinstance(error, OSError) else str(error)
                says, _, fix = f"{place.path}: {reason}".partition("; ")
                findings.append(wrong(client.title, says, fix or "correct that file"))
                continue
            for name, settings in servers.items():
                if is_plait(settings, name):
                    of_client.append(Entry(client, place, name, settings))
                else:
                    others[name] = settings
        entries += of_client
        if of_client and config is not None:
            findings += _twice(client, others, config)
    return findings, entries


def _twice(client: Client, others: Mapping[str, Any], config: Config) -> Iterator[Finding]:
    """Find servers that *client* starts itself though Plait serves them."""
    commands = {
        (server.command, *server.args): name
        for name, server in config.servers.items()
        if server.command is not None
    }
    urls = {server.url: name for name, server in config.servers.items() if server.url is not None}
    for name, settings in others.items():
        ours = commands.get(tuple(words_of(settings))) or urls.get(_address(settings))
        ours = ours or (name.lower() if name.lower() in config.servers else None)
        if ours is not None and not (isinstance(settings, dict) and settings.get("disabled")):
            says = f"starts {name} itself, and [servers.{ours}] is the same: it runs twice"
            yield look(client.title, says, f"plait install {client.name}")


def _vanished(case: Case, config: Config | None, entries: Sequence[Entry]) -> list[Finding]:
    """Find the clients in which Plait was registered and is not any more: some write their own copy
    of a file back, while they run."""
    try:
        last = backups.latest(state_folder_of(case.environ, case.folder))
    except (OSError, ValueError, KeyError) as error:
        says = f"what plait install changed cannot be read: {error}"
        return [look(ABOUT, says, "plait install --undo cannot put it back")]
    there = {entry.place.path for entry in entries}
    findings: list[Finding] = []
    machine = Machine.here(case.environ, case.folder)
    is_running = running(machine)
    known = {client.title: client for client, _ in found(machine)}
    for file in last.entries if last is not None else ():
        puts = [one for one in file.changes if isinstance(one, Put) and one.key == ENTRY]
        if not puts or file.path in there:
            continue
        says = f"Plait was registered in {file.path} and is gone: another program wrote it"
        fix, mend = "end that program, then plait install", None
        client = known.get(file.title)
        if client is not None and file.kind is not None and not is_running(client):
            start = launcher(machine, case.program, __version__).start
            words = (*start.args, *_options_for(client, config))
            entry = json.dumps(client.entry(replace(start, args=words)))
            mend = PutBack(file.path, file.kind, puts[0].at, puts[0].in_list, entry)
            fix = f"plait install {client.name}, or --fix"
        findings.append(wrong(file.title, says, fix, mend))
    return findings


def _options_for(client: Client, config: Config | None) -> Iterator[str]:
    """Yield the options with which *client* is to start the gateway."""
    if config is not None and config.file is not None and not config.is_found:
        yield from ("--config", str(config.file))
        if client.name in config.profiles:
            yield from ("--profile", client.name)


def _of_entry(
    case: Case, config: Config | None, entry: Entry, versions: Mapping[str, str]
) -> Iterator[Finding]:
    title, again = entry.client.title, f"plait install {entry.client.name}"
    settings = entry.settings if isinstance(entry.settings, dict) else {}
    if settings.get("disabled") is True or settings.get("enabled") is False:
        yield look(title, f"{entry.name} is turned off in {entry.place.path}", "turn it on there")
        return
    if address := _address(settings):
        yield from _of_address(title, address, again)
        return
    words = words_of(settings)
    program = words[0]
    at = _program(case, entry)
    if at is None:
        yield wrong(title, _gone(case, entry, program), again)
        return
    if not lasts(Path(at), case.environ):
        says = f"starts {at}, which will not last: it is in a cache, or a project's environment"
        yield look(title, says, f"uv tool install plait, then {again}")
    version = versions.get(at, __version__)
    if version != __version__ and PurePath(at).name not in _RUNNERS:
        says = f"starts {at}: {version or 'it does not say its version'}; this is {__version__}"
        yield look(title, says, again)
    yield from _of_options(title, words, case, config, again)
    wait_s = WAIT_S if config is None else config.gateway.wait_s or WAIT_S
    yield from _of_limits(entry, settings, wait_s, is_runner=PurePath(at).name in _RUNNERS)
    if entry.client.name == "claude-code":
        yield from _of_claude_code(case, title, wait_s)


def _gone(case: Case, entry: Entry, program: str) -> str:
    if os.sep in program:
        is_there = Path(program).exists()
        return f"starts {program}, which {'cannot be run' if is_there else 'is gone'}"
    if entry.client.has_shell:
        return f"starts {program}, which is not on your PATH"
    return f"starts {program}, which is not on its PATH ({_path(case, entry.client)})"


def _program(case: Case, entry: Entry) -> str | None:
    """Return the file that a client starts; None if there is none, or the entry is an address."""
    words = words_of(entry.settings)
    if not words:
        return None
    program = os.path.expanduser(words[0])
    if os.sep in program:
        file = Path(program)
        return str(file) if file.is_file() and os.access(file, os.X_OK) else None
    return shutil.which(program, path=_path(case, entry.client))


def _path(case: Case, client: Client) -> str:
    """Return the PATH of *client*: of this shell, or that of programs started without one."""
    own = case.environ.get("PATH", os.defpath)
    return own if client.has_shell else WITHOUT_SHELL.get(sys.platform, own)


async def _version_of(program: str) -> str:
    """Return the version that *program* prints; empty without one. Only a Plait is asked."""
    if not PurePath(program).name.startswith("plait"):
        return __version__
    with anyio.move_on_after(VERSION_S):
        try:
            asked = await anyio.run_process([program, "--version"], check=False)
        except OSError:
            return ""
        words = asked.stdout.decode("utf-8", "replace").split()
        return words[1][:40] if len(words) > 1 and words[0] == "plait" else ""
    return ""


def _of_options(
    title: str, words: Sequence[str], case: Case, config: Config | None, again: str
) -> Iterator[Finding]:
    """Check the settings and the profile that an entry names."""
    named = dict(pairwise(words))
    if (file := named.get("--config")) and not Path(os.path.expanduser(file)).exists():
        yield wrong(title, f"names the settings {file}, which are gone", again)
    elif (profile := named.get("--profile")) and config is not None:
        is_same = file is None or Path(file) == config.file
        if is_same and profile not in config.profiles:
            yield wrong(
                title, f"names the profile {profile}, which is not in {config.source}", again
            )


def _of_limits(
    entry: Entry, settings: Mapping[str, Any], wait_s: float, *, is_runner: bool
) -> Iterator[Finding]:
    """Check how long a client waits for an answer, and for a start."""
    for limit in LIMITS.get(entry.client.name, ()):
        given = settings.get(limit.key)
        seconds = limit.default_s
        if isinstance(given, int | float) and not isinstance(given, bool):
            seconds = given * limit.unit_s
        fix = f"{limit.key} = {CALL_S / limit.unit_s:g} in {entry.place.path}"
        if limit.is_of_start:
            if is_runner and seconds < RUNNER_S:
                says = f"waits {seconds:g} s for the start, and a runner may need {RUNNER_S:g} s"
                fix = f"{limit.key} = {RUNNER_S / limit.unit_s:g} in {entry.place.path}"
                yield look(entry.client.title, says, fix)
        elif seconds < wait_s + MARGIN_S:
            says = f"waits {seconds:g} s for an answer, which may take {wait_s:g} s"
            yield look(entry.client.title, says, fix)


def _of_claude_code(case: Case, title: str, wait_s: float) -> Iterator[Finding]:
    """Check the limit that Claude Code takes from its environment, or from its settings."""
    folder = case.environ.get("CLAUDE_CONFIG_DIR") or f"{home_of(case.environ)}/.claude"
    file = Path(folder, "settings.json")
    try:
        held = parse(file, file.read_bytes()).get("env")
    except (OSError, ConfigError):
        held = None
    variables = {**case.environ, **(held if isinstance(held, dict) else {})}
    try:
        seconds = float(variables[CLAUDE_LIMIT]) / 1000
    except (KeyError, TypeError, ValueError):
        return  # without a limit it waits for a day
    if seconds < wait_s + MARGIN_S:
        says = f"waits {seconds:g} s for an answer, which may take {wait_s:g} s"
        yield look(title, says, f"{CLAUDE_LIMIT} = {CALL_S * 1000} in env of {file}")


def _address(settings: Any) -> str:
    if not isinstance(settings, Mapping):
        return ""
    keys = ("url", "httpUrl", "serverUrl", "uri")
    return next((one for key in keys if isinstance(one := settings.get(key), str)), "")


def _of_address(title: str, address: str, again: str) -> Iterator[Finding]:
    parts = urlsplit(address)
    try:
        with socket.create_connection((parts.hostname, parts.port or 80), CONNECT_S):
            pass
    except OSError:
        says = f"reaches Plait at {address}, where nothing answers"
        yield wrong(title, says, f"plait serve --http {parts.port or 80}, or {again}")
