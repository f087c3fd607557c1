"""The change that a call would make in the content that it overwrites, as a unified difference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice, takewhile
from typing import NamedTuple, Self, TypeAlias

from ..values.strict import Json, JsonObject, present

CONTEXT = 3
"""Lines that are the same before and after what differs."""
MOST_LINES = 400
"""Most lines of a difference that are kept, hunks with their headers; the others are counted."""
MOST_CHARS = 1_000
"""Most characters of one of them."""
MOST_COMPARED = 400
"""Most lines, between the first and the last that differ, that are compared one by one: comparing
takes their square. Above, all of the old ones are replaced by all of the new ones."""
NO_BREAK = "\\ no line break at the end"

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_Change: TypeAlias = tuple[str, int, int, int, int]
"""As an opcode of difflib: its kind, and where it begins and ends before and after."""


class Difference(NamedTuple):
    """The difference between the content that is there and the *argument* of a call that replaces
    it."""

    argument: str
    reader: str
    """The full name of the tool that read what is there."""
    added: int
    removed: int
    """The lines that are added and removed."""
    lines: tuple[str, ...]
    """Hunks: each a header (`@@ -1,3 +1,4 @@`), then lines behind a blank, `-` or `+`."""
    left_out: int = 0
    """The number of lines beyond these."""

    @property
    def counts(self) -> str:
        """The numbers of lines in short."""
        if not self.added and not self.removed:
            return "no change"
        return f"+{self.added:,} -{self.removed:,} lines"

    def document(self) -> JsonObject:
        return {
            "argument": self.argument,
            "reader": self.reader,
            "added": self.added,
            "removed": self.removed,
            "lines": [*self.lines],
            **present(left_out=self.left_out or None),
        }

    @classmethod
    def read(cls, document: Json) -> Self | None:
        """Read what `document` gave; None if it is not of that form."""
        match document:
            case {
                "argument": str(argument),
                "reader": str(reader),
                "added": int(added),
                "removed": int(removed),
                "lines": [*lines],
                **others,
            }:
                left_out = others.get("left_out", 0)
                kept = tuple(map(str, lines))
                return cls(
                    argument,
                    reader,
                    added,
                    removed,
                    kept,
                    left_out if isinstance(left_out, int) else 0,
                )
        return None


def difference_of(argument: str, reader: str, before: str, after: str) -> Difference:
    """Compare the content *before*, which *reader* gave, with that *after* the call."""
    old, new = _LINE.findall(before), _LINE.findall(after)
    hunks = [*_hunks(old, new)]
    changed = [change for hunk in hunks for change in hunk if change[0] != "equal"]
    added = sum(to - start for _, _, _, start, to in changed)
    removed = sum(to - start for _, start, to, _, _ in changed)
    lines = _written(hunks, old, new)
    shown = tuple(islice(lines, MOST_LINES))
    return Difference(argument, reader, added, removed, shown, sum(1 for _ in lines))


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[list[_Change]]:
    """Yield the changes that are close to one another, with the lines around them."""
    if old == new:
        return
    pairs = zip(old, new, strict=False)
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    most = min(len(old), len(new)) - start
    ends = zip(reversed(old), reversed(new), strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], islice(ends, most)))
    old_end, new_end = len(old) - same, len(new) - same
    lead, tail = min(CONTEXT, start), min(CONTEXT, same)
    if max(old_end, new_end) - start > MOST_COMPARED:
        yield [
            ("equal", start - lead, start, start - lead, start),
            ("replace", start, old_end, start, new_end),
            ("equal", old_end, old_end + tail, new_end, new_end + tail),
        ]
        return
    at = start - lead
    matcher = SequenceMatcher(None, old[at : old_end + tail], new[at : new_end + tail])
    for group in matcher.get_grouped_opcodes(CONTEXT):
        yield [(kind, a + at, b + at, c + at, d + at) for kind, a, b, c, d in group]


def _written(
    hunks: Sequence[list[_Change]], old: Sequence[str], new: Sequence[str]
) -> Iterator[str]:
    for hunk in hunks:
        first, last = hunk[0], hunk[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        for kind, start, end, new_start, new_end in hunk:
            if kind == "equal":
                yield from _marked(" ", old[start:end])
            else:
                yield from _marked("-", old[start:end])
                yield from _marked("+", new[new_start:new_end])


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        text = line.removesuffix("\n")
        cut = (
            text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}… ({len(text):,} characters)"
        )
        yield f"{mark}{cut}"
        if not line.endswith("\n"):
            yield NO_BREAK


def _range(start: int, end: int) -> str:
    """Write the lines from *start* to *end*, counted from 0, as unified differences do."""
    count = end - start
    if count == 1:
        return str(start + 1)
    return f"{start + 1 if count else start},{count}"
