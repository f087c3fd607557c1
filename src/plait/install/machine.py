"""The machine as programs see it: its system, a user's folders, and the folder of a project."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class System(StrEnum):
    LINUX = "linux"
    MACOS = "macos"
    WINDOWS = "windows"


@dataclass(frozen=True, slots=True)
class Machine:
    """A user's machine. Nothing is looked up elsewhere, so any machine can be described."""

    system: System
    home: Path
    folder: Path
    """The folder in which the command runs, of a project."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def here(cls, environ: Mapping[str, str], folder: Path) -> Machine:
        """Return this machine, as *environ* describes it."""
        from ..config.environment import home_of

        systems = {"darwin": System.MACOS, "win32": System.WINDOWS}
        system = systems.get(sys.platform, System.LINUX)
        home = environ.get("USERPROFILE", "") if system is System.WINDOWS else home_of(environ)
        return cls(system, Path(home), folder, environ)

    def named(self, variable: str, *default: str) -> Path:
        """Return the folder that *variable* names, else the *default* below the user's home."""
        given = self.environ.get(variable, "")
        return Path(given) if Path(given).is_absolute() else self.home.joinpath(*default)

    @property
    def config(self) -> Path:
        """The folder of settings of programs that follow XDG on each system."""
        return self.named("XDG_CONFIG_HOME", ".config")

    @property
    def application_data(self) -> Path:
        """The folder of settings of programs with a desktop."""
        match self.system:
            case System.MACOS:
                return self.home / "Library" / "Application Support"
            case System.WINDOWS:
                return self.named("APPDATA", "AppData", "Roaming")
            case _:
                return self.config

    @property
    def local_data(self) -> Path:
        """The folder in which Windows keeps what belongs to this machine alone."""
        return self.named("LOCALAPPDATA", "AppData", "Local")
