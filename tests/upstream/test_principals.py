"""A run belongs to its principal: to all others it does not exist, and they are asked nothing of
it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.sse import sse_client

from plait.core.values.principal import Principal
from plait.core.values.strict import JsonObject
from plait.engine.gateway import Gateway
from plait.upstream.principals import PrincipalOf, always_user
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.server import build_server

from ..fakes import FakeServers, tool
from .conftest import LEGACY, MODERN, in_memory, structured, task
from .relay.downstream import FORM, FakeDownstream
from .transports.http_gateway import served

RANDOM = "r_" + "a2" * 13
ALONE = ("memory 2025", "memory 2026", "session", "sse")
"""The kinds of clients that are a principal each: two of them never see each other's runs."""
HTTP_2026 = "http 2026"


class House:
    """One gateway, and clients of any kind in front of it, each with its log of what it was
    asked."""

    def __init__(
        self, stack: AsyncExitStack, gateway: Gateway, url: str, principal_of: PrincipalOf | None
    ) -> None:
        self._stack = stack
        self._url = url
        relaying = RelayConfig(FakeDownstream())
        self._server = build_server(gateway, relaying=relaying, principal_of=principal_of)

    async def client(self, kind: str) -> Person:
        person = Person()
        match kind:
            case "memory 2025":
                way: Any = (in_memory(self._server), LEGACY)
            case "memory 2026":
                way = (in_memory(self._server), MODERN)
            case "session":
                way = (self._url, LEGACY)
            case "sse":
                way = (sse_client(self._url.replace("/mcp", "/sse")), LEGACY)
            case _:
                way = (self._url, MODERN)
        client = Client(way[0], mode=way[1], elicitation_callback=person.answer)
        person.client = await self._stack.enter_async_context(client)
        return person


class Person:
    """A client, and how often it was asked something."""

    client: Client

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.asked += 1
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def call(self, tool: str, **arguments: Any) -> Any:
        return structured(await self.client.call_tool(tool, arguments))

    async def begin(self, *tasks: JsonObject) -> str:
        """The id of a run that goes on."""
        begun = await self.call("execute_dag", tasks=list(tasks), wait_s=0)
        assert begun["status"] == "running"
        return str(begun["run_id"])


class Gate:
    """Holds the tools `s:held` and `s:ask` until it is opened; then `s:ask` asks its client."""

    def __init__(self, servers: FakeServers) -> None:
        self.opened = anyio.Event()
        servers.add("s:held", self._held)
        servers.add(tool("s:ask"), self._ask)

    async def _held(self) -> JsonObject:
        await self.opened.wait()
        return {"secret": 42}

    async def _ask(self, ask: Any) -> JsonObject:
        await self.opened.wait()
        answer: JsonObject = await ask("elicitation/create", FORM)
        return answer


@asynccontextmanager
async def house(
    servers: FakeServers, principal_of: PrincipalOf | None = None
) -> AsyncIterator[House]:
    with anyio.fail_after(60):
        async with (
            served(servers, relaying=RelayConfig(FakeDownstream())) as http,
            AsyncExitStack() as stack,
        ):
            yield House(stack, http.gateway, http.url, principal_of)


ATTEMPTS: dict[str, Callable[[Client, str], Any]] = {
    "get_run": lambda client, id: client.call_tool("get_run", {"run_id": id, "wait_s": 50}),
    "a task": lambda client, id: client.call_tool(
        "get_run", {"run_id": id, "task": "a", "wait_s": 50}
    ),
    "no task": lambda client, id: client.call_tool("get_run", {"run_id": id, "task": "zz"}),
    "cancel_run": lambda client, id: client.call_tool("cancel_run", {"run_id": id}),
    "resume_from": lambda client, id: client.call_tool(
        "execute_dag", {"resume_from": id, "tasks": [task("b", arguments={"stolen": "$OUTPUT[a]"})]}
    ),
    "a dry run": lambda client, id: client.call_tool(
        "execute_dag", {"resume_from": id, "tasks": [], "dry_run": True}
    ),
    "the run as a resource": lambda client, id: client.read_resource(f"plait://runs/{id}"),
    "its task as a resource": lambda client, id: client.read_resource(f"plait://runs/{id}/tasks/a"),
    "explain_run": lambda client, id: client.get_prompt("explain_run", {"run_id": id}),
}


async def answers(client: Client, run_id: str) -> dict[str, str]:
    """Return the answer to each attempt to see a run, byte for byte, without the id."""
    said: dict[str, str] = {}
    for name, attempt in ATTEMPTS.items():
        try:
            result = await attempt(client, run_id)
            said[name] = result.model_dump_json()
            assert result.is_error, said[name]
        except MCPError as error:
            said[name] = json.dumps([error.error.code, error.error.message, error.error.data])
    return {name: text.replace(run_id, "ID") for name, text in said.items()}


