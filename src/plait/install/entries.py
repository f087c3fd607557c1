"""The values in a client's file, read strictly, and the servers that they hold.

A key that is there twice means one thing to one program and another to the next, so a file with one
is refused rather than guessed at.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from ..config.parse import without_comments
from .clients import ENTRY, Format, Place

MAX_BYTES = 32 * 2**20
BOM = b"\xef\xbb\xbf"
_PORT = 8420
"""The port that the documentation names for `plait serve --http`."""
_SHELLS = frozenset({"sh", "bash", "zsh", "fish", "dash", "cmd", "cmd.exe"})
_RUNNERS = frozenset({"uv", "uvx", "pipx", "wsl", "env"})
_PLAIT = re.compile(r"plait(?:@\S*|==\S*)?(?:\.exe)?")
_IN_LINE = re.compile(r"(?:^|[\s;&|/\\'\"])plait(?:@\S+|\.exe)?['\"]?\s(?:.*\s)?serve\b", re.DOTALL)


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
    try:
        values = _parse(text, kind)
    except _Twice as error:
        raise Unreadable(f'it has the key "{error}" twice; remove one') from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"it is not JSON: {error.msg} (at {where})") from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise Unreadable(f"it is not {kind.upper()}: {reason}") from None
    if not isinstance(values, dict):
        raise Unreadable("it holds no settings by name")
    return values


def _parse(text: str, kind: Format) -> Any:
    if not text.strip():
        return {}
    match kind:
        case Format.JSON:
            return json.loads(without_comments(text), object_pairs_hook=_once)
        case Format.TOML:
            return tomllib.loads(text)
        case Format.YAML:
            return _yaml(text)


class _Twice(Exception):
    """A key that an object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := _twice(name for name, _ in pairs):
        raise _Twice(twice)
    return dict(pairs)


def _twice(names: Iterable[str]) -> str:
    """Return the first name that is there for the second time, empty without one."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _yaml(text: str) -> Any:
    import yaml

    class Strict(yaml.SafeLoader):
        """Refuses keys that are there twice; `<<` is understood as always."""

    def mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := _twice(name for name in names if name != "<<"):
            raise _Twice(twice)
        loader.flatten_mapping(node)
        made: dict[Any, Any] = loader.construct_mapping(node, deep=True)
        return made

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        value = yaml.load(text, Strict)  # noqa: S506  # a loader of plain values
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    return {} if value is None else value


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
    """Return whether *settings* lead to Plait, whatever their *name*: by its command, through a
    runner such as `uvx`, in a line for a shell, or at an address of ours."""
    words = words_of(settings)
    if words:
        return _starts_plait(words)
    return any(_is_ours(address, name) for address in _addresses(settings))


def _starts_plait(words: list[str]) -> bool:
    names = [PurePath(word.replace("\\", "/")).name for word in words]
    if names[0].lower() in _SHELLS:
        return any(_IN_LINE.search(f"{word} ") for word in words[1:])
    if _PLAIT.fullmatch(names[0]):
        return True
    if "serve" not in names:
        return False
    before = names[: names.index("serve")]
    if names[0] in _RUNNERS:
        return any(map(_PLAIT.fullmatch, before))
    return "-m" in before and before[before.index("-m") + 1 :][:1] == ["plait"]


def _addresses(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        for key in ("url", "httpUrl", "serverUrl", "uri"):
            if isinstance(address := settings.get(key), str):
                yield address


def _is_ours(address: str, name: str) -> bool:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    is_here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    return is_here and parts.path in {"/mcp", "/sse"} and (port == _PORT or name == ENTRY)
