"""Requests that wait for a client of 2026-07-28: their owner, their time, their number, their
end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import anyio
import mcp_types as types
import pytest

from plait.core.ports import Ask, RelayRequest
from plait.core.values.principal import USER, Principal
from plait.core.values.strict import JsonObject
from plait.errors import RpcError
from plait.upstream.relay import pending
from plait.upstream.relay.input_requests import ASK_S

from ...fakes import FakeServers, tool
from ..conftest import MODERN
from .downstream import (
    DONE,
    FORM,
    FakeDownstream,
    RawClient,
    a_tool,
    connected,
    joined,
    relaying_server,
)
from .test_input_requests import ADA, ASK, ROOTS, asking, question, requiring

pytestmark = pytest.mark.virtual_time

INVALID_STATE = {"reason": "invalid_request_state"}


@pytest.fixture
def downstream() -> FakeDownstream:
    made = FakeDownstream()
    for server in "ab":
        made.add(server, tools=(a_tool("ask"), a_tool("other")))
        made.on(server, "tools/call", asking(ASK, FORM))
    return made


async def asked(peer: RawClient, tool: str = "a__ask", **arguments: Any) -> dict[str, Any]:
    """The client's next request, after one that asks: the same, with the answers and the state."""
    params = {"name": tool, "arguments": arguments}
    result = await peer.request("tools/call", params)
    assert result["resultType"] == "input_required"
    answers = dict.fromkeys(result["inputRequests"], ADA)
    return {**params, "inputResponses": answers, "requestState": result["requestState"]}


async def refused(peer: RawClient, params: JsonObject) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await peer.request("tools/call", params)
    return caught.value


def is_refused(error: RpcError) -> bool:
    """Always in the same words, whatever is wrong with a state."""
    said = (error.code, error.message, error.data)
    return said == (types.INVALID_PARAMS, "Invalid or expired requestState", INVALID_STATE)


async def test_a_state_is_valid_only_for_its_principal(downstream: FakeDownstream):
    sender = USER
    async with (
        relaying_server(downstream, principal_of=lambda ctx: sender) as server,
        joined(server, MODERN, answers={ASK: ADA}) as peer,
    ):
        params = await asked(peer)
        sender = Principal("token:other")
        assert is_refused(await refused(peer, params))
        sender = USER
        assert await peer.request("tools/call", params)


CHANGES: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda params: {**params, "name": "a__other"},
    lambda params: {**params, "name": "b__ask"},
    lambda params: {**params, "arguments": {"x": 1}},
    lambda params: {**params, "requestState": params["requestState"][:-4] + "AAAA"},
    lambda params: {**params, "requestState": "pending:" + "0" * 32},
    lambda params: {**params, "requestState": ""},
    lambda params: {**params, "requestState": 5},
    lambda params: {**params, "requestState": "x" * 100_000},
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("server", [asking(ASK, FORM), requiring(k=question(ASK, FORM))])
async def test_a_state_is_valid_only_for_its_request(
    downstream: FakeDownstream, change: Callable[[dict[str, Any]], dict[str, Any]], server: Any
):
    downstream.on("a", "tools/call", server)
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
        sent = len(downstream.requests)
        assert is_refused(await refused(peer, change(params)))
        assert len(downstream.requests) == sent
        result = await peer.request("tools/call", params)
    assert "Ada" in str(result["structuredContent"])


async def test_a_state_of_a_call_is_invalid_for_a_prompt(downstream: FakeDownstream):
    downstream.add("a", tools=(a_tool("ask"),), prompts=({"name": "a__ask"},))
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
        with pytest.raises(RpcError) as caught:
            await peer.request("prompts/get", params)
    assert is_refused(caught.value)


async def test_a_state_is_used_once(downstream: FakeDownstream):
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
        await peer.request("tools/call", params)
        assert is_refused(await refused(peer, params))
    assert len(downstream.requests) == 1


async def test_of_two_requests_with_one_state_only_one_continues(downstream: FakeDownstream):
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
        keys = [await peer.begin("tools/call", params) for _ in range(2)]
        outcomes = [await answered(peer, key) for key in keys]
    assert sorted(map(str, map(type, outcomes))) == sorted(map(str, (dict, RpcError)))


async def answered(peer: RawClient, key: str) -> Any:
    try:
        return await peer.answer_to(key)
    except RpcError as error:
        return error


async def test_a_state_of_another_gateway_is_refused(downstream: FakeDownstream):
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        assert is_refused(await refused(peer, params))


async def test_the_state_of_a_server_is_not_shown_to_the_client(downstream: FakeDownstream):
    downstream.on("a", "tools/call", requiring(k=question(ASK, FORM)))
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        assert "server:" not in (await asked(peer))["requestState"]


