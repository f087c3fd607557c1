"""The pauses between the attempts to reach one server."""

from __future__ import annotations

from itertools import accumulate

import pytest

from plait.downstream.timings import Backoff, ConnectTimings

TIMINGS = ConnectTimings(first_backoff_s=1, longest_backoff_s=10)


def about(seconds: float) -> object:
    """A pause of *seconds*, or a fifth more or less: servers that end together come back apart."""
    return pytest.approx(seconds, rel=0.2)


def test_each_pause_is_twice_the_last_one_up_to_the_longest():
    backoff = Backoff(TIMINGS)
    pauses = [backoff.next_s(has_lasted=False) for _ in range(7)]
    assert pauses == [about(seconds) for seconds in (1, 2, 4, 8, 10, 10, 10)]


def test_a_process_that_fails_again_and_again_is_started_at_most_five_times_a_minute():
    for _ in range(50):
        backoff = Backoff(ConnectTimings(), is_process=True)
        starts = list(accumulate((backoff.next_s(has_lasted=False) for _ in range(9)), initial=0.0))
        assert all(late - early >= 60 for early, late in zip(starts, starts[5:], strict=False))
        assert starts[4] <= 18
    assert backoff.next_s(has_lasted=True) == 0
    assert backoff.next_s(has_lasted=False) == about(1)


def test_after_a_connection_that_lasted_there_is_no_pause_and_the_next_ones_are_short_again():
    backoff = Backoff(TIMINGS)
    for _ in range(3):
        backoff.next_s(has_lasted=False)
    assert backoff.next_s(has_lasted=True) == 0
    assert backoff.next_s(has_lasted=False) == about(1)


def test_two_servers_that_end_together_are_not_tried_at_the_same_moments():
    assert len({Backoff(TIMINGS).next_s(has_lasted=False) for _ in range(100)}) > 1


@pytest.mark.parametrize(("asked_s", "pause"), [(40, 40), (0.5, about(1)), (0, about(1))])
def test_a_pause_that_the_server_asks_for_is_kept_if_it_is_longer_than_ours(
    asked_s: float, pause: object
):
    backoff = Backoff(TIMINGS)
    backoff.record_asked(asked_s)
    assert backoff.next_s(has_lasted=False) == pause


def test_a_pause_that_the_server_asks_for_is_kept_once():
    backoff = Backoff(TIMINGS)
    backoff.record_asked(40)
    backoff.next_s(has_lasted=True)
    assert backoff.next_s(has_lasted=True) == 0
