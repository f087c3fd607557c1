"""Variables in settings: `${VAR}`, `${VAR:-default}`, `${file:/run/secrets/x}`; `$${` is a literal
`${`.

In the files of clients a few more are understood: `$VAR`, `${env:VAR}`, `${input:some-id}` (from
the variable SOME_ID), `${workspaceFolder}` and `${userHome}`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..redaction import Secrets
from .environment import expand_user, home_of
from .named_files import Unreadable, read_named
from .places import Steps


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A variable that could not be filled in, and its place."""

    steps: Steps
    fault: str
    fix: str = ""
    needs: str = ""
    """The variable, or the file, that is missing; empty if it is written wrongly."""

    @property
    def message(self) -> str:
        return f"{self.fault}; {self.fix}" if self.fix else self.fault


Report = Callable[[Unfilled], None]

MAX_SECRET_BYTES = 2**20
PLACEHOLDER = "missing"

_MARK = re.compile(r"\$\$\{|\$\{(?P<inside>[^}]*)(?P<end>\}?)|\$(?P<bare>[A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Expander:
    """Fills in variables and reports those that it cannot fill in, never with a value, which may be
    secret. Every value that it fills in is added to *secrets*. A variable can be set *where*."""

    def __init__(
        self,
        environ: Mapping[str, str],
        folder: Path,
        report: Report,
        secrets: Secrets,
        *,
        where: str = "the environment",
        in_client_file: bool = False,
        read: Callable[[Path, int], tuple[bytes, os.stat_result]] = read_named,
    ) -> None:
        self._environ = environ
        self._folder = folder
        self._report = report
        self._secrets = secrets
        self._where = where
        self._in_client_file = in_client_file
        self._read = read

    def expand(self, value: Any, steps: Steps = ()) -> Any:
        match value:
            case str():
                return _MARK.sub(lambda found: self._fill(found, steps), value)
            case list():
                return [self.expand(child, (*steps, index)) for index, child in enumerate(value)]
            case dict():
                return {key: self.expand(child, (*steps, key)) for key, child in value.items()}
        return value

    def _fill(self, found: re.Match[str], steps: Steps) -> str:
        if found["bare"]:
            known = self._environ.get(found["bare"]) if self._in_client_file else None
            return found.group() if known is None else self._as_secret(known)
        if found["inside"] is None:
            return "${"
        if not found["end"]:
            fix = "for the text ${ itself write $${"
            return self._unfilled(Unfilled(steps, "a variable is not closed by }", fix))
        if found["inside"].startswith("file:"):
            return self._file(found["inside"].removeprefix("file:"), steps)
        return self._variable(found["inside"], steps)

    def _variable(self, inside: str, steps: Steps) -> str:
        asked = ""
        if self._in_client_file:
            if inside.startswith("input:"):
                asked = f"(for ${{{inside}}}, which the client asks for) "
            if inside in {"workspaceFolder", "userHome"}:
                is_home = inside == "userHome"
                return home_of(self._environ) if is_home else str(self._folder)
            inside = _as_ours(inside)
        name, has_default, default = inside.partition(":-")
        if not _NAME.fullmatch(name):
            fault = "a variable's name is letters, digits and _"
            fix = "for the text ${ itself write $${"
            return self._unfilled(Unfilled(steps, fault, fix))
        if "${" in default:
            fault = f"the default of {name} contains a variable, which is not expanded"
            return self._unfilled(Unfilled(steps, fault))
        value = self._environ.get(name)
        if value or (value is not None and not has_default):
            return self._as_secret(value)
        if not has_default:
            fix = f"set it in {self._where}, or give it a default: ${{{name}:-default}}"
            fault = f"the variable {name} {asked}is not set"
            return self._unfilled(Unfilled(steps, fault, fix, name))
        return self._as_secret(default)

    def _file(self, name: str, steps: Steps) -> str:
        try:
            file = self._folder / expand_user(name, self._environ)
            data, _ = self._read(file, MAX_SECRET_BYTES)
            text = data.decode()
        except (Unreadable, ValueError) as error:
            reason = error if isinstance(error, Unreadable) else "it is not UTF-8"
            fault = f"the file {name} cannot be read: {reason}"
            return self._unfilled(Unfilled(steps, fault, needs=name))
        return self._as_secret(text.rstrip("\r\n"))

    def _as_secret(self, value: str) -> str:
        add_secret(self._secrets, value)
        return value

    def _unfilled(self, unfilled: Unfilled) -> str:
        """Report a problem and return a placeholder, which goes nowhere: the file is refused, or
        its server is off."""
        self._report(unfilled)
        return PLACEHOLDER


def add_secret(secrets: Secrets, value: str) -> None:
    """Add *value* to *secrets*, unless it is an existing path: errors name those."""
    if not (os.path.isabs(value) and os.path.exists(value)):
        secrets.add([value])


def _as_ours(inside: str) -> str:
    if inside.startswith("input:"):
        return re.sub(r"[^A-Z0-9_]", "_", inside.removeprefix("input:").upper())
    return inside.removeprefix("env:")
