"""Limits that change while calls are in flight and waiting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.core.scheduling.lanes import Lease, SlotRequest
from plait.core.scheduling.limits import ConcurrencyLimits, Limits
from plait.core.scheduling.rates import Rate

from ...profiles import share_of_examples

SERVERS = ("a", "b")


class Desk:
    """A ledger, the calls that wait and those that are in flight, by server."""

    def __init__(self, limits: Limits) -> None:
        self.limits: ConcurrencyLimits[str] = ConcurrencyLimits(limits)
        self.limits.open_run("r", None)
        self.held: dict[str, Lease[str]] = {}
        self.waiting: set[str] = set()

    def add(self, *calls: str, weight: int = 1) -> None:
        for call in calls:
            self.waiting.add(call)
            self.limits.add(SlotRequest("r", call[0], None, weight), (float(call[1:]),), call)

    def start(self, now: float = 0.0) -> list[str]:
        started = dict(iter(lambda: self.limits.acquire_next(now), None))
        self.held |= started
        self.waiting -= started.keys()
        return list(started)

    def end(self, call: str) -> None:
        self.limits.release(self.held.pop(call))

    def in_flight(self, server: str = "") -> int:
        return sum(call.startswith(server) for call in self.held)


def test_more_room_is_used_at_once():
    desk = Desk(Limits(1))
    desk.add("a1", "a2", "a3")
    assert desk.start() == ["a1"]
    desk.limits.change(Limits(3))
    assert desk.start() == ["a2", "a3"]


def test_less_room_lets_what_is_in_flight_end_first():
    desk = Desk(Limits(3))
    desk.add("a1", "a2", "a3", "a4")
    assert len(desk.start()) == 3
    desk.limits.change(Limits(1))
    for call, starts in (("a1", []), ("a2", []), ("a3", ["a4"])):
        desk.end(call)
        assert desk.start() == starts


def test_a_limit_of_a_server_comes_and_goes():
    desk = Desk(Limits(9))
    desk.limits.change(Limits(9, (("a", 1),)))
    desk.add("a1", "a2", "b1")
    assert desk.start() == ["a1", "b1"]
    desk.limits.change(Limits(9))
    assert desk.start() == ["a2"]


def test_a_limit_that_comes_holds_for_calls_that_wait_already():
    desk = Desk(Limits(1))
    desk.add("a1", "a2", "a3")
    assert desk.start() == ["a1"]
    desk.limits.change(Limits(9, (("a", 1),)))
    assert desk.start() == ["a2"]


def test_a_limit_that_finds_itself_keeps_what_it_found_below_the_most():
    desk = Desk(Limits(32, (("a", "auto"),)))
    found = desk.limits.adaptive["a"]
    found.value = 20.0
    desk.limits.change(Limits(40, (("a", "auto"),)))
    assert desk.limits.servers["a"].capacity == 20
    desk.limits.change(Limits(5, (("a", "auto"),)))
    assert desk.limits.servers["a"].capacity == found.slots == 5


def test_a_rate_comes_changes_and_goes():
    desk = Desk(Limits(99))
    desk.limits.change(Limits(99, rates=(("a", Rate(1, 60)),)))
    desk.add("a1", "a2", "a3")
    assert desk.start(0) == ["a1"]
    desk.limits.change(Limits(99, rates=(("a", Rate(1, 1)),)))
    assert desk.start(0) == ["a2"]
    desk.limits.change(Limits(99))
    assert desk.start(0) == ["a3"]


def test_a_rate_that_stays_is_not_begun_anew():
    limits = Limits(99, rates=(("a", Rate(1, 60)),))
    desk = Desk(limits)
    desk.add("a1", "a2")
    assert desk.start(0) == ["a1"]
    desk.limits.change(limits)
    assert desk.start(0) == []


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    servers = draw(st.dictionaries(st.sampled_from(SERVERS), st.integers(1, 4)))
    return Limits(draw(st.integers(1, 6)), tuple(servers.items()))


@share_of_examples(0.4)
@given(st.lists(st.one_of(limits(), st.sampled_from(("add", "end"))), max_size=40), st.data())
def test_whatever_changes_nothing_that_fits_waits_and_nothing_starts_without_room(
    steps: list[Limits | str], data: st.DataObject
):
    now = Limits(3, (("a", 2), ("b", 2)))
    desk = Desk(now)
    for number, step in enumerate(steps):
        match step:
            case "add":
                desk.add(f"{data.draw(st.sampled_from(SERVERS))}{number}")
            case "end" if desk.held:
                desk.end(data.draw(st.sampled_from(sorted(desk.held))))
            case Limits():
                now = step
                desk.limits.change(step)
        slots = {
            server: next((n for name, n in now.servers if name == server and n != "auto"), 99)
            for server in SERVERS
        }
        for call in desk.start():
            assert desk.in_flight() <= now.gateway
            assert desk.in_flight(call[0]) <= slots[call[0]]
        for call in desk.waiting:
            assert desk.in_flight() >= now.gateway or desk.in_flight(call[0]) >= slots[call[0]]
