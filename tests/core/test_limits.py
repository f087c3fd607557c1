"""What starts when, decided by limits and urgency; the laws of it are in test_scheduler.py."""

from __future__ import annotations

from plait.core.limits import Demand, Held, Ledger, Limits


class Desk:
    """A ledger, and the lanes of the calls that it let start."""

    def __init__(self, gateway: int = 9, **servers: int) -> None:
        self.ledger: Ledger[str] = Ledger(Limits(gateway, tuple(servers.items())))
        self.held: dict[str, Held[str]] = {}

    def add(
        self,
        call: str,
        server: str = "s",
        weight: int = 1,
        urgency: float = 0,
        run: str = "r",
        tools: tuple[str, int] | None = None,
    ) -> None:
        if run not in self.ledger.lanes:
            self.ledger.open_run(run, None)
        self.ledger.add(Demand(run, server, tools, weight), (urgency,), call)

    def start(self, now: float = 0.0) -> list[str]:
        started = dict(self.ledger.take_next(now))
        self.held |= started
        return list(started)

    def end(self, call: str) -> list[str]:
        self.ledger.give_back(self.held.pop(call))
        return self.start()


def test_the_most_urgent_starts_first():
    desk = Desk(gateway=1)
    for call, urgency in (("later", 2), ("now", 0), ("soon", 1)):
        desk.add(call, urgency=urgency)
    assert [desk.start(), desk.end("now"), desk.end("soon")] == [["now"], ["soon"], ["later"]]


def test_a_full_server_holds_up_no_other():
    desk = Desk(slow=1)
    for call, server in (("a", "slow"), ("b", "slow"), ("c", "fast"), ("d", "fast")):
        desk.add(call, server)
    assert desk.start() == ["a", "c", "d"]
    assert desk.end("a") == ["b"]


def test_a_run_of_its_own_limit_leaves_room_to_others():
    desk = Desk(gateway=3)
    desk.ledger.open_run("narrow", 1)
    for call in ("a", "b"):
        desk.add(call, run="narrow")
    desk.add("c", run="wide")
    assert desk.start() == ["a", "c"]
    assert desk.end("a") == ["b"]


def test_a_call_takes_as_many_slots_as_it_weighs():
    desk = Desk(gateway=3)
    desk.add("heavy", weight=2)
    desk.add("light", urgency=1)
    desk.add("next", urgency=2)
    assert desk.start() == ["heavy", "light"]
    assert desk.end("heavy") == ["next"]


def test_a_call_wider_than_a_limit_runs_alone():
    desk = Desk(gateway=2)
    desk.add("huge", weight=50)
    desk.add("small", urgency=1)
    assert desk.start() == ["huge"]
    assert desk.end("huge") == ["small"]


def test_a_lighter_call_passes_one_that_does_not_fit():
    desk = Desk(gateway=3)
    desk.add("first", weight=2)
    desk.add("heavy", weight=2, urgency=1)
    desk.add("light", weight=1, urgency=2)
    assert desk.start() == ["first", "light"]
    assert desk.end("light") == []
    assert desk.end("first") == ["heavy"]


def test_a_more_urgent_call_that_comes_later_goes_first():
    desk = Desk(gateway=1)
    desk.add("a")
    assert desk.start() == ["a"]
    desk.add("b", urgency=5)
    assert desk.start() == []
    desk.add("c", urgency=1)
    assert desk.end("a") == ["c"]


def test_a_parked_lane_is_not_overtaken_by_a_less_urgent_wider_one():
    desk = Desk(gateway=2, s=1)
    desk.add("running")
    assert desk.start() == ["running"]
    desk.add("urgent", urgency=1)
    desk.add("wide", weight=2, urgency=2)
    assert desk.start() == []
    assert desk.end("running") == ["urgent"]


def test_what_waits_of_a_closed_run_never_starts():
    desk = Desk(gateway=1)
    desk.add("a", run="gone")
    desk.add("b", run="gone")
    desk.add("c", run="stays", urgency=1)
    assert desk.start() == ["a"]
    desk.ledger.close_run("gone")
    assert desk.end("a") == ["c"]
