"""The check of the project's English finds what makes a reader stumble, and finds nothing where it
holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from .english import CHECKED, Text, check, check_file, project_files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Return what is told.", ["told"]),
        ("A server that nobody asks is no server.", ["nobody", "is no"]),
        ("There is no task of that name.", []),
        ("The run comes to its end; `told` is code.", ["comes to its end"]),
        ("At most so many bytes, each with its mend.", ["mend", "so many"]),
        ("It goes by the settings, beside others.", ["goes by", "beside"]),
        ("What came of it was held against the schema.", ["What came of", "held against"]),
        ("It hears\nof a change.", ["hears of"]),
    ],
)
def test_words_to_avoid_are_found_and_code_is_not_read(text: str, words: list[str]):
    assert sorted(finding.words for finding in check(Text(1, text))) == sorted(words)


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("Of each task its state.", "Of"),
        ("What is known.", "What"),
        ("How long it takes.", "How long"),
    ],
)
def test_a_docstring_begins_with_a_verb_or_a_noun(text: str, opening: str):
    assert [finding.words for finding in check(Text(1, text, is_docstring=True))] == [opening]
    assert list(check(Text(1, text))) == []


def test_a_finding_names_its_line():
    assert [
        finding.line for finding in check(Text(5, "One.\nTwo.\nIt is told.", is_docstring=True))
    ] == [7]


@pytest.mark.parametrize("file", project_files(), ids=lambda file: "/".join(file.parts[-3:]))
def test_the_english_of_the_project_is_plain(file: Path):
    assert check_file(file) == []


def test_every_checked_place_has_files():
    assert len(project_files()) > len(CHECKED)
