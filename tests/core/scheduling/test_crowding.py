"""How alone calls were: their shares of the time in which they were in flight."""

from __future__ import annotations

import pytest

from plait.core.scheduling.crowding import Crowd, was_alone
from plait.core.scheduling.events import Key

from ..tables import table

A, B, C = (Key("r", id) for id in "abc")


def test_the_share_of_a_call_that_is_alone_is_its_duration() -> None:
    crowd = Crowd()
    crowd.enter(A, 1_000.0)
    assert crowd.leave(A, 1_002.5) == pytest.approx(2.5)
    crowd.enter(A, 2_000.0)
    assert crowd.leave(A, 2_001.0) == pytest.approx(1.0)


def test_calls_at_once_share_each_moment() -> None:
    crowd = Crowd()
    crowd.enter(A, 0.0)
    crowd.enter(B, 2.0)
    crowd.enter(C, 4.0)
    assert crowd.leave(B, 7.0) == pytest.approx(1.0 + 1.0)
    assert crowd.leave(C, 9.0) == pytest.approx(1.0 + 1.0)
    assert crowd.leave(A, 10.0) == pytest.approx(2.0 + 1.0 + 1.0 + 1.0 + 1.0)


def test_a_call_that_never_started_has_no_share() -> None:
    assert Crowd().leave(A, 5.0) == 0.0


@table(("share_s", "alone"), [(1.0, True), (0.85, True), (0.5, False), (0.0, False)])
def test_a_call_may_be_nearly_alone(share_s: float, alone: bool) -> None:
    assert was_alone(share_s, 1.0) == alone
