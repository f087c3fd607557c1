"""The pauses between the attempts to reach one server."""

from __future__ import annotations

import mcp_types as types
import pytest
from mcp import MCPError

from plait.downstream.timings import Backoff, ConnectTimings
from plait.downstream.transports.faults import Fault, made_error

TIMINGS = ConnectTimings(first_backoff_s=1, longest_backoff_s=10)


def busy(retry_after: str) -> MCPError:
    error = made_error(Fault.STATUS, "HTTP 503", status=503, retry_after=retry_after)
    return MCPError(error.code, error.message, error.data)


def about(seconds: float) -> object:
    """A pause of *seconds*, or a fifth more or less: servers that end together come back apart."""
    return pytest.approx(seconds, rel=0.2)


def test_each_pause_is_twice_the_last_one_up_to_the_longest():
    backoff = Backoff(TIMINGS)
    pauses = [backoff.next_s(has_lasted=False) for _ in range(7)]
    assert pauses == [about(seconds) for seconds in (1, 2, 4, 8, 10, 10, 10)]


def test_after_a_connection_that_lasted_there_is_no_pause_and_the_next_ones_are_short_again():
    backoff = Backoff(TIMINGS)
    for _ in range(3):
        backoff.next_s(has_lasted=False)
    assert backoff.next_s(has_lasted=True) == 0
    assert backoff.next_s(has_lasted=False) == about(1)


def test_two_servers_that_end_together_are_not_tried_at_the_same_moments():
    assert len({Backoff(TIMINGS).next_s(has_lasted=False) for _ in range(100)}) > 1


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (busy("40"), 40),
        (ExceptionGroup("", [busy("40")]), 40),
        (busy("0.5"), about(1)),
        (busy("soon"), about(1)),
        (MCPError(types.INTERNAL_ERROR, "no luck"), about(1)),
        (TimeoutError(), about(1)),
    ],
)
def test_a_pause_that_the_server_asks_for_is_kept_if_it_is_longer_than_ours(
    error: BaseException, pause: object
):
    backoff = Backoff(TIMINGS)
    backoff.record_failure(error)
    assert backoff.next_s(has_lasted=False) == pause


def test_a_pause_that_the_server_asks_for_is_kept_once():
    backoff = Backoff(TIMINGS)
    backoff.record_failure(busy("40"))
    backoff.next_s(has_lasted=True)
    assert backoff.next_s(has_lasted=True) == 0
