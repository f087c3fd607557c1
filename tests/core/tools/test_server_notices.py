"""The words for what servers change."""

from __future__ import annotations

from plait.core.tools.server_notices import MAX_NAME, MAX_NAMES, Drift


def test_a_drift_names_the_tools_of_each_kind():
    assert str(Drift(changed=("a", "b"), gone=("c",))) == "changed: a, b; gone: c"


def test_an_empty_drift_is_false():
    assert not Drift()
    assert Drift(new=("a",))


def test_many_and_long_names_are_bounded_and_printable():
    names = tuple(f"{number:04}" + "\u202e" * 500 for number in range(2_000))
    words = str(Drift(changed=names))
    assert words.endswith(f" and {2_000 - MAX_NAMES:,} more")
    assert words.count("\\u202e") == MAX_NAMES * (MAX_NAME - 4)
    assert words.isprintable()
