"""Calls of a run ask the client that waits for it, in both protocol eras."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Literal

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.session import ElicitationFnT

from plait.core.ports import (
    Ask,
    Caller,
    OnNotice,
    RelayRequest,
    ServerListing,
    ToolCall,
)
from plait.core.values.principal import USER
from plait.core.values.strict import Json, JsonObject
from plait.engine.gateway import Gateway
from plait.errors import PolicyDenied, RpcError
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.shelf import Shelf
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.principals import always_user
from plait.upstream.relay.input_requests import ASK_S
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.relay.request_caller import RequestCaller
from plait.upstream.relay.run_waiters import RunWaiters, serving
from plait.upstream.server import build_server

from ...fakes import FakeServers, tool
from ..conftest import LEGACY, MODERN, in_memory, structured, task
from .downstream import ALL_CAPABILITIES, FakeDownstream, a_tool, joined, relaying_server

pytestmark = pytest.mark.virtual_time

NAME: JsonObject = {"type": "object", "properties": {"name": {"type": "string"}}}
MESSAGE = "notifications/message"
QUESTION: JsonObject = {"mode": "form", "message": "Who?", "requestedSchema": NAME}


class Nothing:
    """No downstream server is relayed."""

    def offers(self) -> tuple[ServerListing, ...]:
        return ()

    async def request(self, request: RelayRequest, /) -> JsonObject:
        raise AssertionError(request)

    async def notify(self, server: str, method: str, params: JsonObject) -> None:
        raise AssertionError(method)

    async def watch(self, server: str, uri: str) -> Callable[[], None]:
        raise AssertionError(uri)

    def set_level(self, client: object, level: str | None) -> None:
        assert level is None

    def listen(self, hear: OnNotice) -> Callable[[], None]:
        return lambda: None

    def join(self, ask: Ask | None) -> Callable[[], None]:
        return lambda: None

    def askers(self) -> list[str]:
        return []


async def never_asked(method: str, params: JsonObject) -> JsonObject:
    raise AssertionError(method)


def request_of(ask: Ask) -> RequestCaller:
    """A request of a client without a session, which answers by *ask*."""
    capabilities = types.ClientCapabilities(elicitation=types.ElicitationCapability())
    session = SimpleNamespace(
        _connection=SimpleNamespace(outbound=None), client_capabilities=capabilities
    )
    ctx: Any = SimpleNamespace(session=session, protocol_version=LEGACY, params={})
    tasks: Any = None  # nothing is sent
    request = RequestCaller(ctx, USER, tasks, None)
    request.ask_through(ask)
    return request


async def greet(ask: Any, capabilities: JsonObject) -> dict[str, Any]:
    if ask is None:
        return {"asked": False}
    try:
        answer = await ask("elicitation/create", QUESTION)
    except RpcError as error:
        return {"refused": error.code}
    return {"answer": answer, "can": list(capabilities)}


async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    await anyio.sleep(70)  # longer than `wait_s`
    return types.ElicitResult(action="accept", content={"name": params.message})


@asynccontextmanager
async def connected(
    era: str,
    answers: ElicitationFnT | None,
    servers: FakeServers,
    history: MemoryHistory | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    servers.add(tool("s:greet"), greet)
    async with Gateway(servers, servers, InMemoryRuns(), history=history) as gateway:
        server = build_server(gateway, relaying=RelayConfig(Nothing()), **options)
        async with Client(in_memory(server), mode=era, elicitation_callback=answers) as client:
            yield client


async def test_a_call_of_a_run_asks_the_client_and_continues_with_its_answer(
    era: str, servers: FakeServers
):
    async with connected(era, answer, servers) as client:
        result = await client.call_tool("execute_dag", {"tasks": [task("a", "s:greet")]})
    output = structured(result)["outputs"]["a"]
    assert output["answer"] == {"action": "accept", "content": {"name": "Who?"}}
    assert output["can"] == ["elicitation"]


@pytest.mark.parametrize(
    ("action", "outcome"), [("accept", None), ("decline", "policy_denied"), (None, "policy_denied")]
)
async def test_a_wrapper_of_calls_may_ask_the_client_for_a_yes(
    era: str, servers: FakeServers, action: Literal["accept", "decline"] | None, outcome: str | None
):
    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        assert action is not None
        return types.ElicitResult(action=action, content={} if action == "accept" else None)

    async def approved(call: ToolCall) -> JsonObject:
        said: JsonObject = {}
        if call.caller.can_be_asked:
            form: JsonObject = {"type": "object", "properties": {}}
            question: JsonObject = {"message": "Really?", "requestedSchema": form}
            said = await call.caller.ask("elicitation/create", question)
        if said.get("action") != "accept":
            raise PolicyDenied("it was not approved", denied_by="the user")
        return await servers(call)

    servers.add(tool("s:t"), lambda **_: {"x": 1})
    async with (
        Gateway(servers, approved, InMemoryRuns()) as gateway,
        Client(
            in_memory(build_server(gateway, relaying=RelayConfig(Nothing()))),
            mode=era,
            elicitation_callback=answer if action else None,
        ) as client,
    ):
        document = structured(await client.call_tool("execute_dag", {"tasks": [task("a", "s:t")]}))
    assert [error["code"] for error in document["errors"]] == ([outcome] if outcome else [])
    assert document["outputs"] == ({} if outcome else {"a": {"x": 1}})


async def test_several_calls_of_a_run_ask_and_each_gets_its_own_answer(
    era: str, servers: FakeServers
):
    asked: list[str] = []

    async def ask_for(ask: Any, name: str) -> dict[str, Any]:
        return await ask("elicitation/create", {**QUESTION, "message": name})  # type: ignore[no-any-return]

    async def repeat(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"name": params.message})

    servers.add(tool("s:ask", {"name": {"type": "string"}}), ask_for)
    tasks = [task(id, "s:ask", arguments={"name": id}) for id in "abc"]
    chained = task("d", "s:ask", arguments={"name": "${OUTPUT[a].content.name}!"}, depends_on=["b"])
    async with connected(era, repeat, servers) as client:
        result = await client.call_tool(
            "execute_dag", {"tasks": [*tasks, chained], "return": ["*"]}
        )
    outputs = structured(result)["outputs"]
    assert {id: output["content"]["name"] for id, output in outputs.items()} == {
        "a": "a",
        "b": "b",
        "c": "c",
        "d": "a!",
    }
    assert sorted(asked) == ["a", "a!", "b", "c"]


async def test_a_client_without_capabilities_is_not_asked(era: str, servers: FakeServers):
    async with connected(era, None, servers) as client:
        result = await client.call_tool("execute_dag", {"tasks": [task("a", "s:greet")]})
    assert structured(result)["outputs"]["a"] == {"asked": False}


async def test_a_question_without_a_waiting_request_goes_to_the_next_one(
    era: str, servers: FakeServers
):
    async def later(ask: Any) -> dict[str, Any]:
        await anyio.sleep(40)
        return await ask("elicitation/create", QUESTION)  # type: ignore[no-any-return]

    async def at_once(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="decline")

    servers.add(tool("s:later"), later)
    async with connected(era, at_once, servers, wait_s=10) as client:
        begun = structured(await client.call_tool("execute_dag", {"tasks": [task("a", "s:later")]}))
        assert begun["status"] == "running"
        await anyio.sleep(200)  # by now it has asked, and waits
        ended = structured(
            await client.call_tool("get_run", {"run_id": begun["run_id"], "wait_s": 30})
        )
    assert ended["status"] == "success"
    assert ended["outputs"]["a"] == {"action": "decline"}


async def test_a_question_is_asked_over_the_process_of_its_run(era: str, servers: FakeServers):
    async def never(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        raise AssertionError("it is asked in the process of its run")

    shelf = Shelf()
    user = {"principal_of": always_user}
    ended: list[dict[str, Any]] = []
    async with (
        connected(era, answer, servers, MemoryHistory(shelf), **user) as client,
        connected(era, never, servers, MemoryHistory(shelf), **user) as elsewhere,
        anyio.create_task_group() as tasks,
    ):

        async def wait(waiting: Client, run_id: str) -> None:
            seen = await waiting.call_tool("get_run", {"run_id": run_id, "wait_s": 200})
            ended.append(dict(structured(seen)))

        document = {"tasks": [task("first", "s:sleep"), task("a", "s:greet", depends_on=["first"])]}
        begun = structured(await client.call_tool("execute_dag", {**document, "wait_s": 0}))
        seen = await elsewhere.call_tool("get_run", {"run_id": begun["run_id"], "wait_s": 20})
        assert (
            structured(seen)["status"] == "running"
        )  # it asks, and no request of its client waits
        for waiting in (client, elsewhere):
            tasks.start_soon(wait, waiting, begun["run_id"])
    assert [one["outputs"]["a"]["answer"]["action"] for one in ended] == ["accept", "accept"]


async def test_a_question_without_a_waiting_request_fails_after_ten_minutes():
    waiters = RunWaiters(USER, "mine", request_of(never_asked))
    began = anyio.current_time()
    with pytest.raises(RpcError, match="none can be asked"):
        await waiters.ask("elicitation/create", QUESTION)
    assert anyio.current_time() - began == ASK_S
    assert not waiters.has_open_questions


async def test_the_request_that_came_last_is_asked_and_after_it_the_one_before():
    waiters = RunWaiters(USER, "mine", request_of(never_asked))

    def naming(name: str) -> Any:
        async def ask(method: str, params: JsonObject) -> JsonObject:
            return {"by": name}

        return ask

    with serving(request_of(naming("first"))), waiters.joined():
        with serving(request_of(naming("second"))), waiters.joined():
            assert await waiters.ask("roots/list", {}) == {"by": "second"}
        assert await waiters.ask("roots/list", {}) == {"by": "first"}


async def test_cancelling_the_request_cancels_the_run_and_its_question(
    era: str, servers: FakeServers
):
    asked = anyio.Event()

    async def never(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with connected(era, never, servers) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "execute_dag", {"tasks": [task("a", "s:greet")]})
        await asked.wait()
        tasks.cancel_scope.cancel()
    assert servers.aborted == ["s:greet"]


# What calls of a run log.

LOGGED: JsonObject = {"level": "info", "data": {"n": 1}, "x-odd": [1.0]}
MANY = 50
LOUD: JsonObject = {types.LOG_LEVEL_META_KEY: "debug"}


async def speak(on_log: Any, seconds: float = 0) -> dict[str, Any]:
    await anyio.sleep(seconds)
    assert on_log is not None
    for _ in range(MANY):
        on_log(LOGGED)
    return {}


def dag(**options: Any) -> JsonObject:
    return {
        "name": "execute_dag",
        "arguments": {"tasks": [task("a", "s:speak", arguments={"seconds": 5})], **options},
    }


@pytest.mark.parametrize("capabilities", [{}, ALL_CAPABILITIES])
async def test_log_messages_of_a_run_go_to_its_client_alone_before_the_result(
    era: str, servers: FakeServers, capabilities: JsonObject
):
    servers.add(tool("s:speak", closed=False), speak)
    async with (
        relaying_server(FakeDownstream(), servers) as server,
        joined(server, era, capabilities) as mine,
        joined(server) as other,
        joined(server, MODERN) as modern,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(other.request, "tools/call", dag(wait_s=0))
        await mine.request("tools/call", dag(), meta=LOUD, id="mine")
        await other.request("ping")
        await modern.request("tools/list")
    assert mine.told(MESSAGE) == [LOGGED] * MANY
    assert MESSAGE not in mine.log[mine.log.index("mine") :]
    assert modern.told(MESSAGE) == []


async def test_log_messages_of_a_run_without_waiters_go_to_the_session_that_began_it(
    servers: FakeServers,
):
    servers.add(tool("s:speak", closed=False), speak)
    async with (
        relaying_server(FakeDownstream(), servers, principal_of=always_user) as server,
        joined(server) as mine,
        joined(server) as other,
    ):
        async with joined(server) as leaves:
            begun = [await peer.request("tools/call", dag(wait_s=0)) for peer in (mine, leaves)]
            runs = [run["structuredContent"]["run_id"] for run in begun]
            await leaves.leave()
        await anyio.sleep(10)
        assert (mine.told(MESSAGE), other.told(MESSAGE)) == ([LOGGED] * MANY, [])
        ended = [
            await mine.request("tools/call", {"name": "get_run", "arguments": {"run_id": id}})
            for id in runs
        ]
        assert [run["structuredContent"]["status"] for run in ended] == ["success", "success"]


async def test_a_client_of_2026_gets_log_messages_only_while_its_request_is_open(
    servers: FakeServers,
):
    servers.add(tool("s:speak", closed=False), speak)
    async with relaying_server(FakeDownstream(), servers) as server, joined(server, MODERN) as peer:
        await peer.request("tools/call", dag())
        await peer.request("tools/call", dag(), meta={types.LOG_LEVEL_META_KEY: "error"})
        await peer.request("tools/call", dag(wait_s=0), meta=LOUD)
        await anyio.sleep(10)
        assert peer.told(MESSAGE) == []
        await peer.request("tools/call", dag(), meta=LOUD)
        assert peer.told(MESSAGE) == [LOGGED] * MANY


async def test_runs_and_calls_of_one_session_have_the_same_client(servers: FakeServers):
    seen: list[object] = []

    async def look(caller: Caller) -> dict[str, Any]:
        seen.append(caller.client)
        return {}

    servers.add(tool("s:speak", closed=False), look)
    downstream = FakeDownstream()
    downstream.add("a", tools=(a_tool("x"),))
    async with (
        relaying_server(downstream, servers) as server,
        joined(server) as one,
        joined(server) as other,
    ):
        for peer in (one, one, other):
            call = {"name": "execute_dag", "arguments": {"tasks": [task("a", "s:speak")]}}
            await peer.request("tools/call", call)
        await one.request("tools/call", {"name": "a__x"})
    assert seen[0] == seen[1] == downstream.requests[0].caller.client != seen[2]


async def test_a_run_asks_only_the_session_that_began_it(servers: FakeServers):
    async def ask_later(ask: Any) -> JsonObject:
        await anyio.sleep(5)
        answer: JsonObject = await ask("elicitation/create", QUESTION)
        return answer

    def never(params: JsonObject) -> JsonObject:
        raise AssertionError(params)

    servers.add(tool("s:ask"), ask_later)
    dag: JsonObject = {
        "name": "execute_dag",
        "arguments": {"tasks": [task("a", "s:ask")], "wait_s": 0},
    }
    async with (
        relaying_server(FakeDownstream(), servers) as server,
        joined(server, answers={"elicitation/create": {"action": "decline"}}) as mine,
        joined(server, answers={"elicitation/create": never}) as other,
        anyio.create_task_group() as tasks,
    ):
        begun = await mine.request("tools/call", dag)
        run: JsonObject = {"run_id": begun["structuredContent"]["run_id"], "wait_s": 60}
        tasks.start_soon(other.request, "tools/call", {"name": "get_run", "arguments": run})
        await anyio.sleep(10)
        ended = await mine.request("tools/call", {"name": "get_run", "arguments": run})
    assert ended["structuredContent"]["outputs"]["a"] == {"action": "decline"}


async def test_a_question_whose_request_ended_goes_to_the_next_one():
    async def given_up(method: str, params: JsonObject) -> JsonObject:
        await may_end.wait()
        raise anyio.ClosedResourceError

    async def there(method: str, params: JsonObject) -> JsonObject:
        return {"from": "the next"}

    request = request_of(never_asked)
    waiters, may_end, answers = RunWaiters(USER, "mine", request), anyio.Event(), list[JsonObject]()

    async def put() -> None:
        answers.append(await waiters.ask("roots/list", {}))

    async with anyio.create_task_group() as tasks:
        with serving(request_of(given_up)), waiters.joined():
            tasks.start_soon(put)
            await anyio.wait_all_tasks_blocked()
        may_end.set()
        await anyio.wait_all_tasks_blocked()
        assert answers == []
        with serving(request_of(there)), waiters.joined():
            await waiters.wait_answered()
            await anyio.wait_all_tasks_blocked()
    assert answers == [{"from": "the next"}]


async def test_progress_of_a_run_goes_to_the_request_that_waits_at_the_time():
    async def ask_first(ask: Any, first: bool = False) -> JsonObject:
        if first:
            await ask("elicitation/create", QUESTION)
        return {}

    servers = FakeServers()
    servers.add(tool("s:ask"), ask_first)
    tasks: list[Json] = [
        task("one", "s:ask", arguments={"first": True}),
        task("two", "s:ask", depends_on=["one"]),
    ]
    params: JsonObject = {"name": "execute_dag", "arguments": {"tasks": tasks}}
    async with (
        relaying_server(FakeDownstream(), servers) as server,
        joined(server, MODERN, answers={"elicitation/create": {"action": "decline"}}) as peer,
    ):
        result = await peer.request("tools/call", params, meta={"progressToken": "first"})
        told_first = len(peer.told("notifications/progress"))
        answers: JsonObject = {key: {"action": "decline"} for key in result["inputRequests"]}
        more: JsonObject = {"inputResponses": answers, "requestState": result["requestState"]}
        await peer.request("tools/call", {**params, **more}, meta={"progressToken": "second"})
    told = peer.told("notifications/progress")
    assert {one["progressToken"] for one in told[:told_first]} == {"first"}
    assert {one["progressToken"] for one in told[told_first:]} == {"second"}
    assert told[-1]["progress"] == 2
