"""The servers that others wrote: how each is started, and what the gateway's settings say of it."""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from typing import Any, TypeAlias

from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from plait.config.environment import inherited

from ..warm import warm
from .places import PLAIT, node, npm_server, python_with_servers, python_with_v1

LONGEST_S = 30
# The server puts the time of day into resources: it is always noon there, so that two answers can
# be equal.
NOON = "data:text/javascript,Date.prototype.toLocaleTimeString%20=%20()%20=>%20'12:00:00%20PM'"


@dataclass(frozen=True, slots=True)
class Process:
    """A server that is spoken to on its standard input and output."""

    command: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        program, *args = self.command
        return {"command": program, "args": args, "cwd": str(self.cwd), "env": dict(self.env)}

    def transport(self) -> Any:
        # What the gateway gives it, in that order and nothing else, so that the two can be
        # compared: the SDK alone would add variables.
        given = {**inherited(os.environ), **self.env}
        words = ["-i", *(f"{name}={value}" for name, value in given.items()), *self.command]
        return stdio_client(StdioServerParameters(command="/usr/bin/env", args=words, cwd=self.cwd))


@dataclass(frozen=True, slots=True)
class Url:
    """A server that runs already: over Streamable HTTP, or over the older SSE."""

    url: str

    @property
    def is_sse(self) -> bool:
        return self.url.endswith("/sse")

    def settings(self) -> dict[str, Any]:
        return {"url": self.url, "transport": "sse" if self.is_sse else "http"}

    def transport(self) -> Any:
        return sse_client(self.url) if self.is_sse else streamable_http_client(self.url)


Server: TypeAlias = Process | Url


def everything(transport: str) -> list[str]:
    return [node(), "--import", NOON, npm_server("everything"), transport]


def stdio_servers(folder: Path) -> dict[str, Server]:
    """The servers that are processes, at work in *folder*, which holds what `samples` expects."""
    dates = {
        "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
        "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    }
    # Without Node on PATH the server reads pages by itself; with one it would fetch a package
    # first.
    no_node = {"PATH": str(folder)}
    fetch = [python_with_servers(), "-m", "mcp_server_fetch", "--allow-private-ips"]
    return {
        "everything": Process(everything("stdio"), folder),
        "files": Process([node(), npm_server("filesystem"), "."], folder),
        "memory": Process(
            [node(), npm_server("memory")],
            folder,
            {"MEMORY_FILE_PATH": str(folder / "memory.jsonl")},
        ),
        "git": Process(
            [python_with_v1(), "-m", "mcp_server_git", "--repository", "."],
            folder / "repository",
            dates,
        ),
        "time": Process(
            [python_with_servers(), "-m", "mcp_server_time", "--local-timezone", "Etc/UTC"], folder
        ),
        "fetch": Process(fetch, folder, no_node),
    }


@contextmanager
def http_servers(folder: Path) -> Iterator[dict[str, Server]]:
    """server-everything over Streamable HTTP and over SSE."""
    with ExitStack() as stack:
        urls = {
            transport: stack.enter_context(_everything_on_a_port(transport, path, folder))
            for transport, path in [("streamableHttp", "mcp"), ("sse", "sse")]
        }
        yield {"everything-http": urls["streamableHttp"], "everything-sse": urls["sse"]}


@contextmanager
def _everything_on_a_port(transport: str, path: str, folder: Path) -> Iterator[Url]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with started(
        everything(transport), folder, {"PORT": str(port)}, says=f"port {port}", status=-SIGTERM
    ):
        yield Url(f"http://127.0.0.1:{port}/{path}")


@contextmanager
def started(
    command: Sequence[str],
    cwd: Path,
    env: Mapping[str, str] | None = None,
    *,
    says: str,
    status: int,
) -> Iterator[str]:
    """A program that runs until the block ends, and then ends with *status* when it is asked to;
    gives the line of its stderr with *says*, once that came."""
    process = subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **(env or {})}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    lines: queue.Queue[str] = queue.Queue()
    reading = threading.Thread(target=_read, args=(process, lines))
    reading.start()
    try:
        yield _line_with(says, lines)
    finally:
        process.terminate()
        process.wait(LONGEST_S)
        reading.join(LONGEST_S)
    assert process.returncode == status


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stderr is not None
    with process.stderr as stderr:
        for line in stderr:
            lines.put(line)
    lines.put("")


def _line_with(says: str, lines: queue.Queue[str]) -> str:
    said = []
    while says not in (line := lines.get(timeout=LONGEST_S)):
        said.append(line)
        assert line, "it ended: " + "".join(said)
    return line


def write_settings(
    path: Path,
    servers: Mapping[str, Server],
    gateway: Mapping[str, Any] | None = None,
    **more: Any,
) -> Path:
    """A servers.toml at *path*; strings, lists and numbers of TOML are written as those of JSON.
    Every server has the keys *more*."""
    sections = {
        "gateway": gateway or {},
        **{f"servers.{name}": {**server.settings(), **more} for name, server in servers.items()},
    }
    path.write_text("\n".join(_section(name, keys) for name, keys in sections.items()))
    return path


def _section(name: str, keys: Mapping[str, Any]) -> str:
    lines = [f"[{name}]"]
    for key, value in keys.items():
        if isinstance(value, Mapping):
            members = ", ".join(f"{name} = {json.dumps(text)}" for name, text in value.items())
            lines.append(f"{key} = {{ {members} }}")
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


@contextmanager
def gateway_over_http(settings: Path) -> Iterator[str]:
    """`plait serve --http` on a free port; gives its base URL."""
    command = warm("-m", "plait", "serve", "--config", str(settings), "--http", "127.0.0.1:0")
    with started(command, settings.parent, says="http://127.0.0.1:", status=0) as line:
        yield "http://127.0.0.1:" + line.split("http://127.0.0.1:")[1].split("/")[0]


@dataclass(frozen=True, slots=True)
class SharedGateway:
    """A gateway that clients share through doors; the first of them starts it."""

    state: Path

    @property
    def plait(self) -> list[str]:
        """The words before a command that uses it: not every client passes variables on."""
        return ["/usr/bin/env", f"PLAIT_STATE_DIR={self.state}", "PLAIT_ISOLATED=0", *PLAIT]

    def door(self, settings: Path) -> list[str]:
        """The command of a client with these *settings*."""
        return [*self.plait, "serve", "--config", str(settings)]


@contextmanager
def shared_gateway() -> Iterator[SharedGateway]:
    """A gateway in a state folder of its own, whose path is short; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="pi", dir="/tmp") as state:
        gateway = SharedGateway(Path(state))
        try:
            yield gateway
        finally:
            subprocess.run([*gateway.plait, "stop"], check=True, capture_output=True)
