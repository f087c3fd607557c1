"""The main job on three real servers that nobody here wrote, chained by references, through every
client, over every transport."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from ..warm import warm
from .clients import inspect, programs, talk
from .exposing import reached
from .places import node, npm_server, python_with_v1
from .raw_client import connected
from .samples import Call, commit
from .servers import SharedGateway, gateway_over_http

TRANSPORTS = ["stdio", "http", "sse"]
PROTOCOLS = {
    "SDK 1.30": "2025-11-25",
    "FastMCP": "2026-07-28",
    "FastMCP by handshake": "2025-11-25",
    "TypeScript SDK 1": "2025-11-25",
    "TypeScript SDK 2": "2026-07-28",
}
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
OURS = ["execute_dag", "search_tools", "describe_tools", "get_run", "cancel_run", "query_dag"]
EXPOSED = {"files__list_directory", "memory__read_graph", "git__git_log"}
LIST: Call = ("files__list_directory", {"path": "."})


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a git repository of two commits, and `settings` with the three servers of the
    example in it."""

    folder: Path
    settings: Path

    @classmethod
    def made_in(cls, folder: Path) -> Project:
        repository = folder / "repository"
        repository.mkdir(parents=True)
        commit(repository)
        settings = folder / "servers.toml"
        example = installed((EXAMPLES / "three-servers.toml").read_text(), folder)
        settings.write_text(f'{example}\n[gateway]\nexpose = "all"\n')
        return cls(folder, settings)

    def begin_anew(self) -> None:
        for made in (
            self.folder / "plait-memory.jsonl",
            self.folder / "repository" / "handover.txt",
        ):
            made.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Places:
    """Where clients find a gateway: over stdio through doors to one that they share, in one
    project, and over HTTP one that works in another; so the two may be used at the same time."""

    by_doors: Project
    by_http: Project
    url: str
    shared: SharedGateway

    def target(self, transport: str) -> list[str]:
        """How a client reaches the gateway: a command for stdio, else a URL."""
        match transport:
            case "stdio":
                return self.shared.door(self.by_doors.settings)
            case "http":
                return [f"{self.url}/mcp"]
        return [f"{self.url}/sse"]

    async def all_reached(self) -> None:
        """Wait until the gateways know the tools of their servers; one that is started again knows
        them at once."""
        for transport in ("stdio", "http"):
            async with connected(_transport(transport, self.target(transport))) as peer:
                await reached(peer, "files", "memory", "git")

    async def over(
        self, transports: list[str], check: Callable[[str, list[str]], Awaitable[None]]
    ) -> None:
        """Do *check*, given a transport and a target, over each of *transports*."""

        async with asyncio.TaskGroup() as tasks:
            for project in (self.by_doors, self.by_http):
                tasks.create_task(self._one_by_one(project, transports, check))

    async def _one_by_one(
        self,
        project: Project,
        transports: list[str],
        check: Callable[[str, list[str]], Awaitable[None]],
    ) -> None:
        for transport in transports:
            if (transport == "stdio") == (project is self.by_doors):
                project.begin_anew()
                await check(transport, self.target(transport))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, shared: SharedGateway) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("projects").resolve()
    doors, http = Project.made_in(folder / "doors"), Project.made_in(folder / "http")
    with gateway_over_http(http.settings) as url:
        places = Places(doors, http, url, shared)
        asyncio.run(places.all_reached())
        yield places


def installed(settings: str, folder: Path) -> str:
    """The example's settings at work in *folder*, with the servers that scripts/test has installed
    in place of npx and uvx."""
    for fetched, command in {
        '"npx"\nargs = ["-y", "@modelcontextprotocol/server-filesystem",': [
            node(),
            npm_server("filesystem"),
        ],
        '"npx"\nargs = ["-y", "@modelcontextprotocol/server-memory"': [
            node(),
            npm_server("memory"),
        ],
        '"uvx"\nargs = ["mcp-server-git",': [python_with_v1(), "-m", "mcp_server_git"],
    }.items():
        assert fetched in settings
        program, *args = map(json.dumps, command)
        comma = "," if fetched.endswith(",") else ""
        settings = settings.replace(fetched, f"{program}\nargs = [{', '.join(args)}{comma}")
    return settings.replace("${PLACE:-../..}", "repository").replace("${HOME}", str(folder))


