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
from plait.downstream.listening import LONGEST_PAUSE_S, Listening


class Server:
    """Acknowledges each stream with all that is asked of it, but for *declined* resources."""

    def __init__(self, *declined: str) -> None:
        self.wanted: JsonObject = {"toolsListChanged": True}
        self.streams: list[JsonObject] = []
        self.open = 0
        self.most_open = 0
        self.error: MCPError | None = None
        self.ends = anyio.Event()
        self.listening: Listening | None = None
        self.missed: list[bool] = []
        self._declined = declined

    async def serve(self, params: JsonObject) -> None:
        notifications: Any = params["notifications"]
        self.streams.append(notifications)
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
            assert self.listening is not None
            said = {**notifications, "resourceSubscriptions": uris}
            self.missed.append(self.listening.acknowledged({"notifications": said}))
            await self.ends.wait()
        finally:
            self.open -= 1

    @asynccontextmanager
    async def listened_to(self) -> AsyncIterator[Listening]:
        async with anyio.create_task_group() as tasks:
            self.listening = Listening(tasks, self.serve, lambda: self.wanted)
            tasks.start_soon(self.listening.keep_open)
            await anyio.wait_all_tasks_blocked()
            yield self.listening
            tasks.cancel_scope.cancel()


async def test_another_stream_is_there_before_the_first_is_closed():
    server = Server()
    async with server.listened_to() as listening:
        server.wanted = {**server.wanted, "resourceSubscriptions": ["a"]}
        await listening.renew()
        assert server.streams == [{"toolsListChanged": True}, server.wanted]
        assert (server.most_open, server.open) == (2, 1)
        assert listening.tells_of("a")
        assert not listening.tells_of("b")
        assert server.missed == [True, False]  # nothing can have been missed between the two


async def test_a_resource_that_the_server_declines_is_not_told_of():
    server = Server("secret")
    async with server.listened_to() as listening:
        server.wanted = {"resourceSubscriptions": ["open", "secret"]}
        await listening.renew()
        assert (listening.tells_of("open"), listening.tells_of("secret")) == (True, False)


async def test_a_stream_that_is_refused_leaves_the_one_that_is_open():
    server = Server()
    async with server.listened_to() as listening:
        server.error = MCPError(types.INVALID_PARAMS, "no such resource")
        with pytest.raises(MCPError, match="no such resource"):
            await listening.renew()
        assert server.open == 1


async def test_who_wants_nothing_any_more_has_no_stream():
    server = Server()
    async with server.listened_to() as listening:
        server.wanted = {}
        await listening.renew()
        assert server.open == 0
        assert not listening.tells_of("a")
        assert repr(listening) == "<Listening to nothing>"


@pytest.mark.virtual_time
async def test_a_stream_that_ends_is_opened_again_after_a_pause():
    server = Server()
    async with server.listened_to():
        for number in range(1, 12):
            ends, server.ends = server.ends, anyio.Event()
            began = anyio.current_time()
            ends.set()
            while len(server.streams) == number:
                await anyio.sleep(0.01)
            pause = anyio.current_time() - began
            assert pause == pytest.approx(min(2 ** (number - 1), LONGEST_PAUSE_S), abs=0.1)
        assert server.most_open == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("code", "tries"), [(types.METHOD_NOT_FOUND, 1), (types.INTERNAL_ERROR, 4)]
)
async def test_a_server_that_has_no_streams_is_asked_once(code: int, tries: int):
    server = Server()
    server.error = MCPError(code, "no")
    async with server.listened_to():
        await anyio.sleep(10)
    assert len(server.streams) == tries


@pytest.mark.virtual_time
async def test_who_gives_up_waiting_for_a_stream_leaves_none_behind():
    server = Server()
    async with server.listened_to() as listening:
        listening.acknowledged = lambda params: False  # type: ignore[method-assign]  # the server never says a word
        with anyio.move_on_after(1):
            await listening.renew()
        await anyio.wait_all_tasks_blocked()
        assert server.open == 1
