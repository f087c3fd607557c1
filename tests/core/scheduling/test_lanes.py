"""Lanes and limits by themselves; `test_limits.py` has what they do together."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from plait.core.scheduling.lanes import Lane, Limit, Line, RateLimit, SlotRequest
from plait.core.scheduling.rates import Rate

ONE = SlotRequest("r", "s", None, 1)


def lane(request: SlotRequest = ONE, *limits: Limit[str]) -> Lane[str]:
    return Lane(request, limits)


def fill(filled: Lane[str], **calls: float) -> Lane[str]:
    for name, urgency in calls.items():
        heapq.heappush(filled.calls, ((urgency, 0.0, 0.0), name))
    return filled


def test_a_call_wider_than_a_limit_takes_all_of_it():
    narrow: Limit[str] = Limit("server:s", 2)
    assert (narrow.slots(1), narrow.slots(2), narrow.slots(9)) == (1, 2, 2)


def test_the_first_full_limit_is_named():
    gateway, server = Limit[str]("gateway", 3), Limit[str]("server:s", 2)
    wide = lane(SlotRequest("r", "s", None, 2), gateway, server)
    assert wide.full() is None
    server.acquire(1)
    assert wide.full() is server
    gateway.acquire(2)
    assert wide.full() is gateway
    gateway.release(2)
    server.release(1)
    assert wide.full() is None


def test_a_call_that_goes_on_takes_slots_even_if_none_are_free():
    gateway = Limit[str]("gateway", 1)
    gateway.acquire(1)
    gateway.reacquire(1)
    assert gateway.free == -1


def test_slots_of_a_rate_return_with_time_alone():
    rate: RateLimit[str] = RateLimit("rate:s", Rate(1, 10.0))
    only = lane(SlotRequest("r", "s", None, 5), rate)
    assert only.full() is None  # whatever its weight, a call is one call
    rate.acquire(1)
    assert only.full() is rate
    rate.release(1)
    assert only.full() is rate
    rate.now = 10.0
    assert only.full() is None


def test_a_lane_is_as_urgent_as_its_first_call():
    filled = fill(lane(), late=5.0, soon=1.0)
    assert filled.urgency == (1.0, 0.0, 0.0)


@given(st.lists(st.integers(0, 9), max_size=12), st.data())
def test_a_withdrawn_call_is_never_the_first_and_never_most_of_a_lane(
    urgencies: list[int], data: st.DataObject
):
    filled = fill(lane(), **{f"c{n}": float(urgency) for n, urgency in enumerate(urgencies)})
    waiting = {f"c{n}": urgency for n, urgency in enumerate(urgencies)}
    for name in data.draw(st.permutations(sorted(waiting))):
        filled.drop(name)
        del waiting[name]
        assert {call for _, call in filled.calls} - filled.withdrawn == waiting.keys()
        assert len(filled.withdrawn) <= len(waiting)
        if waiting:
            assert filled.urgency[0] == min(waiting.values())


def test_a_line_gives_the_lane_of_the_party_whose_turn_it_is_and_of_a_party_the_most_urgent():
    line: Line[str] = Line()
    limit: Limit[str] = Limit("x", 1)
    lanes = {}
    for stamp, (name, caller, urgency) in enumerate(
        [("a2", "a", 2.0), ("a1", "a", 1.0), ("b3", "b", 3.0), ("gone", "b", 0.0)], 1
    ):
        one = lanes[name] = fill(lane(SlotRequest("r", "s", None, 1, caller)), **{name: urgency})
        one.stamp = stamp
        line.push(one)
    lanes["gone"].stamp = 0
    limit.serve(("a", False), 1)
    order = []
    while (found := line.pop_next(limit.turn_of)) is not None:
        limit.serve(found.party, 1)
        order.append(found.calls[0][1])
    assert order == ["b3", "a1", "a2"]
    assert not line
    assert line.first(limit.turn_of) is None


def test_a_lane_is_alone_in_a_line_without_another_entry():
    line: Line[str] = Line()
    one, other = (fill(lane(SlotRequest("r", "s", None, 1, caller)), x=1.0) for caller in "ab")
    one.stamp, other.stamp = 1, 2
    found = [line.alone]
    line.push(one)
    found.append(line.alone)
    line.push(other)
    found.append(line.alone)
    del line[other.party]
    one.stamp = 3  # it waits elsewhere
    found.append(line.alone)
    assert found == [None, one, None, None]
