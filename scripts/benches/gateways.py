"""The gateways that are compared, each with the command of its own documentation, over one lean
server.

Those of others are in environments of their own, which scripts/environment makes from the lock
files.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from .servers import COMMAND

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "scripts" / "lean_server.py"

FASTMCP = """
import sys
from fastmcp.server import create_proxy

command, args, *http = sys.argv[1], sys.argv[2].split(), *sys.argv[3:]
mode = "legacy" if http else None
proxy = create_proxy({"mcpServers": {"lean": {"command": command, "args": args}}}, mode=mode)
where = {"transport": "http", "host": "127.0.0.1", "port": int(http[0])} if http else \
{"transport": "stdio"}
proxy.run(show_banner=False, log_level="ERROR", **where)
"""


@dataclass(frozen=True)
class Way:
    """One way to the lean server: a command that serves on its pipes or, with *url*, over HTTP."""

    name: str
    command: tuple[str, ...]
    tool: str
    """Its name for the tool `find`."""
    is_modern: bool = True
    """Whether it also speaks the protocol of 2026-07-28."""
    env: dict[str, str] = field(default_factory=dict)


def lean(tools: int = 2) -> tuple[str, ...]:
    return COMMAND, str(SERVER), str(tools)


def direct() -> Way:
    return Way("direct", lean(), "find")


def sdk(port: int = 0) -> Way:
    return Way(
        "sdk",
        (sys.executable, str(ROOT / "scripts" / "sdk_gateway.py"), str(port), *lean()),
        "find",
    )


def fastmcp(port: int | None = None, tools: int = 2) -> Way:
    """Return FastMCP. Over HTTP its `mode` says that the lean server is of the handshake era;
    otherwise it would ask in the era of each client."""
    python = environment("fastmcp", "tests/interop/fastmcp.lock")
    command, *args = lean(tools)
    http = () if port is None else (str(port),)
    return Way("fastmcp", (str(python), "-c", FASTMCP, command, " ".join(args), *http), "find")


def mcp_proxy(port: int) -> Way:
    """Return mcp-proxy. It relays stdio to HTTP or the reverse, but not stdio to stdio."""
    python = environment("mcp-proxy", "scripts/benches/mcp_proxy.lock")
    return Way(
        "mcp_proxy",
        (str(python.with_name("mcp-proxy")), f"--port={port}", "--log-level=ERROR", "--", *lean()),
        "find",
        is_modern=False,
    )


@contextmanager
def plait(
    port: int | None = None, tools: int = 2, expose: str = "tools", settings: str = ""
) -> Iterator[Way]:
    """Yield Plait, as it is installed here, with a servers.toml of its own and no memory."""
    command, *args = lean(tools)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "servers.toml"
        text = (
            f'[gateway]\nexpose = "{expose}"\n{settings}\n[servers.lean]\ncommand = '
            f'"{command}"\nargs = {args}\n'
        )
        file.write_text(text)
        http = () if port is None else ("--http", str(port))
        command_line = (
            str(Path(sys.executable).with_name("plait")),
            "serve",
            "--isolated",
            "--config",
            str(file),
            *http,
        )
        yield Way("plait", command_line, "lean__find", env={"PLAIT_STATE_DIR": folder})


def environment(name: str, lock: str) -> Path:
    """Return the Python of `.venvs/`*name*, which holds what *lock* names."""
    subprocess.run([ROOT / "scripts" / "environment", name, lock], check=True)
    return ROOT / ".venvs" / name / "bin" / "python"
