"""The skill for coding agents: its text, and its place in the folder of each client that has
skills.

A file that we wrote ends with a digest of its lines. So one that was changed since, and one that
others wrote, is known and left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from .machine import Machine

NAME: Final = "plait"
FILE: Final = "SKILL.md"
DIGEST_CHARS: Final = 16
MAX_BYTES: Final = 2**20
_MARK: Final = re.compile(r"<!-- plait skill: sha256 of the lines above: ([0-9a-f]+) -->\n\Z")

_FOLDERS: Final[dict[str, Callable[[Machine], Path]]] = {
    "claude-code": lambda machine: machine.named("CLAUDE_CONFIG_DIR", ".claude") / "skills",
    "codex": lambda machine: machine.home / ".agents" / "skills",
    "cursor": lambda machine: machine.home / ".cursor" / "skills",
    "gemini": lambda machine: machine.home / ".gemini" / "skills",
    "opencode": lambda machine: machine.config / "opencode" / "skills",
}
"""Where each client reads the skills of a user, as its own documentation says in November 2026."""
CLIENTS: Final = tuple(_FOLDERS)


class Found(StrEnum):
    """The kinds of what a place of the skill holds."""

    NOTHING = "nothing"
    SAME = "same"
    """The skill, as it is now."""
    EARLIER = "earlier"
    """One that we wrote, unchanged since."""
    FOREIGN = "foreign"
    """Anything else."""


@dataclass(frozen=True, slots=True)
class Place:
    """The file of the skill in the folder of a client, with what it holds if it can be read."""

    path: Path
    found: Found
    text: str = ""

    def write(self) -> None:
        """Write the skill there. What is there meanwhile, and is not what was found, stays: raises
        `FileExistsError`, and `OSError` if it cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = skill_text().encode()
        if self.found is Found.NOTHING:
            with self.path.open("xb") as file:
                file.write(data)
            return
        if look(self.path) != self:
            raise FileExistsError(f"{self.path} has changed meanwhile")
        fresh = self.path.with_name(f".{FILE}.{os.getpid()}")
        try:
            with fresh.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)


def skill_text() -> str:
    """Return the skill, with its digest."""
    return with_digest(Path(__file__).with_name(FILE).read_text(encoding="utf-8"))


def with_digest(text: str) -> str:
    return f"{text}<!-- plait skill: sha256 of the lines above: {_digest(text)} -->\n"


def place_of(client: str, machine: Machine) -> Place:
    """Look at the place of the skill for one of `CLIENTS`."""
    return look(_FOLDERS[client](machine) / NAME / FILE)


def look(path: Path) -> Place:
    """Look at what is at *path*. A link is foreign: its target belongs to somebody."""
    if not os.path.lexists(path):
        return Place(path, Found.NOTHING)
    if path.is_symlink() or not path.is_file():
        return Place(path, Found.FOREIGN)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return Place(path, Found.FOREIGN)
    if text == skill_text():
        return Place(path, Found.SAME, text)
    mark = _MARK.search(text)
    is_ours = mark is not None and mark[1] == _digest(text[: mark.start()])
    return Place(path, Found.EARLIER if is_ours else Found.FOREIGN, text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARS]
