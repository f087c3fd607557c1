"""A made-up home in which `plait install` runs: clients whose servers start, and a command of
Plait that lasts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..install.homes import write

SERVER = [sys.executable, str(Path(__file__).parents[1] / "install" / "server.py")]


def entry(*words: str, **env: str) -> dict[str, Any]:
    """The entry of a server that starts, as most clients write it."""
    made: dict[str, Any] = {"command": SERVER[0], "args": [*SERVER[1:], *words]}
    return {**made, "env": env} if env else made


def servers(file: Path, root: str = "mcpServers", **entries: Mapping[str, Any]) -> Path:
    return write(file, json.dumps({root: entries}, indent=2))


def installed(home: Path) -> Path:
    """Make a command of Plait as `uv tool install` does, and return its link."""
    tool = write(
        home / ".local/share/uv/tools/plait/bin/plait",
        f'#!/bin/sh\nexec "{sys.executable}" -m plait "$@"\n',
    )
    tool.chmod(0o755)
    link = home / ".local/bin/plait"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tool)
    return link


def environment(home: Path) -> dict[str, str]:
    """The variables of a shell in *home*."""
    return {
        "HOME": str(home),
        "PATH": f"{home}/.local/bin:/usr/bin:/bin",
        "TMPDIR": "/nowhere",
        "LANG": "C.UTF-8",
        "TERM": "xterm",
    }
