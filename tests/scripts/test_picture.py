"""docs/picture.svg and docs/tour.svg show what the program prints."""

from __future__ import annotations

import os
import pty
import re
import runpy
import threading
import tty
from pathlib import Path
from xml.etree import ElementTree

from plait.cli.style import Look
from plait.cli.tour_steps import STEPS
from plait.cli.trying import YOURSELF

from ..cli.test_trying import SCREENS, left_on

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "picture.svg"
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "picture.py"))
output, svg, COLOURS = SCRIPT["output"], SCRIPT["svg"], SCRIPT["COLOURS"]
animated, lines_recorded, ROWS = SCRIPT["animated"], SCRIPT["lines_of"], SCRIPT["ROWS"]
CHAR_WIDTH, MARGIN, RECORDING = SCRIPT["CHAR_WIDTH"], SCRIPT["MARGIN"], SCRIPT["RECORDING"]
SVG = "{http://www.w3.org/2000/svg}"


def words(picture: str) -> list[str]:
    """The lines of *picture* as words, without what differs from run to run: times, bars, and what
    follows from them."""
    lines = ["".join(each.itertext()) for each in ElementTree.fromstring(picture)[1:]]
    without = r"^.* wall.*|^critical path.*|\d[\d.]* (ms|s|at once)|━+|·"
    return [" ".join(re.sub(without, " ", line).split()) for line in lines]


def test_the_picture_is_what_the_tour_prints():
    assert words(PICTURE.read_text(encoding="utf-8")) == words(svg(output())), (
        "docs/picture.svg is old: draw it again with .venv/bin/python scripts/picture.py"
    )


def test_the_picture_stands_in_the_readme():
    assert "](docs/picture.svg)" in (ROOT / "README.md").read_text()


def test_every_style_has_a_colour():
    assert COLOURS.keys() == {str(look) for look in Look}


def test_pieces_stand_at_their_columns():
    drawn = svg("a  <b> \x1b[32mgreen\x1b[0m  c")
    assert '<tspan x="16.0" textLength="8.0">a</tspan>' in drawn
    assert '<tspan x="40.0" textLength="24.0">&lt;b&gt;</tspan>' in drawn
    assert '<tspan x="72.0" textLength="40.0" fill="#8fbf6b">green</tspan>' in drawn
    assert '<tspan x="128.0" textLength="8.0">c</tspan>' in drawn


def lines_of(recording: str) -> str:
    """The lines of a recording as they stood on the terminal; empty ones are not drawn."""
    root = ElementTree.fromstring(recording)
    lines = []
    for text in root.iter(f"{SVG}text"):
        line = ""
        for span in text:
            column = round((float(span.attrib["x"]) - MARGIN) / CHAR_WIDTH)
            line = line.ljust(column) + (span.text or "")
        lines.append(f"{line}\n")
    return "".join(lines)


def test_the_recording_is_what_the_tour_shows():
    shown = left_on(lines_of(RECORDING.read_text(encoding="utf-8")))
    for number in range(1, len(STEPS) + 1):
        screen = (SCREENS / f"try-{number}-80.txt").read_text(encoding="utf-8")
        step = [line for line in screen.partition(YOURSELF)[0].splitlines() if line]
        assert "\n".join(step) in shown, (
            "docs/tour.svg is old: draw it again with .venv/bin/python scripts/picture.py"
        )


def test_the_recording_stands_in_the_readme():
    assert "](docs/tour.svg)" in (ROOT / "README.md").read_text()


def test_a_line_is_hidden_until_its_time_and_the_window_follows():
    lines = [(float(number), f"line {number}") for number in range(ROWS + 4)]
    drawn = animated(lines)
    assert '<text y="47" style="animation-duration:1.0s">' in drawn
    assert f"animation:scroll {ROWS + 4:.1f}s step-end" in drawn
    rows = ROWS + 4 + 1  # and the command
    assert f'transform="translate(0,-{(rows - ROWS) * 18})"' in drawn
    ElementTree.fromstring(drawn)


def test_erased_lines_are_not_recorded_and_keys_are_pressed():
    person, program = pty.openpty()
    tty.setraw(program)
    os.write(program, b"first\r\nrow\r\n\x1b[1F\x1b[Jsecond\r\n[enter] next   [q] end\r\n")
    answers: list[bytes] = []

    def end() -> None:
        answers.append(os.read(program, 100))
        os.close(program)

    thread = threading.Thread(target=end)
    thread.start()
    lines = lines_recorded(person)
    thread.join()
    os.close(person)
    assert [line for _, line in lines] == ["first", "second", "[enter] next   [q] end"]
    assert answers == [b"\n"]
