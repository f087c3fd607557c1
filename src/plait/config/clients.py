"""The files of clients, translated to our settings: JSON with `mcpServers`, `servers`,
`context_servers` or `mcp`, Codex's TOML, the YAML of Goose and Continue.

A key that has a meaning here is translated; any other is ignored, with a note. A server that cannot
be taken over is left out, with a note, and the others are served.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from .fields import TAKEN
from .models import TRANSPORT_NAMES, ServerSettings
from .places import Steps, place

OPENCODE_ROOT = "mcp"
GOOSE_ROOT = "extensions"
ROOTS = ("mcpServers", "servers", "context_servers", OPENCODE_ROOT, "mcp.servers", GOOSE_ROOT)
"""Where clients have their servers."""
PROJECTS = "projects"
"""Where Claude Code has the servers of single folders."""
CODEX_ROOT = "mcp_servers"
_OURS = frozenset({"servers", "gateway", "policy", "history", "audit", "profiles"})
"""A TOML file with one of these keys is a servers.toml, even with a block of Codex pasted into
it."""
PORT = 8420
"""The port on which we usually serve."""

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
    "cmd": "command",
    "envs": "env",
    "uri": "url",
}
_PARTS_OF_CLIENTS = frozenset({"builtin", "platform", "frontend", "inlinepython"})
"""Kinds of Goose's extensions that only Goose can start."""
_SECRET = re.compile(r"\$\{\{\s*(?:secrets|env|inputs)\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
"""A variable as Continue writes it."""
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ash", "ksh", "fish"})
_VERSION = re.compile(r"(?<=.)(?:@|==|\[|\.exe$).*")
_LEAST_MS = 1_000
"""A `timeout` is in milliseconds for most clients, and in seconds for Goose and Cline; the file of
the latter looks as others do. Few would set less than a second, so there a smaller number is in
seconds."""
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
    varies_by_folder: bool = False
    """Whether other folders have other servers."""


def translate(values: dict[str, Any], *, is_clients: bool, cwd: Path) -> Translation:
    """Translate *values* to the format of servers.toml, unless they have it already. Of servers of
    single folders, those of *cwd* count."""
    if is_clients:
        return _from_client(values, cwd)
    if CODEX_ROOT in values:
        return _from_toml(values)
    return Translation(values)


def _from_client(values: dict[str, Any], cwd: Path) -> Translation:
    translation = Translation({"servers": {}}, is_clients=True)
    found = {root: _unwrapped(root, values[root]) for root in ROOTS if root in values}
    projects = values.get(PROJECTS)
    if isinstance(projects, dict):
        _take_project(translation, projects, cwd)
    elif not found:
        known = ", ".join(ROOTS)
        translation.problems.append(f"it has no servers: one of {known} is needed")
    used = next((root for root, servers in found.items() if servers), next(iter(found), None))
    for root, servers in found.items():
        if root == used:
            _take_servers(translation, root, servers)
        elif servers:
            translation.notes.append(f"{root}: was ignored, because {used} has servers")
    return translation


def _unwrapped(root: str, servers: Any) -> Any:
    """Return the servers at *root*; those of OpenCode 2 and of VS Code's settings are deeper."""
    if root == "mcp" and isinstance(servers, dict) and isinstance(servers.get("servers"), dict):
        return servers["servers"]
    return servers


def _take_project(translation: Translation, projects: dict[str, Any], cwd: Path) -> None:
    """Take the servers of the folder that *cwd* is in. They come before those of all folders."""
    having = {
        folder: servers
        for folder, project in projects.items()
        if isinstance(project, dict) and (servers := project.get("mcpServers"))
    }
    translation.varies_by_folder = bool(having)
    inner = next((str(one) for one in (cwd, *cwd.parents) if str(one) in having), None)
    if inner is not None:
        _take_servers(translation, place((PROJECTS, inner, "mcpServers")), having[inner])
    if others := len(having) - (inner is not None):
        translation.notes.append(f"{PROJECTS}: servers of other folders ({others}) were ignored")


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
    """Take *servers*: an object by name, or a list of objects with a name, as Continue writes."""
    match servers:
        case dict():
            named = [(str(name), place((name,), root), one) for name, one in servers.items()]
        case [*given]:
            named = [
                (_name_in(one), place((index,), root), _with_our_variables(one))
                for index, one in enumerate(given)
            ]
        case _:
            translation.problems.append(f"{root}: must map names to servers")
            return
    ours = translation.values.setdefault("servers", {})
    if not isinstance(ours, dict):
        return
    for name, origin, settings in named:
        if is_this_gateway(settings):
            translation.notes.append(f"{origin}: is this gateway, and was ignored")
            continue
        server, before = _Server(origin, root, translation), len(translation.notes)
        translated = server.translated(settings)
        if server.faults:
            translation.notes += [f"{fault}; this server is left out" for fault in server.faults]
            continue
        fitting = _fitting(name)
        if fitting in ours or fitting in TAKEN or not fitting:
            digest = sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
            fitting = f"{(fitting or 'server')[:23]}-{digest}"
        if fitting != name:
            translation.notes.insert(before, f"{origin}: is called {fitting} here")
        ours[fitting] = translated
        translation.origins["servers", fitting] = origin


def _name_in(settings: Any) -> str:
    name = settings.get("name") if isinstance(settings, dict) else None
    return name if isinstance(name, str) else ""


def _with_our_variables(value: Any) -> Any:
    """Return *value* with `${NAME}` for `${{ secrets.NAME }}` in its texts."""
    match value:
        case str():
            return _SECRET.sub(r"${\1}", value)
        case list():
            return [_with_our_variables(child) for child in value]
        case dict():
            return {key: _with_our_variables(child) for key, child in value.items()}
    return value


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


def is_this_gateway(settings: Any) -> bool:
    """Return whether *settings* of a client start `plait serve`, in whatever way, or lead to the
    address where it usually serves: a gateway must not start itself."""
    if not isinstance(settings, dict):
        return False
    urls = (settings.get(key) for key in ("url", "httpUrl", "serverUrl", "uri"))
    if any(_is_our_address(url) for url in urls if isinstance(url, str)):
        return True
    names = [_VERSION.sub("", PurePath(word).name) for word in _words_of(settings)]
    return "plait" in names and "serve" in names[names.index("plait") :]


def _words_of(settings: dict[str, Any]) -> Iterator[str]:
    """Yield the words of a command; a line that a shell is to run word by word."""
    words: list[Any] = []
    for key in ("command", "cmd", "args"):
        match settings.get(key):
            case str(word):
                words.append(word)
            case [*more]:
                words += more
            case {"path": str(word), **more}:
                arguments = more.get("args")
                words += [word, *(arguments if isinstance(arguments, list) else ())]
    texts = [word for word in words if isinstance(word, str)]
    is_shell = bool(texts) and PurePath(texts[0]).name in _SHELLS
    for word in texts:
        try:
            yield from shlex.split(word) if is_shell else [word]
        except ValueError:  # quotes that are not closed
            yield from word.split()


def _is_our_address(url: str) -> bool:
    from ipaddress import ip_address

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if port != PORT or parts.path.rstrip("/") not in {"/mcp", "/sse"}:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server:
    """The translation of one server."""

    def __init__(self, origin: str, root: str, translation: Translation) -> None:
        self._origin = origin
        self._root = root
        self._translation = translation
        self._ours: dict[str, Any] = {}
        self.faults: list[str] = []
        """The reasons why it cannot be taken over."""

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
                elif kind in _PARTS_OF_CLIENTS:
                    self._refuse(key, f"{value} is a part of its client, which alone can start it")
                else:
                    self._refuse(key, f"must be one of {', '.join(TRANSPORT_NAMES)}")
            case "env" | "headers" | "environment" | "http_headers" | "envs", dict() as members:
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
            case "env_vars" | "env_keys", [*names]:
                self._merge(
                    "env", {name: f"${{{name}}}" for name in names if isinstance(name, str)}
                )
            case "requestOptions", {"headers": dict() as headers}:  # Continue
                self._take("headers", headers)
            case "connectionTimeout", int() | float() if not isinstance(value, bool):
                self._ours["startup_timeout_s"] = value / 1000
            case "available_tools", [*names]:  # Goose: none are all
                self._ours["include"] = names
            case _ if key in _REFUSED:
                self._refuse(key, f"is not read; {_REFUSED[key]}")
            case "timeout", _ if self._root == OPENCODE_ROOT:
                self._translation.notes.append(
                    f"{self._origin}.timeout: is for its start in OpenCode, and was ignored"
                )
            case "timeout", int() | float() if self._root == GOOSE_ROOT:
                self._merge("timeout_s", value)
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
        self.faults.append(f"{self._origin}.{key}: {reason}")