@pytest.mark.parametrize("state", ["server:b:x", "pending:x", "x"])
async def test_a_state_is_sealed_so_that_a_server_cannot_make_one_of_ours(
    downstream: FakeDownstream, state: str
):
    def answer(request: RelayRequest) -> JsonObject:
        given = request.params.get("requestState")
        return (
            {**DONE, "structuredContent": {"given": given}}
            if given
            else {"resultType": "input_required", **more}
        )

    more: JsonObject = {"inputRequests": {"k": question(ROOTS, {})}, "requestState": state}
    downstream.on("a", "tools/call", answer)
    async with connected(downstream, MODERN, answers={ROOTS: {"roots": []}}) as peer:
        assert (await peer.call("a__ask"))["structuredContent"] == {"given": state}


async def test_work_waits_ten_minutes_for_its_client_and_is_cancelled(downstream: FakeDownstream):
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
        await anyio.sleep(ASK_S - 1)
        assert downstream.aborted == []
        await anyio.sleep(2)
        assert len(downstream.aborted) == 1
        assert is_refused(await refused(peer, params))


async def test_a_sealed_state_expires(downstream: FakeDownstream, monkeypatch: pytest.MonkeyPatch):
    downstream.on("a", "tools/call", requiring(k=question(ASK, FORM)))
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + ASK_S + 1)
        assert is_refused(await refused(peer, params))


