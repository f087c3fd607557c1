"""The whole program, served: one client on a pipe, or clients over HTTP, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client

from plait.app.gateway import Gateway
from plait.app.serving import run_http
from plait.config import Config
from plait.upstream.stopping import Stop
from plait.upstream.transports.admission import Everybody
from plait.upstream.transports.hosts import Allowed
from plait.upstream.transports.listening import listen_on

from ..downstream.changing import ChangingServer
from ..upstream.conftest import structured
from .conftest import until, with_a_silent_one, words

SERVE = (
    "import anyio, sys; from plait.app.serving import serve_stdio, serve_http; from plait.config "
    "import load_config; "
)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_is_answered_at_once_while_servers_still_connect(config: Path, mode: str):
    script = f"{SERVE}anyio.run(serve_stdio, load_config(__import__('pathlib').Path(sys.argv[1])))"
    args = ["-c", script, str(with_a_silent_one(config))]
    environ = {
        "PLAIT_STATE_DIR": os.environ["PLAIT_STATE_DIR"]
    }  # a client hands on little of its own
    parameters = StdioServerParameters(command=sys.executable, args=args, env=environ)
    async with Client(stdio_client(parameters), mode=mode) as client:
        assert len((await client.list_tools()).tools) == 6
        document = {"tasks": [{"id": "a", "tool": "numbers:double", "arguments": {"n": 21}}]}
        result = await client.call_tool("execute_dag", document)
    assert structured(result)["outputs"] == {"a": {"n": 42}}


async def test_a_signal_over_http_cancels_downstream_and_leaves_no_process(
    config: Path, told: Path
):
    script = (
        f"{SERVE}from plait.upstream.transports.admission import Everybody; anyio.run(lambda: "
        "serve_http(load_config(__import__('pathlib').Path(sys.argv[1])), port=0,"
        " admit=lambda bound: Everybody(), on_ready=lambda url: print(url, flush=True)))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(config), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with Client(url, mode="2026-07-28") as client:
        document: dict[str, Any] = {"tasks": [{"id": "a", "tool": "numbers:hang"}], "wait_s": 0}
        assert structured(await client.call_tool("execute_dag", document))["status"] == "running"
        await until(told.exists)
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(15):
            assert await process.wait() == 0
    assert words(told) == "called cancelled"


async def test_clients_over_http_choose_a_profile_in_both_eras_and_over_sse(tmp_path: Path):
    changing = ChangingServer(tmp_path / "s")
    server = changing.settings().model_dump(exclude_unset=True)
    tools = {"deny": ["*:change"]}
    config = Config.model_validate(
        {"servers": {"s": server}, "profiles": {"reading": {"expose": "all", "policy": tools}}}
    )
    stop = Stop(give_up=lambda status: None)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with listen_on("127.0.0.1", 0) as listening:
        async with (
            Gateway.from_config(config) as gateway,
            anyio.create_task_group() as tasks,
        ):
            await gateway.settled()

            async def run() -> None:
                await run_http(
                    gateway, config.gateway, listening, Allowed("127.0.0.1"), Everybody(), stop,
                    relaying=gateway.relaying(), on_ready=ready.set_result,
                )  # fmt: skip

            tasks.start_soon(run)
            url = await ready
            query, sse = "?profile=reading", url.replace("/mcp", "/sse")
            found = {}
            for name, client in {
                "whole": Client(url),
                "modern": Client(url + query),
                "legacy": Client(url + query, mode="legacy"),
                "sse": Client(sse_client(sse + query), mode="legacy"),
            }.items():
                async with client:
                    found[name] = {tool.name for tool in (await client.list_tools()).tools}
            async with httpx2.AsyncClient() as http:
                refused = [await http.get(f"{at}?profile=raeding") for at in (url, sse)]
            stop.ask()
    stop.done()
    for name in ("modern", "legacy", "sse"):
        assert found[name] - found["whole"] == {"s__look", "s__wait"}
    assert [answer.status_code for answer in refused] == [404, 404]
    assert 'Did you mean "reading"?' in refused[1].json()["error"]["message"]
    assert changing.asked.count("start") == 1
