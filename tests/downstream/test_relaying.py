"""What goes wrong on the way to one server, and what is kept of it from one connection to the
next."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest

from plait.config import Config, ServerSettings
from plait.core.ports import RelayRequest, RpcError
from plait.core.tools.catalog import ServerState
from plait.core.values.strict import JsonObject
from plait.downstream.connection import Connection
from plait.downstream.pool import Pool
from plait.stores.listing_cache import ListingCache

from .ways import QUICK, SOON, Reached, Way, until


@pytest.fixture(params=["legacy", "modern"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    return Way("stdio", request.param, tmp_path / "journal")


def state_of(raw: Reached) -> ServerState:
    return raw.pool.catalog().servers["raw"].state


async def restart(raw: Reached) -> None:
    pid = raw.pool.catalog().servers["raw"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(
        lambda: raw.pool.catalog().servers["raw"].pid != pid and state_of(raw) is ServerState.READY
    )


async def test_a_server_that_ends_fails_its_requests_and_comes_back_with_its_lists(
    way: Way,
):
    async with way.reached() as raw:
        before = raw.downstream.offers()
        failures: list[int] = []

        async def hang() -> None:
            try:
                await raw.call("hang", tag="x")
            except RpcError as error:
                failures.append(error.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang)
            await way.noted("x started")
            await restart(raw)
        assert failures == [types.CONNECTION_CLOSED]
        assert raw.downstream.offers() is before
        assert (await raw.request("prompts/get", {"name": "greet"}))["messages"] == []


async def test_watched_resources_are_watched_again_after_a_reconnect(way: Way):
    heard: list[Any] = []
    async with way.reached() as raw:
        raw.downstream.listen(lambda *notice: heard.append(notice))
        await raw.request("resources/subscribe", {"uri": "note://1"})
        await raw.request("logging/setLevel", {"level": "info"})
        await restart(raw)
        await raw.call("touch", uri="note://1")
        await until(
            lambda: ("raw", "notifications/resources/updated", {"uri": "note://1"}) in heard
        )
        await raw.call("log")
        await until(lambda: any(method == "notifications/message" for _, method, _ in heard))
        if not way.is_modern:
            for event in (
                '["resources/subscribe", {"uri": "note://1"}]',
                '["logging/setLevel", {"level": "info"}]',
            ):
                await until(
                    lambda event=event: way.journal.read_text().splitlines().count(event) == 2
                )


async def test_a_server_is_in_use_while_a_resource_is_watched(way: Way):
    connection = Connection("raw", way.settings, timings=QUICK)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        for uri in ("note://1", "note://2"):
            await connection.request(RelayRequest("raw", "resources/subscribe", {"uri": uri}))
        await connection.request(RelayRequest("raw", "resources/unsubscribe", {"uri": "note://1"}))
        assert connection.use.count == 1
        await connection.request(RelayRequest("raw", "resources/unsubscribe", {"uri": "note://2"}))
        assert connection.use.count == 0
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1: 2}])
async def test_params_that_are_not_strict_json_are_not_sent(way: Way, value: Any):
    async with way.reached() as raw:
        with pytest.raises(RpcError, match="not strict JSON") as failure:
            await raw.request("prompts/get", {"name": value})
    assert failure.value.code == types.INVALID_PARAMS


async def test_an_unreachable_or_unknown_server_is_an_error_of_ours():
    async with Pool(
        Config(servers={"gone": ServerSettings(command="frobnicate")}),
        ListingCache(None),
        timings=QUICK,
    ) as pool:
        with anyio.fail_after(SOON):
            await pool.settled()
            for server, said in (
                ("gone", "cannot start frobnicate"),
                ("nobody", "unknown server"),
            ):
                with pytest.raises(RpcError, match=said) as failure:
                    await pool.request(RelayRequest(server, "prompts/get"))
                assert failure.value.code == types.CONNECTION_CLOSED
        assert pool.offers() == ()


async def test_a_notification_that_is_not_strict_json_is_dropped():
    heard: list[JsonObject] = []
    async with Pool(Config(servers={}), ListingCache(None)) as pool:
        pool.listen(lambda server, method, params: heard.append(params))
        pool.broadcast("s", "notifications/message", {"data": "\ud800"})
        pool.broadcast("s", "notifications/message", {"data": "x"})
    assert heard == [{"data": "x"}]
