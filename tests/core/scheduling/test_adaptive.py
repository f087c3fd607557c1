"""How many calls at once a server takes, found out from how long they take and how they fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.scheduling.adaptive import AFTER_FAILURE, FIRST, AdaptiveLimit

from ..tables import table


def steady(
    limit: AdaptiveLimit, seconds: float, calls: int = 200, tool: str = "s:do"
) -> AdaptiveLimit:
    """So many calls take *seconds* each, with all slots in use."""
    for _ in range(calls):
        limit.succeeded(tool, seconds, limit.slots)
    return limit


@table(("most", "slots"), [(64, FIRST), (FIRST, FIRST), (3, 3), (1, 1)])
def test_it_begins_with_a_few_slots_but_no_more_than_there_may_be(most: int, slots: int) -> None:
    assert AdaptiveLimit(most).slots == slots


def test_it_grows_to_its_most_while_calls_take_what_they_usually_take() -> None:
    assert steady(AdaptiveLimit(64), 0.1).slots == 64
    assert steady(AdaptiveLimit(64), 0.1).value == 64


def test_it_shrinks_while_calls_take_much_longer_than_usual() -> None:
    limit = steady(AdaptiveLimit(64), 0.1)
    assert steady(limit, 1.0, 20).slots < 32


def test_a_little_longer_than_usual_is_no_sign_of_anything() -> None:
    limit = steady(AdaptiveLimit(64), 0.1, 40)
    before = limit.value
    assert steady(limit, 0.14, 20).value > before


def test_what_takes_longer_for_good_becomes_usual() -> None:
    limit = steady(AdaptiveLimit(64), 0.1)
    assert steady(limit, 1.0, 20).slots < 32
    assert steady(limit, 1.0, 2_000).slots == 64


def test_each_tool_is_held_against_its_own_usual_time() -> None:
    limit = AdaptiveLimit(64)
    for _ in range(200):
        limit.succeeded("s:fast", 0.01, limit.slots)
        limit.succeeded("s:slow", 30.0, limit.slots)
    assert limit.slots == 64


def test_one_slow_call_says_little() -> None:
    limit = steady(AdaptiveLimit(64), 0.1)
    assert steady(limit, 100.0, 1).slots >= 56
    assert steady(limit, 0.1, 20).slots == 64


def test_a_server_that_is_little_used_tells_nothing_of_its_limit() -> None:
    limit = AdaptiveLimit(64)
    for _ in range(200):
        limit.succeeded("s:do", 0.1, FIRST // 2 - 1)
    assert limit.slots == FIRST
    limit.succeeded("s:do", 0.1, FIRST // 2)
    assert limit.value > FIRST


def test_the_first_call_of_a_tool_only_tells_what_is_usual() -> None:
    limit = AdaptiveLimit(64)
    limit.succeeded("s:do", 0.1, FIRST)
    assert limit.value == FIRST


def test_calls_that_take_no_time_grow_it() -> None:
    assert steady(AdaptiveLimit(64), 0.0).slots == 64


def test_a_failure_takes_a_tenth_off() -> None:
    limit = steady(AdaptiveLimit(40), 0.1)
    limit.failed(started_at=1.0, now=2.0)
    assert limit.value == pytest.approx(40 * AFTER_FAILURE)


def test_calls_that_were_under_way_together_and_fail_take_it_off_once() -> None:
    limit = steady(AdaptiveLimit(40), 0.1)
    for started_at in (0.0, 0.5, 1.9):
        limit.failed(started_at, now=2.0)
    assert limit.value == pytest.approx(40 * AFTER_FAILURE)
    limit.failed(started_at=2.0, now=3.0)  # sent after the limit had shrunk
    assert limit.value == pytest.approx(40 * AFTER_FAILURE**2)


def test_there_is_always_room_for_one() -> None:
    limit = AdaptiveLimit(4)
    for number in range(100):
        limit.failed(float(number), float(number))
    assert (limit.slots, limit.value) == (1, 1.0)


def test_tools_without_end_are_not_all_remembered() -> None:
    limit = AdaptiveLimit(8)
    for number in range(2_500):
        limit.succeeded(f"s:t{number}", 0.1, 8)
    assert len(limit._usual) <= 1_000


@given(
    st.integers(1, 100),
    st.lists(
        st.one_of(
            st.tuples(st.just("well"), st.floats(0, 1e6), st.integers(1, 100)),
            st.tuples(st.just("lost"), st.floats(0, 10), st.integers(0, 10)),
        ),
        max_size=60,
    ),
)
def test_whatever_happens_the_limit_stays_between_one_and_its_most(
    most: int, happened: list[tuple[str, float, int]]
) -> None:
    limit = AdaptiveLimit(most)
    for how, seconds, number in happened:
        if how == "well":
            limit.succeeded("s:do", seconds, number)
        else:
            limit.failed(seconds, seconds + number)
        assert 1 <= limit.value <= most
