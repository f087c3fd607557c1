"""Which commands an entry lets through, and which entries mean nothing."""

from __future__ import annotations

import pytest

from plait.workspace.allowed import AllowedCommand


@pytest.mark.parametrize(
    ("entry", "argv"),
    [
        ("make test", "make test"),
        ("npm run *", "npm run"),
        ("npm run *", "npm run build web"),
        ("npm run * --silent --level=*", "npm run --silent build --level=2"),
        ("git log --oneline *", "git log --oneline main"),
        ("pytest * -*", "pytest -x --lf tests"),
        ("echo 'a b'", "echo|a b"),
    ],
)
def test_a_command_matches_word_for_word_and_an_open_end_takes_more(entry: str, argv: str):
    words = argv.split("|") if "|" in argv else argv.split()
    assert AllowedCommand.parse(entry).matches(words)


@pytest.mark.parametrize(
    ("entry", "argv"),
    [
        ("make test", ["make"]),
        ("make test", ["make", "test", "install"]),
        ("make test", ["make", "test", "--eval=$(shell touch /tmp/x)"]),
        ("make test", ["make", "test "]),
        ("git log *", ["git", "log", "--output=/outside"]),
        ("git log *", ["git", "log", "main", "--output=/outside"]),
        ("npm run *", ["npm", "run", "-"]),
        ("npm run *", ["npm", "run", "x", "--", "-e"]),
        ("npm run *", ["npm", "exec", "x"]),
        ("npm run * --silent", ["npm", "run", "--silent=x"]),
        ("npm run * --level=*", ["npm", "run", "--level"]),
    ],
)
def test_any_other_words_are_refused(entry: str, argv: list[str]):
    assert not AllowedCommand.parse(entry).matches(argv)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("", "at least one word"),
        ("''", "at least one word"),
        ("'open", "No closing quotation"),
        ("make\0", "NUL"),
        ("*", "a star is a word of its own"),
        ("npm r*", "a star is a word of its own"),
        ("npm*", "a star is a word of its own"),
        ("npm * run", "only options may follow the star"),
        ("npm run * *", "only options may follow the star"),
        ("npm run * --a*b", "only options may follow the star"),
        ("make test && make lint", "without a shell, so && has no meaning"),
        ("cat x | sh", "without a shell"),
        ("CI=1 make test", "begins with a variable"),
    ],
)
def test_an_odd_entry_is_refused_with_its_reason(entry: str, says: str):
    with pytest.raises(ValueError, match=says):
        AllowedCommand.parse(entry)


@pytest.mark.parametrize("entry", ["make test", "npm run * --silent '-*'", "echo 'a b' *"])
def test_an_entry_is_shown_so_that_it_reads_the_same(entry: str):
    command = AllowedCommand.parse(entry)
    assert AllowedCommand.parse(str(command)) == command
