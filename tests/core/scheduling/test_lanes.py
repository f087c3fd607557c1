"""Lanes and limits by themselves; `test_limits.py` has what they do together."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.scheduling.lanes import NO_RUN, Lane, Limit, RateLimit, SlotRequest
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


def test_a_lane_that_yields_goes_behind_all_of_its_priority():
    filled = fill(lane(SlotRequest(NO_RUN, "s", None, 1)), call=1.0)
    filled.yields = True
    assert (1.0, 1e9, 0.0) < filled.urgency < (1.1, 0.0, 0.0)


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


@pytest.mark.parametrize("other", [SlotRequest("r", "s", None, 1), SlotRequest("r", "z", None, 1)])
def test_an_empty_lane_gives_way_to_calls_of_its_server(other: SlotRequest):
    empty = lane(SlotRequest(NO_RUN, "s", None, 1))
    assert empty.has_given_way_to(lane(other)) is (other.server == "s")


def test_a_waiting_lane_gives_way_to_calls_that_took_what_it_waits_for():
    gateway, server = Limit[str]("gateway", 1), Limit[str]("server:s", 1)
    waiting = fill(lane(SlotRequest(NO_RUN, "s", None, 1), gateway, server), call=1.0)
    waiting.stopped_at = server
    assert waiting.has_given_way_to(lane(ONE, gateway, server))
    assert not waiting.has_given_way_to(lane(SlotRequest("r", "z", None, 1), gateway))
