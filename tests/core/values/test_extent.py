"""Values are counted in the text that is to be read, and only those outside of strings."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.extent import (
    VALUE_BYTES,
    count_values,
    extent_of,
    holds_more_values,
    is_deeper,
)
from plait.core.values.strict import encode

from ..strategies import json_values, nested
from ..tables import table


def depth_of(value: Any) -> int:
    """The levels of lists and objects of *value* that are not empty."""
    if not isinstance(value, dict | list) or not value:
        return 0
    return 1 + max(map(depth_of, value.values() if isinstance(value, dict) else value))


def counted(value: Any) -> int:
    """The parts of *value* at any depth; empty lists and objects count twice."""
    if not isinstance(value, dict | list):
        return 0
    parts = value.values() if isinstance(value, dict) else value
    return max(1, len(value)) + sum(map(counted, parts))


@given(json_values())
def test_each_part_of_a_value_counts_and_nothing_that_its_texts_hold(value: Any) -> None:
    assert count_values(encode(value)) == counted(value)


@table("text", ['"', "\\", '\\"', "\\\\", ',"[{', '",', "é,"])
def test_texts_count_once_whatever_they_hold(text: str) -> None:
    assert count_values(encode([text, {text: text}])) == 3


@table(
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


@given(json_values(), st.integers(0, 40))
def test_long_text_is_counted_as_short_text_is(value: Any, more: int) -> None:
    value = nested(more, [value, [1]])
    padded = {"": "x" * 20_000, "a": value}
    short, long = encode({"": "", "a": value}), encode(padded)
    assert extent_of(long).memory - len(long) == extent_of(short).memory - len(short)
    depth = depth_of(padded)
    assert (is_deeper(long, depth), is_deeper(long, depth - 1)) == (False, True)


@given(json_values(), st.integers(0, 40))
def test_the_depth_is_that_of_the_deepest_part(value: Any, more: int) -> None:
    value = nested(more, [value, ["]}", {'"[': "{["}]])
    text, depth = encode(value), depth_of(value)
    assert not is_deeper(text, depth)
    assert is_deeper(text, depth - 1)


@table(
    ("text", "depth"),
    [
        *((b"[]", 0), (b"{}", 0), (b"1", 0), (b'"[[["', 0), (b"[1,[]]", 1), (b'{"a":{}}', 1)),
        *((b"[[{}]]", 2), (b'{"a":[[]]}', 2)),
        *((b'["x"]', 1), (b'[""]', 1), (b'[["\\\\"]]', 2)),
    ],
)
def test_empty_lists_and_objects_and_texts_are_no_level(text: bytes, depth: int) -> None:
    assert not is_deeper(text, depth)
    assert not is_deeper(b"[1," + text + b"]", depth + 1)
    assert is_deeper(b"[1," + text + b"]", depth)
