"""From a file and the environment to `Config`, with every problem told at once: file, key and mend."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..core.problems import did_you_mean
from ..errors import ConfigError
from .clients import translated
from .expand import Expander
from .models import (
    Config,
    GatewaySettings,
    LimitSettings,
    PolicySettings,
    ServerSettings,
    ToolSettings,
)

FILE_NAME = "servers.toml"
OTHER_VARIABLES = frozenset({"PLAIT_CONFIG", "PLAIT_DEBUG", "PLAIT_LOG_LEVEL", "PLAIT_LOG_FORMAT"})


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Config:
    """The settings from *path*; else from PLAIT_CONFIG, servers.toml in *cwd* and its parents, or the user's folder.

    With no file, the bundled workspace server alone, rooted in *cwd*. Raises `ConfigError`, which holds every
    problem, one a line.
    """
    environ = os.environ if environ is None else environ
    cwd = cwd or Path.cwd()
    file = path or _find(environ, cwd)
    if file is None:
        values: dict[str, Any] = {"servers": {"workspace": {"builtin": "workspace"}}}
        return _Reader("built-in defaults", cwd, environ).read(values)
    reader = _Reader(str(file), file.absolute().parent, environ)
    return reader.read(_parse(file), is_json=file.suffix == ".json")


def _find(environ: Mapping[str, str], cwd: Path) -> Path | None:
    if named := environ.get("PLAIT_CONFIG"):
        return Path(named)
    folders = [cwd, *cwd.absolute().parents, user_config_path("plait")]
    return next((folder / FILE_NAME for folder in folders if (folder / FILE_NAME).is_file()), None)


def _parse(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 at byte {error.start}") from None
    try:
        values = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}: is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: is no TOML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: is no JSON object")
    return values


class _Reader:
    """Reads one file; collects what is wrong with it on the way."""

    def __init__(self, source: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._source = source
        self._folder = folder
        self._environ = environ
        self._problems: list[str] = []

    def read(self, values: dict[str, Any], *, is_json: bool = False) -> Config:
        values, notes, problems = translated(values, is_json=is_json)
        self._problems += problems
        expander = Expander(self._environ, self._folder, in_client_file=is_json)
        values = expander.expand(values)
        self._problems += expander.problems
        self._set_from_environment(values)
        try:
            config = Config.model_validate({**values, "source": self._source, "notes": notes})
        except ValidationError as error:
            self._problems += [_said(detail) for detail in error.errors(include_url=False, include_input=False)]
        if self._problems:
            raise ConfigError("\n".join(f"{problem} ({self._source})" for problem in dict.fromkeys(self._problems)))
        servers = {name: self._rooted(settings) for name, settings in config.servers.items()}
        return config.model_copy(update={"servers": servers})

    def _rooted(self, settings: ServerSettings) -> ServerSettings:
        """Relative folders are relative to the file's."""
        folders = {"root": (self._folder / settings.root).resolve()}
        if settings.cwd is not None:
            folders["cwd"] = (self._folder / settings.cwd.expanduser()).resolve()
        return settings.model_copy(update=folders)

    def _set_from_environment(self, values: dict[str, Any]) -> None:
        """Every key of `[gateway]` and its limits may come as a variable: PLAIT_MAX_CONCURRENCY=8."""
        gateway = values.setdefault("gateway", {})
        if not isinstance(gateway, dict):
            return
        keys = {f"PLAIT_{key.upper()}": (gateway, key) for key in GatewaySettings.model_fields if key != "limits"}
        limits = gateway.setdefault("limits", {})
        if isinstance(limits, dict):
            keys |= {f"PLAIT_{key.upper()}": (limits, key) for key in LimitSettings.model_fields}
        for name, value in self._environ.items():
            if name in keys:
                section, key = keys[name]
                section[key] = value
            elif _is_ours(name) and (hint := did_you_mean(name, keys)):
                self._problems.append(f"environment variable {name}: no such setting. {hint}")


def _is_ours(name: str) -> bool:
    return name.startswith("PLAIT_") and name not in OTHER_VARIABLES


def _said(detail: ErrorDetails) -> str:
    steps = [str(step) for step in detail["loc"] if step != "[key]"]
    place = ".".join(f'"{step}"' if ":" in step or "*" in step else step for step in steps) or "the file"
    if detail["type"] == "extra_forbidden":
        hint = did_you_mean(steps[-1], _known(steps[:-1])) or f"Known keys: {', '.join(_known(steps[:-1]))}."
        return f"{place}: unknown key. {hint}"
    if detail["loc"] and detail["loc"][-1] == "[key]":
        return f"{place}: a server's name is 1 to 32 lower-case letters, digits, - or _, and starts with no mark"
    if steps and steps[-1] == "url":
        return f"{place}: an address starts with http:// or https://"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}"


def _known(steps: list[str]) -> list[str]:
    sections: dict[tuple[str, ...], type[BaseModel]] = {
        (): Config,
        ("gateway",): GatewaySettings,
        ("gateway", "limits"): LimitSettings,
        ("policy",): PolicySettings,
    }
    model = sections.get(tuple(steps))
    if model is None:
        model = ToolSettings if steps[0] == "tools" else ServerSettings
    return [name for name in model.model_fields if name not in {"source", "notes"}]
