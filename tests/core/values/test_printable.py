from __future__ import annotations

import sys
import unicodedata

from plait.core.values.printable import plain, printable

from ..tables import table


@table(
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


def test_each_character_that_steers_is_escaped_and_no_other():
    steering = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for char in map(chr, range(sys.maxunicode + 1)):
        assert (printable(char) != char) == (unicodedata.category(char) in steering), ascii(char)


def test_what_is_to_be_kept_is_kept():
    assert printable("a\tb\n", keep="\t") == r"a	b\n"


@table(
    ("text", "read"),
    [
        ("plain ä 🙂", "plain ä 🙂"),
        ("two\n\tlines", "two\n\tlines"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07\x1b]8;;https://evil.example\x1b\\here", "here"),
        ("a\x1bb\r\x00\x7f\x9b", "ab"),
        ("\u202eturned\u2066\u200b", "turned"),
        ("\ud800", ""),
    ],
)
def test_what_could_steer_a_reader_is_dropped(text: str, read: str):
    assert plain(text) == read
