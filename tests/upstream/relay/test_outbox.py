"""Notifications for one client are gathered, bounded, and sent in their order."""

from __future__ import annotations

import anyio
import pytest

from plait.core.values.strict import JsonObject
from plait.upstream.relay.outbox import MOST_WAITING, PAUSE_S, Outbox

from .downstream import later

pytestmark = pytest.mark.virtual_time


async def test_the_oldest_waiting_notification_is_dropped():
    sent: list[JsonObject] = []
    go = anyio.Event()

    async def send(method: str, params: JsonObject) -> None:
        await go.wait()
        sent.append(params)

    async with anyio.create_task_group() as tasks:
        outbox = Outbox(tasks, send)
        for n in range(MOST_WAITING + 10):
            outbox.put("m", {"n": n})
        go.set()
    assert [params["n"] for params in sent] == list(range(10, MOST_WAITING + 10))


async def test_a_client_that_does_not_read_loses_only_the_waiting_notifications():
    sent: list[object] = []

    async def send(method: str, params: JsonObject) -> None:
        if params["n"] == 0:
            await anyio.sleep_forever()
        sent.append(params["n"])

    async with anyio.create_task_group() as tasks:
        outbox = Outbox(tasks, send)
        for n in range(3):
            outbox.put("m", {"n": n})
        await anyio.sleep(1)
        outbox.put("m", {"n": 3})
        await later()
        outbox.put("m", {"n": 4})
    assert sent == [4]


async def test_of_several_with_one_key_the_latest_is_sent():
    sent: list[object] = []

    async def send(method: str, params: JsonObject) -> None:
        sent.append((method, params["n"]))

    async with anyio.create_task_group() as tasks:
        outbox = Outbox(tasks, send)
        for n in range(3):
            outbox.put("changed", {"n": n}, "key")
            outbox.put("said", {"n": n})
        assert repr(outbox) == "<Outbox: 4 waiting>"
    assert sent == [("changed", 2), ("said", 0), ("said", 1), ("said", 2)]


async def test_batches_are_sent_with_a_pause_between_them():
    times: list[float] = []

    async def send(method: str, params: JsonObject) -> None:
        times.append(anyio.current_time())
        if len(times) < 4:
            outbox.put("m", {})

    async with anyio.create_task_group() as tasks:
        outbox = Outbox(tasks, send)
        outbox.put("m", {})
    assert times == pytest.approx([n * PAUSE_S for n in range(4)])


async def test_after_an_error_what_comes_later_is_sent():
    sent: list[object] = []

    async def send(method: str, params: JsonObject) -> None:
        if params["n"] == 0:
            raise anyio.BrokenResourceError
        sent.append(params["n"])

    async with anyio.create_task_group() as tasks:
        outbox = Outbox(tasks, send)
        for n in range(3):
            outbox.put("m", {"n": n})
        await later()
        outbox.put("m", {"n": 3})
    assert sent == [3]
