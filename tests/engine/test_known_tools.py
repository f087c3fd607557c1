"""The tools of one configuration: what is waited for, and what is found, under its policy."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import pytest

from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.tools.search import SearchResult
from plait.engine.known_tools import CATALOG_WAIT_S, KnownTools

from ..fakes import tool

pytestmark = pytest.mark.virtual_time

READ, SEND = tool("s:read", description="Read a file"), tool("chat:send", description="Send text")
DENIED = Policy(tables=(Rules(deny=("chat:*",)),))


class Starting:
    """Servers, of which `chat` is known only once it has been started, in *seconds*."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked_for: list[list[str] | None] = []
        self._is_up = False

    def catalog(self) -> Catalog:
        state = ServerState.READY if self._is_up else ServerState.CONNECTING
        infos = [ServerInfo("s", ServerState.READY, tools=1), ServerInfo("chat", state)]
        return Catalog([READ, SEND] if self._is_up else [READ], infos)

    async def settled(self, servers: Iterable[str] | None = None) -> None:
        self.asked_for.append(None if servers is None else sorted(servers))
        await anyio.sleep(self.seconds)
        self._is_up = True


def names_in(found: SearchResult) -> list[str]:
    return [tool.full_name for _, tools in found.needs for tool in tools]


async def test_a_search_waits_for_servers_without_known_tools_alone():
    servers = Starting(1)
    tools = KnownTools(servers, Policy())
    found = await tools.search("send a text", server=None, limit=3)
    assert servers.asked_for == [["chat"]]
    assert names_in(found)[:1] == ["chat:send"]
    tools.close()


async def test_a_search_does_not_wait_for_ever():
    tools = KnownTools(Starting(1_000), Policy())
    began = anyio.current_time()
    await tools.search("send a text", server=None, limit=3)
    assert anyio.current_time() - began == CATALOG_WAIT_S
    tools.close()


async def test_what_is_described_is_waited_for_and_an_unknown_name_is_a_problem():
    servers = Starting(1)
    tools = KnownTools(servers, Policy())
    found, problems = await tools.describe(["s:read", "chat:send", "chat:sent"])
    assert servers.asked_for == [["chat"]]
    assert [one.full_name for one in found] == ["s:read", "chat:send"]
    assert [problem.path for problem in problems] == ["names[2]"]


async def test_names_of_no_server_wait_for_all():
    servers = Starting(1)
    await KnownTools(servers, Policy()).reach(["say"])
    assert servers.asked_for == [None]


async def test_known_names_wait_for_nothing():
    servers = Starting(1)
    await KnownTools(servers, Policy()).reach(["s:read"])
    assert servers.asked_for == []


async def test_a_new_policy_holds_for_the_next_search():
    servers = Starting(0)
    tools = KnownTools(servers, Policy())
    assert tools.denied_by("chat", "send") is None
    before = await tools.search("send", server=None, limit=3)
    tools.change(DENIED)
    after = await tools.search("send", server=None, limit=3)
    assert ("chat:send" in names_in(before), "chat:send" in names_in(after)) == (True, False)
    assert tools.denied_by("chat", "send") == "chat:*"
    assert tools.denied_by("s", "read") is None
    tools.close()
