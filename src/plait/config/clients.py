"""The files of clients, put into our words: JSON with `mcpServers`, `servers` or `context_servers`, Codex's TOML.

A key of theirs that has a meaning here is taken over; one that has none is passed over with a note.
"""

from __future__ import annotations

import re
from typing import Any

from .models import ServerSettings

ROOTS = ("mcpServers", "servers", "context_servers", "mcp_servers")
_TYPES = {"stdio": "stdio", "http": "http", "streamable-http": "http", "streamableHttp": "http", "sse": "sse"}
_RENAMED = {
    "httpUrl": "url",
    "serverUrl": "url",
    "http_headers": "headers",
    "startup_timeout_sec": "startup_timeout_s",
    "tool_timeout_sec": "timeout_s",
    "enabled_tools": "include",
    "disabled_tools": "exclude",
    "includeTools": "include",
    "excludeTools": "exclude",
}
_MILLISECONDS = {"timeout": "timeout_s", "request_timeout_ms": "timeout_s"}
_REFUSED = {
    "envFile": "put its variables into the environment, and name them in env",
    "env_http_headers": 'write headers = { Name = "${VARIABLE}" }',
    "headersHelper": 'write headers = { Name = "${VARIABLE}" }',
}


def translated(values: dict[str, Any], *, is_json: bool) -> tuple[dict[str, Any], tuple[str, ...], list[str]]:
    """*values* as servers.toml would have them, with notes and problems."""
    root = next((name for name in ROOTS if isinstance(values.get(name), dict)), None)
    if root is None or (root == "servers" and not is_json):
        return dict(values), (), []
    rest = {} if is_json else {name: value for name, value in values.items() if name != root}
    translator = _Translator(root)
    servers = dict(rest.pop("servers", {}))
    for name, settings in values[root].items():
        ours = translator.name(name)
        if ours in servers:
            translator.problems.append(f"{root}.{name}: there is another server of the name {ours}")
        servers[ours] = translator.server(name, settings)
    return {**rest, "servers": servers}, tuple(translator.notes), translator.problems


class _Translator:
    def __init__(self, root: str) -> None:
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._root = root

    def name(self, name: str) -> str:
        ours = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:32] or "server"
        if ours != name:
            self.notes.append(f"{self._root}.{name}: is called {ours} here")
        return ours

    def server(self, name: str, settings: Any) -> Any:
        if not isinstance(settings, dict):
            return settings
        ours: dict[str, Any] = {}
        for key, value in settings.items():
            self._take(ours, f"{self._root}.{name}.{key}", key, value)
        return ours

    def _take(self, ours: dict[str, Any], place: str, key: str, value: Any) -> None:
        match key:
            case "type":
                self._type(ours, place, value)
            case "disabled":
                ours["enabled"] = not value
            case "bearer_token_env_var":
                ours.setdefault("headers", {})["Authorization"] = f"Bearer ${{{value}}}"
            case "env_vars" if isinstance(value, list):
                ours.setdefault("env", {}).update({name: f"${{{name}}}" for name in value})
            case _ if key in _REFUSED:
                self.problems.append(f"{place}: is not read; {_REFUSED[key]}")
            case _ if key in _MILLISECONDS and isinstance(value, int | float):
                ours[_MILLISECONDS[key]] = value / 1000
            case _ if (known := _RENAMED.get(key, key)) in ServerSettings.model_fields:
                ours[known] = {**ours.get(known, {}), **value} if isinstance(value, dict) else value
            case _:
                self.notes.append(f"{place}: means nothing here, and was passed over")

    def _type(self, ours: dict[str, Any], place: str, value: Any) -> None:
        if value in _TYPES:
            ours["transport"] = _TYPES[value]
        else:
            self.problems.append(f"{place}: is one of {', '.join(_TYPES)}")
