"""Draws docs/picture.svg: the terminal after the tour, from what the program really prints.

.venv/bin/python scripts/picture.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "picture.svg"
COMMAND = "plait run docs/examples/tour.json --config docs/examples/tour.toml"
CHAR_WIDTH, LINE_HEIGHT, MARGIN = 8.0, 18, 16
FONT_SIZE = 13
PLAIN, BACKGROUND = "#d8dee9", "#20242c"
COLOURS = {
    "1": "#ffffff",
    "2": "#7f8a9c",
    "31": "#e06c75",
    "32": "#8fbf6b",
    "33": "#e5c07b",
    "34": "#61afef",
    "35": "#c58fe0",
}
"""A colour for each style of `plait.cli.style.Look`."""
_STYLED = re.compile("\x1b\\[(\\d+)m(.*?)\x1b\\[0m")


def output() -> str:
    """Run the tour, and return what it prints for a terminal with colours."""
    environ = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", *COMMAND.split()]
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={**environ, "FORCE_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        check=True,
    )
    return ran.stdout


def svg(text: str) -> str:
    """Draw *text*, as it was printed after the command, as an SVG image."""
    lines = [f"\x1b[2m$\x1b[0m {COMMAND}", *text.rstrip("\n").split("\n")]
    columns = max(len(_STYLED.sub(r"\2", line)) for line in lines)
    width = round(columns * CHAR_WIDTH + 2 * MARGIN)
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN
    drawn = "\n".join(
        f'<text y="{MARGIN + number * LINE_HEIGHT + FONT_SIZE}">{"".join(_spans(line))}</text>'
        for number, line in enumerate(lines)
        if line
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{FONT_SIZE}" '
        f'fill="{PLAIN}">\n<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>\n'
        f"{drawn}\n</svg>\n"
    )


def _spans(line: str) -> Iterator[str]:
    """Yield the pieces of one line, each at its column, whatever the font."""
    column = 0
    pieces = _STYLED.split(line)  # text, style, text, text, style, …
    for number in range(0, len(pieces), 3):
        style = pieces[number + 1 : number + 3]
        for text, look in ((pieces[number], None), *([(style[1], style[0])] if style else [])):
            for word in re.finditer(r"\S+(?: \S+)*", text):
                x = round(MARGIN + (column + word.start()) * CHAR_WIDTH, 1)
                length = round(len(word.group()) * CHAR_WIDTH, 1)
                fill = f' fill="{COLOURS[look]}"' if look else ""
                place = f'x="{x}" textLength="{length}"'
                yield f"<tspan {place}{fill}>{escape(word.group())}</tspan>"
            column += len(text)


if __name__ == "__main__":
    PICTURE.write_text(svg(output()), encoding="utf-8")
