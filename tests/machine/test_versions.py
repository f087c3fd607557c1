"""Which of two versions is newer."""

from __future__ import annotations

from itertools import combinations

import pytest

from plait.machine.versions import is_newer

IN_ORDER = [
    "", "0.9", "1.0.dev1", "1.0.dev2", "1.0a1", "1.0b2", "1.0rc1.dev3", "1.0rc1", "1.0rc2",
    "1.0", "1.0.1", "1.2", "1.10", "2",
]  # fmt: skip


@pytest.mark.parametrize(("older", "newer"), [*combinations(IN_ORDER, 2)])
def test_versions_are_in_order(older: str, newer: str):
    assert is_newer(newer, older)
    assert not is_newer(older, newer)


@pytest.mark.parametrize("other", ["1.2", "1.2.0", "v1.2", "1.2.0+local.5"])
def test_the_same_version_is_not_newer(other: str):
    assert not is_newer("1.2", other)
    assert not is_newer(other, "1.2")
