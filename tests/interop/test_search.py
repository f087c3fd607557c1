"""People find the tools of servers that others wrote by what they need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .conftest import World
from .exposing import REST
from .needs import HELD_OUT, NEEDS, Needs
from .raw_client import RawClient, connected

SEARCHED = ("everything", *REST)
"""Each server once: server-everything over other transports has the same tools."""


@asynccontextmanager
async def searching(world: World) -> AsyncIterator[RawClient]:
    """A client of a gateway whose servers are all ready: a DAG waits for them longer than a search
    does."""
    tasks = [{"id": server, "tool": f"{server}:any"} for server in SEARCHED]
    async with connected(world.door(SEARCHED, "dag").transport()) as peer:
        await peer.call("execute_dag", {"tasks": tasks, "dry_run": True})
        servers = (await peer.call("search_tools", {"query": ""}))["structuredContent"]["servers"]
        assert {server["state"] for server in servers} == {"ready"}
        yield peer


@pytest.mark.parametrize(
    ("needs", "first", "among_five"), [(NEEDS, 36, 39), (HELD_OUT, 9, 11)], ids=["made", "held out"]
)
async def test_most_needs_find_their_tool_first_and_nearly_all_among_five(
    needs: Needs, first: int, among_five: int, world: World
):
    places: dict[str, int] = {}
    async with searching(world) as peer:
        for need, wanted in needs.items():
            answer = await peer.call("search_tools", {"query": need, "limit": 5})
            found = [tool["name"] for tool in answer["structuredContent"]["tools"]]
            places[need] = next((at for at, name in enumerate(found, 1) if name in wanted), 99)
    missed = {need: place for need, place in places.items() if place > 1}
    assert len(places) - len(missed) >= first, missed
    assert sum(place <= 5 for place in places.values()) >= among_five, missed


async def test_the_tables_name_tools_that_exist(world: World):
    wanted = sorted(
        {name for needs in (NEEDS, HELD_OUT) for names in needs.values() for name in names}
    )
    async with searching(world) as peer:
        for name in wanted:
            answer = await peer.call("describe_tools", {"names": [name]})
            assert "unknown" not in answer["structuredContent"], name
    assert not NEEDS.keys() & HELD_OUT.keys()
    assert (len(NEEDS), len(HELD_OUT)) == (40, 12)
