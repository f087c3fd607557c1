"""The shared gateway over its links: versions, retiring, commands and the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from plait import __version__
from plait.app.parts import Parts
from plait.config import GatewaySettings
from plait.door.frames import CONTROL, HELLO, MESSAGE, frame
from plait.machine.desks import server_keys
from plait.machine.shared import SharedGateway
from plait.redaction import Secrets
from plait.upstream.stopping import Stop
from plait.upstream.transports.frame_stream import FrameStream
from plait.upstream.transports.served import Hello, Refused


def hello(version: str = __version__, *, protocol: str = "1", is_isolated: bool = False) -> Hello:
    return Hello(protocol, version, "d", Path("/nowhere"), (), {}, is_isolated)


def person(version: str = __version__) -> Hello:
    return replace(hello(version), client="call")


@asynccontextmanager
async def gateways() -> AsyncIterator[tuple[SharedGateway, Stop]]:
    stop = Stop(give_up=lambda code: None)
    async with (
        Parts(GatewaySettings(learn=False), None, keys=server_keys) as parts,
        anyio.create_task_group() as tasks,
    ):
        yield SharedGateway(tasks, stop, parts, Secrets(), {}), stop
    stop.done()


@pytest.mark.parametrize("version", [__version__, "0.0.1"])
async def test_a_door_of_the_same_or_an_older_version_is_served(version: str):
    async with gateways() as (gateway, _):
        assert (await gateway.greet(hello(version))).max_line_bytes > 0
        assert not gateway.is_retiring


@pytest.mark.parametrize("late", [hello("999.0"), hello(protocol="2")])
async def test_a_newer_door_is_refused_and_the_gateway_ends_once_it_is_unused(late: Hello):
    async with gateways() as (gateway, stop):
        with pytest.raises(Refused, match="plait restart") as refused:
            await gateway.greet(late)
        assert refused.value.code == "version"
        assert gateway.is_retiring
        assert not stop.asked.is_set()
        gateway.end_if_unused()
        assert stop.asked.is_set()


async def test_a_newer_command_of_a_person_is_refused_and_nothing_else():
    async with gateways() as (gateway, _):
        with pytest.raises(Refused):
            await gateway.greet(person("999.0"))
        assert not gateway.is_retiring


@pytest.mark.parametrize("order", [b"{}", b"no JSON", b'{"command": {"name": "halt"}}'])
async def test_a_command_that_is_not_understood_is_refused(order: bytes, tmp_path: Path):
    there = replace(person(), folder=tmp_path, environ={"PLAIT_STATE_DIR": str(tmp_path / "s")})
    async with gateways() as (gateway, _):
        with pytest.raises(Refused, match="not understood") as refused:
            async with gateway.carry_out(there, {}, order, FrameStream()):
                raise AssertionError
        assert refused.value.code == "protocol"
        gateway.desks.close_all()


async def test_a_gateway_that_nobody_ever_used_ends_after_the_default_time(
    monkeypatch: pytest.MonkeyPatch,
):
    async with gateways() as (gateway, stop):
        gateway.end_if_unused()
        assert not stop.asked.is_set()
        later = anyio.current_time() + 901
        monkeypatch.setattr("plait.machine.shared.anyio.current_time", lambda: later)
        gateway.end_if_unused()
        assert stop.asked.is_set()


@pytest.mark.parametrize("command", ["stop", "restart"])
async def test_a_person_may_end_it(command: str):
    async with gateways() as (gateway, stop):
        assert (await gateway.control(command))["ends"] is True
        assert stop.asked.is_set()


async def test_an_unknown_command_does_nothing():
    async with gateways() as (gateway, stop):
        assert await gateway.control("halt") == {"error": "unknown command: halt"}
        assert not stop.asked.is_set()


async def test_a_door_of_another_user_is_not_served(monkeypatch: pytest.MonkeyPatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    ours.setblocking(False)
    user = os.geteuid()
    async with gateways() as (gateway, _):
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(gateway.accept, sock=theirs)
        with anyio.fail_after(10), contextlib.suppress(ConnectionResetError):
            assert await loop.sock_recv(ours, 100) == b""
        assert not gateway.links
    ours.close()


async def test_a_door_that_breaks_the_protocol_is_sent_away_and_harms_no_other():
    ends = [socket.socketpair(socket.AF_UNIX) for _ in range(2)]
    loop = asyncio.get_running_loop()
    async with gateways() as (gateway, _):
        for ours, theirs in ends:
            ours.setblocking(False)
            await loop.create_unix_connection(gateway.accept, sock=theirs)
        (bad, _), (good, _) = ends
        await loop.sock_sendall(bad, frame(CONTROL, b"stop the world"))
        await loop.sock_sendall(good, frame(CONTROL, b"ps"))
        with anyio.fail_after(10):
            assert b"unknown command" in await loop.sock_recv(bad, 1000)
            assert b"desks" in await loop.sock_recv(good, 1000)
            await loop.sock_sendall(bad, frame(HELLO, b"hello=1") + frame(MESSAGE, b"{}"))
            while await loop.sock_recv(bad, 1000):
                pass
        assert len(gateway.links) == 1
        bad.close()
        good.close()
