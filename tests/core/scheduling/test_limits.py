"""What starts when, decided by limits and urgency; the laws of it are in test_scheduler.py."""

from __future__ import annotations

from typing import Any

from plait.core.scheduling.lanes import NO_RUN, Lease, SlotRequest
from plait.core.scheduling.limits import MOST_DIRECT_LANES, ConcurrencyLimits, Limits
from plait.core.scheduling.rates import Rate

from ..tables import table


class Desk:
    """A ledger, and the lanes of the calls that it let start."""

    def __init__(self, gateway: int = 9, **servers: int) -> None:
        self.limits: ConcurrencyLimits[str] = ConcurrencyLimits(
            Limits(gateway, tuple(servers.items()))
        )
        self.held: dict[str, Lease[str]] = {}

    def add(
        self,
        call: str,
        server: str = "s",
        weight: int = 1,
        urgency: float = 0,
        run: str = "r",
        tools: tuple[str, int] | None = None,
        caller: str = "",
    ) -> None:
        if run not in self.limits.lanes:
            self.limits.open_run(run, None)
        self.limits.add(SlotRequest(run, server, tools, weight, caller), (urgency,), call)

    def start(self, now: float = 0.0) -> list[str]:
        started = dict(iter(lambda: self.limits.acquire_next(now), None))
        self.held |= started
        return list(started)

    def end(self, call: str) -> list[str]:
        self.limits.release(self.held.pop(call))
        return self.start()


def test_the_most_urgent_starts_first():
    desk = Desk(gateway=1)
    for call, urgency in (("later", 2), ("now", 0), ("soon", 1)):
        desk.add(call, urgency=urgency)
    assert [desk.start(), desk.end("now"), desk.end("soon")] == [["now"], ["soon"], ["later"]]


def test_of_two_that_wait_for_the_slots_of_one_call_at_different_limits_the_most_urgent_starts():
    desk = Desk(gateway=2, s=1)
    desk.add("s1", "s")
    assert desk.start() == ["s1"]
    desk.add("s2", "s", urgency=5)
    desk.add("t1", "t")
    assert desk.start() == ["t1"]
    desk.add("t2", "t")
    assert [desk.start(), desk.end("s1"), desk.end("t1")] == [[], ["t2"], ["s2"]]


def test_a_full_server_holds_up_no_other():
    desk = Desk(slow=1)
    for call, server in (("a", "slow"), ("b", "slow"), ("c", "fast"), ("d", "fast")):
        desk.add(call, server)
    assert desk.start() == ["a", "c", "d"]
    assert desk.end("a") == ["b"]


def test_a_run_of_its_own_limit_leaves_room_to_others():
    desk = Desk(gateway=3)
    desk.limits.open_run("narrow", 1)
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
    desk.limits.close_run("gone")
    assert desk.end("a") == ["c"]


def test_tools_that_share_a_limit_share_it_over_servers_and_runs():
    desk = Desk()
    for call, server, run in (("a", "s", "one"), ("b", "t", "one"), ("c", "s", "two")):
        desk.add(call, server, run=run, tools=("?:write", 2))
    desk.add("other")
    assert desk.start() == ["a", "b", "other"]
    assert desk.end("a") == ["c"]


def test_the_limit_is_told_at_which_a_call_stood_last():
    desk = Desk(gateway=2, s=1)
    for call in ("a", "b"):
        desk.add(call)
    desk.add("c", "t", urgency=1)
    desk.add("d", "t", urgency=2)
    desk.start()
    desk.end("a")
    desk.end("c")
    assert [desk.held[call].waited_at for call in ("b", "d")] == ["server s", "gateway"]


def test_a_call_that_waited_for_nothing_stood_at_no_limit():
    desk = Desk(gateway=1)
    for call in ("a", "b"):
        desk.add(call)
    desk.start()
    desk.end("a")
    assert [desk.held["b"].waited_at, desk.end("b")] == ["gateway", []]
    desk.add("c")
    desk.start()
    assert desk.held["c"].waited_at is None


class Paced(Desk):
    """A ledger in which the servers *rates* may not be called more often; `look` is what its
    scheduler does in time."""

    def __init__(self, **rates: Rate) -> None:
        super().__init__()
        self.limits = ConcurrencyLimits(Limits(9, rates=tuple(rates.items())))

    def look(self, now: float) -> list[str]:
        for server, rate in self.limits.rates.items():
            if rate.is_watched:
                self.limits.look_again(server)
        return self.start(now)


