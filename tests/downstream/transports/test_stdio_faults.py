"""What a process of ours can do wrong costs the call it answers, at most its own connection, and
nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.config import ServerSettings
from plait.core.ports import OnProgress
from plait.core.tools.catalog import ServerState, Tool
from plait.core.tools.output import read_output
from plait.core.values.strict import JsonObject
from plait.downstream.connection import Connection
from plait.downstream.timings import ConnectTimings
from plait.errors import (
    CallError,
    ConnectionLost,
    InvalidArguments,
    InvalidOutput,
    OutputTooLarge,
    ProtocolError,
    ServerUnavailable,
    ToolError,
)

from ...fakes import FakeCaller, a_call

SERVER = str(Path(__file__).parents[1] / "faulty_server.py")
FAILS_TWICE = """
import runpy, sys
with open(sys.argv[1], "a+") as starts:
    starts.write("x")
    starts.seek(0)
    if len(starts.read()) <= 2:
        sys.exit(9)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs the script that its second argument names, except in its first two starts."""
MODERN = str(Path(__file__).parents[1] / "sdk_server.py")
SOON = 30.0
"""Far above what anything here takes, and far below the timeout of a test."""


class Server:
    """A faulty server, connected."""

    def __init__(self, connection: Connection, journal: Path) -> None:
        self.connection = connection
        self._journal = journal

    async def call(
        self, name: str, *, on_progress: OnProgress | None = None, **arguments: Any
    ) -> JsonObject:
        return await self.connection.call(
            a_call(
                Tool("faulty", name), arguments, FakeCaller(client=None, on_progress=on_progress)
            )
        )

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


QUICK = ConnectTimings(
    first_backoff_s=0.05, longest_backoff_s=0.2, refresh_pause_s=0.01, grace_s=0.5
)
Connect = Callable[..., Any]


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    @asynccontextmanager
    async def connect(
        *flags: str, timings: ConnectTimings = QUICK, **settings: Any
    ) -> AsyncIterator[Server]:
        journal = tmp_path / "journal"
        made = ServerSettings(
            command=sys.executable,
            args=(SERVER, "--journal", str(journal), *flags),
            **{"probe_timeout_s": 0.3, "startup_timeout_s": 10, **settings},
        )
        connection = Connection("faulty", made, max_message_bytes=1_000_000, timings=timings)
        async with running(connection):
            with anyio.fail_after(SOON):
                await connection.wait_settled()
            yield Server(connection, journal)

    return connect


@asynccontextmanager
async def running(connection: Connection) -> AsyncIterator[Connection]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        yield connection
        tasks.cancel_scope.cancel()


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
    return (
        Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
        if Path(f"/proc/{pid}").exists()
        else True
    )


async def test_arguments_that_json_cannot_hold_fail_their_own_call(connect: Connect):
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
        ("no_object", "not a JSON-RPC answer"),
        ("invalid_utf8", "not UTF-8"),
    ],
)
async def test_an_unreadable_answer_fails_its_call_at_once(connect: Connect, fault: str, said: str):
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


async def test_invalid_lines_and_repeated_or_stray_answers_are_skipped(connect: Connect):
    async with connect() as server:
        for fault in ("junk", "twice", "wrong_id"):
            await server.call(fault)
        assert (await server.call("twice"))["structuredContent"] == {"n": 1}
        await server.still_works()


async def test_an_answer_above_the_limit_fails_its_call_for_good_and_ends_the_connection(
    connect: Connect,
):
    async with connect() as server:
        async with anyio.create_task_group() as tasks:
            beside: list[CallError] = []

            async def hang() -> None:
                beside.append(await server.fails("hang"))

            tasks.start_soon(hang)
            await until(lambda: "hang" in server.saw("call"))
            error = await server.fails("huge")
        assert isinstance(error, OutputTooLarge)
        assert isinstance(beside[0], ConnectionLost)
        for failed in (error, beside[0]):
            assert "longer than 1,000,000 bytes" in failed.message
        await server.still_works()


async def test_a_line_without_end_ends_the_connection_and_not_the_memory(connect: Connect):
    async with connect() as server:
        error = await server.fails("endless")
        assert isinstance(error, ConnectionLost)
        assert "longer than 1,000,000 bytes" in error.message
        await server.still_works()


async def test_large_answers_within_the_limit_arrive_whole(connect: Connect):
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


async def test_the_end_of_a_server_is_noticed_although_a_grandchild_holds_its_pipes(
    connect: Connect,
):
    async with connect() as server:
        grandchild = (await server.call("grandchild"))["structuredContent"]["pid"]
        await until(lambda: server.connection.info.pid is None or not is_alive(grandchild))
        await server.still_works()
    assert not is_alive(grandchild)


async def test_the_end_of_a_server_is_noticed_although_a_detached_grandchild_holds_its_pipes(
    connect: Connect,
):
    async with connect() as server:
        grandchild = (await server.call("escaped_grandchild"))["structuredContent"]["pid"]
        try:
            await until(lambda: len(server.saw("started")) == 2)
            await server.still_works()
            assert is_alive(grandchild)
        finally:
            os.kill(grandchild, signal.SIGKILL)


async def test_a_server_that_stops_reading_delays_no_caller(connect: Connect):
    async with connect() as server:
        await server.call("stop_reading")
        reasons: list[str | None] = []
        for _ in range(5):
            caller = FakeCaller()
            large: JsonObject = {"x": "y" * 900_000}
            with anyio.move_on_after(0.2) as scope:
                await server.connection.call(a_call(Tool("faulty", "echo"), large, caller))
            assert scope.cancelled_caught
            assert anyio.current_time() - scope.deadline < 1.5
            reasons.append(caller.unsent_reason)
        assert (reasons[0], reasons[-1]) == (None, "its server does not read its input")


async def test_a_server_that_stops_reading_is_ended_although_every_caller_gives_up_sooner(
    connect: Connect,
):
    timings = ConnectTimings(
        first_backoff_s=0.05, refresh_pause_s=0.01, grace_s=0.1, write_timeout_s=1.0
    )
    async with connect(timings=timings) as server:
        await server.call("stop_reading")
        pid = server.connection.info.pid
        with anyio.fail_after(SOON):
            while server.connection.info.pid == pid:
                with anyio.move_on_after(0.1), contextlib.suppress(ConnectionLost):
                    await server.connection.call(
                        a_call(Tool("faulty", "echo"), {"x": "y" * 900_000})
                    )
        await server.still_works()


async def test_a_server_that_stops_reading_loses_its_calls_and_its_successor_gets_the_rest(
    connect: Connect,
):
    timings = ConnectTimings(
        first_backoff_s=0.05, refresh_pause_s=0.01, grace_s=0.1, write_timeout_s=0.3
    )
    async with connect(timings=timings) as server:
        await server.call("stop_reading")
        ends: list[object] = []

        async def echo() -> None:
            try:
                ends.append(
                    len((await server.call("echo", x="y" * 900_000))["structuredContent"]["x"])
                )
            except ConnectionLost as error:
                ends.append(error.message)

        with anyio.fail_after(SOON):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(echo)
        lost = (
            "faulty went away during the call: it was stopped: it has not read its input for 0.3 s"
        )
        assert set(ends) == {lost, 900_000}
        assert len([seen for seen in server.saw("call") if seen == "echo"]) == ends.count(900_000)


async def test_a_cancelled_call_is_cancelled_at_the_server(connect: Connect):
    async with connect() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.call, "hang")
            await until(lambda: server.saw("call"))
            tasks.cancel_scope.cancel()
        await until(lambda: server.saw("cancelled"))
        await server.still_works()


async def test_errors_of_the_protocol_and_of_the_tool_are_different_errors(connect: Connect):
    async with connect() as server:
        error = await server.fails("rpc_error")
        assert isinstance(error, ProtocolError)
        assert (error.rpc_code, error.message) == (-32042, "faulty: no luck")
        assert (await server.call("tool_error"))["isError"] is True


@pytest.mark.parametrize("code", [-32000, -32003, -32700, -32603])
async def test_an_error_of_the_server_is_never_taken_for_a_lost_connection(
    connect: Connect, code: int
):
    async with connect() as server:
        error = await server.fails("own_code", code=code)
        assert type(error) is ProtocolError
        assert error.rpc_code == code
        await server.still_works()


async def test_an_unreadable_answer_does_not_fail_another_call_whose_id_it_contains(
    connect: Connect,
):
    async with connect() as server:
        ended: list[str] = []

        async def hang() -> None:
            with anyio.move_on_after(SOON):
                await server.call("hang")
            ended.append("hang")

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(hang)
            await until(lambda: server.saw("call").count("hang") == 3)
            assert isinstance(await server.fails("nested_id"), InvalidOutput)
            await server.still_works()
            assert ended == []
            tasks.cancel_scope.cancel()


async def test_a_tool_that_asks_without_a_client_gets_an_error(connect: Connect):
    async with connect() as server:
        error = await server.fails("asks")
        assert isinstance(error, ToolError)
        assert (
            "faulty:asks asks for input, and the command line has no client to ask" in error.message
        )


async def test_invalid_lines_are_logged_once_in_a_while(
    connect: Connect, caplog: pytest.LogCaptureFixture
):
    async with connect() as server:
        for _ in range(10):
            await server.call("junk")
    told = [
        vars(record) for record in caplog.records if record.getMessage() == "server.invalid_lines"
    ]
    assert 1 <= len(told) < 10
    assert told[0]["server"] == "faulty"


async def test_a_server_that_sends_faster_than_we_read_is_slowed_down_and_can_still_be_stopped(
    connect: Connect,
):
    async with connect() as server:
        await server.call("full_pipe")
        await server.still_works()


async def test_progress_has_arrived_in_order_when_the_call_ends(connect: Connect):
    heard: list[object] = []
    async with connect() as server:
        await server.call("progress", on_progress=lambda told: heard.append(told["progress"]))
        assert heard == list(range(1, 21))


async def test_a_flood_on_stderr_blocks_nothing(connect: Connect):
    async with connect() as server:
        with anyio.fail_after(SOON):
            await server.call("stderr_flood")
        await server.still_works()


async def test_a_malformed_tool_is_left_out_and_the_others_stay(connect: Connect):
    async with connect("--bad-tools") as server:
        names = {tool.name for tool in server.connection.tools}
        assert {"echo", "die"} <= names
        assert not {"wrong_type", "no schema", "bad_output"} & names
        assert len(server.connection.info.warnings) == 5
        await server.still_works()


async def test_every_page_of_the_list_is_read_and_a_loop_ends(connect: Connect):
    async with connect("--pages", "5", "--loop") as server:
        assert len(server.connection.tools) == 30


async def test_a_result_is_not_lost_to_a_list_that_hangs(connect: Connect):
    async with connect("--relist-hangs") as server:
        await server.call("change_list")
        await server.still_works()
        assert server.connection.state is ServerState.READY


async def test_a_list_that_cannot_be_read_again_fails_no_call_and_removes_no_tool(connect: Connect):
    async with connect("--relist-fails") as server:
        tools = server.connection.tools
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.call, "hang")
            await until(lambda: "hang" in server.saw("call"))
            await server.call("change_list")
            await until(lambda: server.saw("lists") == [1, 2])
            await server.still_works()
            tasks.cancel_scope.cancel()
        assert server.connection.tools is tools
        assert len(server.saw("started")) == 1


async def test_a_changed_list_is_read_again_and_unchanged_tools_are_kept(connect: Connect):
    async with connect() as server:
        before = server.connection.tools
        await server.call("change_list")
        await until(lambda: len(server.connection.tools) == len(before) + 1)
        assert {tool.name for tool in server.connection.tools} - {tool.name for tool in before} == {
            "grown"
        }
        assert all(any(tool is old for tool in server.connection.tools) for old in before)


async def test_a_change_before_the_stream_of_changes_is_open_is_not_missed(connect: Connect):
    async with connect("--modern") as server:
        assert server.connection.info.protocol == "2026-07-28"
        await until(lambda: "grown" in [tool.name for tool in server.connection.tools])


async def test_the_stream_of_changes_is_opened_again_when_it_has_ended(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("plait.downstream.change_stream.FIRST_PAUSE_S", 0.01)
    async with connect("--modern") as server:
        await until(lambda: server.saw("lists") == [1, 2])
        await server.call("end_listening")
        await until(lambda: server.saw("listens") == [1, 2])
        await until(lambda: server.saw("lists") == [1, 2, 3])
        await server.still_works()


@pytest.mark.parametrize("flag", ["--die-on-probe", "--ignore-probe"])
async def test_servers_that_do_not_know_the_probe_are_connected(connect: Connect, flag: str):
    async with connect(flag) as server:
        assert server.connection.info.protocol == "2025-11-25"
        await server.still_works()
        await server.fails("die")
        await server.still_works()  # the verdict was kept: it is not probed to death again
    starts = len(server.saw("started"))
    assert starts == (3 if flag == "--die-on-probe" else 2)


async def test_a_server_that_failed_its_first_starts_is_not_taken_for_one_of_the_older_era(
    tmp_path: Path,
):
    args = ("-c", FAILS_TWICE, str(tmp_path / "starts"), MODERN, "stdio", str(tmp_path / "log"))
    settings = ServerSettings(command=sys.executable, args=args)
    async with running(Connection("late", settings, timings=QUICK)) as connection:
        await until(lambda: connection.state is ServerState.READY)
        assert connection.info.protocol == "2026-07-28"


async def test_a_modern_server_that_starts_more_slowly_than_the_probe_timeout_is_connected(
    tmp_path: Path,
):
    args = (MODERN, "stdio", str(tmp_path / "log"), "--slow", "1")
    settings = ServerSettings(command=sys.executable, args=args, probe_timeout_s=0.1)
    async with running(Connection("slow", settings, timings=QUICK)) as connection:
        await connection.wait_settled()
        assert connection.info.error is None
        assert connection.info.protocol == "2026-07-28"


async def test_a_server_that_does_not_speak_the_required_protocol_is_reported(connect: Connect):
    async with connect(protocol="modern") as server:
        assert "does not speak the protocol of 2026-07-28" in str(server.connection.info.error)
        assert isinstance(await server.fails("echo"), ServerUnavailable)


async def test_pauses_grow_between_the_starts_of_a_server_that_dies_at_once(connect: Connect):
    timings = ConnectTimings(first_backoff_s=0.1, longest_backoff_s=60)
    async with connect("--die", "1000", timings=timings) as server:
        assert "exit code 9" in str(server.connection.info.error)
        error = await server.fails("echo")
        assert isinstance(error, ServerUnavailable)
        assert "exit code 9" in error.message
        assert "next attempt is in" in str(error.hint)
        began, starts = anyio.current_time(), len(server.saw("started"))
        await until(lambda: len(server.saw("started")) == starts + 3)
        assert anyio.current_time() - began > 0.8 * (0.2 + 0.4)


async def test_a_missing_command_is_reported_and_calls_fail_at_once(connect: Connect):
    connection = Connection("no", ServerSettings(command="frobnicate"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        await connection.wait_settled()
        assert connection.info.error is not None
        assert "cannot start frobnicate: No such file or directory" in connection.info.error
        with anyio.fail_after(1), pytest.raises(ServerUnavailable, match="frobnicate"):
            await connection.call(a_call(Tool("no", "x"), {}))
        tasks.cancel_scope.cancel()
