"""The streams between a dispatcher and its server: a server that asks without end fills no
memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from plait.config import ServerSettings
from plait.core.tools.catalog import Tool
from plait.downstream.connection import Connection
from plait.downstream.timings import ConnectTimings
from plait.downstream.transports.transport import MOST_OPEN, Answering, Watched, open_transport
from plait.errors import ServerUnavailable

from ...fakes import a_call
from ..faulty_http import FaultyHttp, serving


@pytest.mark.parametrize("command", ["server", "~/server"])
async def test_a_command_is_found_on_the_path_and_below_the_home_of_its_client(
    tmp_path: Path, command: str
):
    program = tmp_path / "server"
    program.write_text('#!/bin/sh\necho "here $SAFE $MINE" >&2\n')
    program.chmod(0o700)
    environment = {"PATH": f"{tmp_path}:/bin:/usr/bin", "HOME": str(tmp_path), "SAFE": "1"}
    settings = ServerSettings(command=command, env={"MINE": "2"})
    assert await stderr_of(settings, environment=environment) == ["here 1 2"]


async def test_a_server_runs_in_the_folder_of_its_client_unless_it_has_its_own(tmp_path: Path):
    theirs, own = tmp_path / "theirs", tmp_path / "own"
    for folder in (theirs, own):
        folder.mkdir()
    script = ("-c", "pwd >&2")
    in_theirs = ServerSettings(command="sh", args=script)
    in_own = ServerSettings(command="sh", args=script, cwd=own)
    assert await stderr_of(in_theirs, folder=theirs) == [str(theirs)]
    assert await stderr_of(in_own, folder=theirs) == [str(own)]


async def test_a_server_at_a_url_is_reached_by_the_proxy_of_its_client():
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readline())
        writer.close()

    proxy = await asyncio.start_server(hear, "127.0.0.1")
    host, port = proxy.sockets[0].getsockname()
    environment = {"http_proxy": f"http://{host}:{port}"}
    settings = ServerSettings(url="http://far.example/mcp", transport="http")
    transport = open_transport(
        "s", settings, 1_000, print, ConnectTimings(), environment=environment
    )
    ping = SessionMessage(types.JSONRPCRequest(jsonrpc="2.0", id=1, method="ping"))
    async with proxy, transport.streams() as (_, write):
        await write.send(ping)
        with anyio.fail_after(30):
            assert await asked.get() == b"POST http://far.example/mcp HTTP/1.1\r\n"


async def stderr_of(settings: ServerSettings, **surroundings: Any) -> list[str]:
    """Run the process of *settings* to its end. Returns what it wrote to stderr."""
    lines: list[str] = []
    transport = open_transport("s", settings, 1_000, lines.append, ConnectTimings(), **surroundings)
    with anyio.fail_after(30):
        async with transport.streams() as (read, _):
            with pytest.raises(anyio.EndOfStream):
                await read.receive()
    return lines


class Endless:
    """Requests of a server, as many as are read; and what is written to it."""

    def __init__(self, *, same_id: bool = False) -> None:
        self.read = 0
        self.written: list[Any] = []
        self._same_id = same_id

    async def __anext__(self) -> SessionMessage:
        self.read += 1
        if self.read > 10 * MOST_OPEN:
            raise StopAsyncIteration
        id = 1 if self._same_id else self.read
        return SessionMessage(types.JSONRPCRequest(jsonrpc="2.0", id=id, method="roots/list"))

    async def send(self, item: SessionMessage) -> None:
        self.written.append(item)


async def read_all(watched: Watched, taken: list[Any]) -> None:
    async for item in watched:
        taken.append(item.message.id)  # noqa: PERF401 - one by one


def answer(id: Any) -> SessionMessage:
    return SessionMessage(types.JSONRPCResponse(jsonrpc="2.0", id=id, result={}))


async def test_reading_pauses_while_too_many_requests_are_unanswered():
    server = Endless()
    watched, taken = Watched(server), list[Any]()
    answering = Answering(server, watched)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, watched, taken)
        await anyio.wait_all_tasks_blocked()
        assert len(taken) == server.read == MOST_OPEN
        await answering.send(answer("7"))
        await anyio.wait_all_tasks_blocked()
        assert len(taken) == MOST_OPEN + 1
        tasks.cancel_scope.cancel()


async def test_a_request_whose_id_is_already_open_is_skipped():
    watched, taken, ended = Watched(Endless(same_id=True)), list[Any](), list[bool]()
    watched.on_end = lambda: ended.append(True)
    await read_all(watched, taken)
    assert (taken, ended) == ([1], [True])


async def test_a_request_that_the_server_cancelled_is_no_longer_open():
    async def messages() -> AsyncIterator[SessionMessage]:
        for id in range(3 * MOST_OPEN):
            yield SessionMessage(types.JSONRPCRequest(jsonrpc="2.0", id=id, method="ping"))
            params: dict[str, Any] = {"requestId": str(id)}
            yield SessionMessage(
                types.JSONRPCNotification(
                    jsonrpc="2.0", method="notifications/cancelled", params=params
                )
            )

    watched = Watched(messages())
    with anyio.fail_after(10):
        assert len([item async for item in watched]) == 6 * MOST_OPEN


class Busy(FaultyHttp):
    """Takes nobody in."""

    async def _answer(
        self, verb: str, headers: dict[str, str], message: Any, writer: asyncio.StreamWriter
    ) -> None:
        self._status(writer, "503 Service Unavailable", "retry-after: 40\r\n")


@pytest.mark.parametrize("protocol", ["auto", "legacy"])
async def test_a_server_that_asks_for_a_pause_gets_it(protocol: Any):
    async with serving(Busy()) as served:
        connection = Connection("busy", ServerSettings(url=served.url, protocol=protocol))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(10):
                await connection.wait_settled()
                with pytest.raises(ServerUnavailable, match="HTTP 503") as failure:
                    await connection.call(a_call(Tool("busy", "x"), {}))
            assert str(failure.value.hint) in {
                "The next attempt is in 40 s.",
                "The next attempt is in 39 s.",
            }
            tasks.cancel_scope.cancel()
