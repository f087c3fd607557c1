"""A history in the state folder, of real runs over tools in memory: two that ended, a call by name,
and one whose gateway died while a call was under way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import anyio

from plait.core.history import Kind, RunQuery
from plait.engine.gateway import Gateway
from plait.stores.history.leases import boot_id
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers
from ..stores.history.worlds import SqliteWorld
from .conftest import task

WELL = {"name": "nightly", "tasks": [task("a", arguments={"n": 1})]}
BROKEN = {"tasks": [task("a", arguments={"token": "swordfish-42"}), task("bad", "s:fail")]}
CUT = {
    "tasks": [
        task("a", arguments={"n": 1}),
        task("write", "s:hang", depends_on=["a"]),
        task("after", arguments={"of": "$OUTPUT[write].id"}),
    ]
}


class Past(NamedTuple):
    """The ids of these runs, in the order in which they began."""

    well: str
    broken: str
    call: str
    cut: str


def make_past(folder: Path, servers: FakeServers) -> Past:
    """Make it in *folder*/state."""
    return anyio.run(_make, folder, servers)


async def _make(folder: Path, servers: FakeServers) -> Past:
    world = SqliteWorld(folder)
    world.boot = boot_id()
    history = await world.open()
    async with _gateway(servers, history) as gateway:
        well = await gateway.execute(WELL)
        broken = await gateway.execute(BROKEN)
        await gateway.call("s", "echo", {"name": "echo", "arguments": {"by": "name"}})
    await history.close()
    dying = await world.open()
    async with _gateway(servers, dying) as gateway:
        cut = await gateway.submit(CUT)
        while "s:hang" not in [name for name, _ in servers.calls]:
            await anyio.lowlevel.checkpoint()
        await world.kill(dying)
    reading = await world.open()
    [call] = await reading.runs(RunQuery(kind=Kind.CALL))
    await reading.close()
    return Past(well.run_id, broken.run_id, call.id, cut.run_id)


def _gateway(servers: FakeServers, history: Any) -> Gateway:
    return Gateway(servers, servers, InMemoryRuns(), history=history)
