"""The whole program: settings in, downstream processes started, clients served, everything
stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from plait import Gateway, app
from plait.app import open_gateway
from plait.calls.cache import Cache
from plait.config import Config, load_config
from plait.core.ports import CallTool, ToolCall
from plait.core.scheduling.events import Notice
from plait.core.tools.catalog import ServerState
from plait.core.tools.server_notices import ServerChanged, SettingsReloaded
from plait.core.values.strict import JsonObject
from plait.errors import ConfigError, InvalidDag

from .upstream.conftest import structured

DOWNSTREAM = """
import json, sys
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
TOOLS = [{"name": name, "inputSchema": SCHEMA} for name in ("double", "hang")]
def answer(method, params):
    if method == "initialize":
        info = {"name": "numbers", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, \
"serverInfo": info}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call" and params["name"] == "double":
        return {"content": [], "structuredContent": {"n": 2 * params["arguments"]["n"]}}
if "silent" in sys.argv:
    sys.stdin.read()
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "notifications/cancelled":
        open(sys.argv[1], "a").write("cancelled")
    if "id" in message:
        result = answer(message["method"], message.get("params", {}))
        if result is not None:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
        elif message["method"] != "tools/call":
            error = {"code": -32601, "message": "no such method"}
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}), flush=True)
        else:
            open(sys.argv[1], "a").write("called ")
