"""A gateway made from settings: its servers start and stop with it, and its settings hold."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from plait.app.gateway import Gateway
from plait.config import Config, PolicySettings, load_config
from plait.core.tools.catalog import ServerState
from plait.errors import ConfigError, InvalidDag

from ..downstream.changing import ChangingServer
from .conftest import until, with_a_silent_one, words


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
    async with Gateway.from_config(load_config(config)) as gateway:
        await gateway.submit({"tasks": [{"id": "a", "tool": "numbers:hang"}]})
        pid = gateway.catalog().servers["numbers"].pid
        await until(told.exists)
    assert words(told) == "called cancelled"
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_entering_waits_for_no_server(config: Path):
    async with (
        asyncio.timeout(20),
        Gateway.from_config(load_config(with_a_silent_one(config))) as gateway,
    ):
        assert gateway.catalog().servers["quiet"].state is ServerState.NOT_STARTED


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
    async with Gateway.from_config(strict) as gateway:
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
    async with Gateway.from_config(settings) as gateway:
        relaying = gateway.relaying()
        assert relaying is not None
        assert relaying.seen("numbers", "double") is None
        await gateway.execute({"tasks": [call]})
        assert relaying.seen("numbers", "double") == shape
        assert relaying.seen("numbers", "nothing") is None


def test_a_file_that_is_not_there_is_an_error_of_the_settings(tmp_path: Path):
    with pytest.raises(ConfigError):
        Gateway.from_config(tmp_path / "nope.toml")


def test_importing_the_program_imports_no_protocol_and_no_web_server_nor_what_only_a_dag_needs():
    needless = {"mcp", "uvicorn", "starlette", "httpx2", "apsw"} | {
        f"plait.core.{name}"
        for name in ("planning.check", "expressions.nodes", "flows.nodes", "flows.decision")
    }
    script = f"import sys, plait.app.serving; print(sorted({needless} & sys.modules.keys()))"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"


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
        assert "never written" in str(written)
        with pytest.raises(InvalidDag, match="run_tests"):
            await gateway.execute({"tasks": [tests]})
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


def in_two_profiles(changing: ChangingServer, other: ChangingServer, **env: str) -> Config:
    lead = {"s": changing.settings(env=env), "o": other.settings()}
    servers = {name: server.model_dump(exclude_unset=True) for name, server in lead.items()}
    reading = {"servers": ["s"], "policy": {"deny": ["*:change"]}}
    return Config.model_validate(
        {"servers": servers, "profiles": {"reading": reading, "rest": {"servers": ["o"]}}}
    )


async def look(gateway: Gateway) -> object:
    """What the server `s` says of itself."""
    with anyio.fail_after(20):
        result = await gateway.execute({"tasks": [{"id": "a", "tool": "s:look"}]})
    return result.outputs["a"]


async def test_a_profile_is_served_next_to_all_the_settings_from_the_same_servers(tmp_path: Path):
    changing, other = ChangingServer(tmp_path / "s"), ChangingServer(tmp_path / "o")
    async with Gateway.from_config(in_two_profiles(changing, other)) as gateway:
        reading = await gateway.in_profile("reading")
        assert await gateway.in_profile("reading") is reading
        assert await look(reading) == await look(gateway)
        assert list(reading.catalog().servers) == ["s"]
        with pytest.raises(InvalidDag, match="denied"):
            await reading.execute({"tasks": [{"id": "a", "tool": "s:change"}]})
        with pytest.raises(ConfigError, match='Did you mean "reading"'):
            await gateway.in_profile("raeding")
    assert changing.asked.count("start") == 1


async def test_new_settings_hold_in_every_profile_and_one_that_is_gone_has_no_servers(
    tmp_path: Path,
):
    changing, other = ChangingServer(tmp_path / "s"), ChangingServer(tmp_path / "o")
    config = in_two_profiles(changing, other)
    async with Gateway.from_config(config) as gateway:
        reading = await gateway.in_profile("reading")
        before = await look(reading)
        await gateway.reload(in_two_profiles(changing, other, X="1"))
        assert (now := await look(reading)) != before
        assert now == await look(gateway)
        await gateway.reload(config.model_copy(update={"profiles": {}}))
        assert list(gateway.profiles()) == []
        assert list(reading.catalog().servers) == []
        await gateway.reload(config)
        assert await look(reading) == await look(gateway)
    assert changing.asked.count("start") == 3


FLOWS = {
    "labels": {"private": ["numbers:double"], "outbound": ["numbers:hang"]},
    "flows": [{"from": ["private"], "to": "outbound"}],
    "remember_flows": "deny",
}
DOUBLE = {"tasks": [{"id": "a", "tool": "numbers:double", "arguments": {"n": 2}}]}
HANG = {"tasks": [{"id": "a", "tool": "numbers:hang", "timeout_s": 0.1}]}


async def test_what_clients_have_seen_is_known_after_the_death_of_their_gateway_and_no_longer(
    config: Path, tmp_path: Path
):
    settings = load_config(config, {}, tmp_path).model_copy(
        update={"policy": PolicySettings.model_validate(FLOWS), "state_folder": tmp_path / "state"}
    )
    file = tmp_path / "state" / "seen.json"
    async with Gateway.from_config(settings) as gateway:
        gateway.keep_seen()
        await gateway.execute(DOUBLE)
        with pytest.raises(InvalidDag, match="what you have seen"):
            await gateway.execute(HANG)
        left = file.read_text()
        gateway.forget_seen()
    assert json.loads(file.read_text())["entries"] == []
    async with Gateway.from_config(settings) as gateway:
        await gateway.execute(HANG)

    gone = await anyio.run_process([sys.executable, "-c", "import os; print(os.getpid())"])
    entries = json.loads(left)["entries"]
    died = {"version": 1, "entries": [{**one, "holder": int(gone.stdout)} for one in entries]}
    file.write_text(json.dumps(died))
    async with Gateway.from_config(settings) as gateway:
        with pytest.raises(InvalidDag, match="what you have seen"):
            await gateway.execute(HANG)
    assert json.loads(file.read_text()) == died  # it served no client, so it wrote nothing