async def test_each_question_has_ten_minutes_of_its_own(downstream: FakeDownstream):
    async def twice(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        for _ in range(2):
            await request.caller.ask(ASK, FORM)
        return DONE

    async def slowly(params: JsonObject) -> JsonObject:
        await anyio.sleep(ASK_S - 1)
        return ADA

    downstream.on("a", "tools/call", twice)
    async with connected(downstream, MODERN, answers={ASK: slowly}) as peer:
        assert (await peer.call("a__ask"))["content"] == DONE["content"]


async def test_resumed_work_has_no_time_limit_of_its_own(
    downstream: FakeDownstream,
):
    async def slow(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        await request.caller.ask(ASK, FORM)
        await anyio.sleep(3_000)
        return DONE

    downstream.on("a", "tools/call", slow)
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        assert (await peer.call("a__ask"))["content"] == DONE["content"]


async def test_above_the_limit_no_more_requests_wait_for_their_clients(
    downstream: FakeDownstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pending, "MOST_PENDING", 3)
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        waiting = [await asked(peer, x=n) for n in range(3)]
        result = await peer.request("tools/call", {"name": "a__ask", "arguments": {"x": 4}})
        assert result["structuredContent"]["code"] == types.INTERNAL_ERROR
        await peer.request("tools/call", waiting.pop())
        await asked(peer, x=5)


async def test_requests_that_arrive_together_obey_the_limit_of_pending_ones(
    downstream: FakeDownstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pending, "MOST_PENDING", 3)
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        keys = [
            await peer.begin("tools/call", {"name": "a__ask", "arguments": {"x": n}})
            for n in range(10)
        ]
        results = [await peer.answer_to(key) for key in keys]
    assert [result["resultType"] for result in results].count("input_required") == 3


async def test_pending_requests_are_cancelled_when_their_transport_ends(downstream: FakeDownstream):
    async with (
        relaying_server(downstream) as server,
        joined(server, MODERN, answers={ASK: ADA}) as peer,
    ):
        await asked(peer)
        await asked(peer, x=1)
        await peer.leave()
        await downstream.until(lambda: len(downstream.aborted) == 2)


async def test_work_that_ended_without_the_answer_keeps_its_result_for_the_client(
    downstream: FakeDownstream,
):
    async def impatient(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        with anyio.move_on_after(5):
            await request.caller.ask(ASK, FORM)
        return DONE

    downstream.on("a", "tools/call", impatient)
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
        await anyio.sleep(60)
        assert (await peer.request("tools/call", params))["content"] == DONE["content"]


@pytest.mark.parametrize("is_answered", [True, False])
async def test_questions_open_when_the_work_ends_are_answered_or_withdrawn(
    downstream: FakeDownstream, is_answered: bool
):
    """Nothing tells which of several requests a question of a server of the handshake era is
    for."""
    may_end, answers = anyio.Event(), list[Any]()
    asks: list[Ask] = []

    async def work(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        asks.append(request.caller.ask)
        await may_end.wait()
        return DONE

    async def ask() -> None:
        try:
            answers.append(await asks[0](ASK, FORM))
        except anyio.ClosedResourceError:
            answers.append("withdrawn")

    downstream.on("a", "tools/call", work)
    async with (
        connected(downstream, MODERN, answers={ASK: ADA}) as peer,
        anyio.create_task_group() as tasks,
    ):
        key = await peer.begin("tools/call", {"name": "a__ask", "arguments": {}})
        await downstream.until(lambda: bool(asks))
        tasks.start_soon(ask)
        first = await peer.answer_to(key)
        may_end.set()
        given: JsonObject = dict.fromkeys(first["inputRequests"], ADA) if is_answered else {}
        more = {"inputResponses": given, "requestState": first["requestState"]}
        result = await peer.request("tools/call", {"name": "a__ask", "arguments": {}, **more})
    assert result["content"] == DONE["content"]
    assert answers == [ADA if is_answered else "withdrawn"]


async def test_a_state_never_reaches_another_server(
    downstream: FakeDownstream,
):
    downstream.on("a", "tools/call", requiring(k=question(ASK, FORM)))
    downstream.remove("b")
    async with connected(downstream, MODERN, answers={ASK: ADA}, bare=frozenset("ab")) as peer:
        params = await asked(peer, "ask")
        downstream.remove("a")
        downstream.add("b", tools=(a_tool("ask"),))
        assert is_refused(await refused(peer, params))
    assert [request.server for request in downstream.requests] == ["a"]


async def test_a_client_that_cancels_while_it_comes_back_cancels_the_work(
    downstream: FakeDownstream,
):
    async def slow(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        await request.caller.ask(ASK, FORM)
        await anyio.sleep_forever()
        raise AssertionError

    downstream.on("a", "tools/call", slow)
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
        key = await peer.begin("tools/call", params)
        await anyio.sleep(1)
        assert downstream.aborted == []
        await peer.cancel(key)
        await downstream.until(lambda: len(downstream.aborted) == 1)
        assert is_refused(await refused(peer, params))


async def test_progress_goes_to_the_request_that_waits_at_the_time(downstream: FakeDownstream):
    async def slow(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        assert request.caller.wants_progress
        request.caller.progress({"progress": 1, "message": "before"})
        await anyio.sleep(1)
        await request.caller.ask(ASK, FORM)
        request.caller.progress({"progress": 2, "message": "after"})
        return DONE

    downstream.on("a", "tools/call", slow)
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params: JsonObject = {"name": "a__ask"}
        result = await peer.request("tools/call", params, meta={"progressToken": "one"})
        answers = dict.fromkeys(result["inputRequests"], ADA)
        more = {"inputResponses": answers, "requestState": result["requestState"]}
        await peer.request("tools/call", {**params, **more}, meta={"progressToken": "two"})
    told = [(one["progressToken"], one["message"]) for one in peer.told("notifications/progress")]
    assert told == [("one", "before"), ("two", "after")]


async def test_log_messages_while_no_request_waits_are_dropped(downstream: FakeDownstream):
    message: JsonObject = {"level": "error", "data": "secret"}
    async with (
        relaying_server(downstream) as server,
        joined(server) as stranger,
        joined(server, MODERN, answers={ASK: ADA}) as peer,
    ):
        params = await asked(peer)
        downstream.tell("a", "notifications/message", message)
        await anyio.sleep(1)
        await peer.request("tools/call", params)
        assert stranger.heard == peer.heard == []


async def test_an_unexpected_error_in_a_pending_request_is_not_shown_to_the_client(
    downstream: FakeDownstream,
):
    async def fail(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        await request.caller.ask(ASK, FORM)
        raise RuntimeError("/etc/secret")

    downstream.on("a", "tools/call", fail)
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        params = await asked(peer)
        error = await refused(peer, params)
    assert error.code == types.INTERNAL_ERROR
    assert error.message.startswith("an internal error; the log names it")


async def test_runs_ask_in_the_same_way_and_their_states_are_invalid_for_other_calls(
    downstream: FakeDownstream,
):
    async def ask_first(ask: Ask) -> JsonObject:
        return await ask(ASK, FORM)

    servers = FakeServers()
    servers.add(tool("s:ask"), ask_first)
    dag: JsonObject = {"tasks": [{"id": "t", "tool": "s:ask"}]}
    async with connected(downstream, MODERN, answers={ASK: ADA}, servers=servers) as peer:
        params = await asked(peer, "execute_dag", **dag)
        other = await asked(peer, "a__ask", **dag)
        assert is_refused(await refused(peer, {**other, "requestState": params["requestState"]}))
        assert is_refused(await refused(peer, {**params, "requestState": other["requestState"]}))
        result = await peer.request("tools/call", params)
    assert result["structuredContent"]["outputs"]["t"] == ADA


async def test_a_closed_transport_leaves_no_state_behind(downstream: FakeDownstream, era: str):
    async with relaying_server(downstream) as server:
        before = len(asyncio.all_tasks())
        async with joined(server, era, answers={ASK: ADA}) as peer:
            idle = len(asyncio.all_tasks())
            for n in range(20):
                await peer.call("a__ask", {"x": n}, meta={"progressToken": n})
            for _ in range(20):
                key = await peer.begin("tools/call", {"name": "a__ask"})
                await peer.cancel(key)
            await anyio.sleep(2 * ASK_S)
            assert len(asyncio.all_tasks()) == idle
            await peer.leave()
            await anyio.sleep(1)
        assert len(asyncio.all_tasks()) == before
    assert downstream.listeners == []