"""
SERVE = (
    "import anyio, sys; from plait.app import serve_stdio, serve_http; from plait.config "
    "import load_config; "
)


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """What the downstream server was told: `called`, `cancelled`."""
    return tmp_path / "told"


@pytest.fixture
def config(tmp_path: Path, told: Path) -> Path:
    (tmp_path / "downstream.py").write_text(DOWNSTREAM)
    args = [str(tmp_path / "downstream.py"), str(told)]
    numbers = {"command": sys.executable, "args": args, "protocol": "legacy"}
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"mcpServers": {"numbers": numbers}}))
    return file


def with_a_silent_one(config: Path) -> Path:
    """The settings with one more server, which never says a word."""
    servers = json.loads(config.read_text())["mcpServers"]
    quiet = {**servers["numbers"], "args": [*servers["numbers"]["args"], "silent"]}
    config.write_text(json.dumps({"mcpServers": {**servers, "quiet": quiet}}))
    return config


def with_a_missing_one(config: Path) -> Path:
    """The settings with one more server, whose command does not exist."""
    servers = json.loads(config.read_text())["mcpServers"]
    absent = {"command": str(config.parent / "missing")}
    config.write_text(json.dumps({"mcpServers": {**servers, "absent": absent}}))
    return config


def words(told: Path) -> str:
    return told.read_text()


async def test_a_gateway_from_a_file_runs_a_dag_on_real_servers(config: Path):
    async with Gateway.from_config(config) as gateway:
        tasks = [
            {"id": "a", "tool": "numbers:double", "arguments": {"n": 1}},
            {"id": "b", "tool": "numbers:double", "arguments": {"n": "$OUTPUT[a].n"}},
        ]
        result = await gateway.execute({"tasks": tasks})
    assert result.outputs == {"b": {"n": 4}}


async def test_leaving_the_gateway_cancels_what_runs_and_stops_its_servers(
    config: Path, told: Path
):
    async with open_gateway(load_config(config)) as gateway:
        await gateway.submit({"tasks": [{"id": "a", "tool": "numbers:hang"}]})
        pid = gateway.catalog().servers["numbers"].pid
        await _until(told.exists)
    assert words(told) == "called cancelled"
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_entering_waits_for_no_server(config: Path):
    async with asyncio.timeout(2), open_gateway(load_config(with_a_silent_one(config))) as gateway:
        assert gateway.catalog().servers["quiet"].state is ServerState.CONNECTING


async def test_the_settings_of_limits_and_policy_hold(config: Path):
    read = load_config(config)
    strict = Config.model_validate(
        {
            "servers": {
                name: server.model_dump(exclude_unset=True) for name, server in read.servers.items()
            },
            "gateway": {"limits": {"max_tasks": 1}},
            "tools": {"numbers:hang": {"timeout_s": 0.05}},
            "policy": {"deny": ["numbers:double"]},
        }
    )
    async with open_gateway(strict) as gateway:
        with pytest.raises(InvalidDag, match="at most 1 "):
            await gateway.execute({"tasks": [{"id": id, "tool": "numbers:hang"} for id in "ab"]})
        with pytest.raises(InvalidDag, match="numbers:double"):
            await gateway.execute(
                {"tasks": [{"id": "a", "tool": "numbers:double", "arguments": {"n": 1}}]}
            )
        result = await gateway.execute({"tasks": [{"id": "a", "tool": "numbers:hang"}]})
    assert result.errors[0].code == "timeout"


@pytest.mark.parametrize(("types", "shape"), [("seen", "{n}"), ("declared", None)])
async def test_shapes_that_were_seen_are_for_descriptions_if_the_settings_say_so(
    config: Path, types: str, shape: str | None
):
    servers = load_config(config).servers
    settings = Config.model_validate(
        {
            "servers": {
                name: server.model_dump(exclude_unset=True) for name, server in servers.items()
            },
            "gateway": {"expose": "all", "types": types},
        }
    )
    call = {"id": "a", "tool": "numbers:double", "arguments": {"n": 1}}
    async with open_gateway(settings) as gateway:
        relaying = gateway.relaying()
        assert relaying is not None
        assert relaying.seen("numbers", "double") is None
        await gateway.execute({"tasks": [call]})
        assert relaying.seen("numbers", "double") == shape
        assert relaying.seen("numbers", "nothing") is None


async def test_what_wraps_the_calls_sees_those_of_tasks_and_those_by_name(
    config: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[ToolCall] = []
    stack = app.stack

    def with_one_more(*parts: Any) -> tuple[CallTool, Cache]:
        call_tool, cache = stack(*parts)

        async def outermost(call: ToolCall) -> JsonObject:
            seen.append(call)
            return await call_tool(call)

        return outermost, cache

    monkeypatch.setattr(app, "stack", with_one_more)
    async with open_gateway(load_config(config)) as gateway:
        await gateway.execute(
            {"tasks": [{"id": "a", "tool": "numbers:double", "arguments": {"n": 1}}]}
        )
        result: Any = await gateway.call(
            "numbers", "double", {"name": "double", "arguments": {"n": 2}}
        )
    assert result["structuredContent"] == {"n": 4}
    assert [(call.id.run != "", call.id.task, call.arguments) for call in seen] == [
        (True, "a", {"n": 1}),
        (False, "numbers:double", {"n": 2}),
    ]


async def test_observers_get_notices_of_runs_servers_and_settings_in_one_stream(
    config: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[Notice] = []
    monkeypatch.setattr("plait.observers.logs.log_notices", seen.append)
    async with open_gateway(load_config(config)) as gateway:
        await gateway.execute(
            {"tasks": [{"id": "a", "tool": "numbers:double", "arguments": {"n": 1}}]}
        )
        await gateway.reload(load_config(with_a_missing_one(config)))
        await gateway.settled()
    states = [
        (notice.info.name, notice.before, notice.info.state)
        for notice in seen
        if isinstance(notice, ServerChanged)
    ]
    assert states[0] == ("numbers", ServerState.CONNECTING, ServerState.READY)
    assert ("absent", ServerState.CONNECTING, ServerState.RETRYING) in states
    lost = next(
        notice
        for notice in seen
        if isinstance(notice, ServerChanged) and notice.info.state is ServerState.RETRYING
    )
    assert lost.info.error is not None
    assert "missing" in lost.info.error
    assert lost.retry_in_s is not None
    assert {(name, after) for name, _, after in states[-2:]} == {
        ("numbers", ServerState.STOPPED),
        ("absent", ServerState.STOPPED),
    }
    (reloaded,) = (notice for notice in seen if isinstance(notice, SettingsReloaded))
    assert reloaded[:3] == (str(config), ("absent",), ())
    kinds = [type(notice).__name__ for notice in seen]
    assert kinds.index("ServerChanged") < kinds.index("Started") < kinds.index("Finished")
    assert kinds.index("Finished") < kinds.index("SettingsReloaded")
    assert [notice.at for notice in seen] == sorted(notice.at for notice in seen)


def test_a_file_that_is_not_there_is_an_error_of_the_settings(tmp_path: Path):
    with pytest.raises(ConfigError):
        Gateway.from_config(tmp_path / "nope.toml")


def test_importing_the_program_imports_no_protocol_and_no_web_server():
    script = (
        "import sys, plait.app; print(sorted({'mcp', 'uvicorn', 'starlette', 'httpx2'} & "
        "sys.modules.keys()))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_is_answered_at_once_while_servers_still_connect(config: Path, mode: str):
    script = f"{SERVE}anyio.run(serve_stdio, load_config(__import__('pathlib').Path(sys.argv[1])))"
    args = ["-c", script, str(with_a_silent_one(config))]
    environ = {
        "PLAIT_STATE_DIR": os.environ["PLAIT_STATE_DIR"]
    }  # a client hands on little of its own
    parameters = StdioServerParameters(command=sys.executable, args=args, env=environ)
    async with Client(stdio_client(parameters), mode=mode) as client:
        assert len((await client.list_tools()).tools) == 5
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
        await _until(told.exists)
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(15):
            assert await process.wait() == 0
    assert words(told) == "called cancelled"


async def _until(is_true: Any) -> None:
    with anyio.fail_after(10):
        while not is_true():
            await anyio.sleep(0.005)


async def test_the_bundled_server_never_writes_the_settings_and_has_the_tools_that_they_name(
    tmp_path: Path,
):
    file = tmp_path / "servers.toml"
    text = '[servers.w]\nbuiltin = "workspace"\ntools = ["write_file", "list_dir"]\n'
    file.write_text(text)
    writes = {
        "id": "a",
        "tool": "w:write_file",
        "arguments": {"path": "servers.toml", "text": ""},
    }
    tests = {"id": "a", "tool": "w:run_tests", "arguments": {}}
    async with Gateway.from_config(file) as gateway:
        written = await gateway.execute({"tasks": [writes]})
        with pytest.raises(InvalidDag, match="run_tests"):
            await gateway.execute({"tasks": [tests]})
    assert "never written" in str(written)
    assert file.read_text() == text


async def test_the_bundled_server_imports_nothing_from_the_folder_that_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mark = tmp_path / "mark"
    for module in ("argparse", "anyio", "plait"):
        (tmp_path / f"{module}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    file = tmp_path / "servers.toml"
    file.write_text('[servers.w]\nbuiltin = "workspace"\n')
    monkeypatch.chdir(tmp_path)
    listing = {"id": "a", "tool": "w:list_dir", "arguments": {}}
    async with Gateway.from_config(file) as gateway:
        result = await gateway.execute({"tasks": [listing]})
    assert result.status == "success"
    assert not mark.exists()
