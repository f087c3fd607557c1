"""How long a question of a server stays open, and which of the requests it may belong to is
asked."""

from __future__ import annotations

from contextlib import suppress

import anyio
import mcp_types as types
import pytest

from plait.core.ports import Ask
from plait.core.values.strict import JsonObject
from plait.downstream.server_requests.origin import (
    LONGEST_ASK_S,
    RequestEnded,
    RequestOrigin,
    ServerRequest,
)
from plait.errors import RpcError

from ...fakes import FakeCaller


class Client:
    """Answers with its name, at once or never; `asked` counts its questions."""

    def __init__(self, name: str, *, is_silent: bool = False) -> None:
        self.name = name
        self.asked = 0
        self._is_silent = is_silent

    async def __call__(self, method: str, params: JsonObject) -> JsonObject:
        self.asked += 1
        if self._is_silent:
            await anyio.sleep_forever()
        return {"name": self.name}


async def gone(method: str, params: JsonObject) -> JsonObject:
    raise anyio.ClosedResourceError


async def refusing(method: str, params: JsonObject) -> JsonObject:
    raise RpcError(-1, "User rejected", {"by": "hand"})


async def failing(method: str, params: JsonObject) -> JsonObject:
    raise ValueError("a secret")


def requests_of(*asks: Ask) -> list[RequestOrigin]:
    return [RequestOrigin(FakeCaller(ask)) for ask in asks]


async def ask(origins: list[RequestOrigin]) -> JsonObject:
    return await ServerRequest(origins).ask("roots/list", {})


async def code_of(origins: list[RequestOrigin]) -> int:
    with pytest.raises(RpcError) as refusal:
        await ask(origins)
    return refusal.value.code


async def test_the_last_request_is_asked_and_no_other():
    first, last = Client("first"), Client("last")
    assert await ask(requests_of(first, last)) == {"name": "last"}
    assert (first.asked, last.asked) == (0, 1)


async def test_a_request_whose_way_to_its_client_has_closed_leaves_the_question_to_the_others():
    assert await ask(requests_of(Client("first"), gone, gone)) == {"name": "first"}


async def test_a_question_has_ended_once_no_request_can_reach_a_client():
    with pytest.raises(RequestEnded, match="has ended"):
        await ask(requests_of(gone, gone))


@pytest.mark.virtual_time
async def test_a_client_that_does_not_answer_is_waited_for_for_a_limited_time():
    began = anyio.current_time()
    assert await code_of(requests_of(Client("a", is_silent=True))) == types.REQUEST_TIMEOUT
    assert anyio.current_time() - began == LONGEST_ASK_S


async def test_a_question_is_open_until_the_last_of_its_requests_has_ended():
    origins, codes = requests_of(*[Client("a", is_silent=True)] * 2), list[int]()

    async def put() -> None:
        codes.append(await code_of([*origins]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        for origin, ended in zip(origins, ([], [types.INVALID_REQUEST]), strict=True):
            origin.end()
            await anyio.wait_all_tasks_blocked()
            assert (codes, origin.has_ended) == (ended, True)


async def test_the_end_of_a_request_ends_all_questions_that_belong_to_it_alone():
    (ending,), (other,) = requests_of(Client("a", is_silent=True)), requests_of(Client("b"))
    codes: list[int] = []

    async def put() -> None:
        codes.append(await code_of([ending]))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        assert len(ending.questions) == 3
        ending.end()
    assert codes == [types.INVALID_REQUEST] * 3
    assert await ask([other]) == {"name": "b"}


@pytest.mark.parametrize("answering", [Client("a"), refusing, failing, gone])
async def test_a_question_is_forgotten_once_it_is_answered_or_has_failed(answering: Ask):
    origins = requests_of(Client("other"), answering)
    with suppress(RpcError):
        await ask([*origins])
    assert [origin.questions for origin in origins] == [set(), set()]


async def test_a_clients_own_error_is_the_answer():
    with pytest.raises(RpcError) as refusal:
        await ask(requests_of(refusing))
    error = refusal.value
    assert (error.code, error.message, error.data) == (-1, "User rejected", {"by": "hand"})


async def test_a_client_that_fails_unexpectedly_is_logged_and_the_server_gets_no_details(
    caplog: pytest.LogCaptureFixture,
):
    with pytest.raises(RpcError) as refusal:
        await ask(requests_of(failing))
    assert (refusal.value.code, refusal.value.message) == (
        types.INTERNAL_ERROR,
        "The client could not be asked.",
    )
    assert "question.failed" in caplog.text
