"""Figures as people read them."""

from __future__ import annotations

import pytest

from plait.core.values.wording import counted, milliseconds


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0.0 ms"),
        (0.24, "0.2 ms"),
        (3.14, "3.1 ms"),
        (12.7, "13 ms"),
        (412, "412 ms"),
        (1180, "1.18 s"),
        (60_000, "1 min 0 s"),
        (123_400, "2 min 3 s"),
        (3_599_900, "60 min 0 s"),
    ],
)
def test_a_duration_is_given_in_the_unit_that_fits(ms: float, said: str):
    assert milliseconds(ms) == said


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks"), (5_000, "5,000 tasks")]
)
def test_things_are_counted_in_words(number: int, said: str):
    assert counted(number, "task") == said
