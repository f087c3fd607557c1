"""All servers of a gateway: started and stopped together, each on its own."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import anyio
import mcp_types as types
import pytest

from plait.config import Config, ServerSettings
from plait.config.environment import mark_of
from plait.config.models import Need
from plait.core.ports import RelayRequest
from plait.core.tools.catalog import Catalog, ServerState, Tool
from plait.core.values.strict import JsonObject
from plait.downstream.pool import Pool
from plait.downstream.timings import ConnectTimings
from plait.errors import CallError, ConnectionLost, RpcError, ServerOff, ServerUnavailable

from ..fakes import FakeServers, a_call
from ..upstream.transports.http_gateway import served
from .pools import open_pool

SERVER = str(Path(__file__).with_name("faulty_server.py"))
SOON = 15.0
Protocol: TypeAlias = Literal["legacy", "modern"]
QUICK = ConnectTimings(first_backoff_s=0.05, longest_backoff_s=0.2, grace_s=0.2)


def faulty(*flags: str, **settings: Any) -> ServerSettings:
    made = {"protocol": "legacy", "startup_timeout_s": 10, **settings}
    return ServerSettings(command=sys.executable, args=(SERVER, *flags), **made)


def pool_of(**servers: ServerSettings) -> AbstractAsyncContextManager[Pool]:
    return open_pool(servers, QUICK)


async def settled(pool: Pool, *names: str) -> Catalog:
    with anyio.fail_after(SOON):
        await pool.settled(names or None)
    return pool.catalog()


async def until(is_so: Callable[[], object]) -> None:
    with anyio.fail_after(SOON):
        while not is_so():
            await anyio.sleep(0.01)


async def call(pool: Pool, server: str, name: str, **arguments: Any) -> Any:
    with anyio.fail_after(SOON):
        return await pool(a_call(Tool(server, name), arguments))


def is_alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_one_silent_and_one_absent_server_delay_and_break_no_other():
    silent = faulty("--ignore-probe", protocol="modern", startup_timeout_s=60)
    async with pool_of(
        a=faulty(), silent=silent, absent=ServerSettings(command="frobnicate"), b=faulty()
    ) as pool:
        catalog = await settled(pool, "a", "b", "absent")
        assert {name: info.state for name, info in catalog.servers.items()} == {
            "a": ServerState.READY,
            "silent": ServerState.CONNECTING,
            "absent": ServerState.RETRYING,
            "b": ServerState.READY,
        }
        assert "cannot start frobnicate" in str(catalog.servers["absent"].error)
        assert (await call(pool, "b", "echo", x=1))["structuredContent"] == {"x": 1}


async def test_calls_go_to_the_server_of_their_tool():
    async with pool_of(a=faulty(), b=faulty()) as pool:
        await settled(pool)
        with pytest.raises(ConnectionLost, match="a went away"):
            await call(pool, "a", "die")
        assert (await call(pool, "b", "echo", x=1))["structuredContent"] == {"x": 1}
        with pytest.raises(ServerUnavailable, match="unknown server c"):
            await call(pool, "c", "echo")


async def test_the_catalog_is_the_same_object_until_something_changes():
    async with pool_of(a=faulty()) as pool:
        assert len(pool.catalog()) == 0
        first = await settled(pool)
        assert [tool.name for tool in first.of("a")] == sorted(tool.name for tool in first.of("a"))
        assert first.servers["a"].tools == len(first) > 20
        assert pool.catalog() is first
        await call(pool, "a", "change_list")
        await until(lambda: "a:grown" in pool.catalog().tools)
        assert "a:grown" not in first.tools


async def test_the_tools_of_a_server_stay_listed_while_it_is_away(tmp_path: Path):
    flags = ("--journal", str(tmp_path / "journal"))
    async with pool_of(a=faulty(*flags)) as pool:
        before = await settled(pool)
        (tmp_path / "journal").unlink()
        (tmp_path / "journal").mkdir()  # so that it cannot start again
        with pytest.raises(CallError):
            await call(pool, "a", "die")
        await until(lambda: pool.catalog().servers["a"].state is ServerState.RETRYING)
        away = pool.catalog()
        assert list(away.tools) == list(before.tools)
        assert all(away.tools[name] is tool for name, tool in before.tools.items())
        assert away.servers["a"].tools == len(before)


async def test_disabled_servers_are_not_listed():
    async with pool_of(a=faulty(), b=faulty(enabled=False)) as pool:
        assert list((await settled(pool)).servers) == ["a"]


async def test_stubborn_servers_are_stopped_together_and_within_bounds():
    stubborn = {f"s{number}": faulty("--ignore-end") for number in range(6)}
    async with pool_of(**stubborn) as pool:
        catalog = await settled(pool)
        pids = [info.pid for info in catalog.servers.values()]
        assert all(map(is_alive, pids))
        began = anyio.current_time()
    assert anyio.current_time() - began < 6 * 2 * 0.2  # one after the other they would take longer
    assert not any(map(is_alive, pids))
    assert {info.state for info in pool.catalog().servers.values()} == {ServerState.STOPPED}


async def test_leaving_while_servers_are_starting_leaves_nothing_behind(tmp_path: Path):
    flags = ("--ignore-probe", "--journal", str(tmp_path / "journal"))
    async with pool_of(a=faulty(*flags, protocol="modern")) as pool:
        await until(lambda: (tmp_path / "journal").exists() and pool.catalog().servers["a"].pid)
        pid = pool.catalog().servers["a"].pid
    assert not is_alive(pid)


async def test_the_bundled_workspace_server_is_started_in_its_root(tmp_path: Path):
    (tmp_path / "hello.txt").write_text("hi\n")
    async with pool_of(workspace=ServerSettings(builtin="workspace", root=tmp_path)) as pool:
        catalog = await settled(pool)
        assert catalog.servers["workspace"].error is None
        assert "hi" in str(await call(pool, "workspace", "read_file", path="hello.txt"))


async def test_the_stderr_of_a_server_is_logged_under_its_name(
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO)
    async with pool_of(a=faulty()) as pool:
        await settled(pool)
        with pytest.raises(ConnectionLost, match="I am dying"):
            await call(pool, "a", "die")
    assert ("plait.server.a", logging.INFO, "I am dying") in caplog.record_tuples


async def test_an_unreachable_or_unknown_server_is_an_error_of_ours():
    async with pool_of(gone=ServerSettings(command="frobnicate")) as pool:
        with anyio.fail_after(SOON):
            await pool.settled()
            for server, said in (
                ("gone", "cannot start frobnicate"),
                ("nobody", "unknown server"),
            ):
                with pytest.raises(RpcError, match=said) as failure:
                    await pool.request(RelayRequest(server, "prompts/get"))
                assert failure.value.code == types.CONNECTION_CLOSED
        assert pool.offers() == ()


async def test_a_server_that_needs_a_variable_is_off_and_says_so():
    needs = {"a": Need(("TOKEN", "URL"), "the variable TOKEN is not set; set it in secrets.env")}
    servers = {"a": faulty(), "b": faulty(startup_timeout_s=10)}
    async with open_pool(servers, QUICK, needs=needs) as pool:
        catalog = await settled(pool)
        info = catalog.servers["a"]
        assert (info.state, info.needs, info.pid) == (ServerState.NEEDY, ("TOKEN", "URL"), None)
        assert info.condition == "needs TOKEN, URL"
        assert catalog.servers["b"].state is ServerState.READY
        said = "a is off: the variable TOKEN is not set; set it in secrets.env"
        with pytest.raises(ServerOff, match=said):
            await call(pool, "a", "x")
        with pytest.raises(RpcError, match=said):
            await pool.request(RelayRequest("a", "prompts/get"))


async def test_a_server_starts_once_its_variable_is_set():
    off, on = {"a": Need(("TOKEN",), "not set")}, {"a": faulty()}
    async with open_pool(on, QUICK, needs=off) as pool:
        assert (await settled(pool)).servers["a"].state is ServerState.NEEDY
        assert await pool.reload(Config(servers=on)) == {"a"}
        assert (await settled(pool, "a")).servers["a"].state is ServerState.READY
        assert await pool.reload(Config(servers=on, needs=off)) == {"a"}
        assert (await settled(pool)).servers["a"].state is ServerState.NEEDY


def plait(state: Path, protocol: Protocol) -> ServerSettings:
    env = {
        "PLAIT_ISOLATED": "1",
        "PLAIT_STATE_DIR": str(state),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    words = ("-m", "plait", "serve")
    return ServerSettings(command=sys.executable, args=words, env=env, protocol=protocol)


@pytest.mark.parametrize("protocol", ["legacy", "modern"])
async def test_this_gateway_is_refused_as_a_server_however_it_was_started(
    tmp_path: Path, protocol: Protocol
):
    state = tmp_path / "state"
    state.mkdir()
    async with open_pool({"a": plait(state, protocol)}, QUICK, state_folder=state) as pool:
        info = (await settled(pool)).servers["a"]
        await until(lambda: pool.catalog().servers["a"].state is ServerState.REFUSED)
        info = pool.catalog().servers["a"]
        assert info.error is not None
        assert info.error.startswith("it is this gateway")
        with pytest.raises(ServerOff, match="a is off: it is this gateway"):
            await call(pool, "a", "search_tools")


async def test_this_gateway_is_refused_at_its_address_too(tmp_path: Path):
    async with served(FakeServers()) as gateway:
        gateway.gateway.mark = mark_of(tmp_path)
        servers = {"a": ServerSettings(url=gateway.url)}
        async with open_pool(servers, QUICK, state_folder=tmp_path) as pool:
            info = (await settled(pool)).servers["a"]
            assert info.state is ServerState.REFUSED
        async with open_pool(servers, QUICK, state_folder=tmp_path / "other") as pool:
            assert (await settled(pool)).servers["a"].state is ServerState.READY


async def test_another_gateway_is_a_server_like_others(tmp_path: Path):
    there = tmp_path / "there"
    async with open_pool({"a": plait(there, "legacy")}, QUICK, state_folder=tmp_path) as pool:
        assert (await settled(pool)).servers["a"].state is ServerState.READY


async def test_a_notification_that_is_not_strict_json_is_dropped():
    heard: list[JsonObject] = []
    async with pool_of() as pool:
        pool.listen(lambda server, method, params: heard.append(params))
        pool.broadcast("s", "notifications/message", {"data": "\ud800"})
        pool.broadcast("s", "notifications/message", {"data": "x"})
    assert heard == [{"data": "x"}]
