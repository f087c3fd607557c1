"""What git prints for machines is parsed, also when it was cut off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.workspace.porcelain import (
    LOG_FIELDS,
    Branch,
    ChangedFile,
    StatusEntry,
    changed_files,
    commits_of,
    status_of,
    texts,
)

HEADERS = b"# branch.oid 1234\0# branch.head main\0"
STATUS = (
    HEADERS
    + b"# branch.upstream origin/main\0# branch.ab +2 -1\0"
    + b"1 .M N... 100644 100644 100644 1 2 with space\0"
    + b"2 R. N... 100644 100644 100644 1 2 R100 new\0old\0"
    + b"u UU N... 100644 100644 100644 100644 1 2 3 fought\0"
    + b"? # new\n\0"
)
ENTRIES = [
    StatusEntry(path="sub/with space", kind="changed", index=".", worktree="M"),
    StatusEntry(path="sub/new", kind="renamed", index="R", worktree=".", old_path="sub/old"),
    StatusEntry(path="sub/fought", kind="unmerged", index="U", worktree="U"),
    StatusEntry(path="sub/# new\n", kind="untracked", index="?", worktree="?"),
]


@pytest.mark.parametrize("most", range(1, 6))
def test_a_status_holds_the_branch_and_each_change_up_to_a_number(most: int):
    branch, entries, has_more = status_of(STATUS, "sub/", most)
    assert branch == Branch(name="main", commit="1234", upstream="origin/main", ahead=2, behind=1)
    assert (entries, has_more) == (ENTRIES[:most], most < len(ENTRIES))


def test_a_branch_may_have_no_upstream():
    branch, entries, has_more = status_of(HEADERS, "", 10)
    assert branch == Branch(name="main", commit="1234")
    assert (entries, has_more) == ([], False)


RAW = b":100644 100644 1 2 "


@pytest.mark.parametrize(
    ("output", "files"),
    [
        (
            RAW + b"M\0a b\0" + b"1\t2\ta b\0",
            [{"path": "a b", "status": "modified", "added": 1, "deleted": 2}],
        ),
        (
            RAW + b"A\0bin\0" + b"-\t-\tbin\0",
            [{"path": "bin", "status": "added", "added": None, "deleted": None}],
        ),
        (
            RAW + b"R090\0old\0new\0" + b"1\t0\t\0old\0new\0",
            [{"path": "new", "status": "renamed", "added": 1, "deleted": 0, "old_path": "old"}],
        ),
        (
            RAW + b"C100\0old\0new\0" + b"0\t0\t\0old\0new\0",
            [{"path": "new", "status": "copied", "added": 0, "deleted": 0, "old_path": "old"}],
        ),
        (
            RAW + b"U\0x\0" + RAW + b"M\0x\0" + b"3\t0\tx\0",
            [{"path": "x", "status": "unmerged", "added": 3, "deleted": 0}],
        ),
        (
            RAW + b"D\0a\0" + RAW + b"T\0b\0" + b"0\t1\ta\0" + b"1\t1\tb\0",
            [
                {"path": "a", "status": "deleted", "added": 0, "deleted": 1},
                {"path": "b", "status": "type changed", "added": 1, "deleted": 1},
            ],
        ),
    ],
)
def test_changed_files_have_their_status_and_their_counts_of_lines(
    output: bytes, files: list[dict[str, Any]]
):
    assert changed_files(output, "") == [ChangedFile(**file) for file in files]
    assert [file.path for file in changed_files(output, "sub/")] == [
        f"sub/{file['path']}" for file in files
    ]


COMMIT = [
    b"12",
    b"34 56",
    b"Zo\xc3\xab",
    b"z@x",
    b"2026-01-02T03:04:05+00:00",
    b"First",
    b"\nBody\n",
]


def test_commits_are_parsed_and_one_that_was_cut_off_is_left_out():
    output = b"".join(field + b"\0" for field in COMMIT)
    [first, second] = commits_of(output * 2 + b"78\0")
    assert first == second
    assert (first.commit, first.parents, first.author) == ("12", ["34", "56"], "Zoë")
    assert (first.email, first.date) == ("z@x", "2026-01-02T03:04:05+00:00")
    assert (first.subject, first.body) == ("First", "Body")
    assert len(COMMIT) == LOG_FIELDS


def test_output_that_was_cut_gives_what_is_whole():
    assert changed_files(b":100644 100644 1 2 M\0a\0:100644 100644 1 2 R1", "") == []
    cut = b"# branch.oid 1\0# branch.head main\0002 R. N... 1 1 1 1 1 R100 new\0ol"
    branch, entries, more = status_of(cut, "", 10)
    assert (branch.name, [entry.path for entry in entries], more) == ("main", ["new"], False)


@given(st.integers(len(HEADERS), len(STATUS)))
def test_a_status_that_was_cut_anywhere_gives_its_whole_entries(end: int):
    _, entries, has_more = status_of(STATUS[:end], "sub/", 10)
    whole = [entry.model_copy(update={"old_path": None}) for entry in ENTRIES[: len(entries)]]
    assert [entry.model_copy(update={"old_path": None}) for entry in entries] == whole
    assert not has_more


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_fields_end_in_nul_and_a_last_one_without_it_is_left_out(fields: list[str]):
    output = b"".join(field.encode() + b"\0" for field in fields)
    assert texts(output) == fields
    assert texts(output + b"cut") == fields
    assert texts(output + b"\xff\0") == [*fields, "\ufffd"]
