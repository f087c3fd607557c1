"""Figures add up, and their percentiles are near enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.results.figures import Figures, Tally, bucket_of, by_server

DURATIONS = st.lists(st.floats(0.02, 1e7), min_size=1)


def of(name: str, durations: list[float], code: str = "success") -> Figures:
    tallies: dict[tuple[str, int], Tally] = {}
    for ms in durations:
        tally = tallies.setdefault((code, bucket_of(ms)), Tally(0, 0.0, ms, ms))
        tally.add(Tally(1, ms, ms, ms))
    return Figures(name, tallies)


@given(DURATIONS, st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_right_within_five_percent(durations: list[float], share: float):
    exact = sorted(durations)[max(-int(-share * len(durations) // 1), 1) - 1]
    assert of("s:t", durations).percentile_ms(share) == pytest.approx(exact, rel=0.05)


@given(DURATIONS, DURATIONS)
def test_the_figures_of_a_server_are_those_of_all_calls_of_its_tools(
    a: list[float], b: list[float]
):
    [server] = by_server([of("s:a", a), of("s:b", b, "timeout")])
    assert server.name == "s"
    assert (server.count, server.failures) == (len(a) + len(b), {"timeout": len(b)})
    assert (server.min_ms, server.max_ms) == (min(a + b), max(a + b))
    assert server.total_ms == pytest.approx(sum(a + b))
    assert server.mean_ms == pytest.approx(sum(a + b) / len(a + b))


def test_a_tool_without_calls_has_figures_of_zero():
    none = Figures("s:t")
    assert (none.count, none.mean_ms, none.min_ms, none.percentile_ms(0.5)) == (0, 0.0, 0.0, 0.0)
