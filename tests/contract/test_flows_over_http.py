"""Section 11 over HTTP on real ports: what a caller has seen is remembered for its session; where
there are no sessions, for all callers together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.sse import sse_client

from plait.core.flows.rules import FlowPolicy, FlowRule, Remember
from plait.upstream.relay.listings import RelayConfig

from ..fakes import FakeServers, tool
from ..fakes import structured as content
from ..upstream.conftest import LEGACY, MODERN, structured
from ..upstream.relay.downstream import FakeDownstream
from ..upstream.transports.http_gateway import Served, served

PRIVATE = FlowRule(("private",), "outbound")
LABELS = {"private": ("files:read",), "outbound": ("s:say",)}
READ = {"id": "read", "tool": "files:read", "arguments": {}}
SAY = {"id": "say", "tool": "s:say", "arguments": {"text": "hello"}}
See = Callable[[Client], Awaitable[Any]]


class House:
    """A file that is private, and a tool that sends; `said` has what was sent."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.servers = FakeServers()
        text = {"text": {"type": "string"}}
        reading = tool("files:read", {}, output={"type": "object"}, readOnlyHint=True)
        self.servers.add(reading, lambda: {"text": "the secret"})
        self.servers.add(tool("s:say", text, ["text"]), self._say)

    def _say(self, text: str) -> dict[str, Any]:
        self.said.append(text)
        return {"said": text}

    @asynccontextmanager
    async def over_http(self, remembers: Remember = Remember.DENY) -> AsyncIterator[Served]:
        downstream = FakeDownstream()
        for one in self.servers.catalog().tools.values():
            downstream.add(one.server, tools=(one.definition,))
            downstream.on(one.server, "tools/call", content({"text": "the secret"}))
        relaying = RelayConfig(downstream, "all")
        flows = FlowPolicy(LABELS, (PRIVATE,), remembers)
        async with served(self.servers, relaying=relaying, flows=flows) as gateway:
            yield gateway

    async def may_say(self, client: Client) -> bool:
        """Whether *client* may send a text of its own in a plan."""
        result = structured(await client.call_tool("execute_dag", {"tasks": [SAY]}))
        if result["status"] == "success":
            return True
        [error] = result["errors"]
        assert error["code"] == "flow_denied"
        return False


@pytest.fixture(params=[LEGACY, MODERN])
def era(request: pytest.FixtureRequest) -> str:
    era: str = request.param
    return era


@pytest.fixture
def house() -> House:
    return House()


async def in_a_plan(client: Client) -> None:
    result = await client.call_tool("execute_dag", {"tasks": [READ]})
    assert structured(result)["outputs"]["read"] == {"text": "the secret"}


async def in_what_get_run_gives(client: Client) -> None:
    run = structured(await client.call_tool("execute_dag", {"tasks": [READ], "return": []}))
    await client.call_tool("get_run", {"run_id": run["run_id"], "task": "read"})


async def by_name(client: Client) -> None:
    await client.call_tool("files__read", {})


async def in_a_resource(client: Client) -> None:
    run = structured(await client.call_tool("execute_dag", {"tasks": [READ], "return": []}))
    await client.read_resource(f"plait://runs/{run['run_id']}/tasks/read")


async def in_a_preview(client: Client) -> None:
    say = {**SAY, "tool": "files:read", "id": "again", "when": "read.text", "arguments": {}}
    await client.call_tool("execute_dag", {"tasks": [READ, say], "return": ["read"]})


@pytest.mark.parametrize(
    "see", [in_a_plan, in_what_get_run_gives, by_name, in_a_resource, in_a_preview]
)
async def test_what_a_client_has_seen_keeps_it_from_sending_in_its_session(
    house: House, era: str, see: See
):
    async with house.over_http() as gateway, Client(gateway.url, mode=era) as client:
        assert await house.may_say(client)
        await see(client)
        assert not await house.may_say(client)
        with pytest.raises(MCPError, match="may not be given what is private"):
            await client.call_tool("s__say", {"text": "by name"})
    assert house.said == ["hello"]


async def test_what_was_not_returned_was_not_seen(house: House, era: str):
    async with house.over_http() as gateway, Client(gateway.url, mode=era) as client:
        await client.call_tool("execute_dag", {"tasks": [READ], "return": []})
        assert await house.may_say(client)


async def test_a_session_knows_nothing_of_another_one(house: House):
    async with (
        house.over_http() as gateway,
        Client(gateway.url, mode=LEGACY) as one,
        Client(gateway.url, mode=LEGACY) as other,
        Client(sse_client(f"{gateway.base}/sse"), mode=LEGACY) as third,
        Client(gateway.url, mode=MODERN) as fourth,
    ):
        await in_a_plan(one)
        assert not await house.may_say(one)
        assert [await house.may_say(client) for client in (other, third, fourth)] == [True] * 3
        await in_a_plan(third)
        assert not await house.may_say(third)
        assert await house.may_say(other)


async def test_clients_without_a_session_and_a_login_know_together(house: House):
    """Over 2026-07-28 nothing tells one of them from another, so the strictest holds."""
    async with (
        house.over_http() as gateway,
        Client(gateway.url, mode=MODERN) as one,
        Client(gateway.url, mode=MODERN) as other,
    ):
        await in_a_plan(one)
        assert not await house.may_say(other)


async def test_a_new_session_knows_nothing_of_one_that_has_ended(house: House):
    async with house.over_http() as gateway:
        async with Client(gateway.url, mode=LEGACY) as client:
            await in_a_plan(client)
        async with Client(gateway.url, mode=LEGACY) as client:
            assert await house.may_say(client)


async def test_one_yes_covers_a_rule_for_its_session_alone(house: House):
    asked: list[str] = []

    async def yes(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"answer": "yes"})

    async with (
        house.over_http(Remember.ASK) as gateway,
        Client(gateway.url, mode=LEGACY, elicitation_callback=yes) as one,
        Client(gateway.url, mode=LEGACY, elicitation_callback=yes) as other,
    ):
        for client, count in ((one, 1), (one, 1), (other, 2)):
            await in_a_plan(client)
            assert await house.may_say(client)
            assert len(asked) == count
    assert len(house.said) == 3


async def test_without_a_session_each_call_is_asked_for(house: House):
    asked: list[str] = []

    async def yes(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"answer": "yes"})

    async with (
        house.over_http(Remember.ASK) as gateway,
        Client(gateway.url, mode=MODERN, elicitation_callback=yes) as client,
    ):
        await in_a_plan(client)
        for count in (1, 2):
            assert await house.may_say(client)
            assert len(asked) == count
