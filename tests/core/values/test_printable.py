from __future__ import annotations

import pytest

from plait.core.values.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 🙂", "plain ä 🙂"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines", r"two\nlines"),
        ("\u202eturned", r"\u202eturned"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_could_steer_a_terminal_or_forge_a_line_is_escaped(text: str, shown: str):
    assert printable(text) == shown


def test_what_is_to_be_kept_is_kept():
    assert printable("a\tb\n", keep="\t") == r"a	b\n"
