"""Trust in a settings file that was found in a folder, rather than named.

Such a file may have come with anything that was downloaded, and starting a gateway runs its
commands as the user. So it is used only once the user has said so: for this path and this content,
since what is read is what was hashed. A decision is a small file in the state folder, named by the
hash of both. A file that somebody else may write is never used: its writer would decide.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.values.printable import printable
from ..errors import ConfigError
from ..redaction import Secrets
from ..stores import files
from .clients import translate
from .credentials import credentials_of
from .named_files import Unreadable, read_named
from .parse import is_clients, parse

FOLDER = "trusted"
MAX_SETTINGS_BYTES = 4 * 2**20
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it was read."""

    path: Path
    data: bytes = field(repr=False)
    status: os.stat_result = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> SettingsFile:
        """Read the file at *path*. Raises `ConfigError`."""
        try:
            return cls(path, *read_named(path, MAX_SETTINGS_BYTES))
        except Unreadable as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from None

    def values(self) -> dict[str, Any]:
        """Return what it says. Raises `ConfigError`."""
        return parse(self.path, self.data)


class Untrusted(ConfigError):
    """A settings file was found, and the user has not said that it may be used."""

    def __init__(self, file: SettingsFile, decisions: Decisions) -> None:
        command = printable(f"plait trust {shlex.quote(str(file.path))}")
        super().__init__(
            f"{printable(str(file.path))}: these settings were found here, and start programs. "
            f"They are used once a person has looked at them and said so: {command}"
        )
        self.file = file
        self.decisions = decisions


class Decisions:
    """The files that the user trusts, kept in the state folder *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER

    def __repr__(self) -> str:
        return f"<Decisions in {self.folder}>"

    def trusts(self, file: SettingsFile) -> bool:
        """Return whether the user has said that *file* may be used."""
        try:
            files.read(self._decision(file), _MOST_BYTES)
        except OSError:
            return False
        return True

    def trust(self, file: SettingsFile) -> None:
        """Keep that *file* may be used. Raises `ConfigError`."""
        try:
            files.write(self._decision(file), os.fsencode(file.path), _MOST_BYTES)
        except OSError as error:
            raise ConfigError(
                f"{self.folder}: the decision cannot be kept there: {error.strerror or error}"
            ) from error

    def _decision(self, file: SettingsFile) -> Path:
        place = file.path.parent.resolve() / file.path.name
        return self.folder / hashlib.sha256(os.fsencode(place) + b"\0" + file.data).hexdigest()


def check_writers(file: SettingsFile) -> None:
    """Raise `ConfigError` if *file* is not the user's or root's, or if others may write it."""
    us, status = os.geteuid(), file.status
    if status.st_uid not in {us, 0}:
        fault = f"it belongs to another user (number {status.st_uid})"
        fix = "name it with --config if you want to use it all the same"
    elif status.st_mode & stat.S_IWOTH or (
        status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid, us)
    ):
        fault = "others may write it"
        fix = f"take that from them with: chmod go-w {shlex.quote(str(file.path))}"
    else:
        return
    raise ConfigError(printable(f"{file.path}: was found here, and is not used: {fault}; {fix}"))


def _is_own_group(group: int, user: int) -> bool:
    """Return whether *group* is the one that Linux makes for *user* alone."""
    import grp
    import pwd

    try:
        name, found = pwd.getpwuid(user).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}


def effects(file: SettingsFile) -> Iterator[str]:
    """Yield what *file* would start, reach and pass on, a line each. Variables stay as they are
    written, and secrets are left out. Raises `ConfigError`."""
    translation = translate(file.values(), is_clients=is_clients(file.path), cwd=file.path.parent)
    if translation.problems:
        raise ConfigError("\n".join(f"{file.path}: {each}" for each in translation.problems))
    gateway = translation.values.get("gateway")
    for folder in _words(gateway.get("path")) if isinstance(gateway, dict) else ():
        yield f"commands are looked for in {folder} first"
    servers = translation.values.get("servers")
    for name, server in servers.items() if isinstance(servers, dict) else ():
        if not isinstance(server, dict) or server.get("enabled") is False:
            continue
        texts = {key: _texts(server.get(key)) for key in ("env", "headers")}
        args = tuple(_words(server.get("args")))
        url = server["url"] if isinstance(server.get("url"), str) else None
        found = credentials_of(texts["headers"], texts["env"], args, url)
        secrets = Secrets(value for value in found if "${" not in value)
        yield secrets.redact(f"{name}: {_start(server, args)}")
        for key, pairs in texts.items():
            for variable, value in pairs.items():
                yield secrets.redact(f"  {key} {variable} = {value}")
        for passed in _words(server.get("env_pass")):
            yield f"  passes on {passed}"
        for key in ("cwd", "root"):
            if key in server:
                yield f"  {key} = {server[key]}"
        for command in _words(server.get("allow_commands")):
            yield f"  may run: {command}"
        if server.get("annotations") == "trusted":
            yield "  what it says of its tools' effects is believed"
    tools = translation.values.get("tools")
    for glob, tool in tools.items() if isinstance(tools, dict) else ():
        if isinstance(tool, dict) and tool.get("read_only") is True:
            yield f"{glob}: is taken for a tool that changes nothing"


def _start(server: dict[str, Any], args: tuple[str, ...]) -> str:
    match server:
        case {"command": str(command)}:
            return f"runs {shlex.quote(command)}" + "".join(f" {_quoted(word)}" for word in args)
        case {"url": str(url)}:
            return f"reaches {url}"
        case {"builtin": str(builtin)}:
            return f"the bundled {builtin} server"
    return "neither a command nor a url"


def _quoted(word: str) -> str:
    """Quote *word* for a reader, where it would not read as one word."""
    return f'"{word}"' if not word or any(char.isspace() for char in word) else word


def _texts(value: Any) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in pairs if isinstance(text, str)}


def _words(value: Any) -> Iterator[str]:
    yield from (
        word for word in (value if isinstance(value, list) else ()) if isinstance(word, str)
    )
