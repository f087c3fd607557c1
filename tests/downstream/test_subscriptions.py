"""Watched resources and the log level at one server of either era: shared by all clients, from one
connection to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import MCPError

from plait.core.values.strict import JsonObject
from plait.downstream.change_stream import ChangeStream
from plait.downstream.eras.handshake import Era, Greeting
from plait.downstream.subscriptions import MOST_WATCHED, SEND_S, ServerSubscriptions, lowest
from plait.errors import RpcError, ServerUnavailable

pytestmark = pytest.mark.virtual_time

SUBSCRIBE, UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"
SET_LEVEL = "logging/setLevel"
ONE, TWO = "note://1", "note://2"
GREETINGS = {
    Era.LEGACY: Greeting(Era.LEGACY, "2025-11-25", {"logging": {}}),
    Era.MODERN: Greeting(Era.MODERN, "2026-07-28", {"logging": {}}),
}


class Session:
    """A session with a server of one era that has been sent *sent*: requests, or the resources of
    streams of changes. It refuses methods, and resources on its streams; *hangs* are methods that
    it does not answer."""

    def __init__(
        self,
        subscriptions: ServerSubscriptions,
        era: Era = Era.LEGACY,
        *,
        refuses: tuple[str, ...] = (),
        hangs: tuple[str, ...] = (),
    ) -> None:
        self.era = era
        self.greeting: Greeting | None = GREETINGS[era]
        self.change_stream: ChangeStream | None = None
        self.subscriptions = subscriptions
        self.sent: list[Any] = []
        self.refuses = refuses
        self.hangs = hangs
        self.error: Exception = MCPError(types.INTERNAL_ERROR, "the database is down")

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        self.sent.append((method, params.get("uri", params.get("level"))))
        if method in self.hangs:
            await anyio.sleep_forever()
        if method in self.refuses:
            raise self.error
        return {}

    async def answer(self, method: str, params: JsonObject) -> JsonObject:
        """Answer a request of a client."""
        return await self.request(method, params)

    async def watch(self, uri: str) -> None:
        """Watch as a connection does."""
        self.subscriptions.watch(uri)
        try:
            await self.subscriptions.subscribe(self, uri, self.answer)
        except BaseException:
            self.subscriptions.unwatch(uri)
            raise

    async def _listen(self, params: JsonObject) -> None:
        wanted: Any = params["notifications"]
        self.sent.append(wanted.get("resourceSubscriptions", []))
        honoured = [uri for uri in self.sent[-1] if uri not in self.refuses]
        assert self.change_stream is not None
        self.change_stream.acknowledge({"notifications": {"resourceSubscriptions": honoured}})
        await anyio.sleep_forever()

    def _wanted(self) -> JsonObject:
        return {"tools": True, "resourceSubscriptions": [*self.subscriptions.watched]}

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the session as its owner does."""
        async with anyio.create_task_group() as tasks:
            if self.era is Era.MODERN:
                self.change_stream = ChangeStream(tasks, self._listen, self._wanted)
                tasks.start_soon(self.change_stream.keep_open)
                await anyio.wait_all_tasks_blocked()
            tasks.start_soon(self.subscriptions.keep, self)
            await anyio.wait_all_tasks_blocked()
            yield
            tasks.cancel_scope.cancel()


@pytest.fixture
def subscriptions() -> ServerSubscriptions:
    return ServerSubscriptions()


async def test_a_server_of_the_handshake_era_is_asked_for_the_first_watch_and_after_the_last(
    subscriptions: ServerSubscriptions,
):
    session = Session(subscriptions)
    async with session.kept():
        for uri in (ONE, ONE, TWO):
            await session.watch(uri)
        assert session.sent == [(SUBSCRIBE, ONE), (SUBSCRIBE, TWO)]
        subscriptions.unwatch(ONE)
        await anyio.wait_all_tasks_blocked()
        assert len(session.sent) == 2
        subscriptions.unwatch(ONE)
        await anyio.wait_all_tasks_blocked()
        assert session.sent[2:] == [(UNSUBSCRIBE, ONE)]
        assert subscriptions.watched == [TWO]
        await session.watch(ONE)
        assert session.sent[3:] == [(SUBSCRIBE, ONE)]


async def test_a_server_of_2026_gets_the_watched_resources_with_its_stream(
    subscriptions: ServerSubscriptions,
):
    session = Session(subscriptions, Era.MODERN)
    async with session.kept():
        for uri in (ONE, ONE, TWO):
            await session.watch(uri)
        assert session.sent == [[], [ONE], [ONE, TWO]]
        subscriptions.unwatch(ONE)
        await anyio.wait_all_tasks_blocked()
        assert len(session.sent) == 3
        subscriptions.unwatch(ONE)
        await anyio.wait_all_tasks_blocked()
        assert session.sent[3:] == [[TWO]]


