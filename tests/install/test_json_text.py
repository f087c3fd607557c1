"""Edits of JSON texts; whole changes are in `test_splice.py`."""

from __future__ import annotations

import pytest

from plait.install.changes import Impossible
from plait.install.json_text import JsonText
from plait.install.positions import edited


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (b'{"x": 1 /* c */, "y": 2}', b'{/* c */ "y": 2}'),
        (b'{"x": 1, /* c */ "y": 2}', b'{/* c */ "y": 2}'),
        (b'{"y": 2 /* c */, "x": 1}', b'{"y": 2 /* c */ }'),
        (b'{"\\u0078": 1}', b"{}"),
        (b'{"y": {"x": 1}, "x": 1,}', b'{"y": {"x": 1}, }'),
    ],
)
def test_a_member_is_dropped_with_its_comma_alone(data: bytes, made: bytes):
    assert edited(data, JsonText(data).drop((), "x")) == made


def test_a_member_that_is_not_there_cannot_be_dropped():
    with pytest.raises(Impossible, match=r"a\.x was not found"):
        JsonText(b'{"a": {}}').drop(("a",), "x")


def test_several_documents_are_refused():
    with pytest.raises(Impossible, match="several documents"):
        JsonText(b"{} {}").put((), "x", 1)


def test_an_item_that_is_not_there_cannot_be_retracted():
    with pytest.raises(Impossible, match="an item of l"):
        JsonText(b'{"l": [1]}').retract(("l",), 2)
