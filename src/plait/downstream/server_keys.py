"""Unique names of servers. In one configuration their names are unique; where several share a
process, they may mean different servers by one name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..config import Config
from .identity import process_identity

Keys: TypeAlias = Callable[[Config], Mapping[str, str]]
"""Gives the unique name of each server of a configuration, by name."""


def names_as_keys(config: Config) -> Mapping[str, str]:
    """Return the names of the servers."""
    return {name: name for name in config.servers}


def identity_in(config: Config, name: str, key: str) -> str:
    """Return what makes the server *name* of *config* another one if it changes. A unique name says
    that by itself."""
    return key if key != name else process_identity(name, config.servers[name], config)
