"""A difference, applied to what was there, gives what comes after; it is short, and bounded."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.results.difference import (
    MOST_CHARS,
    MOST_COMPARED,
    MOST_LINES,
    NO_BREAK,
    Difference,
    difference_of,
)
from plait.core.values.strict import Json

HEADER = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def of(before: str, after: str) -> Difference:
    return difference_of("content", "s:read_file", before, after)


def applied(difference: Difference, before: str) -> str:
    """Apply *difference* as `patch` does."""
    old, at, mark = re.findall(r"[^\n]*\n|[^\n]+", before), 0, ""
    new: list[str] = []
    for line in difference.lines:
        if (header := HEADER.fullmatch(line)) is not None:
            start, count = int(header[1]), int(header[2] or 1)
            start -= count > 0
            new += old[at:start]
            at = start
        elif line == NO_BREAK:
            new[-1:] = [new[-1].removesuffix("\n")] if mark == "+" else new[-1:]
        else:
            mark = line[0]
            if mark in " -":
                assert old[at].removesuffix("\n") == line[1:]
                at += 1
            if mark == " ":
                new.append(old[at - 1])
            if mark == "+":
                new.append(line[1:] + "\n")
    return "".join(new + old[at:])


TEXTS = st.lists(st.sampled_from("ab\n"), max_size=40).map("".join)


@given(TEXTS, TEXTS)
def test_applied_to_what_was_there_it_gives_what_comes_after(before: str, after: str):
    assert applied(of(before, after), before) == after


@given(TEXTS, TEXTS)
def test_it_comes_back_from_its_document(before: str, after: str):
    difference = of(before, after)
    assert Difference.read(difference.document()) == difference


def test_it_is_written_as_patches_are():
    before = "".join(f"{n}\n" for n in range(20))
    after = before.replace("3\n", "three\n", 1).replace("18\n", "", 1) + "end"
    assert of(before, after).lines == (
        "@@ -1,7 +1,7 @@", " 0", " 1", " 2", "-3", "+three", " 4", " 5", " 6",
        "@@ -16,5 +16,5 @@", " 15", " 16", " 17", "-18", " 19", "+end", NO_BREAK,
    )  # fmt: skip
    assert of(before, after).counts == "+2 -2 lines"


def test_what_stays_the_same_has_no_lines():
    assert (of("a\n", "a\n").lines, of("a\n", "a\n").counts) == ((), "no change")


def test_a_line_break_at_the_end_is_a_change():
    assert of("a", "a\n").lines == ("@@ -1 +1 @@", "-a", NO_BREAK, "+a")


def test_many_lines_are_replaced_as_a_whole_and_counted():
    count = MOST_COMPARED + 1
    before, after = ("".join(f"{n}{mark}\n" for n in range(count)) for mark in "ab")
    difference = of(f"first\n{before}", f"first\n{after}last\n")
    assert (difference.added, difference.removed) == (count + 1, count)
    assert len(difference.lines) == MOST_LINES
    assert len(difference.lines) + difference.left_out == 2 + 2 * count + 1
    assert difference.lines[:3] == (f"@@ -1,{count + 1} +1,{count + 2} @@", " first", "-0a")


def test_a_long_line_is_cut_with_its_length():
    [_, line, *_] = of("x" * 5_000, "").lines
    assert (len(line) < MOST_CHARS + 50, line[-20:]) == (True, "x… (5,000 characters)"[-20:])


@pytest.mark.parametrize(
    "document",
    [None, {}, {"argument": "a", "reader": "r", "added": 1, "removed": 0, "lines": "no"}],
)
def test_what_is_not_of_its_form_is_no_difference(document: Json):
    assert Difference.read(document) is None
