"""A port at a desk: clients over HTTP, next to those behind doors."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client

from plait import __version__
from plait.door import frames
from plait.door.port import PortOrder
from plait.machine import ports
from plait.machine.ports import Port
from plait.machine.shared import SharedGateway
from plait.upstream.transports.frame_stream import FrameStream
from plait.upstream.transports.served import SERVE, SERVE_HTTP, Hello, Refused

from ..downstream.changing import ChangingServer, until
from ..upstream.conftest import structured
from .test_errands import Person
from .test_shared import gateways

ORDER = PortOrder("127.0.0.1", 0, None)
HANG: dict[str, Any] = {"tasks": [{"id": "a", "tool": "s:wait"}]}


@pytest.fixture
def changing(tmp_path: Path) -> ChangingServer:
    return ChangingServer(tmp_path / "s")


def hello(folder: Path, changing: ChangingServer, client: str = SERVE_HTTP) -> Hello:
    """That of a client whose settings have one server and one profile."""
    server = changing.settings(cwd=folder)
    words = ", ".join(map(json.dumps, server.args))
    (folder / "servers.toml").write_text(
        f'[servers.s]\ncommand = {json.dumps(server.command)}\nargs = [{words}]\ncwd = "."\n'
        '[servers.w]\nbuiltin = "workspace"\nroot = "."\nlazy = true\n'
        '[profiles.some]\nservers = ["s"]\nexpose = "all"\n'
    )
    environ = {"PLAIT_STATE_DIR": str(folder / "state")}
    return Hello("1", __version__, "d", folder, ("--config=servers.toml",), environ, False, client)


@asynccontextmanager
async def opened(
    gateway: SharedGateway, client: Hello, order: PortOrder = ORDER
) -> AsyncIterator[tuple[Person, Port]]:
    """The end of the command that has a port opened; at the end of the block it asks for the
    end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    stream = FrameStream()
    await asyncio.get_running_loop().create_unix_connection(lambda: stream, sock=theirs)
    async with (
        gateway.carry_out(client, {}, order.written(), stream) as errand,
        anyio.create_task_group() as tasks,
    ):
        assert isinstance(errand, Port)
        tasks.start_soon(errand.run)
        person = Person(ours)
        with anyio.fail_after(30):
            yield person, errand
            person.leave()
    stream.close()


async def url_of(person: Person) -> str:
    kind, payload = await person.next()
    assert kind == frames.PORT
    return payload.decode()


async def test_clients_over_http_and_behind_doors_share_servers(
    changing: ChangingServer, tmp_path: Path
):
    client = hello(tmp_path, changing)
    async with (
        gateways() as (gateway, _),
        gateway.open(hello(tmp_path, changing, SERVE), {}),
        opened(gateway, client) as (person, _),
    ):
        url = await url_of(person)
        look = {"tasks": [{"id": "a", "tool": "s:look"}]}
        outputs = []
        for mode in ("legacy", "2026-07-28"):
            for query in ("", "?profile=some"):
                async with Client(url + query, mode=mode) as http:
                    answer = structured(await http.call_tool("execute_dag", look))
                    outputs.append(answer["outputs"])
        assert outputs[1:] == outputs[:1] * 3
        doors, over_http = gateway.desks.open_ones.values()
        assert "run_tests" in over_http.config.servers["w"].exclude
        assert doors.config.servers["w"].exclude == ()
        assert over_http.clients == 1
        gateway.desks.close_all()
    assert changing.asked.count("start") == 1


async def test_a_hang_up_of_the_command_has_the_settings_read_anew(
    changing: ChangingServer, tmp_path: Path
):
    async with (
        gateways() as (gateway, _),
        opened(gateway, hello(tmp_path, changing)) as (person, _),
    ):
        await url_of(person)
        [desk] = gateway.desks.open_ones.values()
        (tmp_path / "servers.toml").write_text('[servers.w]\nbuiltin = "workspace"\nlazy = true\n')
        await person.interrupt(signal.SIGHUP)
        await until(lambda: list(desk.gateway.catalog().servers) == ["w"])
        await until(lambda: "run_tests" in desk.config.servers["w"].exclude)
        gateway.desks.close_all()


async def test_a_port_that_is_taken_is_refused_in_the_words_of_the_system(
    changing: ChangingServer, tmp_path: Path
):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        order = PortOrder("127.0.0.1", taken.getsockname()[1], None)
        async with (
            gateways() as (gateway, _),
            opened(gateway, hello(tmp_path, changing), order) as (person, _),
        ):
            assert await person.next() == (frames.MISUSED, b"--http\0Address already in use")
            gateway.desks.close_all()


async def test_an_order_of_another_version_is_refused(changing: ChangingServer, tmp_path: Path):
    async with gateways() as (gateway, _):
        with pytest.raises(Refused, match="not understood") as refused:
            async with gateway.carry_out(hello(tmp_path, changing), {}, b"", FrameStream()):
                pass
        gateway.desks.close_all()
    assert refused.value.code == "protocol"


async def test_who_may_come_in_is_as_the_order_says(changing: ChangingServer, tmp_path: Path):
    order = PortOrder("127.0.0.1", 0, "s3cret", ("allowed.example",))
    async with (
        gateways() as (gateway, _),
        opened(gateway, hello(tmp_path, changing), order) as (person, _),
        httpx2.AsyncClient() as http,
    ):
        url = await url_of(person)
        statuses = []
        for host, token in (
            ("allowed.example", "s3cret"),
            ("allowed.example", "x"),
            ("e.org", "x"),
        ):
            headers = {"host": host, "authorization": f"Bearer {token}"}
            statuses.append((await http.get(url, headers=headers)).status_code)
        gateway.desks.close_all()
    assert statuses == [400, 401, 421]


async def test_the_end_of_a_port_ends_its_calls_and_no_others(
    changing: ChangingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ports, "DRAIN_S", 0.05)
    client = hello(tmp_path, changing)
    answers: dict[str, Any] = {}

    async def call(name: str, url: str) -> None:
        async with Client(url) as http:
            answers[name] = structured(await http.call_tool("execute_dag", HANG))

    async with (
        gateways() as (gateway, _),
        opened(gateway, client) as (other, _),
        opened(gateway, client) as (person, _),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(call, "other", await url_of(other))
        tasks.start_soon(call, "ours", await url_of(person))
        [desk] = gateway.desks.open_ones.values()
        await until(lambda: len(desk.runs) == 2)
        await person.interrupt()
        assert await person.next() == (frames.EXIT, b"0")
        await until(lambda: "ours" in answers)
        assert answers["ours"]["status"] == "cancelled"
        assert list(answers) == ["ours"]
        changing.answer_wait()
        await until(lambda: "other" in answers)
        assert answers["other"]["status"] == "success"
        gateway.desks.close_all()


async def test_a_gateway_that_ends_closes_the_port_before_it_sends_the_command_away(
    changing: ChangingServer, tmp_path: Path
):
    async with (
        gateways() as (gateway, _),
        opened(gateway, hello(tmp_path, changing)) as (person, port),
    ):
        url = await url_of(person)
        await port.drain()
        async with httpx2.AsyncClient() as http:
            with pytest.raises(httpx2.ConnectError):
                await http.get(url)
        assert repr(port).startswith("<Port 127.0.0.1:0 of <Desk of ")
        gateway.desks.close_all()
