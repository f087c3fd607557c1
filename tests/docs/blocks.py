"""The fenced blocks of all pages that come with the project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for pages in ("*.md", "docs/**/*.md", "src/**/*.md", "tests/*.md")
    for page in sorted(ROOT.glob(pages))
]
_FENCE = re.compile(r"(?P<margin>[ >]*)(?P<fence>`{3,}|~{3,})(?P<label>.*)")


class Block(NamedTuple):
    """One block: `label` is what follows the fence that opens it, such as `json dag`."""

    page: Path
    line: int
    label: str
    text: str

    @property
    def language(self) -> str:
        return self.label.partition(" ")[0]

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of *page*, also those inside of a list or a quotation."""
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(keepends=True), 1)
    for number, line in lines:
        if (opened := _FENCE.match(line)) is None:
            continue
        inside: list[str] = []
        for _, line in lines:
            closed = _FENCE.match(line)
            if (
                closed
                and closed["fence"].startswith(opened["fence"])
                and not closed["label"].strip()
            ):
                break
            inside.append(line.removeprefix(opened["margin"]))
        else:
            raise AssertionError(f"{page.name}:{number}: this block has no end")
        yield Block(page, number, opened["label"].strip(), "".join(inside))


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
"""Every block of every page."""


def blocks_in(language: str) -> list[Block]:
    """Return the blocks in *language*, of all pages."""
    return [block for block in BLOCKS if block.language == language]
