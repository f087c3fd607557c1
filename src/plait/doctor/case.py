"""What `plait doctor` examines, and within which bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..core.values.strict import JsonObject
from ..redaction import Secrets

CHECK_S = 20.0
"""Longest time of a check that starts no server."""
SERVER_S = 30.0
"""Longest time of the start of a server here, whatever its settings allow."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that is examined."""

    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    """The folder in which the command runs."""
    program: Path
    """This Plait."""
    ask_gateway: Callable[[], JsonObject | None] = lambda: None
    """Returns the state of the shared gateway, None if none runs. Raises `ConfigError`."""
    config_file: Path | None = None
    profile: str | None = None
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    check_s: float = CHECK_S
    server_s: float = SERVER_S
