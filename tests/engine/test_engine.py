"""Several configurations over one engine, in virtual time: what they share, and what is their
own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from plait.core.history import Post
from plait.core.ports import NO_CLIENT, Caller
from plait.core.scheduling.limits import Limits
from plait.core.tools.policy import Policy, Rule
from plait.core.values.principal import USER, Principal
from plait.engine.engine import Engine
from plait.engine.gateway import Gateway, GatewayLimits
from plait.errors import UnknownRun
from plait.stores.history.memory import MemoryHistory
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeCaller, FakeServers, tool

pytestmark = pytest.mark.virtual_time


class OverConnection(FakeCaller):
    """A client that is known by the id of its connection."""

    def __init__(self, connection: str) -> None:
        super().__init__()
        self._connection = connection

    @property
    def connection(self) -> str:
        return self._connection


class Desks:
    """Gateways over one engine, and the calls that their servers got: each takes a second."""

    def __init__(self, engine: Engine, servers: FakeServers, runs: InMemoryRuns) -> None:
        self.engine = engine
        self._servers = servers
        self._runs = runs

    def open(
        self, desk: str, limits: Limits | None = None, policy: Policy | None = None
    ) -> Gateway:
        return Gateway(
            self._servers,
            self._servers,
            self._runs,
            limits=GatewayLimits(limits or Limits()),
            policy=policy,
            engine=self.engine,
            desk=desk,
        )

    @property
    def calls(self) -> list[str]:
        return [str(arguments["by"]) for _, arguments in self._servers.calls]


@asynccontextmanager
async def sharing() -> AsyncIterator[Desks]:
    servers = FakeServers()

    async def work(**arguments: Any) -> dict[str, Any]:
        await anyio.sleep(1)
        return arguments

    properties = {"by": {"type": "string"}, "path": {"type": "string"}, "row": {"type": "string"}}
    servers.add(tool("s:work", properties), work)
    runs = InMemoryRuns()
    async with Engine(servers, runs) as engine:
        yield Desks(engine, servers, runs)


def tasks(by: str, count: int = 1, **arguments: str) -> dict[str, Any]:
    arguments["by"] = by
    return {
        "tasks": [
            {"id": f"t{number}", "tool": "s:work", "arguments": arguments}
            for number in range(count)
        ]
    }


async def took(*works: tuple[Gateway, dict[str, Any]], caller: Caller = NO_CLIENT) -> float:
    """The seconds that it takes to run all these documents at once."""
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for gateway, document in works:
            group.start_soon(gateway.execute, document, caller)
    return round(anyio.current_time() - began, 3)


async def test_the_smaller_limit_of_a_server_holds_for_all_and_ends_with_its_desk():
    async with sharing() as desks, desks.open("a", Limits(servers=(("s", 4),))) as a:
        async with desks.open("b", Limits(servers=(("s", 2),))) as b:
            assert await took((a, tasks("a", 2)), (b, tasks("b", 2))) == 2
        assert await took((a, tasks("a", 4))) == 1


async def test_the_limit_of_a_gateway_is_its_own():
    async with sharing() as desks, desks.open("a", Limits(1)) as a, desks.open("b", Limits(2)) as b:
        assert await took((a, tasks("a", 3))) == 3
        assert await took((a, tasks("a", 3)), (b, tasks("b", 6))) == 3
        b.change(Policy(), GatewayLimits(Limits(6)), None)
        assert await took((a, tasks("a", 1)), (b, tasks("b", 6))) == 1


async def test_writers_of_one_file_take_turns_whatever_their_desks():
    async with sharing() as desks, desks.open("a") as a, desks.open("b") as b:
        both = ((a, tasks("a", path="/x")), (b, tasks("b", path="/x")))
        assert await took(*both) == 2
        assert await took((a, tasks("a", path="/x")), (b, tasks("b", path="/y"))) == 1


async def test_other_resources_are_the_same_in_one_realm_alone():
    def policy(realm: str) -> Policy:
        return Policy((Rule("s:work", writes=("db:{row}",)),), realm=realm)

    async with (
        sharing() as desks,
        desks.open("a", policy=policy("one.toml")) as a,
        desks.open("b", policy=policy("one.toml")) as b,
        desks.open("c", policy=policy("other.toml")) as c,
    ):
        assert await took((a, tasks("a", row="1")), (b, tasks("b", row="1"))) == 2
        assert await took((a, tasks("a", row="1")), (c, tasks("c", row="1"))) == 1


async def test_clients_of_one_user_take_turns_by_connection():
    async with (
        sharing() as desks,
        desks.open("a", Limits(servers=(("s", 1),))) as desk,
        anyio.create_task_group() as group,
    ):
        group.start_soon(desk.execute, tasks("many", 6), OverConnection("1"))
        await anyio.sleep(1.5)
        group.start_soon(desk.execute, tasks("few", 2), OverConnection("2"))
    assert desks.calls == ["many", "many", "few", "many", "few", "many", "many", "many"]


async def test_a_run_is_found_from_each_desk_by_its_principal_alone():
    async with sharing() as desks, desks.open("a") as a, desks.open("b") as b:
        run_id = (await a.submit(tasks("a"))).run_id
        assert (await b.wait(run_id, principal=USER)).run_id == run_id
        assert b.record(run_id).is_done
        with pytest.raises(UnknownRun):
            b.record(run_id, Principal("other"))


async def test_a_cancelled_engine_ends_the_runs_of_all_desks():
    async with sharing() as desks, desks.open("a") as a, desks.open("b") as b:
        ids = [(await one.submit(tasks("x"))).run_id for one in (a, b)]
        desks.engine.cancel_all()
        ends = [(await a.wait(id)).status for id in ids]
    assert ends == ["cancelled", "cancelled"]


class LookingHistory(MemoryHistory):
    """A history that looks for posts, as that in a file does."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[float] = []

    async def posted(self) -> list[Post]:
        await anyio.sleep(1)
        self.looks.append(anyio.current_time())
        return []


async def test_posts_are_looked_for_only_while_runs_go_on():
    servers, history = FakeServers(), LookingHistory()

    async def slow(seconds: int) -> None:
        await anyio.sleep(seconds)

    servers.add(tool("s:slow", {"seconds": {"type": "integer"}}), slow)

    def document(seconds: int) -> dict[str, Any]:
        return {"tasks": [{"id": "a", "tool": "s:slow", "arguments": {"seconds": seconds}}]}

    async with Gateway(servers, servers, InMemoryRuns(), history=history) as gateway:
        begin = anyio.current_time()
        await anyio.sleep(10)
        await gateway.execute(document(3))
        await anyio.sleep(10)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.execute, document(2))
            tasks.start_soon(gateway.execute, document(1))
        await anyio.sleep(10)
    assert [round(at - begin) for at in history.looks] == [11, 12, 13, 24, 25]
