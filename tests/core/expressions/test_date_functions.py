"""The functions of dates: whole days before the start of the run, which is given."""

from __future__ import annotations

import pytest

from plait.core.expressions.evaluation import expression
from plait.errors import ExpressionFailed

from ..tables import table
from .given import START, assert_gives


@table(
    ("date", "days"),
    [
        ("2026-11-27T12:00:00Z", 2),
        ("2026-11-27T12:00:01Z", 1),
        ("2026-11-28", 1),
        ("2026-11-28T23:00:00", 0),
        (" 2026-11-29T13:00:00+02:00 ", 0),
        ("2026-11-28T13:30:00+02:00", 1),
        ("2026-11-28T13:30:00.123456+00:00", 0),
        ("2026-11-29T13:00:00Z", -1),
        ("20261119", 10),
        ("0001-01-01", 739_948),
        ("9999-12-31T23:59:59-23:59", -2_912_112),
        ("soon", None),
        ("", None),
        ("2026-02-30", None),
        ("2026-11-29" + "0" * 200, None),
    ],
)
def test_age_days_counts_whole_days_to_the_start_of_the_run(date: str, days: int | None) -> None:
    assert_gives("age_days(@)", date, days)


def test_the_same_expression_gives_another_age_in_another_run() -> None:
    read = expression("age_days(@)")
    ages = [read.evaluate("2026-11-27", start=START + 86_400 * days) for days in (0, 3)]
    assert ages == [2, 5]


def test_without_a_run_there_is_no_age() -> None:
    with pytest.raises(ExpressionFailed, match="needs the start of a run"):
        expression("age_days(@)").evaluate("2026-11-27")
