"""Binary content in the results of tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from plait.cli.binary import (
    Unsaved,
    binaries,
    check_place,
    files_of,
    without_binary,
    write_files,
)
from plait.cli.exits import Misused

IMAGE: Any = {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"}
BLOB: Any = {"type": "resource", "resource": {"uri": "x://y", "mimeType": "a/b", "blob": "eWVz"}}
TEXT: Any = {"type": "text", "text": "aGVsbG8="}


def test_binary_content_is_found_in_content_blocks_alone():
    assert [str(each) for each in binaries([TEXT, IMAGE, BLOB])] == [
        "image/png, 5 bytes",
        "a/b, 3 bytes",
    ]
    assert [str(each) for each in binaries(IMAGE)] == ["image/png, 5 bytes"]
    others: list[Any] = [None, "aGVsbG8=", {"data": "aGVsbG8="}, [[IMAGE]], {"image": IMAGE}]
    assert [[*binaries(other)] for other in others] == [[], [], [], [], []]


def test_all_else_stays_as_it_is():
    shown: Any = without_binary([TEXT, IMAGE, BLOB])
    assert shown[0] is TEXT
    assert shown[1] == {**IMAGE, "data": "(image/png, 5 bytes: not shown)"}
    assert shown[2]["resource"]["blob"] == "(a/b, 3 bytes: not shown)"
    assert shown[2]["resource"]["uri"] == "x://y"
    value: Any = {"rows": [1, 2]}
    assert without_binary(value) is value


def test_what_cannot_be_decoded_or_written_is_not_lost(tmp_path: Path):
    broken: Any = {**IMAGE, "data": "a"}
    with pytest.raises(Unsaved, match=r"base64 of the result is broken.* plait history shows"):
        files_of(broken, (), "", tmp_path / "x.png")
    with pytest.raises(Unsaved, match=r"Is a directory\. The call was made"):
        write_files([(tmp_path, b"text")])


def test_a_place_is_checked_before_the_call(tmp_path: Path):
    check_place(tmp_path / "new.txt")
    check_place(Path("new.txt"))
    check_place(Path(os.devnull))
    for wrong in (tmp_path, tmp_path / "no" / "x"):
        with pytest.raises(Misused, match="nothing was called"):
            check_place(wrong)
    fixed = tmp_path / "fixed.txt"
    fixed.touch(0o444)
    if not os.access(fixed, os.W_OK):  # root may write everything
        with pytest.raises(Misused, match="may not be written"):
            check_place(fixed)


def test_attachments_beside_another_output_are_saved(tmp_path: Path):
    [(path, content)] = files_of({"n": 1}, (IMAGE,), "{}", tmp_path / "x")
    assert (path, content) == (tmp_path / "x", b"hello")
