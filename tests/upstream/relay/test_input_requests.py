"""Questions of servers to the client, in all combinations of eras: the question, the answer, and
refusals."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

from plait.core.ports import RelayRequest
from plait.core.values.strict import Json, JsonObject
from plait.downstream.server_requests.naming import named
from plait.errors import RpcError
from plait.upstream.relay.input_requests import ASK_S, MOST_QUESTIONS

from ..conftest import LEGACY, MODERN, in_memory
from .downstream import (
    ALL_CAPABILITIES,
    DONE,
    FORM,
    NAME_SCHEMA,
    FakeDownstream,
    RawClient,
    a_resource,
    a_tool,
    connected,
    joined,
    relaying_server,
)

pytestmark = pytest.mark.virtual_time

ASK, SAMPLE, ROOTS = "elicitation/create", "sampling/createMessage", "roots/list"
URL: JsonObject = {
    "mode": "url",
    "message": "Sign in",
    "url": "https://x.example/",
    "elicitationId": "e1",
}
SAMPLING: JsonObject = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "?"}}],
    "maxTokens": 9,
}
WITH_TOOLS: JsonObject = {
    **SAMPLING,
    "tools": [{"name": "t", "inputSchema": NAME_SCHEMA}],
    "toolChoice": {"mode": "auto"},
}
ADA: JsonObject = {"action": "accept", "content": {"name": "Ada"}}
SAMPLED: JsonObject = {
    "role": "assistant",
    "content": {"type": "text", "text": "!"},
    "model": "m",
    "stopReason": "endTurn",
}
USED: JsonObject = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {}}],
    "model": "m",
    "stopReason": "toolUse",
}
A_ROOT: JsonObject = {"roots": [{"uri": "file:///home/ada", "name": "home"}]}

QUESTIONS = [
    (ASK, FORM, ADA),
    (ASK, {**FORM, "_meta": {"k": 1}}, {"action": "decline"}),
    (ASK, URL, {"action": "accept"}),
    (SAMPLE, {**SAMPLING, "metadata": {"x-new": 1}}, SAMPLED),
    (SAMPLE, WITH_TOOLS, USED),
    (ROOTS, {}, A_ROOT),
]


def asking(method: str, params: JsonObject) -> Any:
    """A server of the handshake era, which asks while the request is open, and gives the answer as
    its result."""

    async def ask(request: RelayRequest) -> JsonObject:
        if not request.caller.can_be_asked:
            return {**DONE, "structuredContent": {"asked": False}}
        try:
            answer = await request.caller.ask(method, params)
        except RpcError as error:
            return {**DONE, "structuredContent": {"code": error.code, "data": error.data}}
        return {**DONE, "structuredContent": {"answer": answer}}

    return ask


def requiring(**questions: JsonObject) -> Any:
    """A server of 2026-07-28, whose result asks, and whose next one gives the answers."""

    def answer(request: RelayRequest) -> JsonObject:
        if "inputResponses" in request.params:
            sent = {name: request.params.get(name) for name in ("inputResponses", "requestState")}
            return {**DONE, "structuredContent": {"sent": sent}}
        return {
            "resultType": "input_required",
            "inputRequests": dict(questions),
            "requestState": "s é\u2028",
        }

    return answer


def question(method: str, params: JsonObject) -> JsonObject:
    return {"method": method, "params": params} if params else {"method": method}


@pytest.fixture
def downstream() -> FakeDownstream:
    made = FakeDownstream()
    made.add(
        "a", tools=(a_tool("ask"),), prompts=({"name": "p"},), resources=(a_resource("mem://r"),)
    )
    made.add("b", tools=(a_tool("ask"),))
    return made


async def outcome(peer: RawClient, tool: str = "a__ask") -> Any:
    return (await peer.call(tool))["structuredContent"]


@pytest.mark.parametrize(("method", "params", "answer"), QUESTIONS)
async def test_a_server_of_the_handshake_era_asks_and_gets_the_answer(
    downstream: FakeDownstream, era: str, method: str, params: JsonObject, answer: JsonObject
):
    downstream.on("a", "tools/call", asking(method, params))
    async with connected(
        downstream, era, answers={method: {**answer, "_meta": {"x-new": [1]}}}
    ) as peer:
        assert await outcome(peer) == {"answer": {**answer, "_meta": {"x-new": [1]}}}
    assert peer.asked == [(method, params)]


@pytest.mark.parametrize(("method", "params", "answer"), QUESTIONS)
async def test_a_server_of_2026_asks_and_gets_the_answer_and_its_own_state(
    downstream: FakeDownstream, era: str, method: str, params: JsonObject, answer: JsonObject
):
    downstream.on("a", "tools/call", requiring(k=question(method, params)))
    async with connected(downstream, era, answers={method: answer}) as peer:
        sent = (await outcome(peer))["sent"]
    assert sent == {"inputResponses": {"k": answer}, "requestState": "s é\u2028"}
    assert peer.asked == [(method, named("a", method, params))]
    assert [request.params["name"] for request in downstream.requests] == ["ask", "ask"]


@pytest.mark.parametrize("server", [asking(ASK, FORM), requiring(k=question(ASK, FORM))])
async def test_the_sdks_client_is_asked(downstream: FakeDownstream, era: str, server: Any):
    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"name": params.message})

    downstream.on("a", "tools/call", server)
    async with (
        relaying_server(downstream) as upstream,
        Client(in_memory(upstream), mode=era, elicitation_callback=answer) as client,
    ):
        result = await client.call_tool("a__ask", {})
    assert "Who?'" in str(result.structured_content)


@pytest.mark.parametrize(
    ("method", "params"), [("prompts/get", {"name": "p"}), ("resources/read", {"uri": "mem://r"})]
)
@pytest.mark.parametrize("server", [asking(ASK, FORM), requiring(k=question(ASK, FORM))])
async def test_prompts_and_resources_may_ask_too(
    downstream: FakeDownstream, era: str, method: str, params: JsonObject, server: Any
):
    downstream.on("a", method, server)
    async with connected(downstream, era, answers={ASK: ADA}) as peer:
        result = await peer.asking(method, params)
    assert "Ada" in str(result["structuredContent"])


async def test_questions_come_one_after_the_other(downstream: FakeDownstream, era: str):
    async def twice(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        answers: list[Json] = [
            await request.caller.ask(ASK, {**FORM, "message": name}) for name in ("one", "two")
        ]
        return {**DONE, "structuredContent": {"answers": answers}}

    def name(params: JsonObject) -> JsonObject:
        return {"action": "accept", "content": {"name": params["message"]}}

    downstream.on("a", "tools/call", twice)
    async with connected(downstream, era, answers={ASK: name}) as peer:
        answers = (await outcome(peer))["answers"]
    assert [answer["content"]["name"] for answer in answers] == ["one", "two"]


async def test_questions_that_come_together_are_one_result_for_a_client_of_2026(
    downstream: FakeDownstream,
):
    async def many(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        answers: JsonObject = {}

        async def ask(turns: int, method: str, params: JsonObject) -> None:
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            answers[method] = await request.caller.ask(method, params)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, 0, ASK, FORM)
            tasks.start_soon(ask, 5, ROOTS, {})
            tasks.start_soon(ask, 9, SAMPLE, SAMPLING)
        return {**DONE, "structuredContent": answers}

    downstream.on("a", "tools/call", many)
    answers: JsonObject = {ASK: ADA, ROOTS: A_ROOT, SAMPLE: SAMPLED}
    async with connected(downstream, MODERN, answers=answers) as peer:
        first = await peer.request("tools/call", {"name": "a__ask", "arguments": {}})
        asked = {one["method"]: key for key, one in first["inputRequests"].items()}
        assert asked.keys() == answers.keys()
        given = {key: answers[method] for method, key in asked.items() if method != ROOTS}
        more = {"inputResponses": given, "requestState": first["requestState"]}
        second = await peer.request("tools/call", {"name": "a__ask", "arguments": {}, **more})
        assert [one["method"] for one in second["inputRequests"].values()] == [
            ROOTS
        ]  # what was left out
        assert (await outcome(peer)) == answers


async def test_answers_to_unknown_questions_are_ignored(downstream: FakeDownstream):
    downstream.on("a", "tools/call", asking(ASK, FORM))
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        first = await peer.request("tools/call", {"name": "a__ask"})
        more = {"inputResponses": {"q77": ADA}, "requestState": first["requestState"]}
        again = await peer.request("tools/call", {"name": "a__ask", **more})
    assert again["inputRequests"] == first["inputRequests"]


# Who cannot be asked, and what may not be asked.


async def test_a_client_that_declared_nothing_is_not_asked(downstream: FakeDownstream, era: str):
    downstream.on("a", "tools/call", asking(ASK, FORM))
    async with connected(downstream, era, capabilities={}) as peer:
        told = await outcome(peer)
    assert told == {"asked": False}
    assert downstream.requests[0].caller.capabilities == {}
    assert peer.asked == []


LACKING = [
    ({"roots": {}}, ASK, FORM, {"elicitation": {}}),
    ({"roots": {}}, ASK, URL, {"elicitation": {"url": {}}}),
    ({"elicitation": {}}, ASK, URL, {"elicitation": {"url": {}}}),
    ({"elicitation": {"url": {}}}, ASK, FORM, {"elicitation": {"form": {}}}),
    ({"roots": {}}, SAMPLE, SAMPLING, {"sampling": {}}),
    ({"sampling": {}}, SAMPLE, WITH_TOOLS, {"sampling": {"tools": {}}}),
    ({"elicitation": {}}, ROOTS, {}, {"roots": {}}),
]


@pytest.mark.parametrize(("capabilities", "method", "params", "lacking"), LACKING)
async def test_a_server_gets_an_error_that_names_what_the_client_lacks(
    downstream: FakeDownstream,
    era: str,
    capabilities: JsonObject,
    method: str,
    params: JsonObject,
    lacking: JsonObject,
):
    downstream.on("a", "tools/call", asking(method, params))
    async with connected(downstream, era, capabilities=capabilities, answers={method: {}}) as peer:
        told = await outcome(peer)
    if era == MODERN:
        expected = {
            "code": types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "data": {"requiredCapabilities": lacking},
        }
    else:
        has_some = not lacking.keys().isdisjoint(capabilities)
        expected = {
            "code": types.INVALID_PARAMS if has_some else types.METHOD_NOT_FOUND,
            "data": None,
        }
    assert told == expected
    assert peer.asked == []


@pytest.mark.parametrize(("capabilities", "method", "params", "lacking"), LACKING)
async def test_a_client_without_a_needed_capability_gets_an_error_that_names_it(
    downstream: FakeDownstream,
    era: str,
    capabilities: JsonObject,
    method: str,
    params: JsonObject,
    lacking: JsonObject,
):
    downstream.on("a", "tools/call", requiring(k=question(method, params)))
    async with connected(downstream, era, capabilities=capabilities, answers={method: {}}) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.call("a__ask")
    assert caught.value.code == types.MISSING_REQUIRED_CLIENT_CAPABILITY
    assert caught.value.data == {"requiredCapabilities": lacking}
    assert peer.asked == []


BAD_QUESTIONS = [
    ("tools/list", {}, types.METHOD_NOT_FOUND),
    ("ping", {}, types.METHOD_NOT_FOUND),
    ("sampling/createMessage", {}, types.INVALID_PARAMS),
    (
        "elicitation/create",
        {"mode": "form", "message": 5, "requestedSchema": NAME_SCHEMA},
        types.INVALID_PARAMS,
    ),
    ("elicitation/create", {"mode": "telepathy", "message": "?"}, types.INVALID_PARAMS),
    ("elicitation/create", {"mode": "url", "message": "?"}, types.INVALID_PARAMS),
]


@pytest.mark.parametrize(("method", "params", "code"), BAD_QUESTIONS)
async def test_an_invalid_question_is_put_to_no_client(
    downstream: FakeDownstream, era: str, method: str, params: JsonObject, code: int
):
    downstream.on("a", "tools/call", asking(method, params))
    async with connected(downstream, era, capabilities=ALL_CAPABILITIES) as peer:
        assert (await outcome(peer))["code"] == code
        downstream.on("a", "tools/call", requiring(k=question(method, params)))
        with pytest.raises(RpcError) as caught:
            await peer.call("a__ask")
    assert caught.value.code == code
    assert peer.asked == []


@pytest.mark.parametrize(
    "asked",
    [
        5,
        [],
        "x",
        {"k": 5},
        {"k": {"method": 5}},
        {"k": {"method": ASK, "params": [1]}},
        {f"k{n}": question(ROOTS, {}) for n in range(MOST_QUESTIONS + 1)},
    ],
)
async def test_a_server_that_asks_in_no_known_form_fails_its_request(
    downstream: FakeDownstream, era: str, asked: Any
):
    downstream.on(
        "a",
        "tools/call",
        {"resultType": "input_required", "inputRequests": asked, "requestState": "s"},
    )
    async with connected(downstream, era, answers={ROOTS: A_ROOT}) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.call("a__ask")
    assert caught.value.code in {types.INTERNAL_ERROR, types.INVALID_PARAMS}
    assert peer.asked == []


async def test_a_server_that_keeps_asking_fails_its_request(downstream: FakeDownstream):
    asks: JsonObject = {"resultType": "input_required", "inputRequests": {"k": question(ROOTS, {})}}
    downstream.on("a", "tools/call", asks)
    async with connected(downstream, LEGACY, answers={ROOTS: A_ROOT}) as peer:
        with pytest.raises(RpcError, match="more than 10 times"):
            await peer.call("a__ask")
    assert len(peer.asked) == 10


async def test_a_server_of_2026_may_ask_for_the_request_again_without_a_question(
    downstream: FakeDownstream, era: str
):
    def later(request: RelayRequest) -> JsonObject:
        return (
            DONE
            if "requestState" in request.params
            else {"resultType": "input_required", "requestState": "1"}
        )

    downstream.on("a", "tools/call", later)
    async with connected(downstream, era, answers={ROOTS: A_ROOT}) as peer:
        result = await peer.call("a__ask")
    assert result["content"] == DONE["content"]
    assert downstream.requests[1].params["requestState"] == "1"


# What the client may do.


async def test_an_error_of_the_client_goes_to_the_server_unchanged(downstream: FakeDownstream):
    downstream.on("a", "tools/call", asking(ASK, FORM))
    async with connected(
        downstream, LEGACY, answers={ASK: RpcError(-1, "rejected", {"by": "Ada"})}
    ) as peer:
        assert await outcome(peer) == {"code": -1, "data": {"by": "Ada"}}


@pytest.mark.parametrize("answer", [{}, {"action": "maybe"}, {"action": "accept", "content": 5}])
async def test_an_invalid_answer_reaches_no_server(
    downstream: FakeDownstream, era: str, answer: JsonObject
):
    downstream.on("a", "tools/call", asking(ASK, FORM))
    async with connected(downstream, era, answers={ASK: answer}) as peer:
        if era == LEGACY:
            assert (await outcome(peer))["code"] == types.INTERNAL_ERROR
            return
        with pytest.raises(RpcError, match="is not an answer to elicitation/create") as caught:
            await peer.call("a__ask")
    assert caught.value.code == types.INVALID_PARAMS


async def test_after_an_invalid_answer_the_client_may_give_another(downstream: FakeDownstream):
    downstream.on("a", "tools/call", asking(ASK, FORM))
    async with connected(downstream, MODERN, answers={ASK: ADA}) as peer:
        first = await peer.request("tools/call", {"name": "a__ask"})
        key, state = next(iter(first["inputRequests"])), first["requestState"]
        for bad in ("x", 5, {"action": "maybe"}):
            more = {"inputResponses": {key: bad}, "requestState": state}
            with pytest.raises(RpcError):
                await peer.request("tools/call", {"name": "a__ask", **more})
        more = {"inputResponses": {key: ADA}, "requestState": state}
        result = await peer.request("tools/call", {"name": "a__ask", **more})
    assert result["structuredContent"] == {"answer": ADA}


async def test_a_question_fails_after_ten_minutes_without_an_answer(
    downstream: FakeDownstream, era: str
):
    ended = anyio.Event()
    codes: list[int] = []

    async def ask(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        try:
            await request.caller.ask(ASK, FORM)
        except RpcError as error:
            codes.append(error.code)
        finally:
            ended.set()
        return DONE

    downstream.on("a", "tools/call", ask)
    async with connected(
        downstream, era, answers={ASK: lambda params: anyio.sleep_forever()}
    ) as peer:
        began = anyio.current_time()
        await peer.begin("tools/call", {"name": "a__ask"})
        await ended.wait()
        assert anyio.current_time() - began == pytest.approx(ASK_S, abs=1)
    assert codes == ([types.REQUEST_TIMEOUT] if era == LEGACY else [])


async def test_a_question_goes_to_the_client_of_its_own_request(
    downstream: FakeDownstream, era: str
):
    go = anyio.Event()

    async def ask(request: RelayRequest) -> JsonObject:
        assert request.caller.can_be_asked
        await go.wait()
        return {**DONE, "structuredContent": await request.caller.ask(ROOTS, {})}

    def root(name: str) -> JsonObject:
        return {"roots": [{"uri": f"file:///{name}"}]}

    for name in "ab":
        downstream.on(name, "tools/call", ask)
    results: dict[str, Any] = {}

    async def call(peer: RawClient, name: str) -> None:
        results[name] = await outcome(peer, f"{name}__ask")

    async with (
        relaying_server(downstream) as server,
        joined(server, era, answers={ROOTS: root("a")}) as one,
        joined(server, LEGACY, answers={ROOTS: root("b")}) as other,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(call, one, "a")
        tasks.start_soon(call, other, "b")
        await downstream.until(lambda: len(downstream.requests) == 2)
        go.set()
    assert results == {"a": root("a"), "b": root("b")}


async def test_the_client_of_a_caller_is_equal_only_for_one_client(
    downstream: FakeDownstream, era: str
):
    downstream.on("a", "tools/call", DONE)
    async with (
        relaying_server(downstream) as server,
        joined(server, era, answers={ASK: ADA}) as one,
        joined(server, era, answers={ASK: ADA}) as other,
    ):
        for peer in (one, one, other):
            await peer.call("a__ask")
    first, second, of_other = (request.caller.client for request in downstream.requests)
    assert first == second
    assert first != of_other
