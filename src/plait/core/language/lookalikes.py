"""Texts that look like references but are not. One that is almost certainly meant as a reference is
marked as such; one that may be, such as `${a}` where there is a task `a`, is worth a note."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ..values.schema import Place

MAX_CHARS = 10_000
"""Most characters of a text that are examined: an intended reference is not further in."""

_ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_MEANT = re.compile(
    rf"(?<!\$)\$\{{?(?!OUTPUT\[)(?i:outputs?)(?:\[|\.|\(|\{{)[\"']?(?P<id>{_ID})[\"']?[\])}}]?"
    r"(?P<path>(?:\.[^\W\d]\w{0,63}|\[[0-9]{1,9}\]){0,16})\}?"
)
_PERHAPS = re.compile(
    rf"(?<![\w$])\$\{{?(?!OUTPUT\[|ITEM|INDEX)(?P<one>{_ID})|\{{\{{\s{{0,9}}\$?(?P<other>{_ID})"
)
_ITEM = re.compile(r"(?<!\$)\$\{?(?:ITEM|INDEX)(?!\w)")


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Text that looks like a reference: `found` in `text`, which is at `place`. `meant` is the
    intended reference; None for an item outside of `for_each`."""

    place: Place
    text: str
    found: str
    meant: str | None
    is_certain: bool

    @property
    def fixed(self) -> str | None:
        """The whole text with the reference put in; None if that is ambiguous."""
        is_plain = self.meant is not None and self.text.count(self.found) == 1
        return self.text.replace(self.found, str(self.meant)) if is_plain else None


def lookalikes(
    texts: Iterable[tuple[Place, str]], ids: Collection[str], *, items: bool
) -> Iterator[Lookalike]:
    """Find what looks like a reference to one of the tasks *ids*, at most one in each of *texts*;
    `$ITEM` too, unless there are *items*."""
    for place, text in texts:
        if (found := _in_text(place, text[:MAX_CHARS], ids, items)) is not None:
            yield found


def _in_text(place: Place, text: str, ids: Collection[str], items: bool) -> Lookalike | None:
    for match in _MEANT.finditer(text):
        if (id := _known(match["id"], ids)) is not None:
            meant = f"$OUTPUT[{id}]{match['id'][len(id) :]}{match['path']}"
            return Lookalike(place, text, match[0], meant, is_certain=True)
    for match in _PERHAPS.finditer(text):
        if (id := _known(match["one"] or match["other"], ids)) is not None:
            return Lookalike(place, text, match[0], f"$OUTPUT[{id}]", is_certain=False)
    if not items and (item := _ITEM.search(text)) is not None:
        return Lookalike(place, text, item[0], None, is_certain=False)
    return None


def _known(name: str, ids: Collection[str]) -> str | None:
    """Return the longest beginning of *name*, up to a full stop, that is one of *ids*, or None."""
    while name not in ids:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name
