"""One server of two configurations with different settings: what makes it two, what each has for
itself, and what holds for both. In memory, on virtual time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.config import Config, ServerSettings, ToolSettings
from plait.core.tools.catalog import ServerState, Tool
from plait.core.tools.policy import ToolPolicy
from plait.downstream import connections as module
from plait.downstream.connections import Connections
from plait.downstream.identity import process_identity
from plait.downstream.pool import Pool
from plait.downstream.shared_settings import joined
from plait.errors import ServerUnavailable
from plait.stores.listing_cache import ListingCache

from ..fakes import a_call
from .scripted import TIMINGS, ScriptedServer, about, script

DOCS = Path(__file__).parents[2] / "docs" / "shared.md"
PROCESS: dict[str, Any] = {"command": "sh"}
WEB: dict[str, Any] = {"url": "https://h.example/mcp"}
BUNDLED: dict[str, Any] = {"builtin": "workspace"}
CHANGES: dict[str, tuple[dict[str, Any], Any]] = {
    "command": (PROCESS, "bash"),
    "args": (PROCESS, ["x"]),
    "env": (PROCESS, {"A": "1"}),
    "env_pass": (PROCESS, ["AWS_*"]),
    "cwd": (PROCESS, "/x"),
    "url": (WEB, "https://h.example/other"),
    "headers": (WEB, {"A": "1"}),
    "transport": (WEB, "http"),
    "builtin": (BUNDLED, None),
    "root": (BUNDLED, "/x"),
    "allow_commands": (BUNDLED, ["make"]),
    "read_only": (BUNDLED, True),
    "tools": (BUNDLED, ["grep"]),
    "protect": (BUNDLED, ["/x"]),
    "protocol": (PROCESS, "legacy"),
    "annotations": (PROCESS, "ignored"),
    "scope": (PROCESS, "client"),
    "enabled": (PROCESS, False),
    "required": (PROCESS, True),
    "lazy": (PROCESS, True),
    "idle_timeout_s": (PROCESS, 1),
    "include": (PROCESS, ["x"]),
    "exclude": (PROCESS, ["x"]),
    "prefix": (PROCESS, False),
    "max_concurrency": (PROCESS, 1),
    "rate_limit": (PROCESS, "1/s"),
    "timeout_s": (PROCESS, 1),
    "startup_timeout_s": (PROCESS, 1),
    "probe_timeout_s": (PROCESS, 1),
}
"""For each key, settings that it means something to, and another value than theirs."""


def documented() -> dict[str, str]:
    """The table of the docs: what happens if two desks set different values, by key."""
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+) \|$", DOCS.read_text(), re.MULTILINE)
    return {key: rule for keys, rule in rows for key in re.findall(r"\w+", keys)}


def test_the_docs_say_what_holds_for_each_key():
    assert documented().keys() == ServerSettings.model_fields.keys() == CHANGES.keys()


@pytest.mark.parametrize("key", CHANGES)
def test_another_value_makes_another_server_exactly_where_the_docs_say_so(key: str):
    base, value = CHANGES[key]
    other = {**base, key: value} if value is not None else PROCESS

    def identity(settings: dict[str, Any]) -> str:
        config = Config(environment={"PATH": "/bin"}, folder=Path("/work"))
        return process_identity("s", ServerSettings(**settings), config)

    are_two = documented()[key] == "they have two servers"
    assert (identity(base) != identity(other)) is are_two


def settings(**given: Any) -> ServerSettings:
    return ServerSettings(command="x", protocol="legacy", **given)


@pytest.mark.parametrize(
    ("everyone", "starters", "expected"),
    [
        ([{"lazy": True}, {}], [{}], {"lazy": False}),
        ([{"lazy": True}, {}], [{"lazy": True}], {"lazy": True}),
        ([{"lazy": True}, {}], [], {"lazy": False}),
        ([{"lazy": True, "idle_timeout_s": 9}, {"idle_timeout_s": 99}], [], {"idle_timeout_s": 9}),
        (
            [{"lazy": True, "idle_timeout_s": 9}, {"lazy": True, "idle_timeout_s": 8}],
            [],
            {"lazy": True, "idle_timeout_s": 9},
        ),
        ([{"startup_timeout_s": 2}, {"startup_timeout_s": 1}], [], {"startup_timeout_s": 2}),
        ([{"probe_timeout_s": 2}, {"probe_timeout_s": 1}], [], {"probe_timeout_s": 2}),
    ],
)
def test_a_server_does_what_one_of_them_needs(
    everyone: list[dict[str, Any]], starters: list[dict[str, Any]], expected: dict[str, Any]
):
    server = settings(args=["as it was opened"])
    found = joined(
        server, [settings(**one) for one in everyone], [settings(**one) for one in starters]
    )
    assert {key: getattr(found, key) for key in expected} == expected
    assert found.args == server.args


class Desks:
    """Pools over one server in memory. Use as an async context manager."""

    def __init__(self, connections: Connections, server: ScriptedServer) -> None:
        self.connections = connections
        self.server = server

    async def __aenter__(self) -> None:
        await self.connections.__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        await self.connections.__aexit__(*exc)

    @asynccontextmanager
    async def open(self, first: anyio.Event | None = None, **given: Any) -> AsyncIterator[Pool]:
        config = Config(servers={"s": settings(**given)})
        pool = Pool(
            config, self.connections, first=first, hold_s=1e9, keys=lambda config: {"s": "s@1"}
        )
        async with pool:
            yield pool

    async def call(self, startup_s: float) -> None:
        """Call a tool for a configuration whose starts take at most *startup_s*."""
        policy = ToolPolicy(startup_timeout_s=startup_s)
        await self.connections(a_call(Tool("s", "look", shared_as="s@1"), policy=policy))


@pytest.fixture
def desks(monkeypatch: pytest.MonkeyPatch) -> Desks:
    server = ScriptedServer(script())
    monkeypatch.setattr(module, "open_transport", lambda *_, **__: server)
    connections = Connections(ListingCache(None), timings=TIMINGS, are_shared=True)
    return Desks(connections, server)


def state(pool: Pool) -> ServerState:
    return pool.catalog().servers["s"].state


async def took(wait: Callable[[], Awaitable[object]]) -> float:
    began = anyio.current_time()
    await wait()
    return anyio.current_time() - began


@pytest.mark.virtual_time
class TestTimeOfAStart:
    async def test_each_waits_as_long_as_its_own_settings_say(self, desks: Desks):
        desks.server.script = script(greet=None)
        async with desks, desks.open(startup_timeout_s=5) as short, desks.open() as long:
            for wait in (short.settled, lambda: short.settled(["s"])):
                assert await took(wait) == about(5)
            assert await took(long.settled) == about(20)
            assert len(desks.server.starts) == 1

    async def test_a_start_under_way_takes_as_long_as_who_comes_and_goes_lets_it(
        self, desks: Desks
    ):
        desks.server.script = script(greet=None)
        async with desks, desks.open(startup_timeout_s=5) as short:
            await anyio.sleep(3)
            async with desks.open():
                await anyio.sleep(7)
                assert state(short) is ServerState.CONNECTING
            await anyio.wait_all_tasks_blocked()
            assert state(short) is ServerState.RETRYING

    async def test_a_call_waits_as_long_as_the_settings_of_its_client_say(self, desks: Desks):
        desks.server.opens = False
        async with desks, desks.open(startup_timeout_s=2) as short, desks.open():
            for startup_s, waited_s in ((2, 2), (30, TIMINGS.call_wait_s)):
                began = anyio.current_time()
                with pytest.raises(ServerUnavailable):
                    await desks.call(startup_s)
                assert anyio.current_time() - began == about(waited_s)
            assert state(short) is ServerState.CONNECTING


@pytest.mark.virtual_time
class TestLaziness:
    async def test_a_server_starts_for_the_first_that_needs_it_and_runs_for_the_last(
        self, desks: Desks
    ):
        held = anyio.Event()
        async with desks, desks.open(lazy=True, idle_timeout_s=60) as lazy:
            await lazy.settled()
            await anyio.sleep(100)
            assert state(lazy) is ServerState.IDLE
            async with desks.open(held) as eager:
                await anyio.sleep(10)
                assert state(eager) is ServerState.IDLE
                held.set()
                await anyio.sleep(1_000)
                assert state(lazy) is ServerState.READY
            await anyio.sleep(50)
            assert state(lazy) is ServerState.READY
            await anyio.sleep(20)
            assert state(lazy) is ServerState.IDLE
        assert len(desks.server.starts) == 2

    async def test_one_that_was_never_needed_is_not_started_by_who_leaves(self, desks: Desks):
        async with desks, desks.open(lazy=True, idle_timeout_s=60) as known:
            await known.settled()
            await anyio.sleep(100)
            starts = len(desks.server.starts)
            async with desks.open(anyio.Event()):
                pass
            async with desks.open(lazy=True, idle_timeout_s=500):
                await anyio.sleep(10)
            assert state(known) is ServerState.IDLE
            assert len(desks.server.starts) == starts

    async def test_the_longest_idle_time_holds(self, desks: Desks):
        async with desks, desks.open(lazy=True, idle_timeout_s=60) as one:
            async with desks.open(lazy=True, idle_timeout_s=500):
                await one.settled(["s"])
                await anyio.sleep(400)
                assert state(one) is ServerState.READY
            await anyio.sleep(1)
            assert state(one) is ServerState.IDLE


HINTED: Any = {
    "tools": [
        {
            "name": "look",
            "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": True},
        }
    ]
}


@pytest.mark.virtual_time
async def test_each_has_its_own_word_on_what_a_tool_does(desks: Desks):
    desks.server.script = script(tools=HINTED)
    async with (
        desks,
        desks.open() as trusting,
        desks.open(annotations="ignored") as careful,
    ):
        for pool in (trusting, careful):
            await pool.settled()
        [trusted], [ignored] = (pool.catalog().of("s") for pool in (trusting, careful))
        assert (trusted.is_read_only, ignored.is_read_only) == (True, False)
        assert trusted.digest == ignored.digest
        careful.forget_lists()
        assert careful.catalog().of("s") == [ignored]
        assert careful.catalog().of("s")[0] is ignored  # its schemas are read once
        marked = Config(
            servers={"s": settings(annotations="ignored")},
            tools={"s:l*": ToolSettings(read_only=True)},
        )
        await careful.reload(marked)
        [read_only] = careful.catalog().of("s")
        assert read_only.is_read_only
        assert careful.catalog().unlisted("s", "late").is_read_only


async def test_a_tool_that_is_not_listed_yet_has_the_operators_word(desks: Desks):
    config = Config(
        servers={"s": settings(lazy=True)}, tools={"s:get_*": ToolSettings(read_only=True)}
    )
    pool = Pool(config, desks.connections)
    catalog = pool.catalog()
    read_only = [catalog.unlisted("s", name).is_read_only for name in ("get_it", "put_it")]
    assert read_only == [True, False]
