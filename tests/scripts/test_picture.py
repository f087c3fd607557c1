"""docs/picture.svg shows what the program prints."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

from plait.cli.style import Look

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "picture.svg"
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "picture.py"))
output, svg, COLOURS = SCRIPT["output"], SCRIPT["svg"], SCRIPT["COLOURS"]


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