def test_what_is_above_the_rate_waits_and_someone_is_told_to_look_again():
    desk = Paced(s=Rate(2, 1.0))
    for number in range(4):
        desk.add(f"{number}", urgency=number)
    desk.add("free", "t", urgency=9)
    assert desk.start(0.0) == ["0", "1", "free"]
    assert list(desk.limits.to_watch(0.0)) == [("s", 1.0)]
    assert list(desk.limits.to_watch(0.1)) == []  # someone does already
    assert (desk.look(1.0), list(desk.limits.to_watch(1.0))) == (["2", "3"], [])


def test_the_end_of_a_call_makes_no_room_in_a_rate():
    desk = Paced(s=Rate(1, 1.0))
    desk.add("a")
    desk.add("b")
    assert desk.start(0.0) == ["a"]
    assert desk.end("a") == []


def test_a_call_takes_one_of_a_rate_whatever_it_weighs():
    desk = Paced(s=Rate(2, 1.0))
    desk.add("a", weight=3)
    desk.add("b", weight=3)
    assert desk.start(0.0) == ["a", "b"]


def test_a_server_that_asks_for_quiet_is_left_alone_also_by_calls_that_wait_already():
    desk = Desk(gateway=1)
    for number, server in enumerate("sst"):
        desk.add(f"{server}{number}", server, urgency=number)
    assert desk.start(0.0) == ["s0"]
    desk.limits.hold("s", 5.0, 0.0)
    assert desk.end("s0") == ["t2"]
    assert desk.end("t2") == []
    assert list(desk.limits.to_watch(0.0)) == [("s", 5.0)]
    desk.limits.look_again("s")
    assert desk.start(5.0) == ["s1"]


def test_an_adaptive_limit_that_grows_lets_more_calls_go_and_one_that_shrinks_fewer():
    desk = Desk()
    desk.limits = ConcurrencyLimits(Limits(64, (("s", "auto"),)))
    for number in range(12):
        desk.add(f"{number:02}", urgency=number)
    assert len(desk.start()) == 8
    desk.limits.adaptive["s"].value = 10.0
    desk.limits.resize("s")
    assert desk.start() == ["08", "09"]
    desk.limits.adaptive["s"].value = 8.0
    desk.limits.resize("s")
    assert [desk.end("00"), desk.end("01"), desk.end("02")] == [[], [], ["10"]]


def test_what_is_withdrawn_leaves_nothing_behind_though_another_still_waits_in_front_of_it():
    desk = Desk(gateway=1)
    desk.add("in flight", run=NO_RUN)
    assert desk.start() == ["in flight"]
    desk.add("first", run=NO_RUN, urgency=1)
    for number in range(1_000):
        desk.add(f"gone {number}", run=NO_RUN, urgency=2 + number)
        desk.limits.withdraw(SlotRequest(NO_RUN, "s", None, 1), f"gone {number}")
    [lane] = desk.limits.lanes[NO_RUN].values()
    assert len(lane.calls) + len(lane.withdrawn) <= 3
    desk.add("last", run=NO_RUN, urgency=5_000)
    assert [desk.end("in flight"), desk.end("first")] == [["first"], ["last"]]


def test_after_the_first_was_withdrawn_the_next_waits_in_its_place():
    desk = Desk(gateway=1)
    desk.add("in flight")
    assert desk.start() == ["in flight"]
    for call, urgency in (("gone", 1), ("urgent", 3)):
        desk.add(call, urgency=urgency)
    desk.add("more urgent", "elsewhere", urgency=2)
    desk.limits.withdraw(SlotRequest("r", "s", None, 1), "gone")
    assert [desk.start(), desk.end("in flight"), desk.end("more urgent")] == [
        [],
        ["more urgent"],
        ["urgent"],
    ]


def test_new_limits_forget_the_lanes_of_direct_calls_that_are_empty():
    desk = Desk()
    desk.add("a", run=NO_RUN)
    assert desk.start() == ["a"]
    desk.limits.change(Limits(9))
    assert desk.limits.lanes == {NO_RUN: {}}
    assert desk.end("a") == []


def test_a_call_that_need_not_wait_takes_its_room_at_once_but_passes_nobody():
    desk = Desk(s=2)
    request = SlotRequest(NO_RUN, "s", None, 1)
    assert desk.limits.acquire_at_once(request, 0.0) is not None
    assert desk.limits.acquire_at_once(request, 0.0) is not None
    assert desk.limits.acquire_at_once(request, 0.0) is None