def job() -> dict[str, Any]:
    """The example, and beside it a task that fails and one that waits for it."""
    example: dict[str, Any] = json.loads((EXAMPLES / "three-servers.json").read_text())
    example["tasks"] += [
        {"id": "missing", "tool": "files:read_text_file", "arguments": {"path": "no.txt"}},
        {
            "id": "after",
            "tool": "memory:search_nodes",
            "arguments": {"query": "$OUTPUT[missing].content"},
        },
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
    assert result["metrics"]["execution_time_ms"] > 0


def assert_served(tools: list[str]) -> None:
    assert tools[: len(OURS)] == OURS
    assert set(tools) >= EXPOSED


def assert_listed(result: dict[str, Any]) -> None:
    """The result of a tool that its server serves, as that server gives it."""
    text = result["content"][0]["text"]
    assert "[FILE] notes.txt" in text
    assert result["structuredContent"] == {"content": text}
    assert not result.get("isError")


def _transport(transport: str, where: list[str]) -> Any:
    match transport:
        case "stdio":
            return stdio_client(
                StdioServerParameters(command=where[0], args=where[1:], env=dict(os.environ))
            )
        case "sse":
            return sse_client(where[0])
    return streamable_http_client(where[0])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_main_job_through_a_client_of_sdk_2(mode: Any, places: Places):
    async def check(transport: str, where: list[str]) -> None:
        heard: list[tuple[float, float | None, str | None]] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            heard.append((progress, total, message))

        async with Client(_transport(transport, where), mode=mode) as client:
            tools = await client.list_tools()
            result = await client.call_tool("execute_dag", job(), progress_callback=on_progress)
            listed = await client.call_tool(*LIST)
        assert_served([tool.name for tool in tools.tools])
        assert_listed(listed.model_dump(mode="json", by_alias=True, exclude_none=True))
        assert not result.is_error
        assert result.structured_content is not None
        assert_done(result.structured_content)
        assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]  # it is text
        assert [progress for progress, _, _ in heard] == sorted(
            progress for progress, _, _ in heard
        )
        assert heard[-1][1] == 8

    await places.over(TRANSPORTS, check)


@pytest.mark.parametrize("client", PROTOCOLS)
async def test_the_main_job_through_the_clients_of_others(client: str, places: Places):
    async def check(transport: str, where: list[str]) -> None:
        answer = await talk(client, transport, where, [("execute_dag", job()), LIST])
        # FastMCP speaks no newer protocol over SSE.
        expected = "2025-11-25" if (client, transport) == ("FastMCP", "sse") else PROTOCOLS[client]
        assert answer.protocol == expected
        assert answer.server == "plait"
        assert_served(answer.tools)
        result, listed = answer.results
        assert_listed(listed)
        assert not result.get("isError")
        assert_done(result["structuredContent"])
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        # The TypeScript SDK drops progress that comes in one piece with the result: the last may
        # not be heard.
        assert answer.progress[0][:2] == [0, 8]
        assert answer.progress == sorted(answer.progress)

    await places.over(["http"] if client == "FastMCP by handshake" else TRANSPORTS, check)


def test_no_client_is_left_out():
    assert list(programs()) == list(PROTOCOLS)


VALUE: Call = ("execute_dag", {"tasks": [{"id": "a", "value": {"n": 1}}]})


@pytest.mark.parametrize("client", [name for name in PROTOCOLS if "handshake" not in name])
async def test_the_clients_of_others_have_a_gateway_of_their_own(client: str, tmp_path: Path):
    answer = await talk(client, "stdio", isolated(tmp_path), [VALUE])
    assert answer.protocol == PROTOCOLS[client]
    assert answer.results[0]["structuredContent"]["outputs"] == {"a": {"n": 1}}


def isolated(folder: Path) -> list[str]:
    """The command of a gateway without servers that is one process with its client's pipe."""
    settings = folder / "servers.toml"
    settings.write_text("")
    return warm("-m", "plait", "serve", "--isolated", "--config", str(settings))


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_main_job_through_the_inspector(era: str, places: Places, tmp_path: Path):
    call = [
        "--method",
        "tools/call",
        "--tool-name",
        "execute_dag",
        "--tool-args-json",
        json.dumps(job()),
    ]
    listing = [
        "--method",
        "tools/call",
        "--tool-name",
        LIST[0],
        "--tool-args-json",
        json.dumps(LIST[1]),
    ]

    async def check(transport: str, where: list[str]) -> None:
        listed, _ = await inspect(
            transport, where, "--method", "tools/list", "--strict", home=tmp_path, era=era
        )
        assert_served([tool["name"] for tool in listed["tools"]])
        called, _ = await inspect(transport, where, *call, home=tmp_path, era=era)
        assert_done(called["structuredContent"])
        assert_listed((await inspect(transport, where, *listing, home=tmp_path, era=era))[0])

    await places.over(TRANSPORTS if era == "legacy" else ["http"], check)


async def test_the_state_of_the_servers_is_told_over_http(places: Places):
    async with httpx2.AsyncClient() as client:
        state = (await client.get(f"{places.url}/healthz")).json()
        assert state["status"] == "ok"
        refused = await client.get(f"{places.url}/healthz", headers={"host": "evil.example"})
        assert refused.status_code in {403, 421}
