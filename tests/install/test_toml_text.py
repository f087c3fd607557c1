"""Edits of TOML texts; whole changes are in `test_splice.py`."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.install.changes import Impossible
from plait.install.positions import edited
from plait.install.toml_text import TomlText, inline, table
from tests.core.strategies import json_values
from tests.profiles import CHARACTERS

TEXT = st.text(CHARACTERS, max_size=8)


@given(st.dictionaries(TEXT, json_values()))
def test_what_is_written_is_read_again(value: dict[str, Any]):
    value = _without_null(value)
    assert tomllib.loads(f"x = {inline(value)}")["x"] == value
    read = tomllib.loads("\n".join(table(("a", "b c"), value)))
    assert read["a"]["b c"] == value


def _without_null(value: Any) -> Any:
    match value:
        case dict():
            return {k: _without_null(one) for k, one in value.items() if one is not None}
        case list():
            return [_without_null(one) for one in value if one is not None]
    return value


def test_null_cannot_be_written():
    with pytest.raises(Impossible, match="NoneType"):
        inline(None)


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (b"[m.x]\na=1\n[m.x.env]\nb=2\n[z]\n", b"[z]\n"),
        (b'[m]\n"x".a=1\nx.b=2\ny=3\n', b"[m]\ny=3\n"),
        (b"[m]\nx={a={b=1}}\ny=3\n", b"[m]\ny=3\n"),
        (b"m={x={a={b=1}},y=3}\n", b"m={y=3}\n"),
        (b"m.x.a=1\nm.y=2\n", b"m.y=2\n"),
        (b"[m.x]\n# inside\na=1 # of it\n# below\n", b"# below\n"),
        (b"['m'.'x']\na=1", b""),
    ],
)
def test_every_part_of_a_server_goes(data: bytes, made: bytes):
    assert edited(data, TomlText(data).drop(("m",), "x")) == made


def test_items_are_retracted_from_lists():
    data = b'l = ["a", "b", "c"] # mine\n'
    assert edited(data, TomlText(data).retract(("l",), "b")) == b'l = ["a", "c"] # mine\n'
    with pytest.raises(Impossible, match="an item of l"):
        TomlText(data).retract(("l",), "z")


def test_what_is_not_there_cannot_be_dropped():
    with pytest.raises(Impossible, match=r"m\.x was not found"):
        TomlText(b"[m]\n").drop(("m",), "x")
