"""Unique names of servers. In one configuration their names are unique; where several share a
process, they may mean different servers by one name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..config import Config

Keys: TypeAlias = Callable[[Config], Mapping[str, str]]
"""Gives the unique name of each server of a configuration, by name."""


def names_as_keys(config: Config) -> Mapping[str, str]:
    """Return the names of the servers."""
    return {name: name for name in config.servers}
