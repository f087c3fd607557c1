"""The two streams of a program: results on standard output, everything else on standard error.

All escapes and colours are put in here, and plain characters for streams that have no others.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from ..core.values.printable import printable
from ..core.values.strict import Json
from .style import TIMES, Line, Look, Styled, bare, cut, fold

PLAIN = str.maketrans(
    {
        "✓": "+",
        "✗": "x",
        "↷": "-",
        "●": "*",
        "◐": "*",
        "━": "=",
        "─": "-",
        "└": "`",
        "→": "->",
        "·": "|",
        TIMES: "x",
        "…": "...",
    }
)
"""Substitutes for those of our characters that not every terminal has."""


WIDTH = 120
"""The width of lines that are not for a terminal."""
NARROWEST = 20


class TextFile(Protocol):
    """The file that a stream writes to."""

    @property
    def encoding(self) -> str: ...

    def isatty(self) -> bool: ...

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class Stream:
    """One of the two streams. *columns* is the width of a terminal."""

    def __init__(
        self, file: TextFile, environ: Mapping[str, str], columns: int | None = None
    ) -> None:
        self._file = file
        self._drawn = 0
        """Rows of `redraw` that stand below all lines."""
        is_dumb = environ.get("TERM") == "dumb"
        self.has_unicode = (file.encoding or "").lower().replace("-", "") == "utf8"
        self.is_terminal = file.isatty()
        if not self.is_terminal:
            columns = WIDTH
        self.width = max(NARROWEST, columns or shutil.get_terminal_size().columns)
        self.can_redraw = self.is_terminal and not is_dumb
        self.has_colours = _wants_colours(environ, is_default=self.is_terminal and not is_dumb)
        self.is_plain = is_dumb or not self.has_unicode
        """Whether it shows plain characters alone."""
        self.has_written = False
        self.may_redraw: Callable[[], bool] = lambda: True
        """Whether rows may be shown now: not while the reader is slow."""

    def __repr__(self) -> str:
        return f"<Stream {self._file.encoding}, {self.width} wide>"

    def line(self, *pieces: str | Styled) -> None:
        self.lines([pieces])

    def lines(self, lines: Iterable[Line]) -> None:
        """Write *lines*; those of ours that are too long for a terminal are folded."""
        if self.is_terminal:
            lines = (part for line in lines for part in fold(line, self.width))
        self._write(self._erasing() + "".join(map(self._text, lines)))

    def redraw(self, rows: Sequence[Line]) -> None:
        """Show *rows* below all lines, in place of those of the last time. Only if
        `can_redraw`."""
        if rows and not self.may_redraw():
            return
        erasing, self._drawn = self._erasing(), len(rows)
        self._write(erasing + "".join(self._text(cut(row, self.width - 1)) for row in rows))

    def _erasing(self) -> str:
        """The escape that takes the rows of `redraw` away."""
        drawn, self._drawn = self._drawn, 0
        return f"\x1b[{drawn}F\x1b[J" if drawn else ""

    def _text(self, line: Line) -> str:
        if self.has_colours:
            shown = "".join(map(self._shown, line))
        else:  # at once: a list may have 10,000 lines
            shown = self._shown("".join(map(bare, line)))
        return f"{shown.rstrip()}\n"

    def json(self, value: Json) -> None:
        """Write *value* as one JSON document, exactly."""
        self._write(self._erasing())
        text = json.dumps(value, ensure_ascii=not self.has_unicode, indent=2)
        self._write(f"{_unsteering(text)}\n")

    def json_line(self, line: str) -> None:
        """Write *line*, a JSON document with its line break, exactly."""
        text = _unsteering(line)
        if not (self.has_unicode or text.isascii()):
            text = "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in text)
        self._write(text)

    def _shown(self, piece: str | Styled) -> str:
        text = printable(bare(piece), "\t")
        if self.is_plain:
            text = text.translate(PLAIN)
        if self.has_colours and isinstance(piece, Styled):
            return f"\x1b[{piece.look}m{text}\x1b[0m"
        return text

    def _write(self, text: str) -> None:
        if not text:
            return
        self.has_written = True
        encoding = self._file.encoding or "ascii"
        self._file.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._file.flush()


class Console:
    """The streams for results and for messages about them."""

    def __init__(
        self,
        out: TextFile,
        err: TextFile,
        environ: Mapping[str, str],
        columns: int | None = None,
    ) -> None:
        self.out = Stream(out, environ, columns)
        self.err = Stream(err, environ, columns)

    def complain(self, message: str) -> None:
        """Show an error, each line of *message* on its own."""
        first, *more = message.splitlines() or [""]
        self.err.line(Styled("error", Look.RED), f": {first}")
        self.err.lines((f"  {line}",) for line in more)


def _unsteering(text: str) -> str:
    """Escape in *text*, JSON, what could steer a terminal."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(
        char if char == "\n" or printable(char) == char else json.dumps(char)[1:-1] for char in text
    )


def _wants_colours(environ: Mapping[str, str], *, is_default: bool) -> bool:
    """Follow no-color.org and force-color.org; the first takes precedence."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or is_default
