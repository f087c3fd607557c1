"""The folder in which a step of the tour is done: settings, files, logs, and the state of Plait."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .company import SERVICES, set_out

JOBS = Path(__file__).with_name("jobs")
SETTINGS = "servers.toml"


@dataclass(frozen=True, slots=True)
class Place:
    """A fresh *folder*, absolute, that belongs to the tour."""

    folder: Path

    def set_out(self, policy: Sequence[str] = ()) -> None:
        """Write the files of the company, the jobs, and settings that end with the lines of
        *policy*."""
        set_out(self.folder)
        shutil.copytree(JOBS, self.folder, dirs_exist_ok=True)
        lines = [
            line
            for name in SERVICES
            for line in (f"[servers.{name}]", f"command = {_toml(sys.executable)}",
                         f"args = {_toml(service_words(name, self.folder))}")
        ]  # fmt: skip
        text = "\n".join([*lines, *policy, ""])
        (self.folder / SETTINGS).write_text(text, encoding="utf-8")

    def job(self, name: str) -> str:
        """Return the text of a job: a DAG."""
        return (self.folder / f"{name}.json").read_text(encoding="utf-8")

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return *environ* for a `plait` of the tour: nothing of the user's settings, gateway and
        history is read or written."""
        own = {name: value for name, value in environ.items() if not name.startswith("PLAIT_")}
        own.pop("_TYPER_COMPLETE_ARGS", None)
        return own | {
            "PLAIT_CONFIG": str(self.folder / SETTINGS),
            "PLAIT_STATE_DIR": str(self.folder / "state"),
            "PLAIT_ISOLATED": "1",
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_RUNTIME_DIR": str(self.folder),
        }


def service_words(name: str, folder: Path) -> list[str]:
    """Return the arguments of a Python that runs a service."""
    # -P: else Python would import from the folder that we were started in.
    return ["-P", "-m", "plait.tour", name, str(folder)]


def plait_words(*words: str) -> list[str]:
    """Return the command line of this very Plait with *words*."""
    return [sys.executable, "-P", "-m", "plait", *words]


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # texts and lists of them are written alike
