"""Places in a settings file, written in the file's own syntax."""

from __future__ import annotations

import re
from typing import TypeAlias

Steps: TypeAlias = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def place(steps: Steps, start: str = "") -> str:
    """Format *steps* below *start*: `servers.files.args[0]`, `tools."files:*".weight`."""
    text = start
    for step in steps:
        match step:
            case int():
                text += f"[{step}]"
            case _ if _BARE.fullmatch(step):
                text += f".{step}"
            case _:
                text += f'."{step}"'
    return text.removeprefix(".") or "the file"
