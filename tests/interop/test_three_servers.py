"""The main job on three real servers that nobody here wrote, chained by references, through two generations of the
official SDK's client, over every transport."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client

from .places import PLAIT, node, npm_server, python_with_v1

TRANSPORTS = ["stdio", "http", "sse"]
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FIVE = ["execute_dag", "search_tools", "describe_tools", "get_run", "cancel_run"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with two commits, and a servers.toml with the three servers of the example."""
    repository = tmp_path / "repository"
    repository.mkdir()

    def git(*words: str) -> None:
        settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *settings, *words], cwd=repository, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    for number, message in enumerate(["Begin", "Go on"]):
        (repository / "notes.txt").write_text(f"line {number}\n")
        git("add", ".")
        git("commit", "-q", "-m", message)
    monkeypatch.setenv("PLACE", str(repository))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "servers.toml").write_text(installed((EXAMPLES / "three-servers.toml").read_text()))
    return tmp_path


def installed(settings: str) -> str:
    """The example's settings, with the servers that scripts/test has installed in place of npx and uvx."""
    for fetched, command in {
        '"npx"\nargs = ["-y", "@modelcontextprotocol/server-filesystem",': [node(), npm_server("filesystem")],
        '"npx"\nargs = ["-y", "@modelcontextprotocol/server-memory"': [node(), npm_server("memory")],
        '"uvx"\nargs = ["mcp-server-git",': [python_with_v1(), "-m", "mcp_server_git"],
    }.items():
        assert fetched in settings
        program, *args = map(json.dumps, command)
        comma = "," if fetched.endswith(",") else ""
        settings = settings.replace(fetched, f"{program}\nargs = [{', '.join(args)}{comma}")
    return settings


def job() -> dict[str, Any]:
    """The example, and beside it a task that fails and one that waits for it."""
    example: dict[str, Any] = json.loads((EXAMPLES / "three-servers.json").read_text())
    example["tasks"] += [
        {"id": "missing", "tool": "files:read_text_file", "arguments": {"path": "no.txt"}},
        {"id": "after", "tool": "memory:search_nodes", "arguments": {"query": "$OUTPUT[missing].content"}},
    ]
    return {**example, "detail": "full"}


def assert_done(result: dict[str, Any]) -> None:
    assert result["status"] == "partial", result
    statuses = {task["id"]: task["status"] for task in result["tasks"]}
    expected = dict.fromkeys(["log", "listing", "saved", "remembered", "back", "graph"], "success")
    assert statuses == {**expected, "missing": "failed", "after": "skipped"}
    assert [(error["id"], error["code"]) for error in result["errors"]] == [
        ("missing", "tool_error"),
        ("after", "dependency_failed"),
    ]
    back = result["outputs"]["back"]["content"]
    assert "Go on" in back
    assert "[FILE] notes.txt" in back
    entity = result["outputs"]["graph"]["entities"][0]
    assert entity["name"] == "handover"
    assert "handover.txt" in entity["observations"][0]
    assert result["layers"][0] == ["log", "listing", "missing"]
    assert result["metrics"]["speedup"] > 0


@asynccontextmanager
async def serving(project: Path) -> AsyncIterator[str]:
    """`plait serve --http` on a free port; gives its base URL."""
    config = str(project / "servers.toml")
    process = await asyncio.create_subprocess_exec(
        *PLAIT, "serve", "--config", config, "--http", "127.0.0.1:0", stderr=asyncio.subprocess.PIPE
    )  # fmt: skip
    assert process.stderr is not None
    said: list[bytes] = []
    try:
        async with asyncio.timeout(30):
            while b"http://127.0.0.1:" not in (line := await process.stderr.readline()):
                assert line, b"".join(said)
                said.append(line)
        rest = asyncio.create_task(process.stderr.read())
        yield "http://127.0.0.1:" + line.decode().split("http://127.0.0.1:")[1].split("/")[0].split()[0].strip('"')
    finally:
        process.terminate()
        await process.wait()
    await rest
    assert process.returncode == 0


@asynccontextmanager
async def target(transport: str, project: Path) -> AsyncIterator[list[str]]:
    """How a client reaches the gateway: a command for stdio, else a URL."""
    if transport == "stdio":
        yield [*PLAIT, "serve", "--config", str(project / "servers.toml")]
        return
    async with serving(project) as url:
        yield [url + ("/mcp" if transport == "http" else "/sse")]


def streams(transport: str, where: list[str]) -> Any:
    match transport:
        case "stdio":
            return stdio_client(StdioServerParameters(command=where[0], args=where[1:], env=dict(os.environ)))
        case "sse":
            return sse_client(where[0])
    return where[0]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_main_job_through_a_client_of_sdk_2(transport: str, mode: Any, project: Path):
    heard: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with target(transport, project) as where, Client(streams(transport, where), mode=mode) as client:
        tools = await client.list_tools()
        result = await client.call_tool("execute_dag", job(), progress_callback=on_progress)
    assert [tool.name for tool in tools.tools] == FIVE
    assert not result.is_error
    assert result.structured_content is not None
    assert_done(result.structured_content)
    assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]  # it is text
    assert [progress for progress, _, _ in heard] == sorted(progress for progress, _, _ in heard)
    assert heard[-1][1] == 8


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_main_job_through_a_client_of_sdk_1(transport: str, project: Path):
    script = str(Path(__file__).with_name("client_v1.py"))
    async with target(transport, project) as where:
        process = await asyncio.create_subprocess_exec(
            python_with_v1(), script, transport, *where,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, said = await process.communicate(json.dumps(job()).encode())
    assert process.returncode == 0, said.decode()
    answer = json.loads(out)
    assert answer["protocol"] == "2025-11-25"
    assert answer["tools"] == FIVE
    assert not answer["is_error"]
    assert_done(answer["structured"])
    assert json.loads(answer["text"]) == answer["structured"]


async def test_the_state_of_the_servers_is_told_over_http(project: Path):
    async with serving(project) as url, httpx2.AsyncClient() as client:
        state = (await client.get(f"{url}/healthz")).json()
        assert state["status"] == "ok"
        refused = await client.get(f"{url}/healthz", headers={"host": "evil.example"})
        assert refused.status_code in {403, 421}
