"""Requests through the SDK's dispatcher."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from plait.core.ports import NO_CLIENT
from plait.core.values.strict import JsonObject
from plait.downstream.dispatched import CANCEL_S, Dispatched
from plait.downstream.mcp_sdk import JSONRPCDispatcher
from plait.downstream.server_requests.origin import RequestOrigin
from plait.downstream.transports.direct import FIRST_ID

from .scripted import ScriptedServer

CANCELLED = "notifications/cancelled"


class Opened:
    """A dispatcher over a server, and the notifications that were taken."""

    def __init__(self, server: ScriptedServer, dispatched: Dispatched) -> None:
        self.server, self.dispatched = server, dispatched
        self.notified: list[tuple[str, JsonObject]] = []

    async def request(self, params: JsonObject, on_progress: Any = None) -> JsonObject:
        return await self.dispatched.request(
            "tools/call", params, on_progress, RequestOrigin(NO_CLIENT), {"x": "y"}
        )

    async def greet(self, params: JsonObject) -> JsonObject:
        return await self.dispatched.greet("initialize", params, {})


async def answer(context: Any, method: str, params: Mapping[str, Any] | None) -> JsonObject:
    return {"asked": method, **(params or {})}


@asynccontextmanager
async def opened(**script: Any) -> AsyncIterator[Opened]:
    server = ScriptedServer({"tools/call": {"x-odd": 1}, **script})
    async with server.streams() as streams, anyio.create_task_group() as tasks:
        made = Opened(server, Dispatched(JSONRPCDispatcher(*streams)))

        async def run(*, task_status: Any) -> None:
            await made.dispatched.run(
                answer, lambda *notice: made.notified.append(notice), task_status=task_status
            )

        await tasks.start(run)
        yield made
        tasks.cancel_scope.cancel()


async def test_a_request_has_its_headers_and_its_result_is_returned_as_it_came():
    async with opened() as made:
        assert await made.request({"name": "look"}) == {"x-odd": 1}
        assert made.server.received == [("tools/call", {"name": "look"})]
        assert made.server.headers == [{"x": "y"}]


async def test_what_the_server_sends_is_answered_or_taken_in_order():
    async with opened() as made:
        await made.server.send(id=5, method="ping", params={"n": 1})
        assert made.server.answers == [{"asked": "ping", "n": 1}]
        for number in range(3):
            await made.server.send(method="notifications/message", params={"n": number})
        assert made.notified == [("notifications/message", {"n": number}) for number in range(3)]


async def test_a_request_that_is_given_up_is_cancelled_at_the_server():
    async with opened(**{"tools/call": None}) as made, anyio.create_task_group() as tasks:
        tasks.start_soon(made.request, {})
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await made.dispatched.wait_cancelled()
            await anyio.wait_all_tasks_blocked()
        _, (method, params) = made.server.received
        assert (method, params["requestId"]) == (CANCELLED, FIRST_ID)


@pytest.mark.virtual_time
async def test_the_caller_does_not_wait_until_a_stuck_server_takes_the_cancellation():
    async with opened(**{"tools/call": None}) as made:
        made.server.reads = False
        began = anyio.current_time()
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as tasks:
                for _ in range(2):  # the second fills the way to the server
                    tasks.start_soon(made.request, {})
        assert anyio.current_time() - began == 1
        await made.dispatched.wait_cancelled()
        assert anyio.current_time() - began == 1 + CANCEL_S


async def test_nothing_is_cancelled_once_the_connection_has_ended():
    async with opened(**{"tools/call": None}) as made, anyio.create_task_group() as tasks:
        tasks.start_soon(made.request, {})
        await anyio.wait_all_tasks_blocked()
        made.dispatched.end()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await made.dispatched.wait_cancelled()
            await anyio.wait_all_tasks_blocked()
        assert [method for method, _ in made.server.received] == ["tools/call"]


async def test_the_handshake_is_not_cancelled_at_the_server():
    async with opened(initialize=None) as made, anyio.create_task_group() as tasks:
        tasks.start_soon(made.greet, {})
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await made.dispatched.wait_cancelled()
            await anyio.wait_all_tasks_blocked()
        assert [method for method, _ in made.server.received] == ["initialize"]


async def test_progress_reaches_the_request_that_asked_for_it():
    seen: list[JsonObject] = []
    wanting: JsonObject = {"_meta": {"mine": 1}}
    async with opened(**{"tools/call": None}) as made, anyio.create_task_group() as tasks:
        tasks.start_soon(made.request, wanting, seen.append)
        await anyio.wait_all_tasks_blocked()
        ((_, params),) = made.server.received
        token = params["_meta"]["progressToken"]
        made.dispatched.progress.report({"progressToken": token, "progress": 1})
        assert seen == [{"progressToken": token, "progress": 1}]
        tasks.cancel_scope.cancel()


async def test_a_notification_has_its_headers():
    async with opened() as made:
        await made.dispatched.notify("notifications/initialized", None, {"x": "y"})
        await anyio.wait_all_tasks_blocked()
        assert made.server.received == [("notifications/initialized", None)]
        assert made.server.headers == [{"x": "y"}]
