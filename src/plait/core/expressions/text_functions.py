"""The functions of texts, and those that search texts for patterns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..values.strict import RESULT_DEPTH, NotStrict, loads
from .budget import CHARS_PER_UNIT, Budget, size, to_text
from .patterns import Pattern
from .signatures import ANY, LIST, PATTERN, TEXT, Function, Unfit, with_article

_GROUP = re.compile(r"\\([0-9\\])")
"""In the text that replaces a match: a group, or a backslash."""


def _lines(budget: Budget, text: str) -> Any:
    budget.make(text.count("\n") + len(text) // CHARS_PER_UNIT)
    return [line for line in text.splitlines() if line.strip()]


def _split(budget: Budget, text: str, separator: str) -> Any:
    pieces = text.count(separator) if separator else len(text)
    budget.make(pieces + len(text) // CHARS_PER_UNIT)
    return text.split(separator) if separator else list(text)


def _join(budget: Budget, glue: str, items: list[Any]) -> Any:
    texts = []
    for item in items:
        if isinstance(item, list | dict):
            raise Unfit(f"wants texts, numbers or booleans; the list holds {with_article(item)}")
        if item is not None:
            texts.append(to_text(item, budget))
    chars = sum(map(len, texts)) + len(glue) * max(len(texts) - 1, 0)
    budget.make(len(items) + chars // CHARS_PER_UNIT)
    return glue.join(texts)


def _changed(change: Callable[[str], str]) -> Callable[..., Any]:
    def call(budget: Budget, text: str) -> Any:
        budget.make_text(len(text))
        return change(text)

    return call


def _from_json(budget: Budget, text: str) -> Any:
    budget.make_text(len(text))
    try:
        value = loads(text.removeprefix("\ufeff"), RESULT_DEPTH)
    except NotStrict:
        return None
    budget.make(size([value]))
    return value


def _matches(budget: Budget, text: str, pattern: Pattern) -> Any:
    return pattern.first(text.encode(), budget) is not None


def _find(budget: Budget, text: str, pattern: Pattern) -> Any:
    raw = text.encode()
    found = pattern.first(raw, budget)
    return None if found is None else pattern.part(raw, found, budget)


def _find_all(budget: Budget, text: str, pattern: Pattern) -> Any:
    """List the matches, or their first groups where they have one. Groups that take no part in
    their match are left out, as null is by every projection."""
    raw = text.encode()
    parts = [pattern.part(raw, found, budget) for found in pattern.matches(raw, budget)]
    return [part for part in parts if part is not None]


def _replace(budget: Budget, text: str, pattern: Pattern, replacement: str) -> Any:
    check_groups(replacement, pattern)
    parts = _GROUP.split(replacement)  # a text, a group, a text, …
    raw = text.encode()
    budget.make_text(len(text))
    pieces: list[bytes] = []
    at = 0
    for found in pattern.matches(raw, budget):
        start, end = found.span()
        pieces.append(raw[at:start])
        at = end
        chars = 0
        for number, part in enumerate(parts):
            if number % 2 == 0 or part == "\\":
                piece = part.encode()
            else:
                start, end = found.span(int(part))
                piece = raw[start:end] if start >= 0 else b""
            chars += len(piece)
            pieces.append(piece)
        budget.make_text(chars)
        budget.spend(2 * len(parts))
    pieces.append(raw[at:])
    return b"".join(pieces).decode()


def check_groups(replacement: str, pattern: Pattern) -> None:
    """Raise `Unfit` if *replacement* names a group that *pattern* has not."""
    for name in _GROUP.findall(replacement):
        if name != "\\" and int(name) > pattern.groups:
            has = f"the regex has {pattern.groups or 'no'} group{'s' * (pattern.groups != 1)}"
            raise Unfit(f"has no group for \\{name}: {has} in parentheses")


TEXT_FUNCTIONS: dict[str, Function] = {
    "ends_with": Function(lambda _, text, end: text.endswith(end), (TEXT, TEXT), "boolean"),
    "find": Function(_find, (TEXT, PATTERN), "text or null"),
    "find_all": Function(_find_all, (TEXT, PATTERN), "list of texts"),
    "from_json": Function(_from_json, (TEXT,), "any"),
    "join": Function(_join, (TEXT, LIST), "text"),
    "lines": Function(_lines, (TEXT,), "list of texts"),
    "lower": Function(_changed(str.lower), (TEXT,), "changed"),
    "matches": Function(_matches, (TEXT, PATTERN), "boolean"),
    "replace": Function(_replace, (TEXT, PATTERN, TEXT), "text"),
    "split": Function(_split, (TEXT, TEXT), "list of texts"),
    "starts_with": Function(lambda _, text, start: text.startswith(start), (TEXT, TEXT), "boolean"),
    "to_string": Function(lambda budget, value: to_text(value, budget), (ANY,), "text"),
    "trim": Function(_changed(str.strip), (TEXT,), "changed"),
    "upper": Function(_changed(str.upper), (TEXT,), "changed"),
}
