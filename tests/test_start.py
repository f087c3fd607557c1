"""A client is served from what the last start left behind, before any server is up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp import Client

from plait.app.gateway import Gateway
from plait.config import Config
from plait.core.tools.catalog import ServerState
from plait.upstream.server import build_server

from .downstream.changing import ChangingServer, described, until
from .upstream.conftest import first_text, in_memory, structured


@pytest.fixture
def changing(tmp_path: Path) -> ChangingServer:
    return ChangingServer(tmp_path / "changing")


@asynccontextmanager
async def served(
    changing: ChangingServer, state_folder: Path, mode: str = "legacy"
) -> AsyncIterator[tuple[Gateway, Client]]:
    sections = {
        "gateway": {"expose": "all"},
        "servers": {"s": changing.settings().model_dump(exclude_unset=True)},
    }
    config = Config.model_validate(sections).model_copy(update={"state_folder": state_folder})
    async with Gateway.from_config(config) as gateway:
        server = build_server(gateway, relaying=gateway.relaying())
        async with Client(in_memory(server), mode=mode) as client:
            yield gateway, client


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_lists_finds_and_checks_tools_before_their_server_answers(
    changing: ChangingServer, tmp_path: Path, mode: str
):
    async with served(changing, tmp_path / "state") as (gateway, _):
        await gateway.settled()
    changing.close()
    with anyio.fail_after(20):
        async with served(changing, tmp_path / "state", mode) as (gateway, client):
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"execute_dag", "s__look"} <= names
            assert "s:look" in first_text(await client.call_tool("search_tools", {"query": "look"}))
            document = {"tasks": [{"id": "a", "tool": "s:look", "arguments": {}}]}
            planned = structured(
                await client.call_tool("execute_dag", {**document, "dry_run": True})
            )
            assert planned["status"] == "planned"
            assert gateway.catalog().servers["s"].state is ServerState.CONNECTING
            changing.open()
            assert (
                structured(await client.call_tool("execute_dag", document))["status"] == "success"
            )


async def test_a_dag_may_name_a_tool_that_came_since(changing: ChangingServer, tmp_path: Path):
    async with served(changing, tmp_path / "state") as (gateway, _):
        await gateway.settled()
    changing.put([described("new")])
    async with served(changing, tmp_path / "state") as (gateway, client):
        document = {"tasks": [{"id": "a", "tool": "s:new"}]}
        assert structured(await client.call_tool("execute_dag", document))["status"] == "success"
        await until(lambda: "s:look" not in gateway.catalog().tools)
