"""Section 4 of the contract: who cancels a run, by transport, and what its servers see of it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client

from plait.app.gateway import Gateway
from plait.app.serving import run_stdio
from plait.config import GatewaySettings, load_config
from plait.upstream.stopping import Stop

from ..app.conftest import config, told  # noqa: F401  # fixtures: a server that records cancellations
from ..upstream.transports.http_gateway import (
    INITIALIZE,
    Served,
    in_session,
    modern,
    request,
    served,
)
from .conftest import House, task

INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
DOCUMENT = {"tasks": [task("a", "s:hang"), task("b", x="$OUTPUT[a]")]}


class Hanging:
    """The tool `s:hang`, which ends when it is released."""

    def __init__(self, house: House) -> None:
        self.called, self.released = anyio.Event(), anyio.Event()
        self.ended, self.aborted = anyio.Event(), anyio.Event()
        house.servers.add("s:hang", self._hang)

    async def _hang(self) -> dict[str, Any]:
        self.called.set()
        try:
            await self.released.wait()
        except BaseException:
            self.aborted.set()
            raise
        self.ended.set()
        return {}


@pytest.fixture
def hanging(house: House) -> Hanging:
    return Hanging(house)


# stdio


class Piped:
    """A client on a pipe, and the gateway at its other end."""

    def __init__(self, fd: int, stop: Stop) -> None:
        self.input = open(fd, "w")  # noqa: SIM115  # closed by the tests, or with the gateway
        self.stop = stop
        self.served = anyio.Event()

    def send(self, method: str, params: Any, id: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        print(json.dumps(message | ({} if id is None else {"id": id})), file=self.input, flush=True)


@asynccontextmanager
async def on_a_pipe(house: House) -> AsyncIterator[Piped]:
    (reading, asking), (answers, writing) = os.pipe(), os.pipe()
    stop = Stop(give_up=lambda status: None)
    client = Piped(asking, stop)

    async def serve() -> None:
        await run_stdio(gateway, GatewaySettings(), reading, writing, stop, drain_s=0)
        client.served.set()

    with anyio.fail_after(20):
        async with house.gateway() as gateway, anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            client.send("initialize", INITIALIZE["params"], 1)
            client.send("notifications/initialized", {})
            client.send("tools/call", {"name": "execute_dag", "arguments": DOCUMENT}, 2)
            yield client
            stop.ask()
    stop.done()
    client.input.close()
    os.close(answers)


async def test_over_stdio_the_clients_cancel_cancels_the_run(
    house: House, hanging: Hanging
) -> None:
    async with on_a_pipe(house) as client:
        await hanging.called.wait()
        client.send("notifications/cancelled", {"requestId": 2})
        await hanging.aborted.wait()
        assert not client.served.is_set()


async def test_over_stdio_a_disconnect_cancels_the_run(house: House, hanging: Hanging) -> None:
    async with on_a_pipe(house) as client:
        await hanging.called.wait()
        client.input.close()
        await hanging.aborted.wait()
        await client.served.wait()


async def test_over_stdio_shutdown_cancels_the_run(house: House, hanging: Hanging) -> None:
    async with on_a_pipe(house) as client:
        await hanging.called.wait()
        client.stop.ask()
        await hanging.aborted.wait()
        await client.served.wait()


# HTTP


CALL = {"name": "execute_dag", "arguments": DOCUMENT}


@asynccontextmanager
async def serving(house: House) -> AsyncIterator[Served]:
    with anyio.fail_after(20):
        async with served(house.servers, drain_s=0) as gateway:
            yield gateway


@asynccontextmanager
async def waiting_for(request: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    """*request* is under way while the block runs; then nobody waits for it any more."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request)
        yield
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_over_http_the_clients_cancel_cancels_the_run(
    house: House, hanging: Hanging, mode: Any
) -> None:
    async with serving(house) as gateway, Client(gateway.url, mode=mode) as client:
        async with waiting_for(partial(client.call_tool, "execute_dag", DOCUMENT)):
            await hanging.called.wait()
        await hanging.aborted.wait()


async def test_over_http_of_2026_a_disconnect_cancels_the_run(
    house: House, hanging: Hanging
) -> None:
    message, headers = modern("tools/call", CALL)
    async with serving(house) as gateway, httpx2.AsyncClient() as http:
        async with waiting_for(partial(http.post, gateway.url, json=message, headers=headers)):
            await hanging.called.wait()
        await hanging.aborted.wait()


async def test_over_http_of_2025_a_disconnect_does_not_mean_it_and_the_run_goes_on(
    house: House, hanging: Hanging
) -> None:
    async with serving(house) as gateway, in_session(gateway) as client:
        async with waiting_for(partial(client.post, request("tools/call", CALL))):
            await hanging.called.wait()
        assert (await client.post(request("ping", id=3))).status_code == 200
        hanging.released.set()
        await hanging.ended.wait()
    assert not hanging.aborted.is_set()


async def test_over_sse_a_disconnect_cancels_the_run(house: House, hanging: Hanging) -> None:
    async with serving(house) as gateway, httpx2.AsyncClient(base_url=gateway.base) as http:
        async with http.stream("GET", "/sse") as stream:
            lines = stream.aiter_lines()
            address = [await anext(lines) for _ in range(2)][1].removeprefix("data: ")
            for message in (INITIALIZE, INITIALIZED, request("tools/call", CALL)):
                assert (await http.post(address, json=message)).status_code == 202
            await hanging.called.wait()
        await hanging.aborted.wait()


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_over_http_shutdown_cancels_the_run_and_answers_with_what_there_is(
    house: House, hanging: Hanging, mode: Any
) -> None:
    answers: list[Any] = []

    async def call() -> None:
        answers.append(await client.call_tool("execute_dag", DOCUMENT))

    async with (
        serving(house) as gateway,
        Client(gateway.url, mode=mode) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(call)
        await hanging.called.wait()
        gateway.stop.ask()
    assert hanging.aborted.is_set()
    assert answers[0].structured_content["status"] == "cancelled"


# Downstream


async def test_each_call_in_flight_is_cancelled_downstream_and_nothing_is_left_running(
    config: Path,  # noqa: F811  # the fixture
    told: Path,  # noqa: F811
) -> None:
    """The server writes down that it was called, and each `notifications/cancelled`."""
    os.mkfifo(told)
    written = os.open(told, os.O_RDWR)
    try:
        with anyio.fail_after(20):
            async with Gateway.from_config(load_config(config)) as gateway:
                run = await gateway.submit({"tasks": [task(id, "numbers:hang") for id in "ab"]})
                await _read(written, "called called ")
                pid = gateway.catalog().servers["numbers"].pid
                assert (await gateway.cancel(run.run_id)).status == "cancelled"
                await _read(written, "cancelledcancelled")
    finally:
        os.close(written)
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def _read(fd: int, text: str) -> None:
    """Read *text*, and nothing else, from *fd*."""
    found = ""
    while len(found) < len(text):
        await anyio.wait_readable(fd)
        found += os.read(fd, 4096).decode()
    assert found == text
