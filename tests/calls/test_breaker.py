"""Calls that are refused because those before them failed, on a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from plait.calls.breaker import PROBE_WAIT_S, Breaker
from plait.core.ports import as_rpc_error
from plait.core.tools.circuit import IN_A_ROW
from plait.core.tools.server_notices import CircuitChanged
from plait.engine.gateway import Gateway
from plait.errors import (
    CallError,
    CircuitOpen,
    ConnectionLost,
    InternalError,
    InvalidArguments,
    InvalidOutput,
    OutputTooLarge,
    PolicyDenied,
    ProtocolError,
    ServerOff,
    ServerUnavailable,
    ToolError,
)
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeCaller, FakeServers, a_call, tool

pytestmark = pytest.mark.virtual_time
LOST = ConnectionLost("s went away")
AWAY = ServerUnavailable("s cannot be reached")


class Line:
    """A breaker before two servers, whose calls end as `error` says."""

    def __init__(self) -> None:
        self.servers = FakeServers()
        self.changes: list[CircuitChanged] = []
        self.error: CallError | None = None
        self.seconds = 0.0
        self.count = 0
        self.breaker = Breaker(self.servers, self.changes.append, chance=lambda: 0.5)
        for name in ("s:read", "s:other", "t:read"):
            self.servers.add(tool(name, readOnlyHint=True), self._answer)

    async def _answer(self) -> Any:
        self.count += 1
        await anyio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return {}

    async def call(self, name: str = "s:read", attempt: int = 1) -> CallError | None:
        """The error of one call."""
        call = a_call(self.servers.tools[name][0], caller=FakeCaller())
        try:
            await self.breaker(call._replace(id=call.id._replace(attempt=attempt)))
        except CallError as error:
            return error
        return None

    async def fail(self, error: CallError = LOST, times: int = IN_A_ROW) -> None:
        self.error = error
        for _ in range(times):
            await self.call()
        self.error = None

    @property
    def states(self) -> list[str]:
        return [f"{change.tool or change.server} {change.state}" for change in self.changes]

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        async with Gateway(self.servers, self.breaker, InMemoryRuns()) as gateway:
            yield gateway


@pytest.mark.parametrize("error", [LOST, AWAY])
async def test_after_failures_of_the_way_calls_are_refused_with_the_seconds_left(error: CallError):
    line = Line()
    await line.fail(error)
    await anyio.sleep(1)
    refused = await line.call()
    assert line.count == IN_A_ROW
    assert isinstance(refused, CircuitOpen)
    assert (refused.code, refused.retryable, refused.retry_after_s) == (
        "server_unavailable",
        True,
        4.0,
    )
    assert str(error) in refused.message
    assert await line.call("t:read") is None


@pytest.mark.parametrize(
    "error",
    [
        ToolError("no"),
        ProtocolError("no"),
        InvalidOutput("no"),
        OutputTooLarge("no"),
        ServerUnavailable("busy", retry_after_s=3.0),
        InvalidArguments("no"),
        PolicyDenied("no", denied_by="*"),
        InternalError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_a_server_says_and_what_is_refused_by_us_opens_no_circuit(error: CallError):
    line = Line()
    await line.fail(error, 100)
    assert (await line.call(), line.changes) == (None, [])


async def test_the_first_call_after_its_time_is_a_probe_and_closes_it():
    line = Line()
    await line.fail()
    await anyio.sleep(5)
    assert await line.call() is None
    assert line.states == ["s open", "s half_open", "s closed"]
    assert (line.changes[0].open_until, line.changes[0].reason) == (
        line.changes[0].at + 5,
        "s went away",
    )


async def test_calls_wait_for_the_end_of_a_probe():
    line = Line()
    await line.fail()
    await anyio.sleep(5)
    line.seconds = PROBE_WAIT_S - 1
    began, errors = anyio.current_time(), list[CallError | None]()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(_note, errors, line)
    assert errors == [None] * 20
    assert anyio.current_time() - began == 2 * line.seconds


async def test_calls_that_wait_for_a_probe_which_fails_or_takes_long_are_refused():
    line = Line()
    await line.fail()
    await anyio.sleep(5)
    line.seconds, line.error = PROBE_WAIT_S - 1, LOST
    errors = list[CallError | None]()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(_note, errors, line)
    assert [type(error) for error in errors] == [ConnectionLost, CircuitOpen, CircuitOpen]
    await anyio.sleep(10)
    line.seconds, line.error = PROBE_WAIT_S + 1, None
    errors.clear()
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(_note, errors, line)
    assert isinstance(errors[0], CircuitOpen)
    assert (errors[0].retry_after_s, errors[1]) == (1.0, None)


async def test_a_probe_that_is_cancelled_lets_the_next_call_be_one():
    line = Line()
    await line.fail()
    await anyio.sleep(5)
    line.seconds, errors = 2.0, list[CallError | None]()
    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(1):
            await line.call()
        tasks.start_soon(_note, errors, line)
    assert errors == [None]
    assert line.states[-2:] == ["s half_open", "s closed"]


async def test_a_server_that_is_back_is_probed_at_once():
    line = Line()
    await line.fail()
    line.breaker.server_is_back("s")
    assert await line.call() is None
    assert line.states == ["s open", "s half_open", "s half_open", "s closed"]


async def test_a_death_with_many_calls_on_their_way_opens_no_circuit():
    line = Line()
    line.seconds, line.error = 1.0, LOST
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(line.call)
    assert line.changes == []


async def test_the_retries_of_one_call_open_no_circuit():
    line = Line()
    line.error = LOST
    for attempt in range(1, 10):
        await line.call(attempt=attempt)
    assert line.changes == []


async def test_a_tool_that_times_out_is_refused_and_the_others_of_its_server_are_not():
    line = Line()
    line.seconds = 60.0
    async with line.gateway() as gateway:
        slow = {"id": "a", "tool": "s:read", "timeout_s": 2}
        for _ in range(IN_A_ROW):
            result: Any = await gateway.execute({"tasks": [slow]})
            assert result.document()["errors"][0]["code"] == "timeout"
        line.seconds = 0.0
        refused: Any = await gateway.execute({"tasks": [slow]})
        other: Any = await gateway.execute({"tasks": [{**slow, "tool": "s:other"}]})
    error = refused.document()["errors"][0]
    assert (error["code"], error["retry_after_s"]) == ("server_unavailable", 5.0)
    assert "s:read gave no answer in 2 s" in error["message"]
    assert other.status == "success"
    assert line.states == ["read open"]


async def test_calls_of_a_tool_that_time_out_together_count_as_one():
    line = Line()
    line.seconds = 60.0
    slow = {"id": "a", "tool": "s:read", "timeout_s": 2}
    each = {**slow, "for_each": [1, 2, 3, 4, 5, 6, 7, 8]}
    async with line.gateway() as gateway:
        await gateway.execute({"tasks": [each]})
        for states in ([], [], [], ["read open"]):
            await gateway.execute({"tasks": [slow]})
            assert line.states == states


async def test_a_server_whose_tools_time_out_is_refused_as_a_whole():
    line = Line()
    line.seconds = 60.0
    async with line.gateway() as gateway:
        for _ in range(IN_A_ROW):
            for name in ("s:read", "s:other"):
                await gateway.execute({"tasks": [{"id": "a", "tool": name, "timeout_s": 2}]})
    assert "s open" in line.states


async def test_a_call_that_had_little_time_says_nothing():
    line = Line()
    line.seconds = 60.0
    async with line.gateway() as gateway:
        for _ in range(20):
            await gateway.execute({"tasks": [{"id": "a", "tool": "s:read", "timeout_s": 0.9}]})
    assert line.changes == []


async def test_calls_by_name_are_refused_too_and_their_answers_count():
    line = Line()
    await line.fail()
    async with line.gateway() as gateway:
        with pytest.raises(CircuitOpen) as refused:
            await gateway.call("s", "read", {"name": "read"})
        told = as_rpc_error(refused.value)
        await anyio.sleep(5)
        await gateway.call("s", "read", {"name": "read"})
    assert (told.code, told.data) == (
        -32000,
        {"code": "server_unavailable", "retry_after_s": 5.0},
    )
    assert line.states[-1] == "s closed"


async def test_calls_that_are_cancelled_by_their_caller_say_nothing():
    line = Line()
    line.seconds = 60.0
    for _ in range(20):
        with anyio.move_on_after(10):
            await line.call()
    assert line.changes == []


async def test_a_retry_comes_after_the_open_time_and_no_other_call_is_held_for_it():
    line = Line()
    await line.fail()
    again = {"id": "a", "tool": "s:read", "retries": {"max": 1, "delay_s": 0.1}}
    began = anyio.current_time()
    async with line.gateway() as gateway:
        result: Any = await gateway.execute({"tasks": [again]})
        assert (result.status, anyio.current_time() - began) == ("success", 5.0)
        await line.fail()
        refused: Any = await gateway.execute({"tasks": [{"id": "a", "tool": "s:read"}]})
        refused = await gateway.execute({"tasks": [{"id": "a", "tool": "s:read"}]})
    assert refused.status == "failed"
    assert anyio.current_time() - began == 5.0


async def test_a_server_with_new_settings_is_not_held_to_what_was():
    line = Line()
    await line.fail()
    line.breaker.forget(["s"])
    assert await line.call() is None


async def _note(errors: list[CallError | None], line: Line) -> None:
    errors.append(await line.call())


async def test_a_server_that_is_off_has_no_circuit():
    line = Line()
    await line.fail(ServerOff("s is off: it needs TOKEN"), times=2 * IN_A_ROW)
    assert line.states == []
    assert line.count == 2 * IN_A_ROW
