"""A server that is a process: what it inherits, how it is ended, and how its end is explained."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import mcp_types as types
import pytest

from plait.downstream.mcp_sdk import SessionMessage
from plait.downstream.transports.faults import Unsent
from plait.downstream.transports.lines import Lines
from plait.downstream.transports.pacing import MANY, REST_S
from plait.downstream.transports.process import QUEUE_HIGH, QUEUE_LOW, Process, ProcessTransport
from plait.errors import ServerUnavailable
from plait.waiting import LONGEST_REST_S, RESTS

SOON = 30.0
LIMIT = 200_000
ECHO = 'while read -r line; do echo "$line"; done'
"""A script that says what it hears, until it hears nothing more."""
REQUEST = SessionMessage(types.JSONRPCRequest(jsonrpc="2.0", id=1, method="ping"))
NOTICE = SessionMessage(types.JSONRPCNotification(jsonrpc="2.0", method="notifications/x"))


def running(script: str, **options: Any) -> ProcessTransport:
    return ProcessTransport("sh", ["-c", script], **options)


async def all_of(read: Any) -> list[Any]:
    with anyio.fail_after(SOON):
        return [item.message async for item in read]


async def test_messages_are_written_and_read_until_its_input_is_closed():
    transport = running(ECHO)
    async with transport.streams() as (read, write):
        assert transport.is_open
        for _ in range(3):
            await write.send(NOTICE)
        with anyio.fail_after(SOON):
            assert [await read.receive() for _ in range(3)] == [NOTICE] * 3
    assert (transport.is_open, transport.exit_reason()) == (False, "it ended with exit code 0")


async def test_messages_that_were_written_before_the_end_are_still_read():
    notice = '{"jsonrpc":"2.0","method":"notifications/x"}'
    async with running(f"echo '{notice}'; echo '{notice}'").streams() as (read, _):
        assert len(await all_of(read)) == 2


async def test_a_process_that_is_gone_takes_nothing_and_a_request_to_it_was_not_sent():
    async with running("exit 3").streams() as (read, write):
        await all_of(read)
        with pytest.raises(Unsent, match="it ended with exit code 3"):
            await write.send(REQUEST)
        with pytest.raises(anyio.BrokenResourceError):
            await write.send(NOTICE)
        with pytest.raises(anyio.EndOfStream):
            await read.receive()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 0", "it ended with exit code 0"),
        (
            "echo 'no licence' >&2; exit 3",
            "it ended with exit code 3; its last message: no licence",
        ),
        ("echo listening >&2; kill -KILL $$", "it was ended by SIGKILL"),
        ("echo listening >&2; kill -TERM $$", "it was ended by SIGTERM"),
        (
            "echo 'out of luck' >&2; kill -ABRT $$",
            "it was ended by SIGABRT; its last message: out of luck",
        ),
    ],
)
async def test_the_end_of_a_process_is_explained_by_its_stderr_unless_others_ended_it(
    script: str, reason: str
):
    transport = running(script)
    async with transport.streams() as (read, _):
        await all_of(read)
    assert transport.exit_reason() == reason


async def test_the_last_line_of_stderr_is_read_before_the_end():
    for _ in range(20):  # the process, its output and its stderr end in any order
        transport = running("echo 'no licence' >&2; exit 3")
        async with transport.streams() as (read, _write):
            await all_of(read)
        assert transport.exit_reason().endswith("no licence")


async def test_a_process_that_closes_its_stderr_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("plait.downstream.transports.process.DRAIN_S", 0)
    transport = running(f"exec 2>&-; {ECHO}")
    async with transport.streams() as (read, write):
        for _ in range(5):
            await write.send(NOTICE)
            with anyio.fail_after(SOON):
                assert await read.receive() == NOTICE


async def test_a_line_above_the_limit_ends_the_process_and_is_the_reason():
    transport = running("yes | tr -d '\\n'", max_line_bytes=10_000)
    async with transport.streams() as (read, _):
        await all_of(read)
        assert not transport.is_open
    assert "a line of its answers is longer than 10,000 bytes" in transport.exit_reason()


async def test_lines_that_are_no_messages_are_counted_and_lines_of_stderr_passed_on():
    invalid, stderr = list[int](), list[str]()
    transport = running(
        "echo hello; echo world; echo careful >&2",
        on_invalid_lines=lambda count, why: invalid.append(count),
        on_stderr=stderr.append,
    )
    async with transport.streams() as (read, _):
        assert await all_of(read) == []
    assert (invalid[-1], stderr) == (2, ["careful"])


async def test_a_process_has_the_environment_that_it_is_given_and_else_what_is_safe_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("GATEWAY_SECRET", "s3cret")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/company.pem")
    seen = tmp_path / "environment"
    path = {"PATH": os.environ["PATH"]}
    async with running(f"env > {seen}", env={"MINE": "1", **path}).streams() as (read, _):
        await all_of(read)
    assert "MINE=1" in (given := seen.read_text().splitlines())
    assert "SSL_CERT_FILE=/etc/company.pem" not in given
    async with running(f"env > {seen}").streams() as (read, _):
        await all_of(read)
    assert "SSL_CERT_FILE=/etc/company.pem" in seen.read_text()
    assert "s3cret" not in seen.read_text()


async def test_a_process_runs_in_its_folder(tmp_path: Path):
    async with running("touch here", cwd=tmp_path).streams() as (read, _):
        await all_of(read)
    assert (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("command", "folder", "reason"),
    [
        ("frobnicate", None, "cannot start frobnicate: No such file or directory"),
        (sys.executable, "gone", "/gone does not exist"),
    ],
)
async def test_a_process_that_cannot_be_started_says_why(
    tmp_path: Path, command: str, folder: str | None, reason: str
):
    transport = ProcessTransport(command, cwd=tmp_path / folder if folder else None)
    with pytest.raises(ServerUnavailable, match=reason):
        async with transport.streams():
            pass
    assert (transport.pid, transport.is_open) == (None, False)
    assert transport.exit_reason() == "it was not started"


async def written(file: Path) -> str:
    """The line that a process writes to *file*."""

    def line() -> str:
        return file.read_text() if file.exists() else ""

    with anyio.fail_after(SOON):
        while not line().endswith("\n"):
            await anyio.sleep(0.01)
    return line()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("trap 'exit 7' TERM; echo $$ > {ready}; while :; do sleep 0.01; done", "exit code 7"),
        ("trap '' TERM; echo $$ > {ready}; while :; do sleep 0.01; done", "SIGKILL"),
    ],
)
async def test_a_process_that_ignores_the_end_of_its_input_gets_sigterm_and_then_sigkill(
    tmp_path: Path, script: str, reason: str
):
    ready = tmp_path / "ready"
    transport = running(script.format(ready=ready), grace_s=0.2)
    async with transport.streams():
        await written(ready)
    assert reason in transport.exit_reason()


async def test_the_children_of_a_process_end_with_it(tmp_path: Path):
    ready = tmp_path / "ready"
    async with running(f"sleep 600 & echo $! > {ready}; wait", grace_s=0.05).streams():
        child = int(await written(ready))
        os.kill(child, 0)  # it is there
    with anyio.fail_after(SOON):
        while is_alive(child):
            await anyio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.parent.parent.exists() or stat.read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it ended just now
        return False


async def test_a_process_that_reads_nothing_is_ended_after_its_time_limit():
    transport = running("sleep 600", write_timeout_s=0.1)
    async with transport.streams() as (read, write):
        params: dict[str, Any] = {"x": "x" * 3_000_000}
        await write.send(
            SessionMessage(types.JSONRPCNotification(jsonrpc="2.0", method="x", params=params))
        )
        await write.send(
            SessionMessage(
                types.JSONRPCNotification(
                    jsonrpc="2.0", method="notifications/cancelled", params={"requestId": 1}
                )
            )
        )  # which waits for nobody
        assert await all_of(read) == []
    assert transport.exit_reason() == "it was stopped: it has not read its input for 0.1 s"


async def test_what_a_silent_server_wrote_instead_of_messages_is_said():
    transport = running("printf 'Content-Length: 2\\r\\n\\r\\n{}'; exec cat >&2")
    assert transport.delay_reason() == "it did not answer"
    async with transport.streams():
        process = transport._process
        assert process is not None
        with anyio.fail_after(SOON):
            while not process.lines.invalid_lines:
                await anyio.sleep(0.01)
        said = transport.delay_reason()
    assert said.startswith("it wrote other lines than messages to its standard output")
    assert "not JSON: Expecting value at line 1, column 1, and did not answer" in said


class Stdout(asyncio.ReadTransport):
    """The output of a server, as far as it is read."""

    is_paused = False

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False


def reading(lines: Lines) -> tuple[Process, Stdout]:
    """A process without one: what it writes is given to it."""
    stdout = Stdout()
    process = Process(lines, lambda line: None, lambda count, why: None, 1.0)
    process._transport = cast(Any, SimpleNamespace(get_pipe_transport=lambda _: stdout))
    return process, stdout


PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


@pytest.mark.virtual_time
async def test_a_server_that_sends_many_messages_is_read_with_rests_in_between():
    process, _ = reading(Lines(LIMIT))
    process.pipe_data_received(1, PING * 5 * MANY)
    began = anyio.current_time()
    for _ in range(5 * MANY):
        await process.receive()
    assert anyio.current_time() - began == pytest.approx(4 * REST_S)
    process.pipe_data_received(1, PING)
    began = anyio.current_time()
    await process.receive()
    assert anyio.current_time() - began in (0, pytest.approx(REST_S))


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "line", [b"[[[\n", b'{"jsonrpc":"2.0","method":"notifications/x"}\n', PING]
)
async def test_reading_rests_for_longer_than_what_nobody_asked_for_took(
    line: bytes, monkeypatch: pytest.MonkeyPatch
):
    clock = iter(range(1_000))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock) / 100)
    process, stdout = reading(Lines(LIMIT))
    process.lines.on_notification = lambda method, params: None
    process.pipe_data_received(1, line)
    assert stdout.is_paused
    await anyio.sleep(RESTS / 100 - 0.001)
    assert stdout.is_paused
    await anyio.sleep(0.002)
    assert [stdout.is_paused] == [False]
    process.pipe_data_received(1, line * 400)
    await anyio.sleep(LONGEST_REST_S + 0.001)
    assert [stdout.is_paused] == [False]


@pytest.mark.virtual_time
async def test_reading_does_not_rest_for_answers(monkeypatch: pytest.MonkeyPatch):
    clock = iter(range(1_000))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock) / 100)
    process, stdout = reading(Lines(LIMIT))
    for id in range(5):
        process.lines.expect(id)
    process.pipe_data_received(
        1, b"".join(b'{"jsonrpc":"2.0","id":%d,"result":{}}\n' % id for id in range(5))
    )
    assert not stdout.is_paused


@pytest.mark.virtual_time
async def test_reading_goes_on_once_both_reasons_for_a_pause_are_gone():
    process, stdout = reading(Lines(10 * LIMIT))
    process.pipe_data_received(1, PING * (QUEUE_HIGH + 1))
    assert stdout.is_paused
    process._rest(LONGEST_REST_S)
    while len(process._queue) >= QUEUE_LOW:
        await process.receive()
    await anyio.sleep(LONGEST_REST_S)
    assert [stdout.is_paused] == [False]