async def test_all_that_a_client_watched_is_taken_from_the_stream_at_once(
    subscriptions: ServerSubscriptions,
):
    session = Session(subscriptions, Era.MODERN)
    async with session.kept():
        for uri in (ONE, TWO):
            await session.watch(uri)
        for uri in (ONE, TWO):
            subscriptions.unwatch(uri)
        await anyio.wait_all_tasks_blocked()
        assert session.sent == [[], [ONE], [ONE, TWO], []]


@pytest.mark.parametrize("era", [Era.LEGACY, Era.MODERN])
async def test_what_a_server_refuses_is_not_watched_and_is_asked_again_for_the_next_client(
    subscriptions: ServerSubscriptions, era: Era
):
    session = Session(subscriptions, era, refuses=(SUBSCRIBE, TWO))
    async with session.kept():
        for _ in range(2):
            with pytest.raises((MCPError, RpcError), match=r"database is down|does not report"):
                await session.watch(TWO)
        assert subscriptions.watched == []
        session.refuses = ()
        await session.watch(TWO)
        assert subscriptions.watched == [TWO]
    sent = (SUBSCRIBE, TWO) if era is Era.LEGACY else [TWO]
    assert session.sent.count(sent) == 3


async def test_a_cancelled_subscription_leaves_those_of_others(
    subscriptions: ServerSubscriptions,
):
    session = Session(subscriptions, hangs=(SUBSCRIBE,))
    async with session.kept(), anyio.create_task_group() as tasks:
        cancelled = anyio.CancelScope()

        async def first() -> None:
            with cancelled:
                await session.watch(ONE)

        tasks.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(session.watch, ONE)
        await anyio.wait_all_tasks_blocked()
        session.hangs = ()
        cancelled.cancel()
        await anyio.wait_all_tasks_blocked()
        assert session.sent == [(SUBSCRIBE, ONE)] * 2
        assert subscriptions.watched == [ONE]


async def test_the_number_of_watched_resources_is_limited(subscriptions: ServerSubscriptions):
    for number in range(MOST_WATCHED):
        subscriptions.watch(f"note://{number}")
    with pytest.raises(RpcError, match=r"No more than 1,000 resources"):
        subscriptions.watch("note://more")
    subscriptions.watch(ONE)
    subscriptions.unwatch(ONE)
    subscriptions.unwatch(ONE)
    subscriptions.watch("note://more")


@pytest.mark.parametrize("refuses", [(), (SUBSCRIBE,), (SET_LEVEL,)])
@pytest.mark.parametrize("has_levels", [True, False])
async def test_a_reconnected_server_gets_what_is_still_wanted_whatever_it_refuses(
    subscriptions: ServerSubscriptions, refuses: tuple[str, ...], has_levels: bool
):
    subscriptions.set_level("info")
    async with (before := Session(subscriptions)).kept():
        for uri in (ONE, TWO, "note://3"):
            await before.watch(uri)
        subscriptions.unwatch(TWO)
    subscriptions.unwatch("note://3")
    session = Session(subscriptions, refuses=refuses)
    if not has_levels:
        session.greeting = Greeting(Era.LEGACY, "2025-11-25", {})
    async with session.kept():
        subscriptions.watch("note://4")
        subscriptions.unwatch("note://4")
        await anyio.wait_all_tasks_blocked()
    level = [(SET_LEVEL, "info")] if has_levels else []
    assert session.sent == [*level, (SUBSCRIBE, ONE)]
    assert repr(subscriptions) == "<ServerSubscriptions: 1 resources, level info>"


async def test_a_reconnected_server_of_2026_has_them_on_its_first_stream(
    subscriptions: ServerSubscriptions,
):
    subscriptions.set_level("info")
    subscriptions.watch(ONE)
    async with (session := Session(subscriptions, Era.MODERN)).kept():
        assert session.sent == [[ONE]]


async def test_a_resource_that_moves_in_from_another_connection_is_subscribed(
    subscriptions: ServerSubscriptions,
):
    async with (session := Session(subscriptions)).kept():
        subscriptions.move_in(ONE)
        await anyio.wait_all_tasks_blocked()
        assert session.sent == [(SUBSCRIBE, ONE)]


