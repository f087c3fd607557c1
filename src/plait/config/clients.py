"""The files of clients, translated to our settings: JSON with `mcpServers`, `servers`,
`context_servers` or `mcp`, Codex's TOML.

A key that has a meaning here is translated; any other is ignored, with a note.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePath
from typing import Any

from .models import TRANSPORT_NAMES, ServerSettings
from .places import Steps, place

JSON_ROOTS = ("mcpServers", "servers", "context_servers", "mcp")
CODEX_ROOT = "mcp_servers"
_OURS = frozenset({"servers", "gateway", "policy", "history", "audit", "profiles"})
"""A TOML file with one of these keys is a servers.toml, even with a block of Codex pasted into
it."""

_TYPE_KEYS = frozenset({"type", "transport", "transportType"})
RENAMED = {
    "httpUrl": "url",
    "serverUrl": "url",
    "http_headers": "headers",
    "environment": "env",
    "startup_timeout_sec": "startup_timeout_s",
    "tool_timeout_sec": "timeout_s",
    "enabled_tools": "include",
    "disabled_tools": "exclude",
    "includeTools": "include",
    "excludeTools": "exclude",
}
_LEAST_MS = 1_000
"""A `timeout` is in milliseconds for most clients, and in seconds for some. Few would set less than
a second, so a smaller number is in seconds."""
_REFUSED = {
    "envFile": "put its variables into the environment, and name them in env",
    "env_http_headers": 'write headers with variables in them: "${VARIABLE}"',
    "headersHelper": 'write headers with variables in them: "${VARIABLE}"',
}


@dataclass
class Translation:
    """A file in the format of servers.toml; `origins` has each server's place in the original."""

    values: dict[str, Any]
    is_clients: bool = False
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    origins: dict[Steps, str] = field(default_factory=dict)


def translate(values: dict[str, Any], *, is_json: bool) -> Translation:
    """Translate *values* to the format of servers.toml, unless they have it already."""
    if is_json:
        return _from_json(values)
    if CODEX_ROOT in values:
        return _from_toml(values)
    return Translation(values)


def _from_json(values: dict[str, Any]) -> Translation:
    translation = Translation({}, is_clients=True)
    root = next((name for name in JSON_ROOTS if name in values), None)
    if root is None:
        translation.problems.append(f"it has no servers: one of {', '.join(JSON_ROOTS)} is needed")
    else:
        servers = values[root]
        if root == "mcp" and isinstance(servers, dict) and isinstance(servers.get("servers"), dict):
            servers = servers["servers"]  # in OpenCode 2, and in the settings of VS Code
        _take_servers(translation, root, servers)
    return translation


def _from_toml(values: dict[str, Any]) -> Translation:
    rest = {name: value for name, value in values.items() if name != CODEX_ROOT}
    if _OURS.isdisjoint(rest):
        translation = Translation({}, is_clients=True)
        translation.notes += [f"{name}: means nothing here, and was ignored" for name in rest]
    else:
        translation = Translation(rest)
    _take_servers(translation, CODEX_ROOT, values[CODEX_ROOT])
    return translation


def _take_servers(translation: Translation, root: str, servers: Any) -> None:
    if not isinstance(servers, dict):
        translation.problems.append(f"{root}: must map names to servers")
        return
    ours = translation.values.setdefault("servers", {})
    if not isinstance(ours, dict):
        return
    for name, settings in servers.items():
        origin = place((root, name))
        if _is_this_gateway(settings):
            translation.notes.append(f"{origin}: is this gateway, and was ignored")
            continue
        fitting = _fitting(name)
        if fitting in ours or not fitting:
            digest = sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
            fitting = f"{(fitting or 'server')[:23]}-{digest}"
        if fitting != name:
            translation.notes.append(f"{origin}: is called {fitting} here")
        ours[fitting] = _Server(origin, translation).translated(settings)
        translation.origins["servers", fitting] = origin


def _fitting(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:32]


def _plain(text: Any) -> str:
    """Return *text* in small letters alone: `streamable_http` and `streamableHttp` are one."""
    return re.sub("[^a-z]", "", text.lower()) if isinstance(text, str) else ""


_PLAIN_TYPES = {_plain(name): transport for name, transport in TRANSPORT_NAMES.items()}


def _as_text(value: Any) -> Any:
    """Return a number, true or false as the text that a process would get; anything else as it
    is."""
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _is_this_gateway(settings: Any) -> bool:
    """Return whether *settings* start `plait serve`: a gateway must not start itself."""
    match settings:
        case {"command": str(command), "args": [*args]}:
            words = [command, *args]
        case {"command": [*words]}:
            pass
        case _:
            return False
    names = [PurePath(word).name for word in words if isinstance(word, str)]
    return "serve" in names and "plait" in names


class _Server:
    """The translation of one server."""

    def __init__(self, origin: str, translation: Translation) -> None:
        self._origin = origin
        self._translation = translation
        self._ours: dict[str, Any] = {}

    def translated(self, settings: Any) -> Any:
        if not isinstance(settings, dict):
            return settings
        for key, value in settings.items():
            self._take(key, value)
        return self._ours

    def _take(self, key: str, value: Any) -> None:
        match key, value:
            case _ if key in _TYPE_KEYS:
                if (kind := _plain(value)) in _PLAIN_TYPES:
                    self._ours["transport"] = _PLAIN_TYPES[kind]
                else:
                    self._refuse(key, f"must be one of {', '.join(TRANSPORT_NAMES)}")
            case "env" | "headers" | "environment" | "http_headers", dict() as members:
                texts = {one: _as_text(text) for one, text in members.items() if text is not None}
                self._merge(RENAMED.get(key, key), texts)
            case "args", [*words]:
                self._ours["args"] = list(map(_as_text, words))
            case "command", [str(program), *args]:  # OpenCode
                self._ours |= {"command": program, "args": args}
            case "command", {"path": str(program), **more}:  # Zed, before 2025
                self._ours["command"] = program
                for name, given in more.items():
                    self._take(str(name), given)
            case "disabled", bool():
                self._ours["enabled"] = not value
            case "disabled", _:
                self._refuse(key, "must be true or false")
            case "bearer_token_env_var", str():
                self._merge("headers", {"Authorization": f"Bearer ${{{value}}}"})
            case "env_vars", [*names]:
                self._merge(
                    "env", {name: f"${{{name}}}" for name in names if isinstance(name, str)}
                )
            case _ if key in _REFUSED:
                self._refuse(key, f"is not read; {_REFUSED[key]}")
            case "timeout", int() | float() if not isinstance(value, bool) and value < _LEAST_MS:
                self._ours["timeout_s"] = value
                self._translation.notes.append(
                    f"{self._origin}.timeout: {value:g} was taken as seconds"
                )
            case "timeout" | "request_timeout_ms", int() | float() if not isinstance(value, bool):
                self._ours["timeout_s"] = value / 1000
            case _ if (known := RENAMED.get(key, key)) in ServerSettings.model_fields:
                self._merge(known, value)
            case _:
                self._translation.notes.append(
                    f"{self._origin}.{key}: means nothing here, and was ignored"
                )

    def _merge(self, key: str, value: Any) -> None:
        known = self._ours.get(key)
        self._ours[key] = (
            {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
        )

    def _refuse(self, key: str, reason: str) -> None:
        self._translation.problems.append(f"{self._origin}.{key}: {reason}")
