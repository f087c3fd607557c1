"""The folder in which one job is done: a gateway over the services, how clients start it, and what
was logged."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from .judging import Call, read_calls
from .services.service import CallLog

SCRIPTS = Path(__file__).parents[1]
PYTHON = (sys.executable,)
"""The words before the arguments of a Python that runs the gateway and the services."""
SERVICES = ("issues", "chat", "customers", "builds", "calendar")
SKILL = "plait skill"
"""The command that prints what an agent with a shell reads once."""
SERVER = "plait"
"""The name under which clients know the gateway."""

Expose = Literal["dag", "tools"]


@dataclass(frozen=True, slots=True)
class Passed:
    """A request of the client that the gateway answered, in characters that pass a model."""

    method: str
    tool: str | None
    written: int
    read: int


@dataclass(slots=True)
class Desk:
    """A fresh *folder*, absolute; `state` is what gateways remember of servers, for all desks."""

    folder: Path
    state: Path
    now: datetime
    _earlier: int = field(default=0, init=False)
    """The number of calls that passed before the present job."""

    @property
    def mcp_config(self) -> Path:
        """The file with `mcpServers`, as most clients read it."""
        return self.folder / ".mcp.json"

    def set_up(self, expose: Expose) -> None:
        """Write the settings of the gateway, and of clients."""
        environment = {
            "PYTHONPATH": str(SCRIPTS),
            "EVAL_LOG": str(self._calls),
            "EVAL_NOW": self.now.isoformat(),
        }
        lines = ["[gateway]", f"expose = {_toml(expose)}", "learn = false"]
        for service in SERVICES:
            # Lazy: only the services that a job uses are started, once their tools are known.
            lines += [
                f"[servers.{service}]",
                f"command = {_toml(PYTHON[0])}",
                f"args = {_toml([*PYTHON[1:], '-m', 'evals.services', service])}",
                f"env = {{ {', '.join(f'{k} = {_toml(v)}' for k, v in environment.items())} }}",
                "lazy = true",
            ]
        self._settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        gateway = ["-m", "plait", "serve", "--isolated", "--config", str(self._settings)]
        server = {
            "command": sys.executable,
            "args": [str(Path(__file__).with_name("tap.py")), str(self._passed), *PYTHON, *gateway],
            "env": self._environment,
        }  # fmt: skip
        config = {"mcpServers": {SERVER: server}}
        self.mcp_config.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")

    def remember_tools(self) -> None:
        """Start all services, unless their tools are remembered, so that a gateway knows the tools
        from its first moment on."""
        if any(self.state.iterdir()):
            return
        subprocess.run(
            [*PYTHON, "-m", "plait", "tools", "--config", str(self._settings)],
            env={**os.environ, **self._environment},
            capture_output=True,
            check=True,
        )

    def begin(self, job: str) -> None:
        """Let the services start afresh, and count from here."""
        CallLog(self._calls).begin(job)
        self._earlier = len(self._all_passed("tools/call"))

    def calls(self) -> list[Call]:
        """Return what the services logged."""
        return read_calls(self._calls)

    def requests(self) -> list[Passed]:
        """Return the calls of the present job that passed between the client and the gateway."""
        return self._all_passed("tools/call")[self._earlier :]

    def definitions(self) -> int:
        """Count the characters of the instructions and of the list of tools, or of the skill, once
        each."""
        listed = self._all_passed("initialize", "server/discover", "tools/list", SKILL)
        return sum({each.method: each.read for each in listed}.values())

    def note(self, passed: Passed) -> None:
        """Note what passed without a client that is tapped."""
        with self._passed.open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(passed)) + "\n")

    @property
    def shell_environment(self) -> dict[str, str]:
        """The variables of a shell in which `plait` is the program of this desk."""
        program = self.folder / "bin" / "plait"
        if not program.exists():
            program.parent.mkdir()
            words = shlex.join([*PYTHON, "-m", "plait"])
            program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
            program.chmod(0o755)
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PLAIT_CONFIG": str(self._settings), "PLAIT_ISOLATED": "1", "PATH": path}
        return self._environment | own

    def _all_passed(self, *methods: str) -> list[Passed]:
        if not self._passed.exists():
            return []
        lines = self._passed.read_text(encoding="utf-8").splitlines()
        every = [Passed(**json.loads(line)) for line in lines]
        return [each for each in every if each.method in methods]

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PLAIT_STATE_DIR": str(self.state),
            "PLAIT_LOG_LEVEL": "error",
        }

    @property
    def _settings(self) -> Path:
        return self.folder / "servers.toml"

    @property
    def _calls(self) -> Path:
        return self.folder / "calls.jsonl"

    @property
    def _passed(self) -> Path:
        return self.folder / "passed.jsonl"


def server_in(mcp_config: Path) -> Mapping[str, Any]:
    """Read how to start the gateway, as a client does."""
    server: Mapping[str, Any] = json.loads(mcp_config.read_text())["mcpServers"][SERVER]
    return server


def _toml(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False)  # texts and lists of them are written alike
