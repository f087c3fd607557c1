"""The identity of a configured server, under which its lists are remembered."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qsl, urlsplit

from ...config import ServerSettings
from ...config.environment import passed_on
from ...core.values.strict import Json, JsonObject, encode


def identity_of(name: str, settings: ServerSettings) -> str:
    """Name the server that *settings* lead to, as part of a file name and without secrets.

    Of variables, headers and the query of a URL only the names count.
    """
    parts = urlsplit(settings.url or "")
    passed = {*passed_on(settings.env, settings.env_pass)}  # differs by client
    identity: JsonObject = {
        "name": name,
        "command": settings.command,
        "args": list(settings.args),
        "env": list[Json](sorted({*settings.env} - passed)),
        "cwd": str(settings.cwd),
        "url": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
        "query": list[Json](
            sorted(key for key, _ in parse_qsl(parts.query, keep_blank_values=True))
        ),
        "headers": list[Json](sorted(settings.headers)),
        "kind": settings.kind,
        "builtin": settings.builtin,
        "root": str(settings.root) if settings.builtin is not None else None,
        "commands": list(settings.allow_commands),
        "read_only": settings.read_only,
        "tools": list(settings.tools),
        "protocol": settings.protocol,
    }
    if settings.env_pass:
        identity["env_pass"] = list(settings.env_pass)
    return f"{name}-{hashlib.sha256(encode(identity)).hexdigest()[:24]}"
