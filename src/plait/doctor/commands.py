"""The commands of servers: whether they are found, with what they need themselves, on the PATH of
this shell and of clients that are started without one."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePath

import anyio
from anyio import to_thread

from ..config import Config, ServerSettings
from ..config.environment import expand_user, passed_on
from ..core.values.problems import some_of
from ..install.carrying import passed_to
from ..install.clients import found
from ..install.entries import Unreadable, is_plait, servers_in, values_of
from ..install.machine import Machine
from .case import Case
from .findings import Finding, look, well, wrong
from .mending import AddFolder

MADE_BY = {
    "node": "Node.js: https://nodejs.org",
    "npx": "Node.js: https://nodejs.org",
    "npm": "Node.js: https://nodejs.org",
    "bunx": "Bun: https://bun.sh",
    "deno": "Deno: https://deno.com",
    "uv": "uv: https://docs.astral.sh/uv",
    "uvx": "uv: https://docs.astral.sh/uv",
    "pipx": "pipx: https://pipx.pypa.io",
    "docker": "Docker: https://docs.docker.com/get-docker",
    "podman": "Podman: https://podman.io",
}
"""What brings a program that servers are often started with."""
WITHOUT_SHELL = {
    "darwin": "/usr/bin:/bin:/usr/sbin:/sbin",
    "linux": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
"""The PATH that programs have which are started from a dock or a menu, by system."""
DOCKER_S = 5.0
_OF_MOST_SHELLS = ("GIT_", "SSH_")
"""Beginnings of variables that are mostly set for something else."""
_CONTAINERS = frozenset({"docker", "podman"})


async def check(case: Case, config: Config) -> list[Finding]:
    """Check the commands of all servers that are on."""
    return [
        *await to_thread.run_sync(partial(_found, case, config)),
        *_left_behind(case, config),
        *await _containers(config),
    ]


def without_command(config: Config) -> frozenset[str]:
    """Return the names of the servers that cannot start, because a command of theirs is missing."""
    return frozenset(
        name
        for name, server in _processes(config)
        if any(
            _which(program, config.environment, config.folder) is None
            for program in _programs(server, config)
        )
    )


def _found(case: Case, config: Config) -> list[Finding]:
    needed: dict[str, list[str]] = {}
    for name, server in _processes(config):
        for program in _programs(server, config):
            needed.setdefault(program, []).append(name)
    findings: list[Finding] = []
    there: list[str] = []
    for program, servers in needed.items():
        if (at := _which(program, config.environment, config.folder)) is None:
            findings.append(_missing(program, servers))
        else:
            there.append(PurePath(program).name if os.sep in program else f"{program} ({at})")
            findings += _on_paths_of_clients(case, config, program, at)
    if there:
        findings.insert(0, well("commands", f"found: {', '.join(sorted(there))}"))
    return findings


def _left_behind(case: Case, config: Config) -> Iterator[Finding]:
    """Find variables of this shell that a server of a known kind would use and does not get."""
    for name, server in _processes(config):
        wanted = passed_to({"command": server.command, "args": [*server.args]})
        patterns = [one for one in wanted if not one.startswith(_OF_MOST_SHELLS)]
        missed = sorted(passed_on(case.environ, patterns).keys() - server.env.keys())
        if missed:
            used = [one for one in patterns if passed_on(dict.fromkeys(missed, "x"), [one])]
            says = f"does not get what is set here: {some_of(missed, 3)}"
            yield look(name, says, f"env_pass = {json.dumps(used)}")


def _processes(config: Config) -> Iterator[tuple[str, ServerSettings]]:
    for name, server in config.servers.items():
        if server.command is not None and server.enabled and name not in config.needs:
            yield name, server


def _programs(server: ServerSettings, config: Config) -> Iterator[str]:
    """Yield the command of *server*, and the program that its script is for."""
    assert server.command is not None
    command = expand_user(server.command, config.environment)
    yield command
    path = server.env.get("PATH", config.environment.get("PATH", ""))
    at = _which(command, {"PATH": path}, server.cwd or config.folder)
    if at is not None and (interpreter := _interpreter(Path(at))):
        yield interpreter


def _interpreter(file: Path) -> str:
    """Return the program that `#!/usr/bin/env program` in *file* names; empty without one."""
    try:
        with open(file, "rb") as script:
            line = script.readline(200)
    except OSError:
        return ""
    words = line[2:].decode("utf-8", "replace").split() if line.startswith(b"#!") else []
    if len(words) > 1 and PurePath(words[0]).name == "env":
        return next(
            (word for word in words[1:] if not word.startswith("-") and "=" not in word), ""
        )
    return words[0] if words else ""


def _which(program: str, environment: Mapping[str, str], folder: Path) -> str | None:
    if os.sep in program:
        file = folder / program
        return str(file) if os.access(file, os.X_OK) and file.is_file() else None
    return shutil.which(program, path=environment.get("PATH", os.defpath))


def _missing(program: str, servers: list[str]) -> Finding:
    off = ", ".join(f"[servers.{name}]" for name in servers)
    if os.sep in program:
        file = Path(program)
        says = "is there and cannot be run" if file.is_file() else "is not there"
        fix = f"chmod +x {program}" if file.is_file() else "install it, or correct the command"
        return wrong(file.name, f"{program} {says}; {off} cannot start", fix)
    fix = f"install {MADE_BY[program]}" if program in MADE_BY else "install it"
    fix += ", or name its folder in [gateway] path"
    return wrong(program, f"not on your PATH; {off} cannot start", fix)


def _on_paths_of_clients(case: Case, config: Config, program: str, at: str) -> Iterator[Finding]:
    """Check that clients find *program*, which this shell found *at* a place."""
    path = WITHOUT_SHELL.get(sys.platform, os.defpath)
    own = os.pathsep.join([*map(str, config.gateway.path), path])
    titles = _without_shell(case)
    if not titles or os.sep in program or shutil.which(program, path=own) is not None:
        return
    folder = str(Path(at).parent)
    file = config.file
    may_edit = file is not None and file.suffix == ".toml"
    mend = AddFolder(file, folder) if may_edit and file is not None else None
    says = (
        f"on your PATH, but not on that of {', '.join(titles)}: "
        f"programs that are started without a shell have {path}"
    )
    yield look(program, says, f'[gateway] path = ["{folder}"]', mend)


def _without_shell(case: Case) -> list[str]:
    """Return the titles of the clients that start Plait and have no shell's PATH."""
    titles: list[str] = []
    for client, places in found(Machine.here(case.environ, case.folder)):
        for place in places:
            if client.has_shell or client.title in titles or not place.path.is_file():
                continue
            try:
                servers = servers_in(place, values_of(place.path.read_bytes(), place.format))
            except (OSError, Unreadable):
                continue  # `clients.py` says so
            if any(is_plait(one, name) for name, one in servers.items()):
                titles.append(client.title)
    return titles


async def _containers(config: Config) -> list[Finding]:
    """Check that the daemons answer that containers need."""
    wanted = {
        PurePath(server.command).name
        for _, server in _processes(config)
        if server.command is not None
    }
    findings: list[Finding] = []
    for program in sorted(wanted & _CONTAINERS):
        at = shutil.which(program, path=config.environment.get("PATH", os.defpath))
        if at is None:
            continue  # it is named as missing
        reason = await _trouble(at, config)
        if reason:
            fix = f"start {MADE_BY[program].partition(':')[0]}"
            findings.append(wrong(program, f"its daemon does not answer: {reason}", fix))
    return findings


async def _trouble(program: str, config: Config) -> str:
    """Return why the daemon of *program* does not answer; empty if it does."""
    environment = {**os.environ, **config.environment}
    try:
        with anyio.fail_after(DOCKER_S):
            asked = await anyio.run_process([program, "version"], check=False, env=environment)
    except TimeoutError:
        return f"no answer within {DOCKER_S:g} s"
    except OSError as error:
        return error.strerror or str(error)
    lines = asked.stderr.decode("utf-8", "replace").split("\n")
    return "" if asked.returncode == 0 else (lines[0] or f"code {asked.returncode}")[:200]
