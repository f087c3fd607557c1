"""What is kept of our promises around the SDK's own transport for processes, which other platforms need."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.config import ServerSettings
from plait.core.tools.catalog import ServerState
from plait.downstream.connection import Connection
from plait.downstream.transports.transport import ConnectTimings, StdioTransport, open_transport
from plait.errors import CallError, ConnectionLost, InvalidOutput, OutputTooLarge

from .test_stdio_faults import QUICK, SERVER, SOON, Server, running

LIMIT = 1_000_000
Connect = Callable[..., Any]


@pytest.fixture
def said() -> list[str]:
    """What the server said on stderr."""
    return []


@pytest.fixture
def connect(tmp_path: Path, said: list[str]) -> Connect:
    @asynccontextmanager
    async def connect(*command: str, patience: ConnectTimings = QUICK) -> AsyncIterator[Server]:
        journal = tmp_path / "journal"
        program, *args = command or (sys.executable, SERVER, "--journal", str(journal))
        settings = ServerSettings(command=program, args=tuple(args), protocol="legacy")
        connection = Connection(
            "faulty",
            settings,
            max_message_bytes=LIMIT,
            patience=patience,
            on_stderr=said.append,
            open_transport=partial(open_transport, platform="win32"),
        )
        async with running(connection):
            with anyio.fail_after(SOON):
                await connection.settled()
            yield Server(connection, journal)

    return connect


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_where_the_platform_has_what_it_needs_the_transport_is_our_own(platform: str):
    settings = ServerSettings(command=sys.executable)
    made = open_transport("faulty", settings, LIMIT, lambda line: None, QUICK, platform=platform)
    assert isinstance(made, StdioTransport)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("deep", "recursion limit"),
        ("long_number", "out of range"),
        ("nan", "nan"),
        ("no_object", "no JSON-RPC answer"),
        ("surrogate", "unexpected end of hex escape"),
    ],
)
async def test_an_answer_that_cannot_be_read_ends_its_call_and_no_other(connect: Connect, fault: str, why: str):
    async with connect() as server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.call, "hang")
        error = await server.fails(fault)
        assert isinstance(error, InvalidOutput)
        assert why in error.message
        await server.still_works()
        tasks.cancel_scope.cancel()


async def test_an_answer_above_the_limit_ends_its_call(connect: Connect):
    async with connect() as server:
        error = await server.fails("big", bytes=LIMIT)
        assert isinstance(error, OutputTooLarge)
        assert "longer than 1,000,000 bytes" in error.message
        assert (await server.call("big", bytes=LIMIT - 200))["content"]


async def test_what_answers_nothing_is_passed_over_and_told(connect: Connect, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, "plait.downstream")
    async with connect() as server:
        await server.call("junk")
        await server.still_works()
    junk = [record.__dict__ for record in caplog.records if record.message == "server.junk"]
    assert [told["lines"] for told in junk] == [1, 2, 4]
    assert junk[0]["server"] == "faulty"


async def test_a_server_that_dies_fails_its_calls_with_its_last_words_and_comes_back(connect: Connect, said: list[str]):
    async with connect() as server:
        error = await server.fails("die")
        assert isinstance(error, ConnectionLost)
        await server.still_works()
    assert said == ["I am dying"]
    assert len(server.saw("started")) == 2


async def test_how_a_server_ended_is_told_with_its_last_words(connect: Connect):
    async with connect(sys.executable, "-c", "raise SystemExit('no licence')") as server:
        assert server.connection.error == "it closed its output; its last words: no licence"


async def test_a_server_that_stops_reading_is_ended_and_started_again(connect: Connect):
    patience = ConnectTimings(first_backoff_s=0.05, refresh_pause_s=0.01, write_timeout_s=0.3)
    async with connect(patience=patience) as server:
        await server.call("stop_reading")
        ends: list[CallError | int] = []

        async def echo() -> None:
            try:
                ends.append(len((await server.call("echo", x="y" * 900_000))["structuredContent"]["x"]))
            except CallError as error:
                ends.append(error)

        with anyio.fail_after(SOON):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(echo)
    lost = [end for end in ends if isinstance(end, ConnectionLost)]
    assert lost
    assert {str(error.message) for error in lost} == {
        "faulty went away during the call: it was stopped: it has not read its input for 0.3 s"
    }
    assert len(server.saw("started")) == 2


async def test_a_server_that_does_not_read_holds_up_no_caller(connect: Connect):
    async with connect() as server:
        await server.call("stop_reading")
        for _ in range(3):
            with anyio.move_on_after(0.2) as scope:
                await server.call("echo", x="y" * 900_000)
            assert scope.cancelled_caught
            assert anyio.current_time() - scope.deadline < 1.5


async def test_a_command_that_does_not_exist_is_told(connect: Connect):
    async with connect("no-such-command-of-any-kind") as server:
        assert server.connection.state is ServerState.RETRYING
        assert "cannot start no-such-command-of-any-kind" in str(server.connection.error)
        assert "PATH" in str(server.connection.error)


async def test_long_and_many_lines_on_stderr_block_nothing(connect: Connect, said: list[str]):
    async with connect() as server:
        await server.call("stderr_flood")
        await server.still_works()
    assert len(said) > 100_000
    assert max(map(len, said)) <= 8 * 1024
