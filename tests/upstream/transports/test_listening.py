"""Requests must arrive in time, and small answers are sent at once."""

from __future__ import annotations

import asyncio
import socket

import anyio
import pytest
from mcp import Client

from plait.upstream.transports.listening import Arrival, listen_on

from ...fakes import FakeServers
from ..conftest import structured, task
from .http_gateway import connected, served

POST = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: loc",
        POST + b"{",
        POST.replace(b"/mcp", b"/healthz") + b"{",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + POST,
    ],
)
async def test_a_request_that_does_not_arrive_in_time_is_closed(servers: FakeServers, sent: bytes):
    async with served(servers, arrival=Arrival(0.05, 0.05)) as gateway, asyncio.timeout(3):
        answer = await gateway.raw(sent)
    assert b"HTTP/1.1 408 Request Timeout" in answer


async def test_a_request_that_arrives_byte_by_byte_is_closed_in_time(servers: FakeServers):
    async with (
        served(servers, arrival=Arrival(0.1)) as gateway,
        connected(gateway.port) as (reader, writer),
    ):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.01)

        async with asyncio.timeout(3), anyio.create_task_group() as tasks:
            tasks.start_soon(drip)
            assert b"408" in await reader.readline()
            tasks.cancel_scope.cancel()


async def test_a_long_call_does_not_count_as_a_slow_request(servers: FakeServers, era: str):
    arrival = Arrival(0.2, 0.2)
    async with served(servers, arrival=arrival) as gateway, Client(gateway.url, mode=era) as client:
        document = {"tasks": [task("a", "s:sleep", arguments={"seconds": 0.6})]}
        result = await client.call_tool("execute_dag", document)
    assert structured(result)["status"] == "success"


def test_small_answers_are_sent_at_once_and_not_held_for_an_acknowledgement():
    with listen_on("127.0.0.1", 0) as listening:
        assert (
            listening.proto == socket.IPPROTO_TCP
        )  # by this asyncio knows that it may say so of each connection
