"""One client being served: the handshake comes first, and its end leaves nothing open."""

from __future__ import annotations

import anyio
import pytest

from .talking import HANDSHAKE, talking

pytestmark = pytest.mark.virtual_time
CALL = {"name": "anything"}


async def test_nothing_more_is_read_while_the_handshake_is_answered():
    async with talking() as talk:
        id = talk.begin("initialize", HANDSHAKE)
        paused = [talk.is_paused]
        await talk.turn()
        assert talk.answers(id)
        paused.append(talk.is_paused)
        talk.begin("tools/list")
        paused.append(talk.is_paused)
    assert paused == [True, False, False]


async def test_what_is_open_at_the_end_is_answered_with_an_error():
    async with talking() as talk:
        await talk.request("initialize", HANDSHAKE)
        call = talk.begin("tools/call", CALL)
        await talk.turn()
        assert not talk.answers(call)
    [answer] = talk.answers(call)
    assert answer["error"]["message"] == "Connection closed"


async def test_a_call_has_the_time_to_drain_after_the_client_has_closed_its_end():
    async with talking() as talk:
        await talk.request("initialize", HANDSHAKE)
        call = talk.begin("tools/call", CALL)

        async def drain() -> None:
            talk.blocked.set()
            await talk.conversation.session.wait_idle()

        await talk.conversation.finish(drain, 0.5, anyio.sleep_forever)
        assert "result" in talk.answers(call)[0]


async def test_requests_that_end_within_the_grace_period_need_no_drain():
    async def never() -> None:
        raise AssertionError

    async with talking() as talk:
        await talk.request("initialize", HANDSHAKE)
        listed = talk.begin("tools/list")
        await talk.conversation.finish(never, 0.5, anyio.sleep_forever)
        assert talk.answers(listed)


async def test_draining_ends_when_the_client_does_not_read_any_more():
    async with talking() as talk:
        await talk.request("initialize", HANDSHAKE)
        talk.begin("tools/call", CALL)
        before = anyio.current_time()

        async def lost() -> None:
            await anyio.sleep(2)

        await talk.conversation.finish(anyio.sleep_forever, 0.5, lost)
        assert anyio.current_time() - before == pytest.approx(2, abs=0.1)


async def test_requests_to_the_client_get_the_ids_that_are_given():
    async with talking(ids=iter(["first"])) as talk, anyio.create_task_group() as tasks:
        answers = []

        async def ask() -> None:
            answers.append(await talk.conversation.session.send_raw_request("roots/list", None))

        tasks.start_soon(ask)
        await talk.turn()
        assert [each["id"] for each in talk.sent] == ["first"]
        talk.reply("first", {"roots": []})
        await talk.turn()
        assert answers == [{"roots": []}]
