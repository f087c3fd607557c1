"""What a connection promises beside what a port does, over every transport and both protocol eras,
against servers on the official SDK."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from plait.core.tools.catalog import ServerState, Tool
from plait.core.tools.output import read_output
from plait.downstream.connection import Connection
from plait.errors import ConnectionLost, ProtocolError, ServerUnavailable, ToolError

from ..fakes import a_call
from .contract import SOON, Way


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
