"""Watched resources and the log level at one server of either era, from one connection to the
next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError

from plait.core.values.strict import JsonObject
from plait.downstream.change_stream import ChangeStream
from plait.downstream.eras.handshake import Era
from plait.downstream.subscriptions import MOST_WATCHED, ServerSubscriptions
from plait.errors import RpcError, ServerUnavailable

SUBSCRIBE, UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"
SET_LEVEL = "logging/setLevel"


class Server:
    """A server of one era that has been sent *sent*; it refuses methods, and resources on its
    stream of changes."""

    def __init__(self, era: Era = Era.LEGACY, *refused: str) -> None:
        self.era = era
        self.change_stream: ChangeStream | None = None
        self.subscriptions = ServerSubscriptions()
        self.sent: list[Any] = []
        self._refused = refused

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        self.sent.append((method, params))
        if method in self._refused:
            raise MCPError(types.INTERNAL_ERROR, "the database is down")
        return {"x-odd": 1}

    async def send(self, method: str, **params: Any) -> JsonObject:
        return await self.subscriptions.send(self, method, params, self.request)

    @asynccontextmanager
    async def with_stream(self) -> AsyncIterator[None]:
        async def listen(params: JsonObject) -> None:
            wanted: Any = params["notifications"]
            self.sent.append(wanted["resourceSubscriptions"])
            honoured = [uri for uri in self.sent[-1] if uri not in self._refused]
            assert self.change_stream is not None
            self.change_stream.acknowledge({"notifications": {"resourceSubscriptions": honoured}})
            await anyio.sleep_forever()

        def wanted() -> JsonObject:
            return {"resourceSubscriptions": [*self.subscriptions.watched]}

        async with anyio.create_task_group() as tasks:
            self.change_stream = ChangeStream(tasks, listen, wanted)
            yield
            tasks.cancel_scope.cancel()


async def test_a_server_of_the_handshake_era_gets_each_request_and_its_answer_is_passed_on():
    server = Server()
    requests: list[tuple[str, Any]] = [
        (SUBSCRIBE, {"uri": "note://1", "x-odd": 1}),
        (SET_LEVEL, {"level": "info"}),
        (UNSUBSCRIBE, {"uri": "note://1"}),
        (UNSUBSCRIBE, {"uri": "note://never"}),
    ]
    for method, params in requests:
        assert server.subscriptions.handles(method)
        assert await server.send(method, **params) == {"x-odd": 1}
    assert server.sent == requests
    assert (list(server.subscriptions.watched), server.subscriptions.level) == ([], "info")
    assert not server.subscriptions.handles("resources/read")


async def test_a_server_of_2026_gets_the_resources_with_its_stream_and_the_level_with_requests():
    server = Server(Era.MODERN)
    async with server.with_stream():
        assert await server.send(SUBSCRIBE, uri="note://1") == {}
        assert await server.send(SUBSCRIBE, uri="note://2") == {}
        assert await server.send(SUBSCRIBE, uri="note://2") == {}
        assert await server.send(UNSUBSCRIBE, uri="note://never") == {}
        assert await server.send(UNSUBSCRIBE, uri="note://1") == {}
        assert await server.send(SET_LEVEL, level="info") == {}
    assert server.sent == [["note://1"], ["note://1", "note://2"], ["note://2"]]
    assert server.subscriptions.level == "info"


@pytest.mark.parametrize("method", [SUBSCRIBE, UNSUBSCRIBE, SET_LEVEL])
@pytest.mark.parametrize("params", [{}, {"uri": 7, "level": None}])
async def test_a_request_without_its_object_is_refused_and_not_sent(
    method: str, params: dict[str, Any]
):
    server = Server()
    with pytest.raises(RpcError) as refusal:
        await server.send(method, **params)
    assert (refusal.value.code, server.sent) == (types.INVALID_PARAMS, [])


async def test_what_a_server_of_the_handshake_era_refuses_is_not_kept():
    server = Server(Era.LEGACY, SUBSCRIBE, SET_LEVEL)
    for method, params in ((SUBSCRIBE, {"uri": "note://1"}), (SET_LEVEL, {"level": "info"})):
        with pytest.raises(MCPError, match="the database is down"):
            await server.send(method, **params)
    assert (list(server.subscriptions.watched), server.subscriptions.level) == ([], None)


async def test_a_resource_that_a_server_of_2026_does_not_report_is_not_kept():
    server = Server(Era.MODERN, "note://secret")
    async with server.with_stream():
        await server.send(SUBSCRIBE, uri="note://1")
        with pytest.raises(RpcError, match="does not report changes of this resource"):
            await server.send(SUBSCRIBE, uri="note://secret")
    assert list(server.subscriptions.watched) == ["note://1"]


async def test_the_number_of_watched_resources_is_limited():
    server = Server()
    for number in range(MOST_WATCHED):
        await server.send(SUBSCRIBE, uri=f"note://{number}")
    with pytest.raises(RpcError, match=r"No more than 1,000 resources"):
        await server.send(SUBSCRIBE, uri="note://more")
    assert len(server.sent) == MOST_WATCHED
    await server.send(SUBSCRIBE, uri="note://1")
    await server.send(UNSUBSCRIBE, uri="note://1")
    await server.send(SUBSCRIBE, uri="note://more")


async def subscribed(*refused: str, era: Era = Era.LEGACY) -> Server:
    """A server that was connected again, after two resources were watched and a level set."""
    server = Server(era, *refused)
    server.subscriptions.watched |= dict.fromkeys(("note://1", "note://2"))
    server.subscriptions.level = "info"
    await server.subscriptions.restore(server)
    return server


@pytest.mark.parametrize("refused", [[], [SUBSCRIBE], [SET_LEVEL]])
async def test_a_reconnected_server_gets_all_subscriptions_again_whatever_it_refuses(
    refused: list[str],
):
    assert (await subscribed(*refused)).sent == [
        (SUBSCRIBE, {"uri": "note://1"}),
        (SUBSCRIBE, {"uri": "note://2"}),
        (SET_LEVEL, {"level": "info"}),
    ]


async def test_a_server_of_2026_is_not_sent_them_again():
    assert (await subscribed(era=Era.MODERN)).sent == []


@pytest.mark.parametrize(
    "error", [ServerUnavailable("gone"), anyio.ClosedResourceError(), anyio.BrokenResourceError()]
)
async def test_the_end_of_a_server_that_is_sent_them_again_ends_nothing_else(error: Exception):
    class Ending(Server):
        async def request(self, method: str, params: JsonObject) -> JsonObject:
            self.sent.append(method)
            raise error

    server = Ending()
    server.subscriptions.level = "info"
    await server.subscriptions.restore(server)
    assert (server.sent, server.subscriptions.level) == ([SET_LEVEL], "info")
