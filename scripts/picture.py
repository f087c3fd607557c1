"""Draws docs/picture.svg, the terminal after a run, and docs/tour.svg, a recording of `plait try`:
both from what the program really prints.

    .venv/bin/python scripts/picture.py

In the recording each line appears when it did, with waits cut to a second, and four seconds to
read where a key is asked for. Where nothing moves (a browser that is to show no motion, a program
without CSS), it shows the end.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "picture.svg"
RECORDING = ROOT / "docs" / "tour.svg"
COLUMNS, ROWS = 80, 30
LONGEST_WAIT_S = 1.0
READING_S = 4.0
KEYS = {"[q] end": "", "[q] leave it waiting": "y"}
"""The end of each line that asks for a key, and what is typed then."""
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
    drawn = [_text(number, line) for number, line in enumerate(lines) if line]
    return _framed(columns, len(lines), drawn)


def _text(row: int, line: str, more: str = "") -> str:
    y = MARGIN + row * LINE_HEIGHT + FONT_SIZE
    return f'<text y="{y}"{more}>{"".join(_spans(line))}</text>'


def _framed(columns: int, rows: int, drawn: Sequence[str], head: str = "") -> str:
    width = round(columns * CHAR_WIDTH + 2 * MARGIN)
    height = rows * LINE_HEIGHT + 2 * MARGIN
    body = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{FONT_SIZE}" '
        f'fill="{PLAIN}">\n{head}<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>\n'
        f"{body}\n</svg>\n"
    )


def record() -> list[tuple[float, str]]:
    """Take the tour at a terminal, and return the lines that stay there, each with the seconds
    after which it appeared."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environ = {n: v for n, v in os.environ.items() if n not in {"NO_COLOR", "COLUMNS"}}
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, "-m", "plait", "try"],
            cwd=home,
            env={**environ, "HOME": home, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        lines = lines_of(ours)
        if process.wait() != 0:
            raise SystemExit(f"plait try ended with {process.returncode}")
    return lines


def lines_of(terminal: int) -> list[tuple[float, str]]:
    """Read *terminal* to its end, pressing the keys that are asked for; return the lines that stay
    on it, each with its time."""
    lines: list[tuple[float, str]] = []
    last, at, rest = time.monotonic(), 0.0, ""
    while True:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # the end of a terminal
            return lines
        now = time.monotonic()
        at += min(now - last, LONGEST_WAIT_S)
        last = now
        *whole, rest = (rest + data.decode()).split("\r\n")
        for line in whole:
            if erased := re.match(r"\x1b\[(\d+)F\x1b\[J", line):
                del lines[-int(erased[1]) :]
            lines.append((at, line[erased.end() :] if erased else line))
            plain = _STYLED.sub(r"\2", line)
            for asked, key in KEYS.items():
                if plain.endswith(asked):
                    os.write(terminal, f"{key}\n".encode())
                    at += READING_S


def animated(lines: Sequence[tuple[float, str]]) -> str:
    """Draw *lines*, each hidden until its time, in a window of `ROWS` that scrolls."""
    command = (0.0, "\x1b[2m$\x1b[0m plait try")
    shown = [command, *((at + LONGEST_WAIT_S, line) for at, line in lines)]
    full_s = shown[-1][0]
    drawn = [
        _text(row, line, f' style="animation-duration:{at:.1f}s"')
        for row, (at, line) in enumerate(shown)
        if line
    ]
    places = [(at, max(0, row + 1 - ROWS)) for row, (at, _) in enumerate(shown)]
    at_percent = {f"{at / full_s:.2%}": place for at, place in places}
    first_at = {place: percent for percent, place in reversed([*at_percent.items()])}
    steps = "".join(
        f"{percent}{{transform:translateY(-{place * LINE_HEIGHT}px)}}"
        for place, percent in sorted(first_at.items())
    )
    end = places[-1][1] * LINE_HEIGHT
    width, height = COLUMNS * CHAR_WIDTH + 2 * MARGIN, ROWS * LINE_HEIGHT
    head = (
        "<style>"
        "@keyframes hidden{from,to{visibility:hidden}}"
        f"@keyframes scroll{{{steps}}}"
        "text{animation:hidden step-end}"
        f"#lines{{animation:scroll {full_s:.1f}s step-end}}"
        "@media(prefers-reduced-motion:reduce){text,#lines{animation:none}}"
        "</style>\n"
        f'<clipPath id="window"><rect y="{MARGIN}" width="{width:.0f}" height="{height}"/>'
        "</clipPath>\n"
    )
    group = f'<g clip-path="url(#window)"><g id="lines" transform="translate(0,-{end})">'
    body = [group, *drawn, "</g></g>"]
    return _framed(COLUMNS, ROWS, body, head)


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
    RECORDING.write_text(animated(record()), encoding="utf-8")
