"""A stream of changes is kept open, and another is there before it is closed for something else to
listen to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError

from plait.core.values.strict import JsonObject
from plait.downstream.change_stream import LONGEST_PAUSE_S, ChangeStream


class Server:
    """Acknowledges each stream with all that is asked of it, but for *declined* resources."""

    def __init__(self, *declined: str) -> None:
        self.wanted: JsonObject = {"toolsListChanged": True}
        self.opened: list[JsonObject] = []
        self.open = 0
        self.most_open = 0
        self.error: MCPError | None = None
        self.ends = anyio.Event()
        self.stream: ChangeStream | None = None
        self.missed: list[bool] = []
        self._declined = declined

    async def serve(self, params: JsonObject) -> None:
        notifications: Any = params["notifications"]
        self.opened.append(notifications)
        if self.error is not None:
            raise self.error
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            uris = [
                uri
                for uri in notifications.get("resourceSubscriptions", [])
                if uri not in self._declined
            ]
            assert self.stream is not None
            said = {**notifications, "resourceSubscriptions": uris}
            self.missed.append(self.stream.acknowledge({"notifications": said}))
            await self.ends.wait()
        finally:
            self.open -= 1

    @asynccontextmanager
    async def listened_to(self) -> AsyncIterator[ChangeStream]:
        async with anyio.create_task_group() as tasks:
            self.stream = ChangeStream(tasks, self.serve, lambda: self.wanted)
            tasks.start_soon(self.stream.keep_open)
            await anyio.wait_all_tasks_blocked()
            yield self.stream
            tasks.cancel_scope.cancel()


async def test_a_new_stream_is_open_before_the_old_one_is_closed():
    server = Server()
    async with server.listened_to() as stream:
        server.wanted = {**server.wanted, "resourceSubscriptions": ["a"]}
        await stream.reopen()
        assert server.opened == [{"toolsListChanged": True}, server.wanted]
        assert (server.most_open, server.open) == (2, 1)
        assert stream.covers("a")
        assert not stream.covers("b")
        assert server.missed == [True, False]  # nothing can have been missed between the two


async def test_a_resource_that_the_server_declines_is_not_covered():
    server = Server("secret")
    async with server.listened_to() as stream:
        server.wanted = {"resourceSubscriptions": ["open", "secret"]}
        await stream.reopen()
        assert (stream.covers("open"), stream.covers("secret")) == (True, False)


async def test_a_refused_stream_leaves_the_open_one():
    server = Server()
    async with server.listened_to() as stream:
        server.error = MCPError(types.INVALID_PARAMS, "no such resource")
        with pytest.raises(MCPError, match="no such resource"):
            await stream.reopen()
        assert server.open == 1


async def test_the_stream_is_closed_when_nothing_is_wanted():
    server = Server()
    async with server.listened_to() as stream:
        server.wanted = {}
        await stream.reopen()
        assert server.open == 0
        assert not stream.covers("a")
        assert repr(stream) == "<ChangeStream for nothing>"


@pytest.mark.virtual_time
async def test_an_ended_stream_is_opened_again_after_a_pause():
    server = Server()
    async with server.listened_to():
        for number in range(1, 12):
            ends, server.ends = server.ends, anyio.Event()
            began = anyio.current_time()
            ends.set()
            while len(server.opened) == number:
                await anyio.sleep(0.01)
            pause = anyio.current_time() - began
            assert pause == pytest.approx(min(2 ** (number - 1), LONGEST_PAUSE_S), abs=0.1)
        assert server.most_open == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("code", "tries"), [(types.METHOD_NOT_FOUND, 1), (types.INTERNAL_ERROR, 4)]
)
async def test_a_server_without_streams_is_asked_once(code: int, tries: int):
    server = Server()
    server.error = MCPError(code, "no")
    async with server.listened_to():
        await anyio.sleep(10)
    assert len(server.opened) == tries


@pytest.mark.virtual_time
async def test_a_cancelled_wait_for_a_stream_leaves_none_behind():
    server = Server()
    async with server.listened_to() as stream:
        stream.acknowledge = lambda params: False  # type: ignore[method-assign]  # the server never says a word
        with anyio.move_on_after(1):
            await stream.reopen()
        await anyio.wait_all_tasks_blocked()
        assert server.open == 1
