"""Tables of the sentences of a page, each with the tests that show it, held against the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
Shown: TypeAlias = "tuple[str, ...] | str"
"""Tests as `file::test`, or the reason why there is none."""


def part(page: str, heading: str) -> str:
    """Return the text below *heading* of *page*."""
    _, found, rest = (DOCS / page).read_text("utf-8").partition(f"\n## {heading}\n")
    assert found, f"{page} has no part {heading}"
    return rest.partition("\n## ")[0]


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of *text*, without tables, marks and words in front of a paragraph."""
    for block in re.split(r"\n\n+|\n(?=- )", text):
        line = re.sub(r"^- ", "", " ".join(block.split()))
        if line and not line.startswith(("#", "|")):
            line = re.sub(r"^\*\*[A-Z][a-z ]+\.\*\* ", "", line).replace("**", "")
            yield from re.split(r"(?<=;) |(?<=\.) (?=[A-Z`\"])", line)


def check_order(page: str, headings: list[str], promises: Mapping[str, Shown]) -> None:
    """Check that *promises* has the sentences below *headings* of *page*, each by its beginning."""
    found = [one for heading in headings for one in sentences(part(page, heading))]
    known = list(promises)
    for index, sentence in enumerate(found):
        begin = known[index] if index < len(known) else "nothing"
        assert sentence.startswith(begin), f"the table has {begin!r} where {page} says {sentence!r}"
    assert len(found) == len(known)


def check_tests(*tables: Mapping[str, Shown]) -> None:
    """Check that the tests that *tables* name exist."""
    shown = [one for table in tables for one in table.values() if isinstance(one, tuple)]
    assert all(shown)
    for name in {name for names in shown for name in names}:
        file, _, test = name.partition("::")
        assert f"def {test}(" in (TESTS / file).read_text("utf-8"), name
