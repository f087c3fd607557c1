"""One connection of a door: the hello, the end, and the commands of a person."""

from __future__ import annotations

import json

import anyio
import pytest

from plait import __version__
from plait.door import frames
from plait.upstream.transports.served import Refused

from .door_end import MAX_BYTES, door
from .talking import HANDSHAKE


async def test_the_hello_names_the_gateway_its_limit_and_the_variables():
    async with door() as end:
        names = await end.hello()
        await end.request(1, "initialize", HANDSHAKE)
        await end.answer(1)
    assert names == {
        "instance": "g1", "version": __version__, "max_line": str(MAX_BYTES), "name": "TOKEN",
    }  # fmt: skip
    assert end.house.values == {"TOKEN": "t"}


async def test_a_refused_hello_says_why_and_ends_the_connection():
    async with door() as end:
        end.house.refusal = Refused("settings", "servers.toml: two mistakes")
        await end.put(frames.HELLO, b"hello=1")
        assert await end.end() == [(frames.REFUSED, 0, b"settings\0servers.toml: two mistakes")]


async def test_a_command_is_answered_without_a_hello():
    async with door() as end:
        await end.put(frames.CONTROL, b"ps")
        assert json.loads(await end.until(frames.CONTROL)) == {"command": "ps"}
        assert end.link.hello is None


async def test_the_client_is_known_by_the_name_that_it_gave():
    async with door() as end:
        await end.handshake()
        assert end.link.client == ("test", "1")
        assert end.link.hello is not None


async def test_calls_before_the_end_of_the_client_are_answered():
    async with door() as end:
        await end.handshake()
        await end.request(3, "tools/call", {"name": "write"})
        await end.until(frames.TAKEN, 3)
        await end.put(frames.END)
        assert "result" in await end.answer(3)
        assert end.house.drained.is_set()
        assert await end.end() == []


async def test_a_door_that_closes_without_the_end_of_its_client_cancels_the_calls():
    async with door() as end:
        await end.handshake()
        await end.request(3, "tools/call", {"name": "write"})
        await end.until(frames.TAKEN, 3)
        end.close()
        await end.link.stream.wait_lost()
        assert not end.house.drained.is_set()


async def test_a_door_that_is_sent_away_keeps_what_was_not_begun():
    async with door() as end:
        await end.handshake()
        await end.request(3, "tools/call", {"name": "write"})
        await end.until(frames.TAKEN, 3)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end.link.drain)
            await end.house.drained.wait()
            await end.request(4, "tools/list")
            assert "result" in await end.answer(3)
        end.link.leave("restart")
        assert await end.end() == [(frames.BYE, 0, b"restart")]


@pytest.mark.parametrize("first", [frames.MESSAGE, frames.END])
async def test_frames_before_the_hello_are_passed_over(first: bytes):
    async with door() as end:
        await end.put(first, b"{}")
        assert (await end.hello())["instance"] == "g1"


async def test_a_command_of_a_person_is_carried_out_and_ends_with_the_gateway():
    async with door() as end:
        await end.hello(client="call")
        await end.put(frames.COMMAND, b"look")
        assert await end.until(frames.OUT) == b"look"
        assert end.house.values == {"TOKEN": "t"}
        assert end.link.client == ("plait call", __version__)
        await end.link.drain()
        assert await end.end() == [(frames.EXIT, 0, b"0")]


async def test_a_person_who_goes_away_before_the_command_is_none_to_serve():
    async with door() as end:
        await end.hello(client="call")
        await end.put(frames.END)
        assert await end.end() == []


@pytest.mark.parametrize("isolated", ["0", "1"])
async def test_a_notice_about_the_settings_is_sent_to_a_client_that_does_not_see_the_log(
    isolated: str,
):
    async with door() as end:
        end.house.notice = "servers.toml is not trusted"
        await end.hello(isolated=isolated)
        await end.put(frames.END)
        notes = [payload for kind, _, payload in await end.end() if kind == frames.ERR]
    assert notes == ([b"servers.toml is not trusted"] if isolated == "0" else [])
