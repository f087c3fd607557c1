"""Backslashes in quoted texts and in regular expressions, which JSON doubles."""

from __future__ import annotations

import re

from .findings import Findings
from .nodes import Call, Literal, Node
from .patterns import pattern
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


def check_replacement(node: Call, findings: Findings) -> None:
    """Report `$1` in a call of `replace` whose pattern has that group."""
    _, regex, replacement = node.arguments
    if not isinstance(regex, Literal) or not isinstance(replacement, Literal):
        return
    groups = pattern(str(regex.value)).groups
    text = findings.written(replacement)
    found = re.search(r"\$(\d)", text)
    if found is not None and 1 <= int(found[1]) <= groups:
        findings.say(
            replacement.start + found.start(),
            replacement.start + found.end(),
            f"{found[0]} is a text; a group is written \\{found[1]}",
            Edit(replacement.start, replacement.end, re.sub(r"\$(\d)", r"\\\1", text)),
            is_note=True,
        )


def check_backslashes(regex: Node, findings: Findings) -> None:
    r"""Report `'\\d'` as a regular expression, which matches a backslash and a letter."""
    text = findings.written(regex)
    if text.startswith("'") and (found := _DOUBLED.search(text)):
        at = regex.start + found.start()
        findings.say(
            at,
            at + 2,
            "two backslashes match a backslash itself",
            Edit(regex.start, regex.end, _DOUBLED.sub(r"\\", text)),
            is_note=True,
            hint="Write one here, which JSON writes as two.",
        )
