"""How often a server may be called, with the time passed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.scheduling.rates import Rate, SlidingWindow

from ..tables import table


@table(
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


@table(
    "text", ["", "30", "30/", "0/s", "-1/s", "30/0s", "30/week", "3.5/s", "many/s", "1/s and more"]
)
def test_what_is_no_rate_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="30/s"):
        Rate.parse(text)


def test_as_many_as_allowed_go_at_once_and_the_next_when_the_first_counts_no_more() -> None:
    window = SlidingWindow(Rate(3, 1.0))
    for now in (0.0, 0.0, 0.4):
        assert window.wait(now) == 0
        window.take(now)
    assert window.wait(0.4) == pytest.approx(0.6)
    assert window.wait(1.0) == 0
    window.take(1.0)
    window.take(1.0)
    assert window.wait(1.0) == pytest.approx(0.4)


def test_a_server_without_a_rate_is_never_waited_for() -> None:
    window = SlidingWindow(None)
    window.take(0.0)
    assert window.wait(0.0) == 0


def test_a_server_that_asks_for_quiet_gets_it() -> None:
    window = SlidingWindow(None)
    window.hold(10, 5.0)
    window.hold(1, 6.0)  # the longer one counts
    assert window.wait(6.0) == 9
    assert window.wait(15.0) == 0


def test_as_many_calls_have_room_as_the_period_has_left() -> None:
    window = SlidingWindow(Rate(3, 1.0))
    rooms = [window.free(0.0)]
    for now in (0.0, 0.3, 0.3):
        window.take(now)
        rooms.append(window.free(0.3))
    assert (rooms, [window.free(now) for now in (0.9, 1.0, 1.2, 1.3, 9.0)]) == (
        [3, 2, 1, 0],
        [0, 1, 1, 3, 3],
    )


def test_while_a_server_wants_quiet_there_is_no_room_whatever_its_rate() -> None:
    window = SlidingWindow(Rate(3, 1.0))
    window.hold(2, 0.0)
    assert window.free(1.9) == 0
    assert window.wait(1.9) == pytest.approx(0.1)
    assert (window.free(2.0), window.wait(2.0)) == (3, 0)


def test_another_rate_begins_anew_and_a_pause_that_the_server_asked_for_goes_on() -> None:
    window = SlidingWindow(Rate(1, 60.0))
    window.take(0.0)
    window.hold(2, 0.0)
    window.change(Rate(3, 1.0))
    assert (window.free(1.9), window.free(2.0)) == (0, 3)
    window.change(None)
    assert (window.free(1.9), window.free(2.0) > 1_000) == (0, True)


@table(("calls", "now"), [(100, 1e6), (1_000, 1e7), (300, 3e7), (5_000, 1e6)])
def test_a_wait_brings_the_time_on_however_high_the_clock_stands(calls: int, now: float) -> None:
    """A machine that has run for a year counts 3e7 s: what is smaller than 4e-9 s is lost when it
    is added."""
    window = SlidingWindow(Rate(calls, 1.0))
    for _ in range(calls + 20):
        if (wait := window.wait(now)) > 0:
            assert now + wait > now
            now += wait
        assert window.free(now) > 0
        window.take(now)


@given(st.integers(1, 5), st.floats(0.1, 10), st.lists(st.floats(0, 3), max_size=40))
def test_no_period_holds_more_calls_than_the_rate_allows(
    calls: int, seconds: float, pauses: list[float]
) -> None:
    window, now, sent = SlidingWindow(Rate(calls, seconds)), 0.0, []
    for pause in pauses:
        now += pause
        while (wait := window.wait(now)) > 0:
            now += wait
        window.take(now)
        sent.append(now)
    for first in sent:
        assert sum(first <= at < first + seconds - 1e-4 for at in sent) <= calls


def test_nothing_is_remembered_of_calls_that_count_no_more() -> None:
    window = SlidingWindow(Rate(1_000_000, 1.0))
    for number in range(10_000):
        assert window.wait(number) == 0
        window.take(number)
    assert window.free(20_000.0) == 1_000_000
    assert len(window._sent) == 0
