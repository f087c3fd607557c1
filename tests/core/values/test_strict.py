"""Strict JSON: what may enter, what is refused, and where it says that the fault lies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.strict import (
    DOCUMENT_DEPTH,
    MAX_VALUES,
    NotStrict,
    TooManyValues,
    decode,
    dumps,
    encode,
    encode_known,
    encode_sorted,
    loads,
    measure,
    short,
)

from ...profiles import CHARACTERS, share_of_examples
from ..strategies import json_values, nested
from ..tables import table


@share_of_examples(0.4)
@given(json_values())
def test_what_is_written_reads_back_as_it_was(value: Any) -> None:
    assert loads(dumps(value)) == value
    assert loads(dumps(value).encode()) == value


@share_of_examples(0.4)
@given(json_values())
def test_what_is_known_to_be_strict_is_encoded_as_anything_else(value: Any) -> None:
    assert encode_known(value) == encode(value)
    assert encode_known([None, 2**70, value]) == encode([None, 2**70, value])


@share_of_examples(0.4)
@given(json_values(), json_values())
def test_equal_values_have_equal_sorted_texts(one: Any, other: Any) -> None:
    for great in (1, 2**70):
        pair = [("a", one), ("b", {"d": other, "c": great})]
        text = encode_sorted(dict(pair))
        assert text == encode_sorted(dict(reversed(pair)))
        assert loads(text) == dict(pair)


@share_of_examples(0.4)
@given(json_values())
def test_the_size_is_that_of_the_compact_text(value: Any) -> None:
    assert measure(value) == len(encode(value))


@share_of_examples(0.4)
@given(
    json_values(
        leaves=st.sampled_from([2**63, -(2**63), 10**30, "\x7f\x00\u2028", '"\\', "é", 1e16, 1e-7])
    )
)
def test_the_bytes_that_are_sent_read_back_as_the_value_and_are_as_many_as_was_measured(
    value: Any,
) -> None:
    assert loads(encode(value)) == value
    assert len(encode(value)) == measure(value)


@share_of_examples(0.4)
@given(json_values(leaves=st.sampled_from([2**63, 10**30, 1e16, -0.0, "é", "\u2028", '"[{', None])))
def test_a_text_means_the_same_however_it_is_written(value: Any) -> None:
    ways = (encode(value), dumps(value), json.dumps(value), json.dumps(value, indent=1))
    assert [repr(loads(text)) for text in ways] == [repr(value)] * len(ways)


def test_marks_within_texts_are_no_depth() -> None:
    assert loads(b'["[[[{{{"]', 1) == ["[[[{{{"]


@table("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_not_sent(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"n": [number]})


NO_JSON = st.sampled_from([float("nan"), 10**30, "\ud800", b"x", {1: 2}, nested(7)])


@share_of_examples(0.4)
@given(json_values(leaves=NO_JSON), st.integers(1, 7))
def test_a_number_next_to_it_changes_nothing_in_what_is_said_of_a_value(
    value: Any, depth: int
) -> None:
    """The fastest encoder takes the one of these numbers and not the other; both have twenty
    digits."""
    assert said_of([value, 10**19], depth) == said_of([value, 2**65], depth)


def said_of(value: Any, depth: int) -> str | None:
    try:
        assert measure(value, depth) == len(encode(value))
    except NotStrict as refused:
        return str(refused)
    return None


@given(st.text(CHARACTERS) | st.binary())
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    match outcome(text):
        case NotStrict() as refused:
            assert str(refused)
        case value:
            assert loads(dumps(value)) == value


def outcome(text: str | bytes) -> Any:
    try:
        return loads(text)
    except NotStrict as refused:
        return refused


@table("number", [2**53 + 1, 2**64, -(2**64), 10**400])
def test_integers_are_exact(number: int) -> None:
    assert loads(dumps({"n": number})) == {"n": number}


@table(
    ("text", "said"),
    [
        ("", "not JSON: Expecting value at line 1, column 1"),
        ("[1,\n 2,]", "not JSON: Expecting value at line 2, column 4"),
        ("[1] 2", "not JSON: Extra data at line 1, column 5"),
        (b'"\xff"', "not UTF-8: invalid start byte at byte 1"),
        ("NaN", "the value is NaN, which is not a JSON number"),
        ('{"a": [1, -Infinity]}', "a[1] is -Infinity, which is not a JSON number"),
        ('{"a": {"b": 1e999}}', "a.b is 1e999, which is beyond what JSON programs can hold"),
        ('{"tasks": [{"id": "a", "id": "b"}]}', "tasks[0].id appears twice in one object"),
        ('{"n": ' + "9" * 5000 + "}", "n has too many digits"),
        (r'["\ud800"]', r"[0] holds a lone surrogate (\ud800)"),
        (r'{"a": {"\udc00": 1}}', r"a has a key that holds a lone surrogate (\udc00)"),
        (
            '{"a": [1, 1], "b": 2, "b": NaN',
            "not JSON: Expecting ',' delimiter at line 1, column 31",
        ),
    ],
)
def test_what_is_not_strict_is_refused_at_its_place(text: str | bytes, said: str) -> None:
    with pytest.raises(NotStrict) as refused:
        loads(text)
    assert str(refused.value) == said


@table(
    ("value", "said"),
    [
        ({"a": [float("nan")]}, "a[0] is nan: JSON numbers are finite"),
        ({"a": {"b": float("-inf")}}, "a.b is -inf: JSON numbers are finite"),
        ({"a": {1: 2}}, "a has the key 1: JSON keys are strings"),
        ({None: 2}, "the value has the key None: JSON keys are strings"),
        ({"a": {1, 2}}, "a is of the type set, which JSON does not have"),
        ([b"x"], "[0] is of the type bytes, which JSON does not have"),
        ({"a": "\ud800"}, r"a holds a lone surrogate (\ud800)"),
        ({"a": [1, {"\ud800": 2}]}, r"a[1] has a key that holds a lone surrogate (\ud800)"),
        ({"a": [10**5_000]}, "a[0] has too many digits"),
        ({"a": {(1, 2): 3}}, "a has the key (1, 2): JSON keys are strings"),
    ],
)
def test_values_made_in_python_are_held_to_the_same_rules(value: object, said: str) -> None:
    with pytest.raises(NotStrict) as refused:
        measure(value)
    assert str(refused.value) == said


def test_a_value_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    assert loads(dumps(nested(DOCUMENT_DEPTH))) == nested(DOCUMENT_DEPTH)
    with pytest.raises(NotStrict, match=r"^\[0\]\[0\].* is nested deeper than 64 levels$"):
        loads(dumps(nested(DOCUMENT_DEPTH + 1)))


def test_depth_is_what_counts_and_not_the_number_of_brackets() -> None:
    wide: Any = [[index] for index in range(1000)]
    assert loads(dumps(wide)) == wide


@table("text", ["[" * 300_000, '{"a":' * 100_000, "[" * 300_000 + "]" * 300_000])
def test_text_that_is_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(NotStrict, match=r"nested|not JSON|more than 250,000 values"):
        loads(text)


def test_a_value_that_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(NotStrict, match="nested deeper"):
        measure(circle)


def test_a_value_in_a_message_is_json_and_cut() -> None:
    assert short({"a": None}) == '{"a": null}'
    assert short("x" * 100) == '"' + "x" * 58 + "…"


@pytest.fixture
def few_values(monkeypatch: pytest.MonkeyPatch) -> int:
    """The most values of a text: a hundredth, as writing and reading them all takes time."""
    assert MAX_VALUES == 250_000
    monkeypatch.setattr("plait.core.values.strict.MAX_VALUES", 2_500)
    return 2_500


@table("read", [loads, decode])
@table("part", ["{}", "1", '""', "[]", "null"])
def test_text_of_too_many_values_is_refused_before_it_is_read(
    read: Any, part: str, few_values: int
) -> None:
    text = f"[{','.join([part] * (few_values + 1))}]"
    for bomb in (text, text.encode()):
        with pytest.raises(TooManyValues, match="it holds more than 2,500 values"):
            read(bomb)


def test_text_of_as_many_values_as_allowed_is_read(few_values: int) -> None:
    value: Any = [*range(few_values - 1)]
    assert loads(dumps(value)) == value
    texts: Any = [",[{" * 10] * 500
    assert loads(dumps(texts)) == texts
