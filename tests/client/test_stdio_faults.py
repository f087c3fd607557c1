"""What a process of ours can do wrong costs the call it answers, at most its own connection, and nothing else."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.client.connection import Connection
from plait.client.stdio import ProcessTransport
from plait.config import ServerSettings
from plait.core.catalog import ServerState, Tool
from plait.core.output import read_output
from plait.core.ports import OnProgress, ToolCall
from plait.core.strict import JsonObject
from plait.errors import (
    CallError,
    ConnectionLost,
    InvalidArguments,
    InvalidOutput,
    ProtocolError,
    ServerUnavailable,
)

SERVER = str(Path(__file__).with_name("faulty_server.py"))
SOON = 10.0
"""Far above what anything here takes, and far below the timeout of a test."""


class Server:
    """A faulty server, connected."""

    def __init__(self, connection: Connection, journal: Path) -> None:
        self.connection = connection
        self._journal = journal

    async def call(self, name: str, *, on_progress: OnProgress | None = None, **arguments: Any) -> JsonObject:
        return await self.connection.call(ToolCall(Tool("faulty", name), arguments, on_progress))

    async def fails(self, name: str, **arguments: Any) -> CallError:
        with anyio.fail_after(SOON), pytest.raises(CallError) as failure:
            await self.call(name, **arguments)
        return failure.value

    async def still_works(self) -> None:
        with anyio.fail_after(SOON):
            assert (await self.call("echo", x=1))["structuredContent"] == {"x": 1}

    def saw(self, kind: str) -> list[Any]:
        lines = self._journal.read_text().splitlines() if self._journal.exists() else []
        return [event[kind] for event in map(json.loads, lines) if kind in event]


Connect = Callable[..., Any]


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    @asynccontextmanager
    async def connect(*flags: str, **settings: Any) -> AsyncIterator[Server]:
        journal = tmp_path / "journal"
        made = ServerSettings(
            command=sys.executable,
            args=(SERVER, "--journal", str(journal), *flags),
            **{"probe_timeout_s": 0.3, "startup_timeout_s": 10, **settings},
        )
        connection = Connection("faulty", made, max_message_bytes=1_000_000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(SOON):
                await connection.settled()
            yield Server(connection, journal)
            tasks.cancel_scope.cancel()

    return connect


async def until(is_so: Callable[[], object]) -> None:
    """Wait until something outside has happened, within bounds."""
    with anyio.fail_after(SOON):
        while not is_so():
            await anyio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path(f"/proc/{pid}").exists() else True


async def test_arguments_that_no_json_can_hold_fail_their_own_call(connect: Connect):
    async with connect() as server:
        for bad in ("\ud800", float("nan"), float("inf"), {1: 2}, object()):
            assert isinstance(await server.fails("echo", x=bad), InvalidArguments)
        await server.still_works()
    assert len(server.saw("call")) == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("deep", "nested"),
        ("long_number", "too many digits"),
        ("nan", "NaN"),
        ("no_object", "no JSON-RPC answer"),
        ("invalid_utf8", "not UTF-8"),
    ],
)
async def test_an_answer_that_cannot_be_read_ends_its_call_at_once(connect: Connect, fault: str, said: str):
    async with connect() as server:
        with anyio.fail_after(SOON), pytest.raises(InvalidOutput, match=said):
            read_output(await server.call(fault), Tool("faulty", fault), 10**6)
        await server.still_works()


async def test_a_lone_surrogate_in_an_answer_fails_its_own_task(connect: Connect):
    async with connect() as server:
        result = await server.call("surrogate")
        with pytest.raises(InvalidOutput, match="lone surrogate"):
            read_output(result, Tool("faulty", "surrogate"), 10**6)
        await server.still_works()


async def test_junk_repeated_and_stray_answers_are_passed_over(connect: Connect):
    async with connect() as server:
        for fault in ("junk", "twice", "wrong_id"):
            await server.call(fault)
        assert (await server.call("twice"))["structuredContent"] == {"n": 1}
        await server.still_works()


@pytest.mark.parametrize("fault", ["huge", "endless"])
async def test_a_line_without_end_ends_the_connection_and_not_the_memory(connect: Connect, fault: str):
    async with connect() as server:
        error = await server.fails(fault)
        assert isinstance(error, ConnectionLost)
        assert "longer than 1,000,000 bytes" in error.message
        await server.still_works()


async def test_large_answers_within_the_limit_come_whole(connect: Connect):
    async with connect() as server:
        for _ in range(20):
            result = await server.call("big", bytes=900_000)
            assert len(result["content"][0]["text"]) == 900_000


async def test_a_dead_server_fails_the_calls_in_flight_and_comes_back(connect: Connect):
    async with connect() as server:
        errors: list[CallError] = []

        async def hang() -> None:
            errors.append(await server.fails("hang"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang)
            await until(lambda: "hang" in server.saw("call"))
            errors.append(await server.fails("die"))
        for error in errors:
            assert isinstance(error, ConnectionLost)
            assert "exit code 3" in error.message
            assert "I am dying" in error.message
        await server.still_works()
    assert len(server.saw("started")) == 2


async def test_death_is_noticed_although_a_grandchild_holds_the_pipes(connect: Connect):
    async with connect() as server:
        grandchild = (await server.call("grandchild"))["structuredContent"]["pid"]
        await until(lambda: server.connection.info.pid is None or not is_alive(grandchild))
        await server.still_works()
    assert not is_alive(grandchild)


async def test_a_server_that_stops_reading_holds_up_no_caller(connect: Connect):
    async with connect() as server:
        await server.call("stop_reading")
        for _ in range(5):
            with anyio.move_on_after(0.2) as scope:
                await server.call("echo", x="y" * 900_000)
            assert scope.cancelled_caught
            assert anyio.current_time() - scope.deadline < 1.5


async def test_a_cancelled_call_is_cancelled_at_the_server(connect: Connect):
    async with connect() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.call, "hang")
            await until(lambda: server.saw("call"))
            tasks.cancel_scope.cancel()
        await until(lambda: server.saw("cancelled"))
        await server.still_works()


async def test_errors_of_the_protocol_and_of_the_tool_are_told_apart(connect: Connect):
    async with connect() as server:
        error = await server.fails("rpc_error")
        assert isinstance(error, ProtocolError)
        assert (error.rpc_code, error.message) == (-32042, "faulty: no luck")
        assert (await server.call("tool_error"))["isError"] is True


async def test_progress_comes_in_order(connect: Connect):
    heard: list[float] = []
    async with connect() as server:
        await server.call("progress", on_progress=lambda done, total, message: heard.append(done))
        await until(lambda: len(heard) == 20)
    assert heard == sorted(heard)


async def test_a_flood_on_stderr_blocks_nothing(connect: Connect):
    async with connect() as server:
        with anyio.fail_after(SOON):
            await server.call("stderr_flood")
        await server.still_works()


async def test_a_malformed_tool_hides_no_other(connect: Connect):
    async with connect("--bad-tools") as server:
        names = {tool.name for tool in server.connection.tools}
        assert {"echo", "die"} <= names
        assert not {"wrong_type", "no schema", "bad_output"} & names
        assert len(server.connection.info.warnings) == 5
        await server.still_works()


async def test_every_page_of_the_list_is_read_and_a_loop_ends(connect: Connect):
    async with connect("--pages", "5", "--loop") as server:
        assert len(server.connection.tools) == 23


async def test_a_result_is_not_lost_to_a_list_that_hangs(connect: Connect):
    async with connect("--relist-hangs") as server:
        await server.call("change_list")
        await server.still_works()
        assert server.connection.state is ServerState.READY


async def test_a_changed_list_is_read_again(connect: Connect):
    async with connect() as server:
        before = server.connection.tools
        await server.call("change_list")
        await until(lambda: server.connection.tools is not before)


@pytest.mark.parametrize("flag", ["--die-on-probe", "--ignore-probe"])
async def test_servers_that_do_not_know_the_probe_are_connected_to(connect: Connect, flag: str):
    async with connect(flag) as server:
        assert server.connection.info.protocol == "2025-11-25"
        await server.still_works()
        await server.fails("die")
        await server.still_works()  # the verdict was kept: it is not probed to death again
    starts = len(server.saw("started"))
    assert starts == (3 if flag == "--die-on-probe" else 2)


async def test_a_server_that_ignores_its_end_is_ended_with_its_children():
    transport = ProcessTransport(sys.executable, [SERVER, "--ignore-end"], grace_s=0.1)
    async with transport:
        pid = transport.pid
        assert pid is not None
        assert is_alive(pid)
    assert not is_alive(pid)


async def test_a_command_that_does_not_exist_is_told_and_calls_fail_at_once(connect: Connect):
    connection = Connection("no", ServerSettings(command="frobnicate"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        await connection.settled()
        assert connection.info.error is not None
        assert "cannot start frobnicate: No such file or directory" in connection.info.error
        with anyio.fail_after(1), pytest.raises(ServerUnavailable, match="frobnicate"):
            await connection.call(ToolCall(Tool("no", "x"), {}))
        tasks.cancel_scope.cancel()


async def test_a_secret_of_ours_does_not_reach_the_child(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("GATEWAY_SECRET", "s3cret")
    seen = tmp_path / "environment"
    settings = ServerSettings(command="sh", args=("-c", f"env > {seen}"), env={"MINE": "1"})
    connection = Connection("env", settings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        await connection.settled()
        tasks.cancel_scope.cancel()
    assert "MINE=1" in seen.read_text()
    assert "s3cret" not in seen.read_text()