FOREIGN = [(kind, kind) for kind in ALONE] + [
    ("session", "sse"),
    ("session", HTTP_2026),
    ("sse", HTTP_2026),
]


@pytest.mark.parametrize(("owner", "other"), FOREIGN)
async def test_the_answer_for_a_run_of_another_client_equals_that_for_an_unknown_run(
    servers: FakeServers, owner: str, other: str
):
    gate = Gate(servers)
    async with house(servers) as built:
        a, b = await built.client(owner), await built.client(other)
        run = await a.begin(task("a", "s:held"))
        random = await answers(b.client, RANDOM)
        assert await answers(b.client, run) == random  # while it runs: nothing waits for it either
        gate.opened.set()
        assert (await a.call("get_run", run_id=run))["outputs"] == {"a": {"secret": 42}}
        assert await answers(b.client, run) == random
        assert run not in str(random)
        assert len(servers.calls) == 1


async def test_over_http_without_a_session_whoever_knows_the_id_sees_the_run_and_no_id_is_named(
    servers: FakeServers,
):
    async with house(servers) as built:
        a, b, session = [await built.client(kind) for kind in (HTTP_2026, HTTP_2026, "session")]
        run = (await a.call("execute_dag", tasks=[task("a", arguments={"n": 1})]))["run_id"]
        assert run not in str(await answers(b.client, RANDOM))
        for who in (a, b, session):
            assert (await who.call("get_run", run_id=run))["outputs"] == {"a": {"n": 1}}


@pytest.mark.parametrize("kind", ALONE)
async def test_a_question_of_a_run_never_goes_to_another_client_that_has_its_id(
    servers: FakeServers, kind: str
):
    gate = Gate(servers)
    async with house(servers) as built:
        a, b = await built.client(kind), await built.client(kind)
        run = await a.begin(task("a", "s:ask"))
        async with anyio.create_task_group() as tasks:
            gate.opened.set()
            tasks.start_soon(b.client.call_tool, "get_run", {"run_id": run})
            ended = await a.call("get_run", run_id=run)
    assert ended["outputs"]["a"] == {"action": "accept", "content": {"name": "Ada"}}
    assert (a.asked, b.asked) == (1, 0)


@pytest.mark.parametrize("kind", ["memory 2025", "memory 2026"])
async def test_another_client_of_the_same_user_sees_the_run_and_is_not_asked(
    servers: FakeServers, kind: str
):
    gate = Gate(servers)
    async with house(servers, always_user) as built:
        a, b = await built.client(kind), await built.client(kind)
        run = await a.begin(task("a", "s:ask"))
        gate.opened.set()
        assert (await b.call("get_run", run_id=run, wait_s=0.2))["status"] == "running"
        assert (await a.call("get_run", run_id=run))["status"] == "success"
        assert (await b.call("get_run", run_id=run))["outputs"]["a"]["action"] == "accept"
    assert (a.asked, b.asked) == (1, 0)


async def test_without_a_session_a_question_goes_to_a_request_that_has_the_id_and_to_no_session(
    servers: FakeServers,
):
    gate = Gate(servers)
    async with house(servers) as built:
        a, session = await built.client(HTTP_2026), await built.client("session")
        run = await a.begin(task("a", "s:ask"))
        gate.opened.set()
        assert (await session.call("get_run", run_id=run, wait_s=0.2))["status"] == "running"
        assert (await a.call("get_run", run_id=run))["status"] == "success"
    assert (a.asked, session.asked) == (1, 0)


async def test_a_wait_for_another_clients_run_does_not_name_it(servers: FakeServers):
    gate = Gate(servers)
    async with house(servers) as built:
        a, b = await built.client("session"), await built.client("session")
        first = await a.begin(task("theirs", "s:held", writes=["file:/x/theirs"]))
        second = await b.begin(task("mine", "s:held", writes=["file:/x"]))
        gate.opened.set()
        ended = await b.call("get_run", run_id=second)
        await a.call("get_run", run_id=first)
        told = (await b.client.read_resource(f"plait://runs/{second}")).model_dump_json()
    assert ended["status"] == "success"
    assert "another run" in told
    assert "theirs" not in told
    assert first not in told


async def test_a_principal_may_be_more_than_one_session(servers: FakeServers):
    """As it is where clients log in: the principal is whoever the request says."""

    def by_name(ctx: Any) -> Principal:
        return Principal(f"token:{ctx.session.client_params.client_info.name}")

    async with house(servers, by_name) as built:
        a, b = await built.client("memory 2025"), await built.client("memory 2026")
        run = (await a.call("execute_dag", tasks=[task("a", arguments={"n": 1})]))["run_id"]
        assert (await b.call("get_run", run_id=run))["outputs"] == {"a": {"n": 1}}
