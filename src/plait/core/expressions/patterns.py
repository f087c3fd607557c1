r"""Regular expressions in linear time: RE2, over UTF-8.

RE2 takes time in the length of a text times that of the compiled pattern, in the worst case, where
its automaton does not fit in its memory. So both are paid for, before the text is searched.

*All matches* need more care, because each search starts behind the last match, and may look at the
text far behind its own: `a[^b]*b|a` looks for a `b` up to the end, at each `a`. That is a square.
How far a search looked cannot be asked, so it is bounded by what the pattern is:

- *flat*, one piece after the other, without `|` and without a repeated group, as most are. Say that
  a search found a match and looked on up to D, in vain. It was in some piece all that way. If a
  later match ended before D, it went through all pieces meanwhile, so at one place both were in the
  same piece, and from there the first search could have gone on to the end of the later match. So
  each match ends behind the D of the one before, and no character is looked at more than twice.
- *bounded*, without `*` and `+`: a search looks no farther than the pattern is long.
- one that matches no line break: a search ends with the line.
- any other is taken to look at the whole rest of the text, each time.

Texts are encoded here, because RE2's own wrapper converts every offset between bytes and
characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeAlias

from .budget import Budget
from .signatures import Unfit

Match: TypeAlias = Any
"""A match as `re` has it, over bytes: `re2` has no types."""
MAX_CHARS = 1_000
MAX_MEMORY = 2**20
"""The bytes that one pattern may take, with its automaton."""
MAX_KEPT = 64
"""Most patterns that are kept compiled."""
STEPS = 15
"""The steps that a search takes besides those in the text."""
STEPS_TO_COMPILE = 50
"""The steps that each instruction of a pattern takes, once an evaluation."""

_PIECES = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|\\.", re.DOTALL)
"""Classes and escapes."""
_REPEATED_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9])")
_ENDLESS = re.compile(r"[*+]|\{[0-9]+,\}")
_CLASS_WITHIN_LINES = re.compile(r"\[\^[^\]\[\\]*\\n[^\]\[\\]*\]")
_BREAKS_LINES = re.compile(r"[\x00-\x1f]|\[\^|\[:|\\t-|\\[^dwSbBAzt\W_]|\(\?[a-zA-Z]*s")
"""Signs that may match a line break, or hide one that does."""
_OUR_WORDS = (
    ("perl operator: (?=", "look-around is not supported"),
    ("perl operator: (?!", "look-around is not supported"),
    ("perl operator: (?<", "look-around is not supported"),
    ("perl operator: (?>", "there are no atomic groups"),
    ("escape sequence: \\Z", "the end of the text is \\z"),
)
"""Complaints of RE2, each with what it means."""


class Pattern:
    """A regular expression, compiled."""

    __slots__ = ("_breaks_lines", "_compiled", "_is_bounded", "_is_flat", "groups", "instructions")

    def __init__(self, text: str) -> None:
        import re2  # takes 5 ms, which only those pay who use patterns

        if len(text) > MAX_CHARS:
            raise Unfit(f"wants a regex of at most {MAX_CHARS:,} characters")
        options = re2.Options()
        options.log_errors = False  # on stderr
        options.max_mem = MAX_MEMORY
        try:
            self._compiled = re2.compile(text.encode(), options)
        except re2.error as error:
            raise Unfit(f"wants a regex: {_reason(error)}") from None
        finally:
            re2.purge()  # it keeps 128 patterns, besides ours
        self.instructions = int(self._compiled.programsize)
        self.groups = int(self._compiled.groups)
        if "\\C" in _PIECES.findall(text):
            raise Unfit("wants a regex: \\C is a byte, and there are no single bytes in a text")
        bare = _PIECES.sub("x", text)
        is_plain = "\\Q" not in text  # behind it nothing is a sign
        self._is_flat = is_plain and "|" not in bare and _REPEATED_GROUP.search(bare) is None
        self._is_bounded = is_plain and _ENDLESS.search(bare) is None
        within = _CLASS_WITHIN_LINES.sub("x", text)
        self._breaks_lines = not is_plain or _BREAKS_LINES.search(within) is not None

    def first(self, raw: bytes, budget: Budget) -> Match | None:
        """Find the first match in *raw*."""
        budget.match(len(raw), self.instructions, STEPS)
        return self._compiled.search(raw)

    def matches(self, raw: bytes, budget: Budget) -> Iterator[Match]:
        """Find all matches in *raw*, which do not overlap, from left to right."""
        budget.match(len(raw), self.instructions, STEPS)
        last = None
        for found in self._compiled.finditer(raw):
            start, end = span = found.span()
            budget.match(self._looks_behind(raw, end), self.instructions, STEPS)
            if start == end:
                is_within_character = end < len(raw) and raw[end] & 0xC0 == 0x80
                if span == last or is_within_character:  # RE2's wrapper gives such ones
                    continue
                last = span
            yield found

    def part(self, raw: bytes, found: Match, budget: Budget) -> str | None:
        """Return what was *found* in *raw*, or its first group; None if that took no part."""
        start, end = found.span(1 if self.groups else 0)
        if start < 0:
            return None
        budget.make_text(end - start)
        return str(raw[start:end], "utf-8")

    def _looks_behind(self, raw: bytes, end: int) -> int:
        """Return how many bytes behind *end*, where it ended, a search may have looked at."""
        if self._is_flat:
            return 0
        last = len(raw)
        if self._is_bounded:
            last = min(last, end + self.instructions)
        line = -1 if self._breaks_lines else raw.find(b"\n", end, last)
        return (last if line < 0 else line) - end


@lru_cache(MAX_KEPT)
def pattern(text: str) -> Pattern:
    """Compile *text*. Raises `Unfit`."""
    return Pattern(text)


def _reason(error: Exception) -> str:
    said = error.args[0]
    said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    for complaint, ours in _OUR_WORDS:
        if complaint in said:
            return f"{said[:80]}: {ours}"
    if re.search(r"escape sequence: \\[0-9]", said):
        return f"{said}: there are no references to groups"
    return said[:80]
