"""How often a server may be called, as a leaky bucket with the time passed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.scheduling.rates import LeakyBucket, Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("30/s", Rate(30, 1)),
        ("100/min", Rate(100, 60)),
        ("5000/h", Rate(5_000, 3_600)),
        ("10/5s", Rate(10, 5)),
        (" 2 / 3 day ", Rate(2, 3 * 86_400)),
    ],
)
def test_a_rate_is_calls_per_time(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text", ["", "30", "30/", "0/s", "-1/s", "30/0s", "30/week", "3.5/s", "many/s", "1/s and more"]
)
def test_what_is_no_rate_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="30/s"):
        Rate.parse(text)


def test_a_burst_goes_at_once_and_then_calls_follow_at_the_rate() -> None:
    bucket = LeakyBucket(Rate(3, 1.0))
    for _ in range(3):
        assert bucket.wait(0.0) == 0
        bucket.take(0.0)
    assert bucket.wait(0.0) == pytest.approx(1 / 3)
    assert bucket.wait(0.3) == pytest.approx(1 / 3 - 0.3)
    assert bucket.wait(1 / 3) == 0


def test_a_server_without_a_rate_is_never_waited_for() -> None:
    bucket = LeakyBucket(None)
    bucket.take(0.0)
    assert bucket.wait(0.0) == 0


def test_a_server_that_asks_for_quiet_gets_it() -> None:
    bucket = LeakyBucket(None)
    bucket.hold(10, 5.0)
    bucket.hold(1, 6.0)  # the longer one counts
    assert bucket.wait(6.0) == 9
    assert bucket.wait(15.0) == 0


def test_as_many_calls_have_room_as_the_bucket_holds_and_has_leaked() -> None:
    bucket = LeakyBucket(Rate(3, 1.0))
    rooms = [bucket.free(0.0)]
    for _ in range(3):
        bucket.take(0.0)
        rooms.append(bucket.free(0.0))
    assert (rooms, [bucket.free(now) for now in (0.3, 1 / 3, 0.7, 1.0, 9.0)]) == (
        [3, 2, 1, 0],
        [0, 1, 2, 3, 3],
    )


def test_while_a_server_wants_quiet_there_is_no_room_whatever_its_rate() -> None:
    bucket = LeakyBucket(Rate(3, 1.0))
    bucket.hold(2, 0.0)
    assert bucket.free(1.9) == 0
    assert bucket.wait(1.9) == pytest.approx(0.1)
    assert (bucket.free(2.0), bucket.wait(2.0)) == (3, 0)


def test_another_rate_begins_anew_and_a_pause_that_the_server_asked_for_goes_on() -> None:
    bucket = LeakyBucket(Rate(1, 60.0))
    bucket.take(0.0)
    bucket.hold(2, 0.0)
    bucket.change(Rate(3, 1.0))
    assert (bucket.free(1.9), bucket.free(2.0)) == (0, 3)
    bucket.change(None)
    assert (bucket.free(1.9), bucket.free(2.0) > 1_000) == (0, True)


@pytest.mark.parametrize(("calls", "now"), [(100, 1e6), (1_000, 1e7), (300, 3e7), (5_000, 1e6)])
def test_a_wait_brings_the_time_on_however_high_the_clock_stands(calls: int, now: float) -> None:
    """A machine that has run for a year counts 3e7 s: what is smaller than 4e-9 s is lost when it
    is added."""
    bucket = LeakyBucket(Rate(calls, 1.0))
    for _ in range(calls + 20):
        if (wait := bucket.wait(now)) > 0:
            assert now + wait > now
            now += wait
        assert bucket.free(now) > 0
        bucket.take(now)


@given(st.integers(1, 5), st.floats(0.1, 10), st.lists(st.floats(0, 3), max_size=40))
def test_no_window_holds_more_than_a_burst_and_what_leaks_in_it(
    calls: int, seconds: float, pauses: list[float]
) -> None:
    bucket, now, sent = LeakyBucket(Rate(calls, seconds)), 0.0, []
    for pause in pauses:
        now += pause
        while (wait := bucket.wait(now)) > 0:
            now += wait
        bucket.take(now)
        sent.append(now)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            leaked = (sent[last] - sent[first]) * calls / seconds
            assert last - first + 1 <= calls + leaked + 1e-4
