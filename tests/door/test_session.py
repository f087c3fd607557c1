"""A session survives its gateways: whatever the order of frames and deaths, each request gets one
answer, and nothing that may have had effects is sent twice."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plait.door.frames import (
    ASKED,
    DONE,
    DROP,
    KEEP,
    LOST,
    MESSAGE,
    REPLAY,
    SAFE,
    SETTLED,
    TAKEN,
    TOO_LONG,
    Frames,
)
from plait.door.session import Session

CALL = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"s__write"}}'
PING = b'{"jsonrpc":"2.0","id":"p","method":"ping"}'


@pytest.fixture
def session() -> Session:
    return Session()


def read(*frames: bytes) -> list[tuple[bytes, int, bytes]]:
    return Frames().feed(b"".join(frames))


def test_lines_are_numbered_and_an_answer_ends_its_request(session: Session):
    assert read(session.pass_on(PING), session.pass_on(CALL)) == [
        (MESSAGE, 1, PING),
        (MESSAGE, 2, CALL),
    ]
    assert session.receive(MESSAGE, 2, b"answer") == b"answer"
    assert session.is_waiting
    assert session.receive(MESSAGE, 1, b"pong") == b"pong"
    assert not session.is_waiting


def test_a_second_answer_to_a_request_is_dropped(session: Session):
    session.pass_on(PING)
    assert session.receive(MESSAGE, 1, b"one") == b"one"
    assert session.receive(MESSAGE, 1, b"two") is None


def test_messages_that_answer_nothing_are_passed_on(session: Session):
    assert session.receive(MESSAGE, 0, b"log") == b"log"
    assert session.receive(MESSAGE, 0, b"log") == b"log"


@pytest.mark.parametrize(
    ("kind", "payload"), [(SAFE, b"7"), (TAKEN, b"7\0s__write"), (DONE, b""), (MESSAGE, b"answer")]
)
def test_what_the_gateway_reports_on_has_been_read(session: Session, kind: bytes, payload: bytes):
    session.pass_on(CALL)
    assert session.unread_bytes == len(CALL)
    for _ in range(2):
        session.receive(kind, 1, payload)
        assert session.unread_bytes == 0


def test_what_was_unread_or_safe_is_sent_to_the_next_gateway(session: Session):
    session.pass_on(PING)
    session.pass_on(CALL)
    session.pass_on(b"beginning", TOO_LONG)
    session.receive(SAFE, 2, b"7")
    assert read(*session.reopen()) == [
        (MESSAGE, 1, PING),
        (MESSAGE, 2, CALL),
        (TOO_LONG, 3, b"beginning"),
    ]
    assert session.unread_bytes == len(PING) + len(CALL) + len(b"beginning")


def test_what_was_taken_is_asked_of_the_next_gateway_and_never_sent_again(session: Session):
    session.pass_on(CALL)
    session.receive(TAKEN, 1, b"7\0s__write")
    for _ in range(3):
        assert read(*session.reopen()) == [(LOST, 1, b"7\0s__write")]
    session.receive(SAFE, 1, b"7")
    assert read(*session.reopen()) == [(LOST, 1, b"7\0s__write")]


def test_what_belongs_to_the_session_is_replayed_in_its_order_until_it_is_dropped(
    session: Session,
):
    for number, (line, kept) in enumerate(
        [(b"hello", b"initialize\0v1"), (b"ready", b"initialized\0"), (b"quiet", b"level\0")], 1
    ):
        session.pass_on(line)
        session.receive(KEEP, number, kept)
        session.receive(DONE, number, b"")
    assert read(*session.reopen()) == [
        (REPLAY, 1, b"initialize\0v1\0hello"),
        (REPLAY, 2, b"initialized\0\0ready"),
        (REPLAY, 3, b"level\0\0quiet"),
    ]
    session.pass_on(b"loud")
    session.receive(KEEP, 4, b"level\0")
    session.receive(DONE, 4, b"")
    session.receive(DROP, 0, b"initialized")
    assert read(*session.reopen()) == [
        (REPLAY, 1, b"initialize\0v1\0hello"),
        (REPLAY, 4, b"level\0\0loud"),
    ]


def test_what_is_kept_but_not_answered_is_sent_as_a_request(session: Session):
    session.pass_on(b"hello")
    session.receive(KEEP, 1, b"initialize\0v1")
    assert read(*session.reopen()) == [(MESSAGE, 1, b"hello")]


def test_what_was_taken_is_not_kept(session: Session):
    session.pass_on(CALL)
    session.receive(KEEP, 1, b"earlier\0")
    session.receive(TAKEN, 1, b"7\0x")
    session.receive(KEEP, 1, b"later\0")
    session.receive(DONE, 1, b"")
    assert session.reopen() == []


def test_open_questions_of_a_gateway_are_cancelled_once(session: Session):
    session.receive(ASKED, 0, b'"g1-1"')
    session.receive(ASKED, 0, b"2")
    session.receive(SETTLED, 0, b'"g1-1"')
    (cancelled,) = session.withdraw_questions()
    assert json.loads(cancelled) == {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": 2, "reason": "the gateway has ended"},
    }
    assert session.withdraw_questions() == []


def test_without_any_gateway_each_request_gets_an_answer_that_says_whether_it_was_sent(
    session: Session,
):
    lines = [PING, CALL, CALL, b'{"method":"notifications/x"}', b"not JSON", b'{"id":1,"result":0}']
    for line in lines:
        session.pass_on(line)
    session.pass_on(b"[1,2]")
    session.receive(TAKEN, 3, b"8\0s__write")
    ping, unsent, taken = (json.loads(answer) for answer in session.give_up("It cannot start"))
    assert ping["id"] == "p"
    assert ping["error"]["data"] == {"sent": "no"}
    assert ping["error"]["message"] == "It cannot start."
    assert unsent["id"] == 7
    assert unsent["result"]["isError"] is True
    assert unsent["result"]["structuredContent"]["sent"] == "no"
    assert taken["id"] == 8
    assert taken["result"]["structuredContent"] == {"status": "interrupted", "sent": "unknown"}
    assert not session.is_waiting
    assert session.unread_bytes == 0


class Deaths(RuleBasedStateMachine):
    """A door's session and the gateways that it meets, one after the other.

    What a gateway reports waits in `unsent`, in its own memory, until it is flushed into the
    socket, where it outlives the gateway. An effect waits until the report of it is there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.session = Session()
        self.requests: set[int] = set()
        self.answers: Counter[int] = Counter()
        self.effects: Counter[int] = Counter()
        self.taken: set[int] = set()
        """Those of which the door knows that they were taken."""
        self.count = 0
        self.to_gateway: list[tuple[bytes, int, bytes]] = []
        self.work: dict[int, bytes] = {}
        self.wire: list[tuple[bytes, int, bytes]] = []
        self.unsent: list[tuple[bytes, int, bytes]] = []

    @initialize()
    def begin(self) -> None:
        self.to_gateway = read(*self.session.reopen())

    @rule(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3))
    def the_client_sends_requests(self, sizes: list[int]) -> None:
        for size in sizes:
            self.count += 1
            self.requests.add(self.count)
            self.to_gateway += read(self.session.pass_on(b"x" * size))

    @rule(data=st.data(), is_flushed=st.booleans())
    def the_gateway_works(self, data: st.DataObject, is_flushed: bool) -> None:
        self.read_lines()
        open_ = sorted(number for number, kind in self.work.items() if kind != REPLAY)
        for number in data.draw(st.lists(st.sampled_from(open_), unique=True)) if open_ else ():
            steps = ["answer"]
            if self.work[number] == MESSAGE:
                steps += ["safe", "keep", "take"]
            match data.draw(st.sampled_from(steps)):
                case "safe":
                    self.unsent.append((SAFE, number, b"1"))
                case "keep":
                    self.unsent.append((KEEP, number, b"k%d\0" % number))
                case "take":
                    self.unsent.append((TAKEN, number, b"1\0tool"))
                    self.flush()
                    self.effects[number] += 1
                    self.work[number] = TAKEN
                case "answer":
                    del self.work[number]
                    self.unsent.append((MESSAGE, number, b"answer"))
        if is_flushed:
            self.flush()

    def read_lines(self) -> None:
        for kind, number, _ in self.to_gateway:
            assert number not in self.taken or kind == LOST
            self.work[number] = kind
        self.to_gateway.clear()

    def flush(self) -> None:
        self.wire += self.unsent
        self.unsent.clear()

    @rule()
    def the_door_reads(self) -> None:
        for kind, number, payload in self.wire:
            if self.session.receive(kind, number, payload) is not None:
                self.answers[number] += 1
            if kind == TAKEN:
                self.taken.add(number)
        self.wire.clear()

    @rule()
    def the_gateway_dies(self) -> None:
        self.unsent.clear()
        self.work.clear()
        self.the_door_reads()
        self.to_gateway = read(*self.session.reopen())

    @invariant()
    def nothing_is_answered_twice(self) -> None:
        assert all(count == 1 for count in self.answers.values())

    @invariant()
    def nothing_that_was_taken_has_effects_twice(self) -> None:
        assert all(count == 1 for count in self.effects.values())

    @invariant()
    def what_waits_is_what_has_no_answer(self) -> None:
        assert self.session.is_waiting is (self.answers.keys() != self.requests)
        assert self.session.unread_bytes >= 0

    def teardown(self) -> None:
        self.the_gateway_dies()
        self.read_lines()
        answered = [number for number, kind in self.work.items() if kind != REPLAY]
        self.unsent += [(MESSAGE, number, b"answer") for number in answered]
        self.flush()
        self.the_door_reads()
        assert self.answers == Counter(self.requests)
        assert not self.session.is_waiting
        assert self.session.unread_bytes == 0


TestDeaths = Deaths.TestCase