def test_a_call_that_comes_when_a_rate_has_room_again_goes_behind_those_that_wait_for_it():
    desk = Desk()
    desk.limits.change(Limits(rates=(("s", Rate(1, 5.0)),)))
    request = SlotRequest(NO_RUN, "s", None, 1)
    assert desk.limits.acquire_at_once(request, 0.0) is not None
    desk.add("waits", run=NO_RUN)
    assert desk.start(1.0) == []
    assert desk.limits.acquire_at_once(request, 5.0) is None


def test_a_lane_whose_calls_were_all_withdrawn_stood_at_no_limit():
    desk = Desk(gateway=1)
    desk.add("in flight")
    assert desk.start() == ["in flight"]
    desk.add("gone")
    assert desk.start() == []
    desk.limits.withdraw(SlotRequest("r", "s", None, 1), "gone")
    assert desk.end("in flight") == []
    desk.add("next")
    assert desk.start() == ["next"]
    assert desk.held["next"].waited_at is None


def test_a_rate_that_keeps_only_a_withdrawn_call_waiting_is_not_watched():
    limits: ConcurrencyLimits[str] = ConcurrencyLimits(Limits(rates=(("s", Rate(1, 60.0)),)))
    request = SlotRequest(NO_RUN, "s", None, 1)
    for call in ("first", "second"):
        limits.add(request, (0.0,), call)
    [(call, _)] = iter(lambda: limits.acquire_next(0.0), None)
    assert call == "first"
    limits.withdraw(request, "second")
    assert list(limits.to_watch(0.0)) == []


def test_a_rate_that_keeps_a_call_waiting_is_watched_once():
    limits: ConcurrencyLimits[str] = ConcurrencyLimits(Limits(rates=(("s", Rate(1, 60.0)),)))
    request = SlotRequest(NO_RUN, "s", None, 1)
    for call in ("first", "second"):
        limits.add(request, (0.0,), call)
    assert len(list(iter(lambda: limits.acquire_next(0.0), None))) == 1
    assert list(limits.to_watch(0.0)) == [("s", 60.0)]
    assert list(limits.to_watch(1.0)) == []


def many(desk: Desk, caller: str, count: int, **options: Any) -> None:
    for number in range(count):
        desk.add(f"{caller}{number}", caller=caller, run=f"run of {caller}", **options)


def in_turn(desk: Desk, count: int) -> str:
    """The callers of the next *count* calls that start as those in flight end, the oldest first."""
    started: list[str] = []
    while len(started) < count:
        started += desk.end(next(iter(desk.held)))
    return "".join(call[0] for call in started)


def test_two_callers_take_turns_whatever_they_have_waiting_and_how_urgent_it_is():
    desk = Desk(gateway=3)
    many(desk, "a", 100, urgency=-5)
    assert [call[0] for call in desk.start()] == ["a", "a", "a"]
    many(desk, "b", 10)
    assert desk.start() == []
    assert in_turn(desk, 22) in {"ab" * 10 + "aa", "ba" * 10 + "aa"}


def test_each_of_three_callers_is_next_after_the_two_others():
    desk = Desk(gateway=1)
    for caller in "abc":
        many(desk, caller, 5)
    [first] = desk.start()
    order = first[0] + in_turn(desk, 14)
    assert all(len(set(order[at : at + 3])) == 3 for at in range(13))


def test_who_comes_anew_has_saved_nothing_up():
    desk = Desk(gateway=1)
    many(desk, "b", 1)
    assert desk.start() == ["b0"]
    many(desk, "a", 50)
    assert in_turn(desk, 20) == "a" * 20
    many(desk, "b", 10)
    assert desk.start() == []
    assert in_turn(desk, 8) in {"ab" * 4, "ba" * 4}


def test_calls_elsewhere_do_not_keep_a_caller_from_a_server():
    """Its turn counts at each server: one that is busy elsewhere would never be next here."""
    desk = Desk(gateway=50, x=1)
    many(desk, "a", 40, server="y", urgency=-1)
    desk.start()
    many(desk, "b", 9, server="x")
    assert desk.start() == ["b0"]
    desk.add("a of x", "x", caller="a", run="run of a")
    assert desk.start() == []
    assert desk.end("b0") == ["a of x"]


def test_a_caller_that_sends_one_call_at_a_time_does_not_pass_one_that_waits():
    desk = Desk(gateway=50, x=1)
    desk.add("b0", "x", caller="b")
    assert desk.start() == ["b0"]
    many(desk, "a", 2, server="x")
    assert desk.start() == []
    order = [desk.end("b0")]
    for number in range(1, 5):
        [running] = desk.held
        desk.limits.release(desk.held.pop(running))
        desk.add(f"b{number}", "x", caller="b", urgency=-9)  # in the same step
        order.append(desk.start())
    assert order == [["a0"], ["b1"], ["a1"], ["b2"], ["b3"]]


