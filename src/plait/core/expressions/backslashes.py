"""Backslashes in quoted texts and in regular expressions, which JSON doubles."""

from __future__ import annotations

import re

from .findings import Findings
from .nodes import Node
from .problems import Edit

_SIGNS = re.compile(r"[\\^$*+?()|\[\]]")
_DOUBLED = re.compile(r"\\\\(?=[dDwWsSb.])")


def is_like_pattern(text: str) -> bool:
    """Return whether *text* has signs of regular expressions, which names of fields have not."""
    return _SIGNS.search(text) is not None


def check_newline(node: Node, findings: Findings) -> None:
    """Report `'\n'`, which is a backslash and a letter."""
    text = findings.written(node)
    if text.startswith("'") and (found := re.search(r"\\[nt]", text)):
        at = node.start + found.start()
        findings.say(
            at,
            at + 2,
            f"{found[0]} in a text is a backslash and a letter",
            Edit(at, at + 2, "\n" if found[0] == "\\n" else "\t"),
            is_note=True,
            hint="In JSON, write one backslash for a line break.",
        )


def check_backslashes(pattern: Node, findings: Findings) -> None:
    r"""Report `'\\d'` as a regular expression, which matches a backslash and a letter."""
    text = findings.written(pattern)
    if text.startswith("'") and (found := _DOUBLED.search(text)):
        at = pattern.start + found.start()
        findings.say(
            at,
            at + 2,
            "two backslashes match a backslash itself",
            Edit(pattern.start, pattern.end, _DOUBLED.sub(r"\\", text)),
            is_note=True,
            hint="Write one here, which JSON writes as two.",
        )