async def test_a_changed_level_is_sent_and_one_that_nobody_wants_is_not(
    subscriptions: ServerSubscriptions,
):
    async with (session := Session(subscriptions)).kept():
        for level in ("info", "info", "debug", None, "error"):
            subscriptions.set_level(level)
            await anyio.wait_all_tasks_blocked()
    assert session.sent == [(SET_LEVEL, level) for level in ("info", "debug", "error")]


@pytest.mark.parametrize("hangs", [SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE])
async def test_a_request_that_is_not_answered_holds_up_the_next_one_for_a_limited_time(
    subscriptions: ServerSubscriptions, hangs: str
):
    subscriptions.set_level("info")
    subscriptions.watch(ONE)
    session = Session(subscriptions, hangs=(hangs,))
    async with session.kept():
        await anyio.sleep(SEND_S + 0.1)
        subscriptions.unwatch(ONE)
        subscriptions.move_in(TWO)
        await anyio.sleep(SEND_S + 0.1)
    assert session.sent[-1] == (SUBSCRIBE, TWO)


@pytest.mark.parametrize(
    "error", [ServerUnavailable("gone"), anyio.ClosedResourceError(), anyio.BrokenResourceError()]
)
async def test_the_end_of_a_server_that_is_sent_them_again_ends_nothing_else(
    subscriptions: ServerSubscriptions, error: Exception
):
    subscriptions.set_level("info")
    subscriptions.watch(ONE)
    session = Session(subscriptions, refuses=(SET_LEVEL, SUBSCRIBE))
    session.error = error
    async with session.kept():
        assert session.sent == [(SET_LEVEL, "info"), (SUBSCRIBE, ONE)]
    assert (subscriptions.level, subscriptions.watched) == ("info", [ONE])


def test_the_lowest_level_gives_the_most_messages():
    assert lowest([None, "error", "notice", "warning"]) == "notice"
    assert lowest([None]) is lowest([]) is None


uris = st.sampled_from(["x", "y"])
steps = st.lists(
    st.tuples(uris, st.sampled_from([SUBSCRIBE, UNSUBSCRIBE, "refuse", "cancel", "reconnect"])),
    max_size=30,
)


@given(steps, st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_in_the_end_the_server_is_subscribed_exactly_for_the_watched_resources(
    steps: list[tuple[str, str]], turns: list[int]
):
    anyio.run(_walk, steps, turns)


async def _walk(steps: list[tuple[str, str]], turns: list[int]) -> None:
    """Clients come and go, and are cut off, while requests take their time, the server refuses some
    of theirs, and is connected anew."""
    subscriptions = ServerSubscriptions()
    believed: set[str] = set()
    """The resources of which the server now sends updates."""
    wanted: dict[str, int] = {}
    refusing: set[str] = set()
    pauses = cycle(turns)

    class Slow(Session):
        async def request(self, method: str, params: JsonObject) -> JsonObject:
            uri = str(params["uri"])
            for _ in range(next(pauses)):
                await anyio.lowlevel.checkpoint()
            if self is not session[0]:
                raise ServerUnavailable("gone")
            if method == UNSUBSCRIBE:
                believed.discard(uri)
            else:
                believed.add(uri)
            return {}

        async def answer(self, method: str, params: JsonObject) -> JsonObject:
            if str(params["uri"]) in refusing:
                raise RpcError(-1, "refused")
            return await self.request(method, params)

    session = [Slow(subscriptions)]

    async def watch(uri: str, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await session[0].watch(uri)
            except (RpcError, ServerUnavailable):
                return
            wanted[uri] = wanted.get(uri, 0) + 1

    async def keep(kept: Session, scope: anyio.CancelScope) -> None:
        with scope:
            await subscriptions.keep(kept)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep, session[0], keeping := anyio.CancelScope())
        scope = anyio.CancelScope()
        for uri, step in steps:
            match step:
                case "refuse":
                    refusing ^= {uri}
                case "cancel":
                    scope.cancel()
                case "reconnect":
                    keeping.cancel()
                    session[0] = Slow(subscriptions)
                    believed.clear()
                    tasks.start_soon(keep, session[0], keeping := anyio.CancelScope())
                case "resources/subscribe":
                    tasks.start_soon(watch, uri, scope := anyio.CancelScope())
                case _ if wanted.get(uri):
                    wanted[uri] -= 1
                    subscriptions.unwatch(uri)
            for _ in range(next(pauses)):
                await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        keeping.cancel()
    watched = {uri for uri, number in wanted.items() if number}
    assert set(subscriptions.watched) == watched == believed
