"""Connections that several pools hold, with real servers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from plait.config import Config, ServerSettings
from plait.core.tools.catalog import Tool
from plait.downstream.connections import Connections, stderr_logger
from plait.downstream.pool import Pool
from plait.errors import ServerUnavailable
from plait.stores.listing_cache import ListingCache

from ..fakes import a_call
from .test_pool import QUICK, faulty, is_alive, settled, until
from .test_relay import Person
from .ways import Way


def shared() -> Connections:
    return Connections(ListingCache(None), timings=QUICK, are_shared=True)


def pool_over(connections: Connections, settings: ServerSettings, key: str) -> Pool:
    def keys(config: Config) -> Mapping[str, str]:
        return {"a": key}

    return Pool(Config(servers={"a": settings}), connections, keys=keys)


def pid_of(pool: Pool) -> int:
    pid = pool.catalog().servers["a"].pid
    assert pid is not None
    return pid


async def test_two_pools_share_one_process_until_the_last_has_left():
    settings = faulty()
    async with shared() as connections:
        async with pool_over(connections, settings, "a@1") as one:
            await settled(one)
            pid = pid_of(one)
            written_otherwise = settings.model_copy(update={"cwd": Path.cwd()})
            async with pool_over(connections, written_otherwise, "a@1") as other:
                await settled(other)
                assert pid_of(other) == pid
                assert other.catalog().tools.keys() == one.catalog().tools.keys() != set()
                assert {tool.server_key for tool in other.catalog().tools.values()} == {"a@1"}
            assert is_alive(pid)
            await one(a_call(one.catalog().tools["a:echo"], {}))
        await until(lambda: not is_alive(pid))
        with pytest.raises(ServerUnavailable, match="unknown server a"):
            await connections(a_call(Tool("a", "echo", shared_as="a@1"), {}))


async def test_each_pool_has_the_tools_of_a_shared_server_that_its_own_settings_choose():
    async with (
        shared() as connections,
        pool_over(connections, faulty(exclude=("ech?",)), "a@1") as one,
        pool_over(connections, faulty(), "a@1") as other,
    ):
        await settled(one)
        await settled(other)
        assert pid_of(one) == pid_of(other)
        assert other.catalog().tools.keys() - one.catalog().tools.keys() == {"a:echo"}
        assert "the settings exclude it" in one.catalog().unknown("", "a:echo").message
        for pool in (one, other):
            tools, [listing] = pool.catalog().tools, pool.offers()
            assert {f"a:{tool['name']}" for tool in listing.tools} == tools.keys()
            assert pool.catalog().servers["a"].tools == len(tools)
            assert pool.offers()[0] is listing


async def test_servers_of_one_name_and_other_keys_are_apart():
    async with (
        shared() as connections,
        pool_over(connections, faulty(), "a@1") as one,
        pool_over(connections, faulty("--bad-tools"), "a@2") as other,
    ):
        await settled(one)
        await settled(other)
        assert pid_of(one) != pid_of(other)


async def test_a_server_that_several_share_is_told_that_there_are_no_roots(tmp_path: Path):
    way = Way("stdio", "legacy", tmp_path / "journal", None, flags=("--roots",))
    async with shared() as connections, pool_over(connections, way.settings, "a@1") as pool:
        pool.join(Person({"roots": [{"uri": "file:///a"}]}))
        await settled(pool)
        await way.noted(["roots", {"roots": []}])


async def test_a_server_that_is_kept_for_one_client_is_given_its_roots(tmp_path: Path):
    way = Way("stdio", "legacy", tmp_path / "journal", None, flags=("--roots",))
    settings = way.settings.model_copy(update={"scope": "client"})
    roots = {"roots": [{"uri": "file:///a"}]}
    async with shared() as connections, pool_over(connections, settings, "a@1") as pool:
        pool.join(Person(roots))
        await settled(pool)
        await way.noted(["roots", roots])


def test_control_characters_on_stderr_are_escaped_and_floods_are_cut(
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO)
    hear = stderr_logger("loud", lines_per_s=5)
    hear("\x1b[2Jred\u202e\ttab")
    assert caplog.messages == ["\\x1b[2Jred\\u202e\ttab"]
    for number in range(1_000):
        hear(str(number))
    assert len(caplog.messages) < 20
