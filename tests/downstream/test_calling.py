"""Requests that ask for input: they are sent again with the answers, for tools and for all else
that may ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError

from plait.core.ports import NO_CLIENT, Caller, RelayRequest
from plait.core.tools.policy import ToolPolicy
from plait.core.values.strict import JsonObject
from plait.downstream.calling import MOST_QUESTIONS, MOST_ROUNDS, call_tool, relay
from plait.downstream.server_requests.naming import named
from plait.downstream.transports.faults import Fault, made_error
from plait.errors import (
    CallError,
    ConnectionLost,
    InvalidOutput,
    ProtocolError,
    RpcError,
    ToolError,
)

from ..fakes import FakeCaller, a_call, tool

ASK = "elicitation/create"
DONE: JsonObject = {"content": []}
QUESTION: JsonObject = {"method": ASK, "params": {"message": "?"}}


class Session:
    """What is used of a `ProtocolSession`; it answers by *answer*, given the params."""

    def __init__(self, answer: Callable[[JsonObject], JsonObject | Exception]) -> None:
        self.sent: list[JsonObject] = []
        self.firsts: list[bool] = []
        """Whether each request was the first of its call."""
        self._answer = answer

    def exit_reason(self) -> str:
        return "it said nothing"

    async def request(
        self, method: str, params: JsonObject, caller: Caller, *, is_first: bool
    ) -> JsonObject:
        self.sent.append(params)
        self.firsts.append(is_first)
        answer = self._answer(params)
        if isinstance(answer, Exception):
            raise answer
        return answer


def asking(**questions: Any) -> JsonObject:
    return {"resultType": "input_required", "inputRequests": questions, "requestState": "state"}


def until_answered(params: JsonObject) -> JsonObject:
    return DONE if "inputResponses" in params else asking(k=QUESTION)


async def called(session: Any, caller: Caller = NO_CLIENT) -> JsonObject:
    return await call_tool("s", session, a_call(tool("s:do"), {"x": 1}, caller))


async def accept(method: str, params: JsonObject) -> JsonObject:
    return {"action": "accept", "asked": params["message"]}


async def test_a_call_is_sent_again_with_the_answers_and_the_state() -> None:
    session = Session(until_answered)
    assert await called(session, FakeCaller(accept)) == DONE
    first: JsonObject = {"name": "do", "arguments": {"x": 1}}
    answers: JsonObject = {"k": {"action": "accept", "asked": "[s] ?"}}
    assert session.sent == [first, {**first, "inputResponses": answers, "requestState": "state"}]
    assert session.firsts == [True, False]


FAILED: list[Any] = [True, "true", "True", 1, "1", "it failed", ["x"]]
SUCCEEDED: list[Any] = [False, "false", " False ", 0, "0", "", None, "no", [], 0.0]


@pytest.mark.parametrize(
    ("given", "is_error"),
    [
        *((given, True) for given in FAILED),
        *((given, False) for given in SUCCEEDED),
    ],
)
async def test_a_result_says_that_it_failed_however_that_is_written(given: Any, is_error: bool):
    result = await called(Session(lambda _: {"content": [], "isError": given}))
    assert result == {"content": [], "isError": is_error}


async def test_content_that_is_not_in_blocks_becomes_text() -> None:
    block: JsonObject = {"type": "text", "text": "x"}
    result = await called(Session(lambda _: {"content": ["said", 5, None, ["a"], block]}))
    texts = ["said", "5", "null", '["a"]', "x"]
    assert result == {"content": [{"type": "text", "text": text} for text in texts]}


async def test_a_relayed_request_is_sent_again_with_the_answers() -> None:
    session: Any = Session(until_answered)
    request = RelayRequest("s", "prompts/get", {"name": "p"}, {"trace": 1}, FakeCaller(accept))
    assert await relay("s", session, request) == DONE
    assert [params["_meta"] for params in session.sent] == [{"trace": 1}] * 2


async def test_a_caller_that_takes_input_requests_gets_the_first_result() -> None:
    session = Session(until_answered)
    question = {"method": ASK, "params": named("s", ASK, {"message": "?"})}
    assert await called(session, FakeCaller(accept, takes_input_requests=True)) == asking(
        k=question
    )
    assert len(session.sent) == 1


async def test_a_server_may_ask_in_a_limited_number_of_rounds() -> None:
    asked: list[str] = []

    async def answer(method: str, params: JsonObject) -> JsonObject:
        asked.append(method)
        return {}

    session = Session(lambda params: asking(k=QUESTION))
    with pytest.raises(ToolError, match=f"s:do asked for input more than {MOST_ROUNDS} times"):
        await called(session, FakeCaller(answer))
    assert (len(session.sent), len(asked)) == (MOST_ROUNDS + 1, MOST_ROUNDS)


@pytest.mark.parametrize(
    ("caller", "said"),
    [
        (NO_CLIENT, "the command line has no client to ask"),
        (FakeCaller(), "the client did not declare"),
    ],
)
async def test_an_input_request_fails_if_the_caller_cannot_be_asked(
    caller: Caller, said: str
) -> None:
    with pytest.raises(ToolError, match=said):
        await called(Session(until_answered), caller)


async def test_a_result_without_questions_needs_no_client() -> None:
    session = Session(lambda params: DONE if "requestState" in params else asking())
    assert await called(session) == DONE


async def test_if_one_question_is_not_allowed_none_is_asked() -> None:
    refusal = RpcError(-32003, "roots are missing", {"requiredCapabilities": {"roots": {}}})

    class Partly(FakeCaller):
        def check_question(self, method: str, params: JsonObject, /) -> None:
            if method == "roots/list":
                raise refusal

    async def never(method: str, params: JsonObject) -> JsonObject:
        raise AssertionError(method)

    session = Session(lambda params: asking(k=QUESTION, r={"method": "roots/list"}))
    with pytest.raises(
        ToolError, match="s:do asked for input and got none: roots are missing"
    ) as failure:
        await called(session, Partly(never))
    assert failure.value.rpc_error is refusal


async def test_the_clients_own_error_is_kept_for_a_client_that_called_by_name() -> None:
    rejected = RpcError(-1, "rejected", {"by": "Ada"})

    async def reject(method: str, params: JsonObject) -> JsonObject:
        raise rejected

    with pytest.raises(ToolError) as failure:
        await called(Session(until_answered), FakeCaller(reject))
    assert failure.value.rpc_error is rejected


MALFORMED: list[Any] = [
    5,
    [],
    {"k": 5},
    {"k": {"method": 5}},
    {"k": {"method": ASK, "params": [1]}},
    {f"k{number}": QUESTION for number in range(MOST_QUESTIONS + 1)},
]


@pytest.mark.parametrize("requests", MALFORMED)
async def test_malformed_input_requests_fail_the_request(
    requests: Any,
) -> None:
    result: JsonObject = {"resultType": "input_required", "inputRequests": requests}
    with pytest.raises(ToolError, match="asks in a form that the protocol does not have"):
        await called(Session(lambda params: result), FakeCaller(accept, takes_input_requests=True))


FAILURES: list[tuple[Exception, type[CallError]]] = [
    (MCPError(-32042, "not today", {"why": 1}), ProtocolError),
    (anyio.BrokenResourceError(), ConnectionLost),
    (anyio.ClosedResourceError(), ConnectionLost),
]


@pytest.mark.parametrize(("failure", "kind"), FAILURES)
async def test_calls_and_relayed_requests_fail_with_the_same_errors(
    failure: Exception, kind: type[CallError]
) -> None:
    session: Any = Session(lambda params: failure)
    for sent in (
        called(session),
        relay("s", session, RelayRequest("s", "prompts/get")),
    ):
        with pytest.raises(kind) as raised:
            await sent
    own = raised.value.rpc_error
    assert (own is not None) is (kind is ProtocolError)
    assert own is None or (own.code, own.message, own.data) == (-32042, "not today", {"why": 1})


async def test_a_relayed_answer_that_is_not_strict_json_is_not_passed_on() -> None:
    session: Any = Session(lambda params: {"x": float("nan")})
    with pytest.raises(InvalidOutput, match="cannot be passed on"):
        await relay("s", session, RelayRequest("s", "prompts/get"))


@pytest.mark.parametrize(
    ("may_repeat", "hint"),
    [
        (False, "The call may have taken effect: check before you send it again."),
        (True, "It can safely be sent again."),
    ],
)
@pytest.mark.parametrize(
    "end",
    [
        MCPError(types.CONNECTION_CLOSED, "Connection closed"),
        MCPError.from_error_data(made_error(Fault.BROKEN, "it broke")),
        anyio.BrokenResourceError(),
    ],
)
async def test_whether_a_lost_call_may_be_sent_again_depends_on_its_tool(
    end: Exception, may_repeat: bool, hint: str
) -> None:
    session: Any = Session(lambda _: end)
    with pytest.raises(ConnectionLost) as lost:
        await call_tool("s", session, a_call("s:do", policy=ToolPolicy(may_repeat=may_repeat)))
    assert lost.value.hint == hint


@pytest.mark.parametrize(("hints", "is_sent"), [({}, True), ({"readOnlyHint": True}, False)])
async def test_a_call_that_may_change_something_carries_its_key(
    hints: dict[str, Any], is_sent: bool
):
    class Keyed(FakeCaller):
        idempotency_key = "k"

    session: Any = Session(lambda _: DONE)
    await call_tool("s", session, a_call(tool("s:do", **hints), {"x": 1}, Keyed()))
    [params] = session.sent
    assert params.get("_meta") == ({"plait/idempotencyKey": "k"} if is_sent else None)
