"""The search that takes the place of ripgrep: it prints the same."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plait.workspace.scan import main, translated

Scan = Callable[..., tuple[int, str]]


@pytest.fixture
def scan(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Scan:
    """Runs the program in *folder*; gives its exit code and what it prints."""
    for name, content in {
        "a.py": b"one\ntwo\r\nthree\nfour\n",
        "src/b.py": b"import two\n",
        "src/deep/c.txt": b"TWO\n",
        "binary.py": b"\0two\n",
        "latin.txt": b"caf\xe9 two\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "link.py").symlink_to("a.py")
    (folder / "out").symlink_to("../ws-evil")
    os.mkfifo(folder / "fifo.py")
    monkeypatch.chdir(folder)

    def scan(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["scan", *words])
        code = main()
        return code, capsys.readouterr().out

    return scan


def lines(output: str) -> list[tuple[str, str, int, str]]:
    messages: list[Any] = [json.loads(line) for line in output.splitlines()]
    return [
        (
            message["type"],
            message["data"]["path"]["text"],
            message["data"]["line_number"],
            message["data"]["lines"]["text"],
        )
        for message in messages
    ]


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        ([], ["a.py", "binary.py", "latin.txt", "src/b.py", "src/deep/c.txt"]),
        (["--glob=*.py"], ["a.py", "binary.py", "src/b.py"]),
        (["--glob=!*.py"], ["latin.txt", "src/deep/c.txt"]),
        (["--glob=*.py", "--glob=!src"], ["a.py", "binary.py"]),
        (["--glob=!*.py", "--glob=a.py"], ["a.py"]),
        (["--glob=src/**"], ["src/b.py", "src/deep/c.txt"]),
        (["--glob=-x"], []),
    ],
)
def test_files_are_listed_in_order_and_the_last_glob_that_matches_decides(
    scan: Scan, words: list[str], paths: list[str]
):
    code, output = scan("--files", "--null", "--hidden", "--sort=path", *words, "--", "./")
    assert [path.removeprefix("./") for path in output.split("\0")[:-1]] == paths
    assert code == (0 if paths else 1)


def test_matches_are_found_in_text_files_alone(scan: Scan):
    code, output = scan("--json", "--case-sensitive", "-e", "two$", "--", "./")
    assert code == 0
    assert lines(output) == [
        ("match", "./a.py", 2, "two\r\n"),
        ("match", "./latin.txt", 1, "caf\ufffd two\n"),
        ("match", "./src/b.py", 1, "import two\n"),
    ]


@pytest.mark.parametrize("path", ["./link.py", "./fifo.py", "./missing.py", "./binary.py"])
def test_no_other_file_is_read_even_if_it_is_named(scan: Scan, path: str):
    assert scan("--json", "-e", "two", "--", path) == (1, "")


def test_lines_of_context_are_shown_once(scan: Scan):
    _, output = scan("--json", "--context=1", "-e", "t[wh]", "--", "./a.py")
    assert [(kind, number) for kind, _, number, _ in lines(output)] == [
        ("context", 1),
        ("match", 2),
        ("match", 3),
        ("context", 4),
    ]


@pytest.mark.parametrize(("most", "code"), [("5", 0), ("4", 1)])
def test_a_file_above_the_size_is_left_out(scan: Scan, folder: Path, most: str, code: int):
    (folder / "sized.txt").write_text("size\n")
    assert scan("--json", f"--max-filesize={most}", "-e", "size", "--", "./sized.txt")[0] == code


def test_case_is_ignored_when_asked(scan: Scan):
    _, output = scan("--json", "--ignore-case", "-e", "two", "--", "./src")
    assert [path for _, path, _, _ in lines(output)] == ["./src/b.py", "./src/deep/c.txt"]


@pytest.mark.parametrize("pattern", ["--json", "--", "-e"])
def test_an_expression_is_never_taken_for_an_option(scan: Scan, folder: Path, pattern: str):
    (folder / "options.txt").write_text(f"x{pattern}\n")
    _, output = scan("--json", "-e", pattern, "--", "./options.txt")
    assert [number for _, _, number, _ in lines(output)] == [1]


def test_an_expression_that_cannot_be_read_ends_it_with_a_reason(
    scan: Scan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "argv", ["scan", "--json", "-e", "(", "--", "./"])
    assert main() == 2
    assert "unterminated subpattern" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("glob", "matches", "does_not"),
    [
        ("*.py", ["a.py", "x/a.py"], ["a.pyc", "a.py/x"]),
        ("a?c", ["abc", "x/abc"], ["ac", "a/c"]),
        ("/a.py", ["a.py"], ["x/a.py"]),
        ("x/**", ["x/a", "x/b/c"], ["y/a"]),
        ("**/test_*.py", ["test_a.py", "x/y/test_b.py"], ["x/a_test.py"]),
        ("{a,b[cd]}.t,t", ["a.t,t", "bc.t,t"], ["b.t,t"]),
        ("[]x]", ["]", "x"], ["[]x]"]),
        ("a\\d", ["a\\d"], ["a1"]),
    ],
)
def test_a_glob_is_translated(glob: str, matches: list[str], does_not: list[str]):
    rule = translated(glob)
    assert all(rule.fullmatch(path) for path in matches)
    assert not any(rule.fullmatch(path) for path in does_not)