def test_heavy_calls_take_as_many_slots_as_light_ones_get_turns():
    desk = Desk(gateway=2)
    many(desk, "a", 9, weight=2)
    many(desk, "b", 30)
    desk.start()
    order = in_turn(desk, 18)
    assert 0.5 <= 2 * order.count("a") / order.count("b") <= 2


@table("limit", ["gateway", "server", "tool"])
def test_a_heavy_call_is_passed_by_as_many_light_ones_as_there_are_slots(limit: str):
    """Then the limit is kept free for it."""
    desk = (
        Desk(gateway=2) if limit == "gateway" else Desk(gateway=50, s=2 if limit == "server" else 9)
    )
    tools = ("t", 2) if limit == "tool" else None
    desk.add("first", urgency=-100, tools=tools)
    assert desk.start() == ["first"]
    desk.add("second", urgency=-100, tools=tools)
    assert desk.start() == ["second"]
    desk.add("heavy", weight=2, urgency=-50, tools=tools)
    assert desk.start() == []
    order: list[str] = []
    for number in range(10):
        desk.add(f"light {number}", urgency=number, tools=tools)
        order += desk.start()
        order += desk.end(next(iter(desk.held)))
        if "heavy" in order:
            break
    assert order == ["light 0", "light 1", "heavy"]
    assert desk.end("heavy") == ["light 2", "light 3"]


def test_what_is_more_urgent_than_a_heavy_call_still_passes_it():
    desk = Desk(gateway=2)
    desk.add("first", urgency=-100)
    desk.add("second", urgency=-100)
    desk.start()
    desk.add("heavy", weight=2, urgency=-50)
    desk.add("l0")
    desk.add("l1")
    assert desk.end("first") == ["l0"]
    assert desk.end("second") == ["l1"]
    desk.add("l2")
    assert desk.end("l0") == []
    desk.add("urgent", urgency=-99)
    assert desk.start() == ["urgent"]
    assert [desk.end("l1"), desk.end("urgent")] == [[], ["heavy"]]


@table("how", ["withdrawn", "closed", "widened"])
def test_a_limit_is_kept_no_longer_for_a_heavy_call_that_is_gone_or_fits(how: str):
    desk = Desk(gateway=2)
    desk.add("first", urgency=-100)
    desk.add("second", urgency=-100)
    desk.start()
    desk.add("heavy", weight=2, urgency=-50, run="heavy")
    for number in range(4):
        desk.add(f"l{number}", urgency=number)
    desk.end("first"), desk.end("second")
    assert desk.end("l0") == []
    match how:
        case "withdrawn":
            desk.limits.withdraw(SlotRequest("heavy", "s", None, 2), "heavy")
        case "closed":
            desk.limits.close_run("heavy")
        case _:
            desk.limits.change(Limits(4))
    assert desk.start() == (["heavy", "l2"] if how == "widened" else ["l2"])


def test_the_lanes_of_callers_that_left_are_forgotten():
    desk = Desk()
    for number in range(2 * MOST_DIRECT_LANES):
        desk.add(f"call {number}", run=NO_RUN, caller=f"caller {number}")
        assert desk.start() == [f"call {number}"]
        desk.end(f"call {number}")
    assert len(desk.limits.lanes[NO_RUN]) <= MOST_DIRECT_LANES
    assert len(desk.limits.gateways[""].turns) <= 64


def rounds_until(desk: Desk, heavy: str, light: list[str], most: int = 200) -> int:
    """End the call that started first, again and again; count the starts before *heavy*."""
    started = desk.start()
    for count in range(most):
        if heavy in started:
            return count
        first = next(call for call in desk.held if call != heavy)
        if light:
            desk.add(light.pop(), urgency=5)
        started = desk.end(first)
    raise AssertionError(f"{heavy} has not started")


def test_a_heavy_call_gets_its_turn_while_light_ones_keep_coming():
    desk = Desk(gateway=4)
    for number in range(20):
        desk.add(f"light {number}", urgency=5)
    assert len(desk.start()) == 4
    desk.add("heavy", weight=2)
    assert rounds_until(desk, "heavy", [f"more {number}" for number in range(100)]) <= 4 + 4


def test_a_heavy_call_gets_its_turn_at_each_kind_of_limit():
    for limits in ({"gateway": 2}, {"gateway": 9, "s": 2}):
        desk = Desk(**limits)
        for number in range(20):
            desk.add(f"light {number}", urgency=5)
        assert len(desk.start()) == 2
        desk.add("heavy", weight=2)
        assert rounds_until(desk, "heavy", []) <= 2 + 2
    desk = Desk()
    desk.limits.open_run("r", 2)
    for number in range(20):
        desk.add(f"light {number}", urgency=5)
    assert len(desk.start()) == 2
    desk.add("heavy", weight=2)
    assert rounds_until(desk, "heavy", []) <= 2 + 2


