"""The values in a client's file, read strictly, and the servers that they hold.

A key that is there twice means one thing to one program and another to the next, so a file with one
is refused rather than guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..config.clients import is_this_gateway
from ..config.parse import parse
from ..errors import ConfigError
from .clients import ENTRY, Format, Place

MAX_BYTES = 32 * 2**20
BOM = b"\xef\xbb\xbf"
_ADDRESSES = ("url", "httpUrl", "serverUrl", "uri")


class Unreadable(Exception):
    """A file that cannot be read for certain; says why, and what to do."""


def values_of(data: bytes, kind: Format) -> dict[str, Any]:
    """Return the values in *data*. Raises `Unreadable`."""
    if len(data) > MAX_BYTES:
        raise Unreadable(f"it has more than {MAX_BYTES >> 20} MiB")
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in data[:4]:
        raise Unreadable("it is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    if not text.strip():
        return {}
    name = Path(f"file.{kind}")
    try:
        return parse(name, data)
    except ConfigError as error:
        raise Unreadable(str(error).replace(f"{name}: ", "it ", 1)) from None


def root_in(place: Place, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where the servers of *place* stand in *values*: OpenCode 2 has them a level deeper."""
    at = value_at(values, place.root)
    if place.root == ("mcp",) and isinstance(at, dict) and isinstance(at.get("servers"), dict):
        inner = at["servers"]
        if not {"command", "url", "type"} & inner.keys():
            return ("mcp", "servers")
    return place.root


def value_at(values: Any, steps: tuple[str, ...]) -> Any:
    """Return the value at *steps* in *values*, None without one."""
    for step in steps:
        if not isinstance(values, Mapping) or step not in values:
            return None
        values = values[step]
    return values


def servers_in(place: Place, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the servers that *place* has in *values*, by name. Raises `Unreadable` if what stands
    there is something else."""
    root = root_in(place, values)
    held = value_at(values, root)
    if held is None:
        return {}
    if place.is_list:
        if not isinstance(held, list) or not all(isinstance(one, dict) for one in held):
            raise Unreadable(f"{'.'.join(root)} must be a list of servers")
        names = [str(one.get("name", "")) for one in held]
        if len({*names}) < len(names):
            raise Unreadable(f"{'.'.join(root)} has two servers of one name")
        return dict(zip(names, held, strict=True))
    if not isinstance(held, dict):
        raise Unreadable(f"{'.'.join(root)} must map names to servers")
    return {str(name): settings for name, settings in held.items()}


def words_of(settings: Any) -> list[str]:
    """Return the words of the command that a server's *settings* start, in any client's form; empty
    if they start none."""
    if not isinstance(settings, Mapping):
        return []
    command = settings.get("command", settings.get("cmd"))
    if isinstance(command, Mapping):  # Zed, before 2025
        settings, command = command, command.get("path")
    words = command if isinstance(command, list) else [command]
    args = settings.get("args")
    found = [*words, *(args if isinstance(args, list) else ())]
    return [word for word in found if isinstance(word, str)]


def is_plait(settings: Any, name: str = "") -> bool:
    """Return whether *settings* lead to Plait, whatever their *name*."""
    if not isinstance(settings, Mapping):
        return False
    addresses = {key: settings[key] for key in _ADDRESSES if isinstance(settings.get(key), str)}
    words = [word.replace("\\", "/") for word in words_of(settings)]
    if is_this_gateway({**addresses, "command": words}):
        return True
    return name == ENTRY and any(map(_is_ours, addresses.values()))


def _is_ours(address: str) -> bool:
    """Return whether *address* is one on this machine, with a path of ours."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.hostname in {"127.0.0.1", "localhost", "::1"} and parts.path in {"/mcp", "/sse"}
