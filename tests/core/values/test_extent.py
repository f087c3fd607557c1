"""Values are counted in the text that is to be read, and only those outside of strings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from plait.core.values.extent import VALUE_BYTES, count_values, extent_of, holds_more_values
from plait.core.values.strict import encode

from ..strategies import json_values


def counted(value: Any) -> int:
    """The parts of *value* at any depth; empty lists and objects count twice."""
    if not isinstance(value, dict | list):
        return 0
    parts = value.values() if isinstance(value, dict) else value
    return max(1, len(value)) + sum(map(counted, parts))


@given(json_values())
def test_each_part_of_a_value_counts_and_nothing_that_its_texts_hold(value: Any) -> None:
    assert count_values(encode(value)) == counted(value)


@pytest.mark.parametrize("text", ['"', "\\", '\\"', "\\\\", ',"[{', '",', "é,"])
def test_texts_count_once_whatever_they_hold(text: str) -> None:
    assert count_values(encode([text, {text: text}])) == 3


@pytest.mark.parametrize(
    ("value", "most", "is_more"),
    [
        ([1] * 10, 10, False),
        ([1] * 11, 10, True),
        ([{}] * 6, 11, True),
        ({str(n): n for n in range(11)}, 10, True),
        (["x" * 3] * 11, 10, True),
        ([","] * 10, 10, False),
        ("," * 1_000, 10, False),
        ([",[{" * 1_000], 10, False),
        (['"' * 1_000], 10, False),
        (['"' * 1_000, *([1] * 10)], 10, True),
    ],
)
def test_more_than_the_limit_is_found(value: Any, most: int, is_more: bool) -> None:
    assert holds_more_values(encode(value), most) is is_more


def test_the_memory_of_a_value_is_its_text_and_a_share_for_each_part() -> None:
    assert extent_of(b"[1,2]") == (5, 5 + 2 * VALUE_BYTES)
    assert extent_of(b'"text"') == (6, 6)
    long = encode(["," * 100_000])
    assert extent_of(long) == (len(long), len(long) + VALUE_BYTES)
