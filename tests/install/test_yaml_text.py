"""Edits of YAML texts; whole changes are in `test_splice.py`."""

from __future__ import annotations

import pytest

from plait.install.changes import Impossible
from plait.install.positions import edited
from plait.install.yaml_text import YamlText


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (b"e:\n  x:\n    a: |\n      1\n\n  y: 2\n", b"e:\n\n  y: 2\n"),
        (b"e:\n  'x': 1 # mine\n  y: 2\n", b"e:\n  y: 2\n"),
        (b"e: {x: 1, y: 2}\n", b"e: {y: 2}\n"),
        (b"e:\n  ? x\n  : 1\n  y: 2\n", b"e:\n  y: 2\n"),
    ],
)
def test_a_member_is_dropped_with_its_lines(data: bytes, made: bytes):
    assert edited(data, YamlText(data).drop(("e",), "x")) == made


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (b"s:\n  - x\n  - y\n", b"s:\n  - y\n"),
        (b"s: [x, y]\n", b"s: [y]\n"),
    ],
)
def test_items_are_retracted_from_lists(data: bytes, made: bytes):
    assert edited(data, YamlText(data).retract(("s",), "x")) == made


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (b"s: []\n", b"s:\n  - z\n"),
        (b"s: [x]\n", b's: [x, "z"]\n'),
        (b"s: ~ # mine\n", b"s: # mine\n  - z\n"),
        (b"", b"s:\n- z\n"),
    ],
)
def test_a_list_gets_an_item_in_its_own_style(data: bytes, made: bytes):
    assert edited(data, YamlText(data).extend(("s",), "z")) == made


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"e: 1\n", "where no object is"), (b"a: 1\n---\nb: 1\n", "several documents")],
)
def test_a_text_that_has_no_place_for_it_is_refused(data: bytes, said: str):
    with pytest.raises(Impossible, match=said):
        YamlText(data).put(("e",), "x", 1)


@pytest.mark.parametrize("data", [b"s: 1\n", b"s:\n- name: y\n"])
def test_a_server_that_is_not_in_the_list_cannot_be_dropped(data: bytes):
    with pytest.raises(Impossible, match="an item of s"):
        YamlText(data).drop_item(("s",), "x")
