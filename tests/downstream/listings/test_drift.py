"""What counts as drift, and how it is said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.tools.cached_listing import CachedListing
from plait.core.tools.server_notices import Drift
from plait.downstream.listings.drift import MAX_SUMMARY, DriftWatch, drift, hashes

from ...profiles import CHARACTERS
from ..changing import described

WEEK_S = 7 * 86_400


def ignore(drift: Drift) -> None:
    pass


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    "members",
    [
        {"description": "other"},
        {"title": "other"},
        {"inputSchema": {"type": "object", "required": ["x"]}},
        {"outputSchema": {"type": "object"}},
        {"annotations": {"readOnlyHint": True}},
    ],
    ids=lambda members: next(iter(members)),
)
def test_a_different_description_is_a_change(members: dict[str, Any]):
    before, now = described("x"), {**described("x"), **members}
    assert drift(hashes([before]), hashes([now])) == Drift(changed=("x",))


@pytest.mark.parametrize("members", [{"icons": []}, {"_meta": {"v": 2}}])
def test_members_that_do_not_describe_the_tool_are_not_compared(members: dict[str, Any]):
    assert not drift(hashes([described("x")]), hashes([{**described("x"), **members}]))


@given(
    st.dictionaries(st.text(CHARACTERS, max_size=3), st.text(CHARACTERS, max_size=1)),
    st.dictionaries(st.text(CHARACTERS, max_size=3), st.text(CHARACTERS, max_size=1)),
)
def test_every_difference_has_one_kind_and_equal_tools_have_none(
    before: dict[str, str], now: dict[str, str]
):
    found = drift(before, now)
    assert sorted(found.changed + found.new + found.gone) == sorted(
        name for name in before.keys() | now.keys() if before.get(name) != now.get(name)
    )
    assert set(found.new).isdisjoint(before)
    assert set(found.gone).isdisjoint(now)


def test_entries_that_are_not_definitions_are_skipped():
    assert hashes([7, None, {}, {"name": 7}, [], described("x")]).keys() == {"x"}


def test_a_warning_is_short_whatever_the_drift():
    watch = DriftWatch(kept := CachedListing(), ignore, Clock())
    kept.put("drift", {"at": Clock.now, "said": "gone: " + "\u202e" * 100_000})
    assert all(
        len(warning) < 10 * MAX_SUMMARY and warning.isprintable() for warning in watch.warnings
    )


def test_a_warning_is_shown_for_a_week():
    clock = Clock()
    watch = DriftWatch(CachedListing(), ignore, clock)
    watch.compare([described("x")], announced=False)
    assert not watch.warnings
    watch.compare([described("y")], announced=False)
    assert list(watch.warnings) == [
        "its tools differ from those before 2027-01-15: new: y; gone: x"
    ]
    clock.now += WEEK_S - 1
    assert watch.warnings
    clock.now += 1
    assert not watch.warnings


def test_a_server_that_changes_all_the_time_is_reported_once_a_minute():
    clock = Clock()
    reported: list[Drift] = []
    watch = DriftWatch(CachedListing(), reported.append, clock)
    for number in range(100):
        watch.compare([described("x", str(number))], announced=True)
    assert len(reported) == 1
    clock.now += 60
    watch.compare([described("x", "again")], announced=True)
    assert len(reported) == 2
