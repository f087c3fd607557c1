"""The settings: the file, whether it may be used, its variables and its secrets."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..config import Config, Untrusted, load_config
from ..config.credentials import credentials_of, is_secret
from ..config.environment import config_folder_of
from ..config.parse import is_clients, parse
from ..config.secrets_file import FILE_NAME as SECRETS_NAME
from ..config.secrets_file import SecretsRefused, read_secrets
from ..config.settings_file import FILE_NAME
from ..core.values.problems import some_of
from ..errors import ConfigError
from ..redaction import LEAST_CHARS
from .case import Case
from .findings import Finding, Mark, look, well, wrong
from .mending import TakeAway

ABOUT = "settings"
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OTHERS = 0o077


def check(case: Case) -> tuple[list[Finding], Config | None]:
    """Return the findings, and the settings if they can be used."""
    try:
        config = load_config(
            case.config_file,
            case.environ,
            case.folder,
            profile=case.profile,
            secrets=case.secrets,
        )
    except Untrusted as refused:
        path = refused.file.path
        says = f"{path} was found here and is not trusted, so none of its servers is used"
        return [wrong(ABOUT, says, f"plait trust {shlex.quote(str(path))}"), *_secrets(case)], None
    except ConfigError as error:
        return [*map(_problem, str(error).splitlines()), *_secrets(case)], None
    secrets = [*_secrets(case)]
    are_refused = any(one.mark is Mark.WRONG for one in secrets)
    return [*_of_file(case, config), *secrets, *_needs(config, are_refused=are_refused)], config


def _problem(line: str) -> Finding:
    """Return the row of a problem of the settings, which names its file at its end."""
    says, _, rest = line.rpartition(" (")
    if says and rest.endswith(")") and Path(file := rest[:-1]).is_absolute():
        return wrong(ABOUT, says, f"correct it in {file}")
    return wrong(ABOUT, line, "correct it")


def _of_file(case: Case, config: Config) -> Iterator[Finding]:
    if config.file is None:
        says = f"no {FILE_NAME} was found, so only the bundled workspace server is served"
        yield look(ABOUT, says, "plait install, or plait init for this folder")
        return
    servers = [name for name, server in config.servers.items() if server.enabled]
    profile = f", profile {config.profile}" if config.profile else ""
    if servers:
        plural = "" if len(servers) == 1 else "s"
        yield well(ABOUT, f"{config.file}: {len(servers)} server{plural}{profile}")
    else:
        yield look(ABOUT, f"{config.file} has no server that is on", "plait install, or edit it")
    own = config_folder_of(case.environ) / FILE_NAME
    if config.is_found and own.is_file():
        fix = f"servers that you need here belong into {config.file}, too"
        yield look(ABOUT, f"{own} is not used here: {config.file} comes first", fix)
    yield from _modes(config.file)
    reasons = [need.reason for need in config.needs.values()]
    for note in config.notes:
        if not any(note.endswith(reason) for reason in reasons):
            yield look(ABOUT, note, f"correct or remove it in {config.file}")
    yield from _literals(config.file)


def _modes(file: Path) -> Iterator[Finding]:
    with suppress(OSError):
        status = os.stat(file)
        if status.st_mode & OTHERS_WRITE:
            says = f"{file}: others may write it, and it starts programs as you"
            fix = f"chmod go-w {shlex.quote(str(file))}"
            is_ours = status.st_uid == os.geteuid()
            yield wrong(ABOUT, says, fix, TakeAway(file, OTHERS_WRITE) if is_ours else None)


def _literals(file: Path) -> Iterator[Finding]:
    """Find secrets that stand in the settings themselves."""
    try:
        values = parse(file, file.read_bytes())
    except (OSError, ConfigError):
        return
    if is_clients(file):
        return  # its client needs it so
    servers = values.get("servers")
    for name, server in servers.items() if isinstance(servers, dict) else ():
        if isinstance(server, dict) and (keys := list(_secret_keys(server))):
            places = some_of(keys, 4)
            says = f"[servers.{name}] has what looks like a secret, written out: {places}"
            fix = f"move it to {SECRETS_NAME}, and write ${{NAME}} in its place"
            mend = None
            with suppress(OSError):
                if os.stat(file).st_mode & OTHERS:
                    mend = TakeAway(file, OTHERS)
                    fix += f"; until then: chmod 600 {shlex.quote(str(file))}"
            yield look(ABOUT, says, fix, mend)


def _secret_keys(server: Mapping[str, Any]) -> Iterator[str]:
    for key in ("env", "headers"):
        held = server.get(key)
        for name, value in held.items() if isinstance(held, dict) else ():
            if is_secret(name) and _is_literal(value):
                yield f"{key}.{name}"
    args = [word for word in server.get("args") or () if isinstance(word, str)]
    url = server.get("url")
    for key, given in (
        ("args", (args, None)),
        ("url", ((), url if isinstance(url, str) else None)),
    ):
        if any(_is_literal(value) for value in credentials_of({}, {}, *given)):
            yield key


def _is_literal(value: Any) -> bool:
    return isinstance(value, str) and "${" not in value and len(value) >= LEAST_CHARS


def _secrets(case: Case) -> Iterator[Finding]:
    file = config_folder_of(case.environ) / SECRETS_NAME
    try:
        values = read_secrets(file)
    except SecretsRefused as refused:
        mend = None
        with suppress(OSError):
            status = os.stat(file)
            if status.st_mode & OTHERS and status.st_uid == os.geteuid():
                mend = TakeAway(file, OTHERS)
        says, _, fix = str(refused).partition("; ")
        yield wrong(SECRETS_NAME, says, fix, mend)
        return
    if values:
        plural = "" if len(values) == 1 else "s"
        yield well(SECRETS_NAME, f"{file}: {len(values)} variable{plural}")


def _needs(config: Config, *, are_refused: bool) -> Iterator[Finding]:
    """Name each variable that is not set once, with the servers that are off without it; it may be
    in the file of secrets, if these *are_refused*."""
    off: dict[str, list[str]] = {}
    for name, need in config.needs.items():
        if name in config.servers and config.servers[name].enabled:
            for variable in need.names:
                off.setdefault(variable, []).append(name)
    for variable, names in off.items():
        servers = some_of([f"[servers.{name}]" for name in names], 3)
        verb = "is" if len(names) == 1 else "are"
        if os.sep in variable or not variable.isidentifier():
            reason = next(need.reason for need in config.needs.values() if variable in need.names)
            yield wrong(variable, f"{reason}; {servers} {verb} off", "make it, or correct its path")
            continue
        if are_refused:
            says = f"not set, and {SECRETS_NAME} is not used; {servers} {verb} off"
            yield wrong(variable, says, f"fix {SECRETS_NAME} first")
        else:
            says = f"not set; {servers} {verb} off"
            yield wrong(variable, says, f"set it in {config.secrets_file}")
