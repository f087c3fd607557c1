"""A command of a person at a desk: its frames, and how it ends. What commands show is tested with
the command line, both ways."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from plait.cli.console import Stream
from plait.cli.orders import Order, read_order
from plait.config import Config
from plait.core.results.record import RunStatus
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.door import frames
from plait.door.frames import Frames, frame
from plait.engine.gateway import Gateway
from plait.machine import errands
from plait.machine.errands import Errand
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.transports.frame_stream import FrameStream

from ..fakes import FakeServers, tool


class FakeDesk:
    """A desk over tools in memory."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.config = Config()


class Person:
    """The person's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._cut = Frames()
        self._unread: list[tuple[bytes, int, bytes]] = []
        self.asked = 0
        """The number of the last question."""

    async def next(self) -> tuple[bytes, bytes]:
        while not self._unread:
            data = await asyncio.get_running_loop().sock_recv(self._sock, 2**16)
            assert data, "the connection ended"
            self._unread = self._cut.feed(data)
        kind, number, payload = self._unread.pop(0)
        if kind == frames.QUESTION:
            self.asked = number
        return kind, payload

    async def rest(self) -> dict[bytes, bytes]:
        """Everything that comes up to the exit code, by kind."""
        found: dict[bytes, bytes] = {}
        while frames.EXIT not in found:
            kind, payload = await self.next()
            found[kind] = found.get(kind, b"") + payload
        return found

    async def question(self) -> int:
        """Return the number of the next question, once it is shown."""
        asked = self.asked
        while self.asked == asked:
            await self.next()
        return self.asked

    async def answer(self, number: int, line: bytes) -> None:
        data = frame(frames.ANSWER, line, number)
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def interrupt(self, number: int = signal.SIGINT) -> None:
        data = frame(frames.INTERRUPT, str(int(number)).encode())
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    def leave(self) -> None:
        self._sock.close()


@pytest.fixture
def servers() -> FakeServers:
    made = FakeServers()

    async def hang(**_: Any) -> None:
        await anyio.sleep_forever()

    made.add(tool("s:echo", {}, closed=False), lambda **given: given)
    made.add(tool("s:hang", {}), hang)
    return made


def call(name: str, *words: str, **more: Any) -> Order:
    form = {"encoding": "utf-8", "is_terminal": False}
    order = {
        "command": {"name": "call", "tool": name, "words": words},
        "as_json": False,
        "debug": False,
        "out": form,
        "err": form,
        "columns": 80,
        "environ": {},
    }
    return read_order(json.dumps(order | more).encode())


@asynccontextmanager
async def carried_out(
    servers: FakeServers, order: Order, policy: Policy | None = None
) -> AsyncIterator[tuple[Person, Errand]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    ours.setblocking(False)
    stream = FrameStream()
    await asyncio.get_running_loop().create_unix_connection(lambda: stream, sock=theirs)
    with anyio.fail_after(30):
        async with Gateway(servers, servers, InMemoryRuns(), policy=policy) as gateway:
            desk: Any = FakeDesk(gateway)
            errand = Errand(desk, order, stream, "d1")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(errand.run)
                yield Person(ours), errand
            stream.abort()
    ours.close()


async def test_the_person_knows_before_the_call_that_it_may_have_effects(servers: FakeServers):
    taken = anyio.Event()

    async def wait(**_: Any) -> str:
        await taken.wait()
        return "done"

    servers.add(tool("s:wait", {}), wait)
    async with carried_out(servers, call("s:wait")) as (person, _):
        assert await person.next() == (frames.TAKEN, b"")
        taken.set()
        assert await person.rest() == {frames.OUT: b"done\n", frames.EXIT: b"0"}


async def test_a_call_takes_turns_with_those_of_other_clients_and_asks_nothing(
    servers: FakeServers,
):
    callers: list[Any] = []
    servers.add(tool("s:look", {}), lambda caller: callers.append(caller))
    async with carried_out(servers, call("s:look")) as (person, _):
        await person.rest()
    assert [(caller.connection, caller.can_be_asked) for caller in callers] == [("d1", False)]


async def test_an_interrupted_call_is_cancelled_there(servers: FakeServers):
    async with carried_out(servers, call("s:hang", as_json=True)) as (person, _):
        await person.next()
        await person.interrupt()
        shown = await person.rest()
    assert servers.aborted == ["s:hang"]
    assert shown[frames.EXIT] == b"130"
    assert json.loads(shown[frames.OUT])["status"] == "cancelled"
    assert shown[frames.ERR].startswith(b"Interrupted: stopping.")


async def test_a_person_who_goes_away_cancels_the_call(servers: FakeServers):
    async with carried_out(servers, call("s:hang")) as (person, _):
        await person.next()
        person.leave()
    assert servers.aborted == ["s:hang"]


ASKING = Policy(tables=(Rules(ask=("write",)),))
TERMINAL = {"encoding": "utf-8", "is_terminal": True}


async def test_a_person_is_asked_at_their_end_and_each_answer_is_for_its_question(
    servers: FakeServers,
):
    sent: list[Any] = []
    servers.add(tool("s:write", {}, closed=False), lambda **given: sent.append(given))
    order = call("s:write", "n=1", err=TERMINAL)
    async with carried_out(servers, order, ASKING) as (person, _):
        number = await person.question()
        await person.answer(number - 1, b"y\n")  # for one that was withdrawn
        await person.answer(number, b"yes?\n")
        number = await person.question()
        assert sent == []
        await person.answer(number, b"y\n")
        assert (await person.rest())[frames.EXIT] == b"0"
    assert sent == [{"n": 1}]


async def test_a_question_that_is_answered_elsewhere_is_withdrawn_there(servers: FakeServers):
    servers.add(tool("s:write", {}, closed=False), lambda **given: given)
    async with carried_out(servers, call("s:write", err=TERMINAL), ASKING) as (person, errand):
        await person.question()
        gateway = errand._desk.gateway
        [run_id] = gateway.runs()
        approval = gateway.approval(run_id)
        assert approval is not None
        await gateway.approve(run_id, approval.digest)
        shown = await person.rest()
    assert (shown[frames.WITHDRAWN], shown[frames.EXIT]) == (b"", b"0")


async def test_a_person_who_goes_away_leaves_the_run_waiting(servers: FakeServers):
    servers.add(tool("s:write", {}, closed=False), lambda **given: given)
    async with carried_out(servers, call("s:write", err=TERMINAL), ASKING) as (person, errand):
        await person.question()
        person.leave()
        await errand._ended.wait()
        gateway = errand._desk.gateway
        [run_id] = gateway.runs()
        assert gateway.record(run_id).status is RunStatus.WAITING


async def test_a_gateway_that_ends_lets_a_call_end_and_then_cancels_it(
    servers: FakeServers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(errands, "DRAIN_S", 0.01)
    async with carried_out(servers, call("s:hang")) as (person, errand):
        await person.next()
        await errand.drain()
        shown = await person.rest()
    assert servers.aborted == ["s:hang"]
    assert shown[frames.EXIT] == b"1"
    assert b"asked to end" in shown[frames.ERR]


async def test_a_terminal_shows_what_runs_until_it_is_interrupted(servers: FakeServers):
    terminal = {"encoding": "ascii", "is_terminal": True}
    order = call("s:hang", err=terminal, environ={"TERM": "xterm", "NO_COLOR": "1"})
    async with carried_out(servers, order) as (person, _):
        shown = b""
        while b"* s:hang  " not in shown:
            shown += (await person.next())[1]
        await person.interrupt()
        rest = await person.rest()
    assert b"\x1b[1F\x1b[J" in rest[frames.ERR]
    assert b"cancelled" in rest[frames.ERR]


async def test_a_person_who_interrupts_again_has_the_end_at_once(servers: FakeServers):
    cleaned = anyio.Event()

    async def clean() -> str:
        await cleaned.wait()
        return "clean"

    servers.add(tool("s:clean", {}), clean)
    tasks = [
        {"id": "a", "tool": "s:hang"},
        {"id": "b", "tool": "s:clean", "depends_on": ["a"], "trigger_rule": "always"},
    ]
    document = base64.urlsafe_b64encode(json.dumps({"tasks": tasks}).encode()).decode()
    changes: dict[str, object] = {"max_concurrency": 2}
    run = {"name": "run", "source": {"name": "x", "data": document}, "changes": changes}
    async with carried_out(servers, call("", command=run, as_json=True)) as (person, _):
        await person.next()
        await person.interrupt()
        await person.interrupt()
        shown = await person.rest()
        assert shown[frames.EXIT] == b"130"
        [note] = json.loads(shown[frames.OUT])["notes"]
        assert "without waiting for" in note
        assert not cleaned.is_set()
        cleaned.set()


async def test_a_wrong_command_line_is_one_for_the_person_to_show(servers: FakeServers):
    wrong = {"name": "call", "tool": "s:echo", "words": ["{"]}
    async with carried_out(servers, call("s:echo", command=wrong)) as (person, _):
        kind, payload = await person.next()
    assert kind == frames.MISUSED
    assert payload.startswith(b"ARGUMENTS\0this is not JSON")


async def test_files_are_written_where_the_person_is(servers: FakeServers):
    saving = {"name": "call", "tool": "s:echo", "words": ["a=1"], "output": "there/x"}
    async with carried_out(servers, call("s:echo", command=saving)) as (person, _):
        shown = await person.rest()
    assert shown[frames.FILE] == b'there/x\0{"a": 1}\n'
    assert shown[frames.ERR] == b"saved in there/x\n"


async def test_a_large_result_is_formed_in_a_thread_and_sent_in_pieces(
    servers: FakeServers, monkeypatch: pytest.MonkeyPatch
):
    formed_in: list[int] = []

    def json_of(stream: Stream, value: Any) -> None:
        formed_in.append(threading.get_ident())
        original(stream, value)

    original = Stream.json
    monkeypatch.setattr(Stream, "json", json_of)
    servers.add(tool("s:large", {}), lambda: {"rows": [*range(20_000)]})
    async with carried_out(servers, call("s:large", as_json=True)) as (person, _):
        await person.next()
        kind, first = await person.next()
        assert kind == frames.OUT
        assert len(first) == errands.CHUNK_BYTES
        shown = first + (await person.rest())[frames.OUT]
    assert json.loads(shown)["outputs"]["call"]["rows"] == [*range(20_000)]
    assert len(formed_in) == 1
    assert threading.get_ident() not in formed_in


async def test_what_is_wrong_here_is_shown_there_and_logged(
    servers: FakeServers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(servers, "catalog", broken)
    async with carried_out(servers, call("s:echo")) as (person, _):
        shown = await person.rest()
    assert shown[frames.EXIT] == b"1"
    assert b"error: RuntimeError: a bug" in shown[frames.ERR]
    assert "command.failed" in caplog.text
