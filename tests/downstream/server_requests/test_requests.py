"""Whose question it is that a server asks, and who goes when."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import anyio
import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.ports import NO_CLIENT, Ask
from plait.core.values.strict import JsonObject
from plait.downstream.server_requests.asking_kinds import AskingKinds
from plait.downstream.server_requests.origin import OpenRequests, RequestOrigin, stream_origin
from plait.downstream.server_requests.requests import MOST_QUESTIONS, ServerRequests
from plait.errors import RpcError

from ...fakes import FakeCaller

FORM: JsonObject = {"message": "?"}


class Person:
    """Answers with its name; what it is asked stays open until it may answer."""

    def __init__(self, name: str, *, is_slow: bool = False) -> None:
        self.name = name
        self.asked = 0
        self.may_answer = anyio.Event()
        if not is_slow:
            self.may_answer.set()

    async def __call__(self, method: str, params: JsonObject) -> JsonObject:
        self.asked += 1
        await self.may_answer.wait()
        return {"name": self.name}


def origin(ask: Ask | None, kind: str = "", client: object = None) -> RequestOrigin:
    """A request that is made for whoever answers by *ask*."""
    return RequestOrigin(
        FakeCaller(ask, client=client or ask or "unaskable"),
        kind,
        may_ask=ask is not None,
        is_unaskable=ask is None,
    )


async def code_of(
    asking: ServerRequests, method: str = "elicitation/create", params: Any = None
) -> int:
    with pytest.raises(RpcError) as refusal:
        await asking.answer(method, params or FORM)
    return refusal.value.code


async def go_together(asking: ServerRequests, one: Ask, other: Ask, *kinds: str) -> bool:
    """Whether a request of *other* may be open beside one of *one*; they are of these *kinds*."""
    first, second = kinds or ("", "")
    async with asking.turn(origin(one, first)):
        with anyio.move_on_after(0):
            async with asking.turn(origin(other, second)):
                return True
    return False


async def test_a_question_goes_to_the_one_request_that_is_open():
    asking = ServerRequests({})
    async with asking.turn(origin(None)):
        pass
    async with asking.turn(origin(Person("a"))):
        assert await asking.answer("elicitation/create", FORM) == {"name": "a"}


async def test_a_question_that_may_belong_to_an_unaskable_caller_is_put_to_no_other():
    asking, a = ServerRequests({"other": {origin(None): None}}), Person("a")
    async with asking.turn(origin(None)), asking.turn(origin(a)):
        assert await code_of(asking) == types.INVALID_REQUEST
    assert a.asked == 0


async def test_a_question_is_refused_when_no_askable_request_is_open():
    asking = ServerRequests({})
    async with asking.turn(origin(Person("a"))):
        pass
    async with asking.turn(origin(None)):
        assert await code_of(asking) == types.METHOD_NOT_FOUND


async def test_a_question_that_may_belong_to_two_clients_is_refused_and_later_requests_take_turns():
    asking, a, b = ServerRequests({}), Person("a"), Person("b")
    async with asking.turn(origin(a)), asking.turn(origin(b)):
        assert await code_of(asking) == types.INVALID_REQUEST
    assert (a.asked, b.asked) == (0, 0)
    assert not await go_together(asking, a, b)


async def test_requests_of_one_client_are_open_together():
    asking, a = ServerRequests({}, asking_kinds=AskingKinds([""])), Person("a")
    async with asking.turn(origin(a)), asking.turn(origin(a)):
        assert await asking.answer("roots/list", {}) == {"name": "a"}


async def test_a_question_stays_open_until_the_last_request_that_it_may_belong_to_has_ended():
    asking, a = ServerRequests({}), Person("a", is_slow=True)
    answers: list[JsonObject] = []

    async def put() -> None:
        answers.append(await asking.answer("elicitation/create", FORM))

    async with anyio.create_task_group() as tasks, asking.turn(origin(a)):
        async with asking.turn(origin(a)):
            tasks.start_soon(put)
            await anyio.wait_all_tasks_blocked()
        a.may_answer.set()
        await anyio.wait_all_tasks_blocked()
        assert (answers, a.asked) == ([{"name": "a"}], 1)


async def test_a_question_ends_with_its_last_request_though_a_newer_one_is_open():
    asking, a, refused = ServerRequests({}), Person("a", is_slow=True), list[int]()

    async def put() -> None:
        refused.append(await code_of(asking))

    async with anyio.create_task_group() as tasks, AsyncExitStack() as later:
        async with asking.turn(origin(a)), asking.turn(origin(a)):
            tasks.start_soon(put)
            await anyio.wait_all_tasks_blocked()
            await later.enter_async_context(asking.turn(origin(a)))
        await anyio.wait_all_tasks_blocked()
        assert refused == [types.INVALID_REQUEST]


async def test_a_request_of_a_kind_known_to_ask_is_asked_first():
    asking, asks, works = ServerRequests({}), Person("a"), Person("a")
    async with asking.turn(origin(asks, "ask", "a")):
        await asking.answer("elicitation/create", FORM)
    async with asking.turn(origin(asks, "ask", "a")), asking.turn(origin(works, "work", "a")):
        await asking.answer("elicitation/create", FORM)
    assert (asks.asked, works.asked) == (2, 0)


async def test_only_kinds_of_requests_known_to_ask_take_turns():
    kinds = AskingKinds()
    asking, a, b = ServerRequests({}, asking_kinds=kinds), Person("a"), Person("b")
    async with asking.turn(origin(a, "ask")):
        await asking.answer("elicitation/create", FORM)
    assert "ask" in kinds
    assert await go_together(asking, a, b, "work", "work")
    assert (
        await go_together(asking, a, Person("a"), "ask", "work") is False
    )  # another client, whatever its name
    assert await go_together(asking, a, b, "work", "ask") is False
    assert await go_together(asking, a, a, "ask", "ask")
    assert (
        await go_together(ServerRequests({}, asking_kinds=kinds), a, b, "ask", "ask") is False
    )  # known at the next start


async def test_a_kind_that_was_open_by_chance_takes_no_turns_once_the_one_that_asks_is_known():
    asking, a, b = ServerRequests({}), Person("a"), Person("b")
    async with asking.turn(origin(a, "ask")), asking.turn(origin(b, "work")):
        assert await code_of(asking) == types.INVALID_REQUEST
    assert not await go_together(asking, a, b, "work", "work")
    async with asking.turn(origin(a, "ask")):
        await asking.answer("elicitation/create", FORM)
    assert await go_together(asking, a, b, "work", "work")
    assert not await go_together(asking, a, b, "ask", "work")


async def test_with_too_many_asking_kinds_every_kind_takes_turns(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("plait.downstream.server_requests.asking_kinds.MOST_KINDS", 2)
    kinds = AskingKinds()
    asking, a, b = ServerRequests({}, asking_kinds=kinds), Person("a"), Person("b")
    for kind in "xyz":
        async with asking.turn(origin(a, kind)):
            await asking.answer("elicitation/create", FORM)
    assert await go_together(asking, a, b, "work", "work") is False


async def test_a_refusal_names_its_reason():
    open_requests: OpenRequests = {}
    asking = ServerRequests(open_requests)
    undeclared = "The client did not declare what this needs: "
    for has_client, method, said, code in (
        (
            True,
            "sampling/createMessage",
            f"{undeclared}sampling",
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
        ),
        (True, "roots/list", f"{undeclared}roots", types.METHOD_NOT_FOUND),
        (False, "sampling/createMessage", "command line", types.METHOD_NOT_FOUND),
    ):
        unaskable = (
            origin(None)
            if has_client
            else RequestOrigin(NO_CLIENT, may_ask=False, is_unaskable=True)
        )
        open_requests["client"] = {unaskable: None}
        for asker in (unaskable, None):  # on the stream of the request, and by itself
            token = stream_origin.set(asker)
            with pytest.raises(RpcError, match=said) as refusal:
                await asking.answer(method, {})
            stream_origin.reset(token)
            assert refusal.value.code == code


async def test_a_question_on_the_stream_of_a_request_belongs_to_it_whatever_else_is_open():
    asking, of_a, of_none = ServerRequests({}), origin(Person("a")), origin(None)
    async with asking.turn(of_a), asking.turn(origin(Person("b"))), asking.turn(of_none):
        for asker, name in ((of_a, "a"), (of_none, None)):
            token = stream_origin.set(asker)
            if name is None:
                assert await code_of(asking) == types.MISSING_REQUIRED_CLIENT_CAPABILITY
            else:
                assert await asking.answer("elicitation/create", FORM) == {"name": name}
            stream_origin.reset(token)
    assert await go_together(asking, Person("c"), Person("d"))
    stream_origin.set(of_a)
    assert await code_of(asking) == types.INVALID_REQUEST
    stream_origin.set(None)


async def test_roots_come_from_the_roots_caller_when_no_request_is_open():
    asking = ServerRequests({}, roots_caller=FakeCaller(Person("there")))
    assert await asking.answer("roots/list", {}) == {"name": "there"}
    assert await go_together(asking, Person("c"), Person("d"))
    async with asking.turn(origin(Person("open"))):
        assert await asking.answer("roots/list", {}) == {"name": "open"}


@pytest.mark.parametrize("method", ["elicitation/create", "sampling/createMessage"])
async def test_only_roots_can_be_asked_outside_of_any_request(method: str):
    there = Person("there")
    assert (
        await code_of(ServerRequests({}, roots_caller=FakeCaller(there)), method)
        == types.METHOD_NOT_FOUND
    )
    assert there.asked == 0


async def test_the_roots_caller_is_not_asked_while_a_request_may_have_asked():
    open_requests: OpenRequests = {"client": {origin(None): None}}
    asking, there, a, b = (
        ServerRequests(open_requests, roots_caller=FakeCaller(Person("there"))),
        Person("there"),
        Person("a"),
        Person("b"),
    )
    assert await code_of(asking, "roots/list", {}) == types.METHOD_NOT_FOUND
    open_requests.clear()
    async with asking.turn(origin(a)), asking.turn(origin(b)):
        assert await code_of(asking, "roots/list", {}) == types.INVALID_REQUEST
    token = stream_origin.set(origin(None))
    assert await code_of(asking, "roots/list", {}) == types.METHOD_NOT_FOUND
    stream_origin.reset(token)
    assert (there.asked, a.asked, b.asked) == (0, 0, 0)


async def test_the_roots_caller_is_asked_once_the_open_request_has_ended():
    asking, a = (
        ServerRequests({}, roots_caller=FakeCaller(Person("there"))),
        Person("a", is_slow=True),
    )
    answers: list[JsonObject] = []

    async def put() -> None:
        answers.append(await asking.answer("roots/list", {}))

    async with anyio.create_task_group() as tasks, asking.turn(origin(a)):
        tasks.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        assert (a.asked, answers) == (1, [])
    assert answers == [{"name": "there"}]


@pytest.mark.parametrize("method", ["roots/list", "elicitation/create"])
async def test_a_question_on_the_stream_of_a_request_ends_with_it(method: str):
    there, a, refused = Person("there"), Person("a", is_slow=True), list[int]()
    asking = ServerRequests({}, roots_caller=FakeCaller(there))

    async def put(asker: RequestOrigin) -> None:
        if (
            method == "roots/list"
        ):  # the other one is not asked outside of requests, wherever it came
            stream_origin.set(asker)
        refused.append(await code_of(asking, method))

    of_a = origin(a)
    async with anyio.create_task_group() as tasks, asking.turn(of_a):
        tasks.start_soon(put, of_a)
        await anyio.wait_all_tasks_blocked()
    assert (refused, a.asked, there.asked) == ([types.INVALID_REQUEST], 1, 0)


async def test_questions_outside_of_any_request_are_bounded():
    there = Person("there", is_slow=True)
    asking = ServerRequests({}, roots_caller=FakeCaller(there))
    async with anyio.create_task_group() as tasks:
        for _ in range(MOST_QUESTIONS):
            tasks.start_soon(asking.answer, "roots/list", {})
        await anyio.wait_all_tasks_blocked()
        assert await code_of(asking, "roots/list", {}) == types.INTERNAL_ERROR
        there.may_answer.set()


@pytest.mark.parametrize("method", ["tools/list", "initialize", "elicitation/create/", ""])
async def test_other_methods_are_refused(method: str):
    asking = ServerRequests({})
    async with asking.turn(origin(Person("a"))):
        assert await code_of(asking, method) == types.METHOD_NOT_FOUND


async def test_params_that_are_not_strict_json_are_not_asked():
    asking, a = ServerRequests({}), Person("a")
    async with asking.turn(origin(a)):
        assert await code_of(asking, params={"message": "\ud800"}) == types.INVALID_PARAMS
    assert a.asked == 0


async def test_questions_are_bounded():
    asking, a = ServerRequests({}), Person("a", is_slow=True)
    async with asking.turn(origin(a)), anyio.create_task_group() as tasks:
        for _ in range(MOST_QUESTIONS):
            tasks.start_soon(asking.answer, "roots/list", {})
        await anyio.wait_all_tasks_blocked()
        assert await code_of(asking) == types.INTERNAL_ERROR
        a.may_answer.set()
    async with asking.turn(origin(a)):
        assert await asking.answer("roots/list", {}) == {"name": "a"}


async def test_the_end_of_a_request_cancels_its_questions():
    asking, a = ServerRequests({}), Person("a", is_slow=True)
    refused: list[int] = []

    async def put() -> None:
        refused.append(await code_of(asking))

    async with anyio.create_task_group() as tasks, asking.turn(origin(a)):
        tasks.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        assert a.asked == 1
    assert refused == [types.INVALID_REQUEST]


async def test_a_cancelled_wait_for_a_turn_delays_no_other():
    asking, a, b, c = (
        ServerRequests({}, asking_kinds=AskingKinds([""])),
        Person("a"),
        Person("b"),
        Person("c"),
    )
    went: list[str] = []

    async def request(ask: Person) -> None:
        async with asking.turn(origin(ask)):
            went.append(ask.name)

    async with anyio.create_task_group() as tasks, asking.turn(origin(a)):
        with anyio.CancelScope() as scope:
            tasks.start_soon(request, c)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await request(b)
        assert went == []
    assert went == ["c"]


@given(st.lists(st.integers(0, 2), max_size=8))
def test_turns_are_taken_in_order_and_by_one_client_at_a_time(clients: list[int]):
    anyio.run(in_turns, clients)


async def in_turns(clients: list[int]) -> None:
    asking, people = (
        ServerRequests({}, asking_kinds=AskingKinds([""])),
        [Person(str(number)) for number in range(3)],
    )
    open_: list[Ask] = []
    began: list[int] = []

    async def request(number: int) -> None:
        async with asking.turn(origin(people[number])):
            began.append(number)
            open_.append(people[number])
            assert all(ask == people[number] for ask in open_)
            await anyio.lowlevel.checkpoint()
            open_.remove(people[number])

    async with anyio.create_task_group() as tasks:
        for number in clients:
            tasks.start_soon(request, number)
    assert began == clients
    assert repr(asking) == "<ServerRequests: 0 open, 0 questions, 0 wait for their turn>"
