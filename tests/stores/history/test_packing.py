"""Values come back as they were."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.history import CallKey
from plait.core.scheduling.events import Failure
from plait.core.tools.output import Output
from plait.core.values.strict import Json, encode
from plait.errors import HistoryLost
from plait.stores.history.packing import (
    PLAIN,
    ZLIB,
    error_of,
    items_of,
    key_of,
    output_of,
    pack,
    text_of_error,
    text_of_items,
    text_of_key,
    text_of_output,
    unpack,
)

from ...core.strategies import json_values
from ...profiles import CHARACTERS

TEXTS = st.text(CHARACTERS)
ITEMS = st.lists(st.integers(0, 10**6), max_size=3).map(tuple)


@given(json_values())
def test_an_output_comes_back_packed_and_plain(value: Json):
    output = Output.of(value)
    text = text_of_output(output)
    packed = pack(text)
    assert output_of(unpack(None, packed.codec, packed.data)) == output
    assert output_of(unpack(text.decode(), None, None)) == output


def test_attachments_and_marks_of_an_output_come_back():
    output = Output([1, None], ({"type": "image", "data": "x"},), 8, True, 3, (1, 0))
    assert output_of(unpack(text_of_output(output).decode(), None, None)) == output


def test_a_value_is_compressed_only_where_that_helps():
    assert pack(encode("x" * 1_000)).codec == ZLIB
    assert pack(encode("xy")).codec == PLAIN


def test_equal_outputs_have_equal_digests():
    first, second = (pack(text_of_output(Output.of({"a": 1}))) for _ in range(2))
    assert first.digest == second.digest != pack(text_of_output(Output.of({"a": 2}))).digest


def test_nothing_kept_is_no_output():
    assert output_of(unpack(None, None, None)) is None


@given(st.builds(Failure, TEXTS, TEXTS, st.none() | TEXTS, st.none() | st.booleans()))
def test_an_error_comes_back(error: Failure):
    assert error_of(text_of_error(error)) == error
    assert error_of(text_of_error(None)) is None


@given(st.builds(CallKey, TEXTS, st.none() | st.integers(0), ITEMS, st.integers(0)))
def test_the_name_of_a_call_comes_back(key: CallKey):
    assert key_of(text_of_key(key)) == key
    assert items_of(text_of_items(key.at)) == key.at
    assert key_of(text_of_key(None)) is None


@pytest.mark.parametrize(
    ("codec", "data"), [(ZLIB, b"\0"), (PLAIN, b"{"), (ZLIB, zlib.compress(b"[1"))]
)
def test_a_damaged_value_loses_its_run(codec: int, data: bytes):
    with pytest.raises(HistoryLost, match="is damaged"):
        unpack(None, codec, data)