def test_a_heavy_call_that_needs_slots_of_two_limits_gets_its_turn():
    desk = Desk(gateway=3, s=2)
    for number in range(40):
        desk.add(f"light {number}", "st"[number % 2], urgency=5)
    assert len(desk.start()) == 3
    desk.add("heavy", weight=2)
    assert rounds_until(desk, "heavy", []) <= 12


def test_slots_are_kept_only_after_as_many_calls_as_there_are_slots():
    desk = Desk(gateway=3)
    for call in ("a", "b", "c"):
        desk.add(call)
    assert len(desk.start()) == 3
    desk.add("heavy", weight=2, urgency=1)
    for number in range(9):
        desk.add(f"light {number}", urgency=5)
    starts = [desk.end("a"), desk.end("light 0"), desk.end("light 1")]
    assert starts == [["light 0"], ["light 1"], ["light 2"]]
    assert desk.end("light 2") == []  # from now on a slot is kept
    assert desk.end("b") == ["heavy"]
    assert desk.end("c") == ["light 3"]


def test_a_more_urgent_call_takes_slots_that_are_kept():
    desk = Desk(gateway=2)
    for call in ("a", "b"):
        desk.add(call)
    desk.start()
    desk.add("heavy", weight=2, urgency=1)
    for number in range(9):
        desk.add(f"light {number}", urgency=5)
    assert [desk.end("a"), desk.end("light 0")] == [["light 0"], ["light 1"]]
    assert desk.end("light 1") == []
    desk.add("urgent")
    assert desk.start() == ["urgent"]
    assert [desk.end("urgent"), desk.end("b")] == [[], ["heavy"]]


def test_slots_that_were_kept_for_a_call_that_is_gone_are_free_again():
    for is_run in (True, False):
        desk = Desk(gateway=2)
        for call in ("a", "b"):
            desk.add(call)
        desk.start()
        desk.add("heavy", weight=2, urgency=1, run="other")
        for number in range(9):
            desk.add(f"light {number}", urgency=5)
        assert [desk.end("a"), desk.end("light 0"), desk.end("light 1")] == [
            ["light 0"],
            ["light 1"],
            [],
        ]
        if is_run:
            desk.limits.close_run("other")
        else:
            desk.limits.withdraw(SlotRequest("other", "s", None, 2), "heavy")
        assert desk.start() == ["light 2"]


@table("run", ["r", NO_RUN])
def test_direct_calls_that_need_not_wait_do_not_pass_a_heavy_call_for_ever(run: str):
    desk = Desk(gateway=2)
    desk.add("a")
    desk.start()
    desk.add("heavy", run=run, weight=2)
    assert desk.start() == []
    request = SlotRequest(NO_RUN, "s", None, 1)
    passed = 0
    while (lease := desk.limits.acquire_at_once(request, 0.0)) is not None:
        passed += 1
        desk.limits.release(lease)
        assert desk.start() == []
        assert passed <= 2
    assert desk.end("a") == ["heavy"]


def test_a_rate_that_holds_up_a_heavy_call_leaves_the_slots_to_others():
    desk = Desk(gateway=2)
    for call in ("a", "b"):
        desk.add(call, "t")
    desk.start()
    desk.add("heavy", "s", weight=2)
    for number in range(9):
        desk.add(f"light {number}", "t", urgency=5)
    assert [desk.end("a"), desk.end("light 0"), desk.end("light 1")] == [
        ["light 0"],
        ["light 1"],
        [],
    ]
    desk.limits.hold("s", 5.0, 0.0)
    assert desk.end("b") == ["light 2", "light 3"]


def test_of_two_numbers_for_one_server_the_smaller_holds():
    one = Limits(8, (("a", 4), ("b", "auto"), ("c", "auto")), (("a", Rate(10, 1.0)),))
    other = Limits(2, (("a", 3), ("b", 5), ("d", 1)), (("a", Rate(300, 60.0)), ("d", Rate(1, 1.0))))
    for joined in (one.joined(other), other.joined(one)):
        assert joined.gateway == 8
        assert dict(joined.servers) == {"a": 3, "b": 5, "c": "auto", "d": 1}
        assert dict(joined.rates) == {"a": Rate(300, 60.0), "d": Rate(1, 1.0)}
