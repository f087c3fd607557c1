"""The values of variables that no client has: `secrets.env` in the user's configuration folder.

Programs that are started from a dock have none of a shell's variables, so the values that settings
need are kept in a file. It is read only if the user alone can read it, and there is one: a file of
that name in the folder of a project would be the project's.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from .named_files import Unreadable, read_named

FILE_NAME = "secrets.env"
MAX_BYTES = 2**20


class SecretsRefused(Exception):
    """The file is not used. The text says why and how to fix it, and holds no value."""


def read_secrets(file: Path) -> dict[str, str]:
    """Return the variables in *file*; none if it is missing. Raises `SecretsRefused`."""
    if not os.path.lexists(file):
        return {}
    try:
        data, status = read_named(file, MAX_BYTES)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SecretsRefused(f"{file} is not used: it is not UTF-8; save it as UTF-8") from None
    except Unreadable as error:
        raise SecretsRefused(f"{file} is not used: it cannot be read: {error}") from None
    quoted = shlex.quote(str(file))
    if status.st_uid != os.geteuid():
        fault = f"it belongs to another user (number {status.st_uid})"
        raise SecretsRefused(f"{file} is not used: {fault}; make it yours: chown $USER {quoted}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        fix = f"take that from them: chmod 600 {quoted}"
        raise SecretsRefused(f"{file} is not used: others may read or write it; {fix}")
    return _parsed(file, text)


def _parsed(file: Path, text: str) -> dict[str, str]:
    from dotenv.parser import parse_stream

    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for binding in parse_stream(StringIO(text)):
        line = binding.original.line + _blank_lines(binding.original.string)
        if binding.error or (binding.key is not None and binding.value is None):
            fix = "write NAME=value, and values with blanks or # in single quotes"
            raise SecretsRefused(f"{file} is not used: line {line} is not a variable; {fix}")
        if binding.key is None or binding.value is None:
            continue
        if binding.key in values:
            places = f"lines {lines[binding.key]} and {line}"
            raise SecretsRefused(
                f"{file} is not used: {binding.key} is there twice ({places}); remove one of them"
            )
        values[binding.key], lines[binding.key] = binding.value, line
    return values


def _blank_lines(text: str) -> int:
    """Return how many empty lines *text* begins with."""
    return text[: len(text) - len(text.lstrip())].count("\n")


class Variables(Mapping[str, str]):
    """The variables of *environ*, and those of the secrets *file* that it does not have. The file
    is read when the first of them is asked for."""

    def __init__(self, environ: Mapping[str, str], file: Path) -> None:
        self.file = file
        self._environ = environ
        self._kept: dict[str, str] | None = None
        self._refusal = ""

    def __repr__(self) -> str:
        return f"<Variables of the environment and {self.file}>"

    @property
    def refusal(self) -> str:
        """The reason why the file is not used; empty if it is."""
        self._read()
        return self._refusal

    @property
    def kept(self) -> Mapping[str, str]:
        """The variables of the file, if it had to be read."""
        return self._kept or {}

    def _read(self) -> dict[str, str]:
        if self._kept is None:
            try:
                self._kept = read_secrets(self.file)
            except SecretsRefused as error:
                self._kept, self._refusal = {}, str(error)
        return self._kept

    def __getitem__(self, name: str) -> str:
        return self._environ[name] if name in self._environ else self._read()[name]

    def __iter__(self) -> Iterator[str]:
        yield from {**self._read(), **self._environ}

    def __len__(self) -> int:
        return len({**self._read(), **self._environ})
