"""What reaches a stream: colours, glyphs, escapes."""

from __future__ import annotations

import io
import json

import pytest

from plait.cli.console import Stream
from plait.cli.style import Look, Styled, Verbatim


class Written(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8", *, is_terminal: bool = True) -> None:
        self._is_terminal = is_terminal
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        self.seek(0)
        return self.read()


@pytest.mark.parametrize(
    ("environ", "is_terminal", "is_coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_colours_are_for_terminals_and_for_who_asks(
    environ: dict[str, str], is_terminal: bool, is_coloured: bool
):
    file = Written(is_terminal=is_terminal)
    Stream(file, environ).line(Styled("✓", Look.GREEN))
    assert ("\x1b[32m" in file.text()) is is_coloured


@pytest.mark.parametrize(
    ("encoding", "environ"), [("ascii", {}), ("latin-1", {}), ("utf-8", {"TERM": "dumb"})]
)
def test_a_stream_without_our_glyphs_gets_plain_ones(encoding: str, environ: dict[str, str]):
    file = Written(encoding, is_terminal=False)
    Stream(file, environ).line("✓ a → b · ━━ …")
    assert file.text() == "+ a -> b | == ...\n"


def test_what_an_encoding_does_not_have_is_escaped():
    file = Written("ascii", is_terminal=False)
    stream = Stream(file, {})
    stream.line("日")
    stream.json({"日": "é"})
    first, rest = file.text().split("\n", 1)
    assert first == "\\u65e5"
    assert json.loads(rest) == {"日": "é"}


HOSTILE = "\x1b[2J\x07 \x9b31m \u202e \r over \x7f"


def test_nothing_in_a_text_steers_the_terminal():
    file = Written()
    stream = Stream(file, {"NO_COLOR": "1"})
    stream.line(HOSTILE, Styled("\nforged", Look.RED))
    stream.json({HOSTILE: HOSTILE})
    line, document = file.text().split("\n", 1)
    assert all(char.isprintable() for char in line + document.replace("\n", ""))
    assert line.endswith("\\nforged")
    assert json.loads(document) == {HOSTILE: HOSTILE}


def test_rows_are_drawn_below_the_lines_and_taken_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "40")
    file = Written()
    stream = Stream(file, {"NO_COLOR": "1"})
    stream.redraw([("one",), ("x" * 60,)])
    stream.line("said")
    stream.redraw([("two",)])
    stream.redraw([])
    cut = "x" * 38 + "…"
    assert file.text() == f"one\n{cut}\n\x1b[2F\x1b[Jsaid\ntwo\n\x1b[1F\x1b[J"


def test_no_rows_are_drawn_while_the_reader_is_slow():
    file = Written()
    stream = Stream(file, {"NO_COLOR": "1"}, 40)
    stream.redraw([("one",)])
    stream.may_redraw = lambda: False
    stream.redraw([("two",)])
    stream.line("said")
    stream.redraw([])
    assert file.text() == "one\n\x1b[1F\x1b[Jsaid\n"


@pytest.mark.parametrize("columns", [40, 80])
def test_no_line_of_ours_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int):
    monkeypatch.setenv("COLUMNS", str(columns))
    words = "  ✗ " + " ".join(["word"] * 60)
    file = Written()
    stream = Stream(file, {"NO_COLOR": "1"})
    stream.line(words)
    stream.line(Verbatim("y" * 200))
    *folded, verbatim, end = file.text().split("\n")
    assert all(len(line) <= columns for line in folded)
    assert " ".join(" ".join(folded).split()) == words.strip()
    assert (verbatim, end) == ("y" * 200, "")
    pipe = Written(is_terminal=False)
    Stream(pipe, {}).line(words)
    assert pipe.text() == f"{words}\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_line_of_json_stays_the_same_document_and_steers_nothing(encoding: str):
    file = Written(encoding=encoding, is_terminal=False)
    line = json.dumps({"é": ["plain", "\x9b2J", "\u202e"]}, ensure_ascii=False) + "\n"
    Stream(file, {}).json_line(line)
    assert json.loads(file.text()) == json.loads(line)
    assert "\x9b" not in file.text()
    assert "\u202e" not in file.text()
    Stream(file, {}).json_line('{"a": 1}\n')
    assert file.text().endswith('\n{"a": 1}\n')
