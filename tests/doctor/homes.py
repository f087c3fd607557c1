"""A home in which all is well, and in which faults can be planted."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from plait import __version__
from plait.doctor.case import Case
from plait.stores.history.database import Database

SERVER = str(Path(__file__).with_name("planted_server.py"))
GOOD: dict[str, Any] = {
    "name": "read",
    "description": "Reads.",
    "inputSchema": {"type": "object"},
}


def server(*tools: Any, flags: tuple[str, ...] = (), **settings: Any) -> dict[str, Any]:
    """Settings of a server with *tools*, else with one good tool."""
    args = [SERVER, json.dumps(tools or [GOOD]), *flags]
    return {"command": sys.executable, "args": args, "protocol": "legacy", **settings}


class Home:
    """A home in *root* with a servers.toml, a Cursor that starts Plait, and a history."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home, self.folder = root / "home", root / "project"
        self.bin, self.config = root / "bin", root / "home" / ".config" / "plait"
        self.state = self.home / ".local" / "state" / "plait"
        for folder in (self.folder, self.bin, self.config, self.home / ".cursor"):
            folder.mkdir(parents=True)
        self.state.mkdir(mode=0o700, parents=True)
        Database(self.state / "history.db").close()
        self.plait = self.script("plait", f"echo plait {__version__}")
        self.file = self.config / "servers.toml"
        self.servers: dict[str, Any] = {}
        self.more = ""
        """Further settings, in TOML."""
        self.set(files=server())
        self.cursor({"plait": {"command": str(self.plait), "args": ["serve"]}})
        self.environ = {
            "HOME": str(self.home),
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "TMPDIR": str(root / "tmp"),
        }
        self.case = Case(self.environ, self.folder, self.plait, server_s=10)

    def script(self, name: str, text: str, interpreter: str = "/bin/sh") -> Path:
        """Put a program on the PATH."""
        file = self.bin / name
        file.write_text(f"#!{interpreter}\n{text}\n")
        file.chmod(0o755)
        return file

    def set(self, more: str = "", **servers: dict[str, Any]) -> None:
        """Write these servers, and *more* in TOML, into the settings."""
        self.more += more
        self.servers |= servers
        tables = (
            f"[servers.{name}]\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in one.items())
            for name, one in self.servers.items()
        )
        self.file.write_text(self.more + "".join(tables))
        self.file.chmod(0o600)

    def secrets(self, text: str, mode: int = 0o600) -> None:
        file = self.config / "secrets.env"
        file.write_text(text)
        file.chmod(mode)

    def cursor(self, servers: dict[str, Any]) -> None:
        (self.home / ".cursor" / "mcp.json").write_text(json.dumps({"mcpServers": servers}))

    def codex(self, text: str) -> None:
        (self.home / ".codex").mkdir()
        (self.home / ".codex" / "config.toml").write_text(text)

    def answers(self, **status: Any) -> None:
        """Let a shared gateway run that says so."""
        said = {"version": __version__, "pid": 0, "clients": [], "desks": [], **status}
        self.case = replace(self.case, ask_gateway=lambda: said)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)
