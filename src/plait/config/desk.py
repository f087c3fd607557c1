"""The identity of a desk: clients of one desk share its settings, and so its catalogue, its policy
and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes

from .models import Config


@dataclass(frozen=True, slots=True)
class DeskKey:
    """Two clients are at one desk if theirs are equal. It may be shown: it holds no value of a
    variable."""

    file: Path | None
    """The settings file; None for the built-in defaults."""
    is_found: bool
    """Whether it was found rather than named: then the hints of its servers count for less."""
    profile: str | None
    variables: str
    """A digest of the variables that the settings name, of those that stand for settings, and of
    the environment that servers get."""
    folder: Path | None
    """The client's folder, if anything of the desk depends on it."""
    client: str
    """The client, if it has a server of its own there; else empty."""


def desk_key(config: Config) -> DeskKey:
    """Return the identity of the desk of *config*."""
    return DeskKey(
        config.file,
        config.is_found,
        config.profile,
        digest({"named": config.variables, "inherited": config.environment}),
        config.folder if _depends_on_folder(config) else None,
        config.client if _has_own_server(config) else "",
    )


def place_of(config: Config) -> str:
    """Return the place of the clients of *config*: their folder, or the settings where these are
    the same in all folders. What one client in a place has seen, all there have."""
    is_of_folder = _depends_on_folder(config)
    return str(config.folder if is_of_folder or config.file is None else config.file)


def _depends_on_folder(config: Config) -> bool:
    """Return whether *config* would be another one in another folder: without a file the bundled
    server is rooted there, and a process without `cwd` runs there."""
    return (
        config.file is None
        or config.varies_by_folder
        or any(
            server.command is not None and server.cwd is None
            for server in config.servers.values()
            if server.enabled
        )
    )


def _has_own_server(config: Config) -> bool:
    return any(server.kept_for == "client" for server in config.servers.values() if server.enabled)


def digest(values: Mapping[str, object]) -> str:
    """Return a digest of *values*, whose own texts and mappings may be secret: none can be guessed
    from it. It differs from one process to the next."""
    return blake2b(repr(_sorted(values)).encode("utf-8", "replace"), key=_key()).hexdigest()[:32]


def _sorted(value: object) -> object:
    """Return *value* with all mappings in it as sorted pairs."""
    if isinstance(value, Mapping):
        return sorted((name, _sorted(one)) for name, one in value.items())
    return value


@cache
def _key() -> bytes:
    return token_bytes(32)
