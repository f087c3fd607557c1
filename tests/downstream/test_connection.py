"""What a connection promises besides what a port does: over every transport and in both eras, then
over processes of ours, and last in memory on virtual time."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest

from plait.config import ServerSettings
from plait.core.ports import RelayRequest
from plait.core.tools.cached_listing import CachedListing
from plait.core.tools.catalog import ServerState, Tool
from plait.core.tools.output import read_output
from plait.downstream.connection import Connection
from plait.downstream.error_texts import MOST_DETAILS_BYTES
from plait.errors import (
    CallError,
    ConnectionLost,
    ProtocolError,
    RpcError,
    ServerUnavailable,
    ToolError,
)
from plait.redaction import Secrets

from ..fakes import FakeCaller, a_call
from .contract import SOON, Way
from .scripted import (
    NOT_NOW,
    ScriptedServer,
    about,
    given_up,
    look,
    owned,
    script,
)
from .ways import QUICK, SCRIPT, Reached, until
from .ways import Way as RawWay


async def call(connection: Connection, name: str, **arguments: Any) -> Any:
    tool = next((tool for tool in connection.tools if tool.name == name), Tool("contract", name))
    with anyio.fail_after(SOON):
        return read_output(await connection.call(a_call(tool, arguments)), tool, 10**6).value


async def test_a_connection_agrees_on_a_protocol_and_lists_all_tools(way: Way):
    async with way.connected() as connection:
        assert connection.info.protocol == way.version
        assert connection.info.title == "contract 1"
        assert [tool.name for tool in connection.tools] == [
            "ask",
            "echo",
            "fail",
            "grow",
            "hang",
            "steps",
        ]


async def test_leaving_ends_the_connection_and_its_process(way: Way):
    async with way.connected() as connection:
        assert way.is_served
    assert connection.info.state is ServerState.STOPPED
    assert way.is_served is (way.http is not None)


async def test_a_changed_list_is_read_again(own_way: Way):
    async with own_way.connected() as connection:
        assert await call(connection, "grow") == {"result": "done"}
        with anyio.fail_after(SOON):
            while "grown" not in [tool.name for tool in connection.tools]:
                await anyio.sleep(0.01)
        assert await call(connection, "grown") == {"result": "new"}


async def test_a_server_that_asks_without_a_client_gets_an_error(way: Way):
    async with way.connected() as connection:
        with pytest.raises(
            (ToolError, ProtocolError), match=r"command line has no client|no back-channel"
        ):
            await call(connection, "ask")
        assert (await call(connection, "echo", text="x"))["text"] == "x"


async def test_a_server_that_ends_fails_its_calls_and_is_connected_again(own_way: Way):
    async with own_way.connected() as connection:
        restarted = anyio.Event()

        async def restart() -> None:
            await own_way.journal.noted("call started")
            await own_way.restart()
            restarted.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(restart)
            with pytest.raises(ConnectionLost):
                await call(connection, "hang", tag="call")
            await restarted.wait()
        with anyio.fail_after(SOON):
            while True:  # as long as it starts, each call says that it was not sent
                try:
                    assert (await call(connection, "echo", text="again"))["text"] == "again"
                    break
                except ServerUnavailable:
                    await anyio.sleep(0.05)
        assert connection.info.protocol == own_way.version


# Over a process of ours.


@pytest.fixture(params=["legacy", "modern"])
def raw_way(request: pytest.FixtureRequest, tmp_path: Path) -> RawWay:
    return RawWay("stdio", request.param, tmp_path / "journal")


def state_of(raw: Reached) -> ServerState:
    return raw.pool.catalog().servers["raw"].state


async def restart(raw: Reached) -> None:
    pid = raw.pool.catalog().servers["raw"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(
        lambda: raw.pool.catalog().servers["raw"].pid != pid and state_of(raw) is ServerState.READY
    )


async def test_a_server_that_ends_fails_its_requests_and_comes_back_with_its_lists(
    raw_way: RawWay,
):
    async with raw_way.reached() as raw:
        before = raw.downstream.offers()
        failures: list[int] = []

        async def hang() -> None:
            try:
                await raw.call("hang", tag="x")
            except RpcError as error:
                failures.append(error.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang)
            await raw_way.noted("x started")
            await restart(raw)
        assert failures == [types.CONNECTION_CLOSED]
        assert raw.downstream.offers() is before
        assert (await raw.request("prompts/get", {"name": "greet"}))["messages"] == []


async def test_a_frozen_process_is_found_out_and_started_again(raw_way: RawWay):
    timings = replace(QUICK, ping_s=0.2, grace_s=0.1, call_wait_s=SOON)
    args = (SCRIPT, "stdio", str(raw_way.journal))  # a copy would go on: see `warm.py`
    settings = ServerSettings(command=sys.executable, args=args, protocol=raw_way.protocol)
    connection = Connection("raw", settings, timings=timings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        await connection.request(RelayRequest("raw", "prompts/get", {"name": "greet"}))
        pid = connection.info.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        for _ in range(3):
            with anyio.move_on_after(1.1):
                await connection.request(RelayRequest("raw", "prompts/get", {"name": "greet"}))
        await until(lambda: connection.info.pid not in {None, pid})
        with anyio.fail_after(SOON):
            await connection.request(RelayRequest("raw", "prompts/get", {"name": "greet"}))
        tasks.cancel_scope.cancel()


async def test_watched_resources_are_watched_again_after_a_reconnect(raw_way: RawWay):
    heard: list[Any] = []
    async with raw_way.reached() as raw:
        raw.downstream.listen(lambda *notice: heard.append(notice))
        await raw.downstream.watch("raw", "note://1")
        raw.downstream.set_level("client", "info")
        if not raw_way.is_modern:
            await raw_way.noted(["logging/setLevel", {"level": "info"}])
        await restart(raw)
        await raw.call("touch", uri="note://1")
        await until(
            lambda: ("raw", "notifications/resources/updated", {"uri": "note://1"}) in heard
        )
        await raw.call("log")
        await until(lambda: any(method == "notifications/message" for _, method, _ in heard))
        if not raw_way.is_modern:
            for event in (
                '["resources/subscribe", {"uri": "note://1"}]',
                '["logging/setLevel", {"level": "info"}]',
            ):
                await until(
                    lambda event=event: raw_way.journal.read_text().splitlines().count(event) == 2
                )


async def test_a_server_is_in_use_while_a_resource_is_watched(raw_way: RawWay):
    connection = Connection("raw", raw_way.settings, timings=QUICK)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        for uri in ("note://1", "note://2"):
            await connection.watch(uri)
        connection.unwatch("note://1")
        assert connection.use.count == 1
        connection.unwatch("note://2")
        assert connection.use.count == 0
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1: 2}])
async def test_params_that_are_not_strict_json_are_not_sent(raw_way: RawWay, value: Any):
    async with raw_way.reached() as raw:
        with pytest.raises(RpcError, match="not strict JSON") as failure:
            await raw.request("prompts/get", {"name": value})
    assert failure.value.code == types.INVALID_PARAMS


# In memory, on virtual time.


@pytest.mark.virtual_time
@pytest.mark.parametrize(("is_known", "waits_s"), [(False, 10), (True, 20)])
async def test_a_call_waits_for_a_server_that_starts_longer_if_its_tools_are_known(
    is_known: bool, waits_s: float
):
    remembered = CachedListing()
    remembered.load({"tools": []} if is_known else {})
    caller = FakeCaller()
    async with owned(ScriptedServer(script(greet=None)), remembered=remembered) as connection:
        began = anyio.current_time()
        with pytest.raises(ServerUnavailable, match="s cannot be reached"):
            await look(connection, caller)
        assert anyio.current_time() - began == about(waits_s)
        assert caller.waits[:1] == ["begins"]


@pytest.mark.virtual_time
async def test_a_call_does_not_wait_for_a_server_that_never_was_there_and_says_when_it_is_tried():
    async with owned(ScriptedServer(script(greet=NOT_NOW))) as connection:
        await anyio.sleep(2)
        began = anyio.current_time()
        with pytest.raises(ServerUnavailable, match="not now") as failure:
            await look(connection)
        assert anyio.current_time() == began
        assert "The next attempt is in " in str(failure.value.hint)


@pytest.mark.virtual_time
async def test_a_call_waits_for_a_server_that_was_there_until_just_now():
    server = ScriptedServer(script())
    async with owned(server) as connection:
        server.cut()
        await anyio.wait_all_tasks_blocked()
        assert connection.state is ServerState.RETRYING
        assert await look(connection) == {"content": []}
    assert len(server.starts) == 2


@pytest.mark.virtual_time
async def test_a_server_is_reported_each_time_that_it_was_connected_and_with_its_circuit():
    ready: list[str] = []
    server = ScriptedServer(script())
    async with owned(server, on_ready=lambda: ready.append("ready")) as connection:
        assert await look(connection) == {"content": []}
        connection.show_circuit(7.0)
        shown = [connection.info.open_until]
        assert ready == ["ready"]
        server.cut()
        await anyio.wait_all_tasks_blocked()
        assert await look(connection) == {"content": []}
        connection.show_circuit(None)
        shown.append(connection.info.open_until)
    assert (ready, shown) == (["ready", "ready"], [7.0, None])


@pytest.mark.virtual_time
async def test_whoever_gives_up_a_call_does_not_wait_until_its_cancellation_is_read():
    server = ScriptedServer(script())
    async with owned(server) as connection:
        server.reads = False
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(given_up, connection)
        assert anyio.current_time() - began == 1


@pytest.mark.virtual_time
async def test_the_secrets_of_a_server_are_in_no_error_of_a_call_or_a_request():
    error = types.ErrorData(code=-32042, message="no s3cret-key", data={"why": ["s3cret-key"]})
    server = ScriptedServer({**script(call=error), "prompts/get": error})
    async with owned(server, secrets=Secrets(["s3cret-key"])) as connection:
        with pytest.raises(CallError) as failure:
            await look(connection)
        with pytest.raises(RpcError) as refusal:
            await connection.request(RelayRequest("s", "prompts/get"))
    for given in (failure.value.rpc_error, refusal.value):
        assert given is not None
        assert given.code == -32042
        assert "s3cret" not in f"{failure.value.message} {given.message} {given.data}"
        assert isinstance(given.data, dict)


@pytest.mark.virtual_time
@pytest.mark.parametrize(("size", "is_kept"), [(100, True), (MOST_DETAILS_BYTES, False)])
async def test_details_of_an_error_that_are_too_long_to_search_are_left_out(
    size: int, is_kept: bool
):
    error = types.ErrorData(code=-1, message="no", data="x" * size)
    async with owned(ScriptedServer({**script(), "prompts/get": error})) as connection:
        with pytest.raises(RpcError) as refusal:
            await connection.request(RelayRequest("s", "prompts/get"))
    assert (refusal.value.data is not None) is is_kept
