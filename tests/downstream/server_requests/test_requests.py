"""Whose question it is that a server asks, and who goes when."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import anyio
import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.ports import NO_CLIENT, Ask, RpcError
from plait.core.values.strict import JsonObject
from plait.downstream.server_requests.origin import RequestOrigin, correlated
from plait.downstream.server_requests.requests import MOST_QUESTIONS, ServerRequests

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
        FakeCaller(ask, client=client or ask or "silent"), kind, may_ask=ask is not None
    )


async def code_of(
    asking: ServerRequests, method: str = "elicitation/create", params: Any = None
) -> int:
    with pytest.raises(RpcError) as refusal:
        await asking.put(method, params or FORM)
    return refusal.value.code


async def go_together(asking: ServerRequests, one: Ask, other: Ask, *kinds: str) -> bool:
    """Whether a request of *other* may be open beside one of *one*; they are of these *kinds*."""
    first, second = kinds or ("", "")
    async with asking.open(origin(one, first)):
        with anyio.move_on_after(0):
            async with asking.open(origin(other, second)):
                return True
    return False


async def test_a_question_goes_to_the_one_request_that_is_open():
    asking = ServerRequests()
    async with asking.open(origin(None)):
        pass
    async with asking.open(origin(Person("a"))):
        assert await asking.put("elicitation/create", FORM) == {"name": "a"}


async def test_a_question_that_may_be_for_one_who_cannot_be_asked_is_put_to_nobody_else():
    asking, a = ServerRequests(), Person("a")
    asking.silent.append(origin(None))
    async with asking.open(origin(None)), asking.open(origin(a)):
        assert await code_of(asking) == types.INVALID_REQUEST
    assert a.asked == 0


async def test_nobody_is_asked_when_nobody_has_a_request_open():
    asking = ServerRequests()
    async with asking.open(origin(Person("a"))):
        pass
    async with asking.open(origin(None)):
        assert await code_of(asking) == types.METHOD_NOT_FOUND


async def test_a_question_that_may_be_for_two_is_put_to_neither_and_later_requests_take_turns():
    asking, a, b = ServerRequests(), Person("a"), Person("b")
    async with asking.open(origin(a)), asking.open(origin(b)):
        assert await code_of(asking) == types.INVALID_REQUEST
    assert (a.asked, b.asked) == (0, 0)
    assert not await go_together(asking, a, b)


async def test_requests_of_the_same_client_go_together():
    asking, a = ServerRequests(kinds={""}), Person("a")
    async with asking.open(origin(a)), asking.open(origin(a)):
        assert await asking.put("roots/list", {}) == {"name": "a"}


async def test_a_question_stays_open_until_all_the_requests_have_ended_that_it_may_belong_to():
    asking, a = ServerRequests(), Person("a", is_slow=True)
    answers: list[JsonObject] = []

    async def put() -> None:
        answers.append(await asking.put("elicitation/create", FORM))

    async with anyio.create_task_group() as tasks, asking.open(origin(a)):
        async with asking.open(origin(a)):
            tasks.start_soon(put)
            await anyio.wait_all_tasks_blocked()
        a.may_answer.set()
        await anyio.wait_all_tasks_blocked()
        assert (answers, a.asked) == ([{"name": "a"}], 1)


async def test_a_question_ends_with_the_last_request_that_it_may_belong_to_whatever_came_later():
    asking, a, refused = ServerRequests(), Person("a", is_slow=True), list[int]()

    async def put() -> None:
        refused.append(await code_of(asking))

    async with anyio.create_task_group() as tasks, AsyncExitStack() as later:
        async with asking.open(origin(a)), asking.open(origin(a)):
            tasks.start_soon(put)
            await anyio.wait_all_tasks_blocked()
            await later.enter_async_context(asking.open(origin(a)))
        await anyio.wait_all_tasks_blocked()
        assert refused == [types.INVALID_REQUEST]


async def test_where_one_way_to_a_client_has_ended_it_is_asked_by_another():
    async def gone(method: str, params: JsonObject) -> JsonObject:
        raise anyio.ClosedResourceError

    asking, a = ServerRequests(), Person("a")
    async with asking.open(origin(a, "", "a")), asking.open(origin(gone, "", "a")):
        assert await asking.put("elicitation/create", FORM) == {"name": "a"}
    async with asking.open(origin(gone, "", "a")), asking.open(origin(gone, "", "a")):
        assert await code_of(asking) == types.INVALID_REQUEST


async def test_of_one_clients_requests_the_one_asks_that_has_asked_before():
    asking, asks, works = ServerRequests(), Person("a"), Person("a")
    async with asking.open(origin(asks, "ask", "a")):
        await asking.put("elicitation/create", FORM)
    async with asking.open(origin(asks, "ask", "a")), asking.open(origin(works, "work", "a")):
        await asking.put("elicitation/create", FORM)
    assert (asks.asked, works.asked) == (2, 0)


async def test_only_what_has_been_asked_for_takes_turns():
    kinds = set[str]()
    asking, a, b = ServerRequests(kinds=kinds), Person("a"), Person("b")
    async with asking.open(origin(a, "ask")):
        await asking.put("elicitation/create", FORM)
    assert kinds == {"ask"}
    assert await go_together(asking, a, b, "work", "work")
    assert (
        await go_together(asking, a, Person("a"), "ask", "work") is False
    )  # another client, whatever its name
    assert await go_together(asking, a, b, "work", "ask") is False
    assert await go_together(asking, a, a, "ask", "ask")
    assert (
        await go_together(ServerRequests(kinds=kinds), a, b, "ask", "ask") is False
    )  # known at the next start


async def test_a_server_that_asks_for_everything_is_known_for_that_alone(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("plait.downstream.server_requests.requests.MOST_KINDS", 2)
    kinds = set[str]()
    asking, a, b = ServerRequests(kinds=kinds), Person("a"), Person("b")
    for kind in "xyz":
        async with asking.open(origin(a, kind)):
            await asking.put("elicitation/create", FORM)
    assert len(kinds) == 2
    assert await go_together(asking, a, b, "work", "work") is False


async def test_who_asks_for_nobody_hears_why():
    asking = ServerRequests()
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
        silent = origin(None) if has_client else RequestOrigin(NO_CLIENT, may_ask=False)
        asking.silent[:] = [silent]
        for asker in (silent, None):  # on the stream of the request, and by itself
            token = correlated.set(asker)
            with pytest.raises(RpcError, match=said) as refusal:
                await asking.put(method, {})
            correlated.reset(token)
            assert refusal.value.code == code


async def test_on_its_own_stream_a_question_is_known_whatever_else_is_open():
    asking, of_a, of_none = ServerRequests(), origin(Person("a")), origin(None)
    async with asking.open(of_a), asking.open(origin(Person("b"))), asking.open(of_none):
        for asker, name in ((of_a, "a"), (of_none, None)):
            token = correlated.set(asker)
            if name is None:
                assert await code_of(asking) == types.MISSING_REQUIRED_CLIENT_CAPABILITY
            else:
                assert await asking.put("elicitation/create", FORM) == {"name": name}
            correlated.reset(token)
    assert await go_together(asking, Person("c"), Person("d"))
    correlated.set(of_a)
    assert await code_of(asking) == types.INVALID_REQUEST
    correlated.set(None)


async def test_roots_are_those_of_the_client_that_is_there_where_no_request_is_open():
    asking = ServerRequests(unasked=FakeCaller(Person("there")))
    assert await asking.put("roots/list", {}) == {"name": "there"}
    assert await go_together(asking, Person("c"), Person("d"))
    async with asking.open(origin(Person("open"))):
        assert await asking.put("roots/list", {}) == {"name": "open"}


@pytest.mark.parametrize("method", ["elicitation/create", "sampling/createMessage"])
async def test_nothing_but_roots_is_asked_outside_of_any_request(method: str):
    there = Person("there")
    assert (
        await code_of(ServerRequests(unasked=FakeCaller(there)), method) == types.METHOD_NOT_FOUND
    )
    assert there.asked == 0


async def test_roots_that_may_be_for_a_request_are_asked_of_nobody_else():
    asking, there, a, b = (
        ServerRequests(unasked=FakeCaller(Person("there"))),
        Person("there"),
        Person("a"),
        Person("b"),
    )
    asking.silent.append(origin(None))
    assert await code_of(asking, "roots/list", {}) == types.METHOD_NOT_FOUND
    asking.silent.clear()
    async with asking.open(origin(a)), asking.open(origin(b)):
        assert await code_of(asking, "roots/list", {}) == types.INVALID_REQUEST
    token = correlated.set(origin(None))
    assert await code_of(asking, "roots/list", {}) == types.METHOD_NOT_FOUND
    correlated.reset(token)
    assert (there.asked, a.asked, b.asked) == (0, 0, 0)


async def test_roots_are_asked_outside_of_any_request_once_the_one_that_was_open_has_ended():
    asking, a = ServerRequests(unasked=FakeCaller(Person("there"))), Person("a", is_slow=True)
    answers: list[JsonObject] = []

    async def put() -> None:
        answers.append(await asking.put("roots/list", {}))

    async with anyio.create_task_group() as tasks, asking.open(origin(a)):
        tasks.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        assert (a.asked, answers) == (1, [])
    assert answers == [{"name": "there"}]


@pytest.mark.parametrize("method", ["roots/list", "elicitation/create"])
async def test_what_came_on_the_stream_of_a_request_ends_with_it(method: str):
    there, a, refused = Person("there"), Person("a", is_slow=True), list[int]()
    asking = ServerRequests(unasked=FakeCaller(there))

    async def put(asker: RequestOrigin) -> None:
        if (
            method == "roots/list"
        ):  # the other one is not asked outside of requests, wherever it came
            correlated.set(asker)
        refused.append(await code_of(asking, method))

    of_a = origin(a)
    async with anyio.create_task_group() as tasks, asking.open(of_a):
        tasks.start_soon(put, of_a)
        await anyio.wait_all_tasks_blocked()
    assert (refused, a.asked, there.asked) == ([types.INVALID_REQUEST], 1, 0)


async def test_questions_outside_of_any_request_are_bounded():
    there = Person("there", is_slow=True)
    asking = ServerRequests(unasked=FakeCaller(there))
    async with anyio.create_task_group() as tasks:
        for _ in range(MOST_QUESTIONS):
            tasks.start_soon(asking.put, "roots/list", {})
        await anyio.wait_all_tasks_blocked()
        assert await code_of(asking, "roots/list", {}) == types.INTERNAL_ERROR
        there.may_answer.set()


@pytest.mark.parametrize("method", ["tools/list", "initialize", "elicitation/create/", ""])
async def test_nothing_else_is_asked(method: str):
    asking = ServerRequests()
    async with asking.open(origin(Person("a"))):
        assert await code_of(asking, method) == types.METHOD_NOT_FOUND


async def test_what_cannot_be_passed_on_is_not_asked():
    asking, a = ServerRequests(), Person("a")
    async with asking.open(origin(a)):
        assert await code_of(asking, params={"message": "\ud800"}) == types.INVALID_PARAMS
    assert a.asked == 0


async def test_questions_are_bounded():
    asking, a = ServerRequests(), Person("a", is_slow=True)
    async with asking.open(origin(a)), anyio.create_task_group() as tasks:
        for _ in range(MOST_QUESTIONS):
            tasks.start_soon(asking.put, "roots/list", {})
        await anyio.wait_all_tasks_blocked()
        assert await code_of(asking) == types.INTERNAL_ERROR
        a.may_answer.set()
    async with asking.open(origin(a)):
        assert await asking.put("roots/list", {}) == {"name": "a"}


async def test_the_end_of_a_request_ends_what_is_asked_for_it():
    asking, a = ServerRequests(), Person("a", is_slow=True)
    refused: list[int] = []

    async def put() -> None:
        refused.append(await code_of(asking))

    async with anyio.create_task_group() as tasks, asking.open(origin(a)):
        tasks.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        assert a.asked == 1
    assert refused == [types.INVALID_REQUEST]


async def test_a_client_that_fails_in_its_own_way_fails_only_its_question(
    caplog: pytest.LogCaptureFixture,
):
    async def broken(method: str, params: JsonObject) -> JsonObject:
        raise ValueError("a secret")

    asking = ServerRequests()
    async with asking.open(origin(broken)):
        with pytest.raises(RpcError) as refusal:
            await asking.put("roots/list", {})
    assert (refusal.value.code, "secret" in refusal.value.message) == (types.INTERNAL_ERROR, False)
    assert "question.failed" in caplog.text


async def test_who_gives_up_waiting_holds_up_nobody():
    asking, a, b, c = (ServerRequests(kinds={""}), Person("a"), Person("b"), Person("c"))
    went: list[str] = []

    async def request(ask: Person) -> None:
        async with asking.open(origin(ask)):
            went.append(ask.name)

    async with anyio.create_task_group() as tasks, asking.open(origin(a)):
        with anyio.CancelScope() as scope:
            tasks.start_soon(request, c)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await request(b)
        assert went == []
    assert went == ["c"]


@given(st.lists(st.integers(0, 2), max_size=8))
def test_who_takes_turns_goes_in_order_and_never_beside_another(clients: list[int]):
    anyio.run(in_turns, clients)


async def in_turns(clients: list[int]) -> None:
    asking, people = ServerRequests(kinds={""}), [Person(str(number)) for number in range(3)]
    open_: list[Ask] = []
    began: list[int] = []

    async def request(number: int) -> None:
        async with asking.open(origin(people[number])):
            began.append(number)
            open_.append(people[number])
            assert all(ask == people[number] for ask in open_)
            await anyio.lowlevel.checkpoint()
            open_.remove(people[number])

    async with anyio.create_task_group() as tasks:
        for number in clients:
            tasks.start_soon(request, number)
    assert began == clients
    assert repr(asking) == "<Asking: 0 open, 0 questions, 0 wait for their turn>"


def test_an_asker_that_has_ended_says_so():
    asker = origin(None)
    asker.end()
    assert asker.has_ended
