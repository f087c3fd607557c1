"""Variables in settings: `${VAR}`, `${VAR:-default}`, `${file:/run/secrets/x}`; `$${` is a literal `${`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<braced>[^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Expander:
    """Fills variables in, and collects what cannot be: never with a value, which may be secret."""

    def __init__(self, environ: Mapping[str, str], folder: Path, *, in_client_file: bool = False) -> None:
        self.problems: list[str] = []
        self._environ = environ
        self._folder = folder
        self._in_client_file = in_client_file

    def expand(self, value: Any, place: str = "") -> Any:
        match value:
            case str():
                return _VARIABLE.sub(lambda found: self._fill(found, place), value)
            case list():
                return [self.expand(child, f"{place}[{index}]") for index, child in enumerate(value)]
            case dict():
                return {key: self.expand(child, f"{place}.{key}".lstrip(".")) for key, child in value.items()}
        return value

    def _fill(self, found: re.Match[str], place: str) -> str:
        inside = found["braced"]
        if inside is None:
            return "${"
        if inside.startswith("file:"):
            return self._file(inside.removeprefix("file:"), place)
        if self._in_client_file:
            if inside in {"workspaceFolder", "userHome"}:
                return str(self._folder if inside == "workspaceFolder" else Path.home())
            inside = inside.removeprefix("env:")
        name, has_default, default = inside.partition(":-")
        if not _NAME.fullmatch(name):
            self.problems.append(f"{place}: ${{{inside}}} is no variable; for the text itself write $${{{inside}}}")
            return found.group()
        if name in self._environ and (self._environ[name] or not has_default):
            return self._environ[name]
        if not has_default:
            self.problems.append(f"{place}: the variable {name} is not set; set it, or give a default: ${{{name}:-…}}")
            return found.group()
        return default

    def _file(self, name: str, place: str) -> str:
        try:
            return (self._folder / Path(name).expanduser()).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            self.problems.append(f"{place}: the file {name} cannot be read: {reason}")
            return ""
