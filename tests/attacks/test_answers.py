"""Clients that answer twice, late, with nonsense, for another question or never; and questions that
are too large to look at, or hold what would draw on a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from plait.core.results.approval_text import NO, YES
from plait.core.tools.policy import Policy
from plait.core.values.strict import JsonObject
from plait.engine.gateway import Gateway
from plait.errors import RpcError
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.principals import always_user
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.server import build_server

from ..fakes import tool
from ..upstream.conftest import LEGACY, MODERN
from ..upstream.relay.downstream import RawClient, joined
from ..upstream.relay.test_run_waiters import Nothing
from .scenarios import call, pay
from .services import ASK_FOR_WRITES, Company

pytestmark = pytest.mark.virtual_time

ASK = "elicitation/create"
ACCEPT: dict[str, Any] = {"action": "accept", "content": {"answer": YES}}
DECLINE: dict[str, Any] = {"action": "accept", "content": {"answer": NO}}
PAY: JsonObject = {"tasks": [pay()]}
MAX_CHARS = 24_000


@pytest.fixture(params=[LEGACY, MODERN])
def era(request: pytest.FixtureRequest) -> str:
    era: str = request.param
    return era


@pytest.fixture
def company() -> Company:
    return Company()


@asynccontextmanager
async def raw_client(
    company: Company, era: str, answer: Any = None
) -> AsyncIterator[tuple[RawClient, Gateway]]:
    """A client that shows all that it is sent, and answers questions with *answer*."""
    made = company.servers, company.servers, InMemoryRuns()
    policy = Policy(tables=(ASK_FOR_WRITES,))
    async with Gateway(*made, policy=policy) as gateway:
        server = build_server(
            gateway,
            relaying=RelayConfig(Nothing()),
            principal_of=always_user,
            wait_s=5,
            max_chars=MAX_CHARS,
        )
        async with joined(server, era, {"elicitation": {"form": {}}}, {ASK: answer}) as peer:
            yield peer, gateway


def execute(document: Any, **more: Any) -> dict[str, Any]:
    return {"name": "execute_dag", "arguments": document, **more}


NONSENSE: tuple[Any, ...] = (
    {},
    {"action": "ACCEPT", "content": {"answer": YES}},
    {"action": "accept"},
    {"action": "accept", "content": {}},
    {"action": "accept", "content": {"answer": [YES]}},
    {"action": "accept", "content": {"answer": {"answer": YES}}},
    {"action": "accept", "content": {"answer": True}},
    {"action": "accept", "content": {"answer": "y" * 100_000}},
    {"action": "accept", "content": {"Answer": YES}},
    {"action": "decline", "content": {"answer": YES}},
    {"action": "cancel", "content": {"answer": YES}},
    {"content": {"answer": YES}},
    {"answer": YES},
    {"action": None, "content": {"answer": YES}},
    RpcError(-32601, YES),
)


@pytest.mark.parametrize("answer", NONSENSE)
async def test_an_answer_that_is_no_yes_sends_nothing(
    company: Company, era: str, answer: Any
) -> None:
    async with raw_client(company, era, answer) as (peer, _):
        try:
            await peer.call("execute_dag", PAY)
        except RpcError:
            assert era == MODERN  # there an answer is a part of a request
        assert company.changes == []
        peer.answers[ASK] = ACCEPT  # it still works
        await peer.call("execute_dag", {"tasks": [pay(id="other")]})
        assert len(company.changes) == 1


async def test_an_answer_for_no_question_or_for_an_answered_one_is_nothing(
    company: Company,
) -> None:
    async def answer_all(peer: RawClient) -> None:
        for id in (*range(60), *map(str, range(60))):
            message = types.JSONRPCResponse(jsonrpc="2.0", id=id, result=ACCEPT)
            await peer._write.send(SessionMessage(message=message))
        await peer.request("ping")

    async with raw_client(company, LEGACY, DECLINE) as (peer, _):
        await answer_all(peer)
        result = await peer.call("execute_dag", PAY)
        await answer_all(peer)
        assert result["structuredContent"]["errors"][0]["code"] == "approval_denied"
        await peer.call("get_run", {"run_id": result["structuredContent"]["run_id"]})
    assert company.changes == []


async def test_an_answer_that_comes_late_is_nothing(company: Company) -> None:
    """Its question was taken back with the request; the next request asks anew."""

    async def late(_: Any) -> Any:
        await anyio.sleep(70)
        return ACCEPT

    async with raw_client(company, LEGACY, late) as (peer, _):
        result = await peer.call("execute_dag", PAY)
        assert result["structuredContent"]["status"] == "waiting"
        await anyio.sleep(100)
        assert company.changes == []
        peer.answers[ASK] = DECLINE
        run = {"run_id": result["structuredContent"]["run_id"]}
        result = await peer.call("get_run", run)
    assert (result["structuredContent"]["errors"][0]["code"], len(peer.asked)) == (
        "approval_denied",
        2,
    )
    assert company.changes == []


async def test_a_client_that_never_answers_lets_nothing_pass(company: Company, era: str) -> None:
    async def never(_: Any) -> Any:
        await anyio.sleep_forever()

    async with raw_client(company, era, never) as (peer, gateway):
        await peer.begin("tools/call", execute(PAY))
        await anyio.sleep(2_000)
        [run_id] = gateway.runs()
        result = gateway.result(run_id)
    assert [error.code for error in result.errors] == ["approval_required"]
    assert company.changes == []


async def test_a_client_that_leaves_while_it_is_asked_harms_no_other(
    company: Company, era: str
) -> None:
    async def never(_: Any) -> Any:
        await anyio.sleep_forever()

    made = company.servers, company.servers, InMemoryRuns()
    async with Gateway(*made, policy=Policy(tables=(ASK_FOR_WRITES,))) as gateway:
        for answer, sent in ((never, 0), (ACCEPT, 1)):
            server = build_server(
                gateway, relaying=RelayConfig(Nothing()), principal_of=always_user
            )
            async with joined(server, era, {"elicitation": {}}, {ASK: answer}) as peer:
                if sent:
                    await peer.call("execute_dag", PAY)
                else:
                    await peer.begin("tools/call", execute(PAY))
                    await anyio.sleep(1)
                    assert peer.asked or era == MODERN
                    await peer.leave()
            assert len(company.changes) == sent


# States of 2026-07-28


async def begun(peer: RawClient, document: Any) -> dict[str, Any]:
    """The answer to a request that ends with the question."""
    result: dict[str, Any] = await peer.request("tools/call", execute(document))
    assert result["resultType"] == "input_required"
    return result


async def refused(peer: RawClient, document: Any, answers: Any, state: Any) -> bool:
    """Send *document* with answers and a state; gives whether that is an error."""
    params = execute(document, inputResponses=answers, requestState=state)
    try:
        result = await peer.request("tools/call", params)
    except RpcError:
        return True
    return result.get("resultType") != "input_required" and result.get("isError") is True


async def test_a_state_is_good_once_for_its_own_request_and_as_it_was_given(
    company: Company,
) -> None:
    small, large = PAY, {"tasks": [pay(arguments={"to": "x", "amount": 10**6, "text": ""})]}
    async with raw_client(company, MODERN) as (peer, _):
        one, two = await begun(peer, small), await begun(peer, large)
        [key] = one["inputRequests"]
        [other] = two["inputRequests"]
        yes = {key: ACCEPT, other: ACCEPT}
        state = one["requestState"]
        for forged in (
            f"{state[:-4]}AAAA",
            state[::-1],
            "pending:1",
            "",
            1,
            None,
            {"state": state},
        ):
            await refused(peer, large, yes, forged)
        assert await refused(peer, large, yes, state)
        assert await refused(peer, {**small, "name": "x"}, yes, state)
        assert company.changes == []
        await peer.request("tools/call", execute(small, inputResponses={key: DECLINE},
                                                 requestState=state))  # fmt: skip
        assert await refused(peer, small, {key: ACCEPT}, state)
        assert company.changes == []
        await peer.request("tools/call", execute(large, inputResponses={other: ACCEPT},
                                                 requestState=two["requestState"]))  # fmt: skip
    assert [one.arguments["amount"] for one in company.changes] == [10**6]


async def test_answers_that_come_with_the_first_request_answer_nothing(company: Company) -> None:
    async with raw_client(company, MODERN) as (peer, _):
        first = await begun(peer, PAY)
        keys = [*first["inputRequests"], "1", "0", "answer", "elicitation"]
        params = execute({"tasks": [pay(id="b")]}, inputResponses=dict.fromkeys(keys, ACCEPT))
        for _ in range(3):
            result = await peer.request("tools/call", params)
            assert result["resultType"] == "input_required"
    assert company.changes == []


# What is shown


def asked_in(peer: RawClient) -> str:
    """The only question that a client got, as people read it."""
    [(_, params)] = peer.asked
    return str(params["message"])


CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ESCAPES = "\x1b[2J\x1b]0;yes\x07\r\n2. safe: files:list\u202e\u0085\u009b1A"


@pytest.mark.parametrize("where", ["value", "name", "key"])
async def test_what_draws_on_a_terminal_is_shown_as_text(company: Company, where: str) -> None:
    document: dict[str, Any] = {"tasks": [pay()]}
    if where == "value":
        document = {"tasks": [pay(arguments={"to": ESCAPES, "amount": 1, "text": ESCAPES})]}
    elif where == "name":
        document["name"] = ESCAPES
    elif where == "key":
        document = {"tasks": [call("p", "web:post", url="https://x/", body={ESCAPES: [ESCAPES]})]}
    async with raw_client(company, LEGACY, DECLINE) as (peer, _):
        await peer.call("execute_dag", document)
    message = asked_in(peer)
    assert not CONTROL.search(message), message
    assert sum(re.match(r"\d+\. ", line) is not None for line in message.split("\n")) == 1


async def test_the_largest_value_is_cut_where_it_is_shown_and_sent_whole(
    company: Company, era: str
) -> None:
    size = 8 * 2**20 - 100  # the arguments of a call hold at most 8 MiB
    company.files["plans.md"] = "x" * size + "b"
    async with raw_client(company, era, ACCEPT) as (peer, gateway):
        read = call("read", "files:read", path="plans.md")
        note = call("note", "notes:append", text="$OUTPUT[read].text")
        run = await gateway.submit({"tasks": [read, note], "return": []})
        await gateway.wait(run.run_id)
        shown = await peer.call("get_run", {"run_id": run.run_id, "wait_s": 0})
        assert len(json.dumps(shown["structuredContent"])) <= MAX_CHARS + 2_000
        await peer.call("execute_dag", {"tasks": [read, note], "return": []})
    assert len(asked_in(peer)) < 2_000
    assert f"{size + 3:,} characters" in asked_in(peer)
    [sent] = company.changes
    assert (len(sent.arguments["text"]), sent.arguments["text"][-1]) == (size + 1, "b")


async def test_two_thousand_calls_are_counted_by_tool_and_all_can_be_looked_at(
    company: Company,
) -> None:
    sent: list[int] = []

    def do(n: int) -> dict[str, Any]:
        sent.append(n)
        return {}

    company.servers.add(tool("s:do", closed=False), do)
    each: dict[str, Any] = {"for_each": [*range(1_000)]}
    tasks: Any = [{**call(id, "s:do", n="$ITEM"), **each} for id in "ab"]
    async with raw_client(company, LEGACY, DECLINE) as (peer, gateway):
        result = await peer.call("execute_dag", {"tasks": tasks, "return": []})
        assert sent == []
        assert "1,960 calls more of s:do" in asked_in(peer)
        assert len(json.dumps(result["structuredContent"])) <= MAX_CHARS + 2_000
        run = await gateway.submit({"tasks": tasks, "return": []})
        await gateway.wait(run.run_id)
        shown = await peer.request("tools/call", {"name": "get_run", "arguments": {
            "run_id": run.run_id, "wait_s": 0}})  # fmt: skip
        assert len(json.dumps(shown["structuredContent"])) <= MAX_CHARS + 2_000
        approval = gateway.approval(run.run_id)
        assert approval is not None
        assert len(approval.calls) == 2_000
        await gateway.approve(run.run_id, approval.digest, ["a[7]", "b[999]"])
        await gateway.wait(run.run_id)
        assert sorted(sent) == [7, 999]
