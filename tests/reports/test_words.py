"""Texts of a run as a report may hold them."""

from __future__ import annotations

import pytest

from plait.redaction import Secrets
from plait.reports.words import MAX_LINE, MAX_NAME, MAX_TEXT, Words

SECRET = "swordfish-42"
WORDS = Words(Secrets([SECRET]).redact)


def test_a_name_is_one_line_in_which_nothing_steers():
    assert WORDS.name("a\nb \x1b[31m\u202ec\ufffe") == "a b \\x1b[31m\\u202ec\ufffd"
    assert WORDS.name("") == WORDS.name(" \n") == "-"


def test_a_text_keeps_its_lines_and_loses_what_steers():
    assert WORDS.text("one\n\x1b[31mtwo\x1b[0m\x00\u202e") == "one\ntwo"
    assert WORDS.line(" one\n\n two\t") == "one two"


def test_what_is_long_is_cut():
    for made, most in ((WORDS.name, MAX_NAME), (WORDS.line, MAX_LINE), (WORDS.text, MAX_TEXT)):
        assert made("x" * most) == "x" * most
        assert made("x" * (most + 1)) == "x" * (most - 1) + "…"


@pytest.mark.parametrize(
    "text", [SECRET, "sword\x00fish-42", "sword\u200bfish-42", "x" * 480 + SECRET]
)
def test_a_secret_is_taken_out_wherever_it_stands(text: str):
    for made in (WORDS.line, WORDS.text):
        assert "***" in made(text)
        assert "swordfish" not in made(text)
    assert SECRET not in WORDS.name(text)
