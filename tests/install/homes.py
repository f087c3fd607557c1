"""Made-up machines: homes with the files of clients, written from their documented formats."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plait.install.clients import CLIENTS, Client, Place, Scope, Start
from plait.install.machine import Machine, System
from plait.install.plan import Key, Options, Plan, Targets
from plait.install.planning import plan_of


def machine(
    home: Path, system: System = System.LINUX, environ: Mapping[str, str] | None = None
) -> Machine:
    """Return a machine whose user has *home*, with a project in it."""
    folder = home / "project"
    folder.mkdir(parents=True, exist_ok=True)
    given = {"HOME": str(home), "PATH": os.environ.get("PATH", ""), **(environ or {})}
    return Machine(system, home, folder, given)


def client(name: str) -> Client:
    return next(one for one in CLIENTS if one.name == name)


def user_place(name: str, machine: Machine) -> Place:
    """Return the place where Plait would be registered in the client *name*."""
    places = client(name).places(machine)
    return next(place for place in places if place.scope is Scope.USER)


def write(path: Path, content: str | bytes | dict[str, Any]) -> Path:
    """Write a file, with the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content, indent=2) + "\n"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


FILES: dict[str, str] = {
    "claude-code": """{
  "numStartups": 42,
  "oauthAccount": {"emailAddress": "me@example.com"},
  "projects": {"/somewhere": {"mcpServers": {"local": {"command": "local"}}}},
  "mcpServers": {
    "github": {
      "type": "stdio",
      "command": "gh-server",
      "args": ["-y"],
      "env": {"GITHUB_TOKEN": "ghp_0123456789abcdef"}
    },
    "linear": {"type": "http", "url": "https://linear.example/mcp", "oauth": {"clientId": "c"}}
  },
  "bigNumber": 12345678901234567890
}
""",
    "claude-desktop": """{
\t"globalShortcut": "",
\t"mcpServers": {
\t\t"files": {
\t\t\t"command": "files-server",
\t\t\t"args": ["/home/me/desktop"]
\t\t}
\t}
}
""",
    "cursor": """{
  // my servers
  "mcpServers": {
    "github": {"command": "gh-server", "args": ["-y"],
      "env": {"GITHUB_TOKEN": "ghp_0123456789abcdef"}},
    "files": {"command": "files-server", "args": ["/home/me/work"]}, // work only
  },
}
""",
    "vscode": """{
    "inputs": [{"id": "key", "type": "promptString", "password": true}],
    "servers": {
        "web": {"type": "http", "url": "http://127.0.0.1:9/mcp", "headers": {"X-Key": "wk-1"}},
        "asks": {"command": "asks", "env": {"KEY": "${input:key}"}}
    }
}
""",
    "codex": """model = "gpt"
mcp_servers.dotted.command = "dotted-server"
approval_policy = "on-request" # mine

# the database
[mcp_servers.db]
command = "db-server"
args = ["--password", "hunter22"]
startup_timeout_sec = 20
default_tools_approval_mode = "prompt"

[mcp_servers.db.env]
PGHOST = "localhost"

# of the terminal
[tui]
theme = "dark"
""",
    "gemini": """{
  "theme": "Default",
  "mcpServers": {
    "search": {"httpUrl": "http://127.0.0.1:9/search", "timeout": 5000, "excludeTools": ["index"]}
  }
}
""",
    "zed": """// Zed settings
{
  "theme": "One Dark",
  "context_servers": {
    "notes": {
      "source": "custom",
      "command": "notes-server",
      "args": [],
      "env": {}
    },
  },
  "agent": {"tool_permissions": {"tools": {"mcp:notes:wipe": {"default": "deny"}}}},
}
""",
    "windsurf": (
        '{"mcpServers": {"maps": {"serverUrl": "http://127.0.0.1:9/maps", '
        '"disabledTools": ["drive"]}}}'
    ),
    "cline": """{
  "mcpServers": {
    "weather": {
      "command": "weather-server",
      "args": ["--units=metric"],
      "disabled": false,
      "autoApprove": ["forecast"]
    },
    "old": {"command": "old", "disabled": true}
  }
}
""",
    "goose": """# Goose
GOOSE_PROVIDER: openai
extensions:
    developer:
        type: builtin
        enabled: true
    # the calendar
    calendar:
        type: stdio
        enabled: true
        name: calendar
        cmd: calendar-server
        args: [--all]
        envs:
            CAL_KEY: "k: 1"
        timeout: 300
keys:   ~
""",
    "opencode": """{
  "$schema": "https://opencode.ai/config.json",
  "mcp": {
    "pages": {"type": "local", "command": ["pages-server", "--fast"], "enabled": true,
      "environment": {"LEVEL": "2"}}
  },
  "permission": {"pages_drop": "deny"}
}
""",
    "continue": """name: Mine
version: 1.0.0
mcpServers:
  # mail
  - name: mail
    command: mail-server
    args:
      - --imap
    env:
      MAIL_KEY: mk-1
models: []
""",
    "lm-studio": """{
  "mcpServers": {
    "paint": {
      "command": "paint-server"
    }
  }
}
""",
}
"""The user's files of all clients, each with a server at least that moves."""
MOVED: dict[str, tuple[str, ...]] = {
    "claude-code": ("github",),
    "claude-desktop": ("files",),
    "cursor": ("github", "files"),
    "vscode": ("web",),
    "codex": ("dotted", "db"),
    "gemini": ("search",),
    "zed": ("notes",),
    "windsurf": ("maps",),
    "cline": ("weather",),
    "goose": ("calendar",),
    "opencode": ("pages",),
    "continue": ("mail",),
    "lm-studio": ("paint",),
}
"""The servers of `FILES` that move."""


def with_clients(machine: Machine, *names: str) -> dict[str, Path]:
    """Write the files of the clients *names*, of all without any. Returns their paths."""
    return {name: write(user_place(name, machine).path, FILES[name]) for name in names or FILES}


def targets(machine: Machine) -> Targets:
    folder = machine.home / ".config" / "plait"
    return Targets(folder / "servers.toml", folder / "secrets.env")


START = Start("/opt/plait/bin/plait", ("serve",))


def planned(
    machine: Machine,
    options: Options | None = None,
    *,
    start: Start = START,
    failing: Mapping[Key, str] | None = None,
    running: tuple[str, ...] = (),
) -> Plan:
    return plan_of(
        machine,
        start,
        targets(machine),
        options or Options(),
        is_running=lambda client: client.name in running,
        failing=failing,
    )


def carry_out(plan: Plan) -> None:
    """Write the files of *plan*, without any care."""
    for change in plan.changes:
        write(change.path, change.after)
