"""Regular expressions that JavaScript compiles in its Unicode mode, as clients do with the patterns
of schemas.

That mode refuses what other engines understand: `(?P<x>…)`, `\\Z`, `[\\w-.]`, `\\_`, a lone brace.
What is doubtful (properties of characters, groups with flags) counts as refused.
"""

from __future__ import annotations

import re
from typing import Final

_ESCAPE: Final = re.compile(
    r"\\(?:[dDsSwWfnrtv]|0(?!\d)|c[A-Za-z]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,5}\}"
    r"|[\^$\\.*+?()\[\]{}|/]|[pP]\{(?:[LMNPSZC][a-z]?|Script=[A-Z][a-z]+|Alphabetic|ASCII)\})"
)
_SET_ESCAPE: Final = re.compile(_ESCAPE.pattern + r"|\\-|\\b")
_SEVERAL: Final = re.compile(r"\\[dDsSwWpP]")
"""Escapes that stand for several characters, so that no range can begin or end with them."""
_OUTSIDE: Final = re.compile(r"\\[bB]|\\k<(\w+)>|\\([1-9]\d?)")
_GROUP: Final = re.compile(r"\((?:\?(?:(:)|(<?[=!])|<([A-Za-z_]\w*)>)|(?!\?))", re.ASCII)
_QUANTIFIER: Final = re.compile(r"(?:[*+?]|\{(\d{1,9})(?:,(\d{1,9})?)?\})\??")


def is_js_pattern(pattern: str) -> bool:
    """Whether JavaScript compiles *pattern* in its Unicode mode. False where that is doubtful."""
    return _Scanner(pattern).scan()


class _Scanner:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._open: list[bool] = []
        """For each open group, whether it may be repeated."""
        self._groups = 0
        self._names: set[str] = set()
        self._named: set[str] = set()
        self._numbered = 0

    def scan(self) -> bool:
        may_repeat = False
        while self._at < len(self._pattern):
            kind = self._atom(may_repeat)
            if kind is None:
                return False
            may_repeat = kind
        is_known = self._named <= self._names and self._numbered <= self._groups
        return not self._open and is_known

    def _atom(self, may_repeat: bool) -> bool | None:
        """Take the next part. Returns whether it may be repeated; None if it is invalid."""
        pattern, at = self._pattern, self._at
        if found := _QUANTIFIER.match(pattern, at):
            least, most = found.groups()
            is_ordered = most is None or int(least) <= int(most)
            self._at = found.end()
            return False if may_repeat and is_ordered else None
        match pattern[at]:
            case "(":
                return self._begin_group()
            case ")":
                self._at += 1
                return self._open.pop() if self._open else None
            case "[":
                return self._set()
            case "\\":
                return self._escape()
            case "*" | "+" | "?" | "{" | "}" | "]":
                return None
            case "^" | "$" | "|":
                self._at += 1
                return False
        self._at += 1
        return True

    def _begin_group(self) -> bool | None:
        if (found := _GROUP.match(self._pattern, self._at)) is None:
            return None
        plain, assertion, name = found.groups()
        if name is not None:
            if name in self._names:
                return None
            self._names.add(name)
        if plain is None and assertion is None:
            self._groups += 1
        self._open.append(assertion is None)
        self._at = found.end()
        return False

    def _escape(self) -> bool | None:
        if found := _OUTSIDE.match(self._pattern, self._at):
            name, number = found.groups()
            if name is not None:
                self._named.add(name)
            if number is not None:
                self._numbered = max(self._numbered, int(number))
            self._at = found.end()
            return name is not None or number is not None
        if (found := _ESCAPE.match(self._pattern, self._at)) is None:
            return None
        self._at = found.end()
        return True

    def _set(self) -> bool | None:
        """Take a set such as `[^a-z\\d_-]`."""
        pattern = self._pattern
        at = self._at + 1
        at += pattern.startswith("^", at)
        start: str | None = None
        while at < len(pattern) and pattern[at] != "]":
            if pattern[at] == "-" and start is not None and pattern[at + 1 : at + 2] != "]":
                end, at = self._member(at + 1)
                if end is None or _SEVERAL.match(start) or _SEVERAL.match(end):
                    return None
                if len(start) == len(end) == 1 and start > end:
                    return None
                start = None
                continue
            start, at = self._member(at)
            if start is None:
                return None
        self._at = at + 1
        return True if at < len(pattern) else None

    def _member(self, at: int) -> tuple[str | None, int]:
        """One character or escape of a set, and where the next begins; None if it is invalid."""
        if at >= len(self._pattern):
            return None, at
        if self._pattern[at] != "\\":
            return self._pattern[at], at + 1
        found = _SET_ESCAPE.match(self._pattern, at)
        return (found[0], found.end()) if found else (None, at)
