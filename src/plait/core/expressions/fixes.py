"""The fix of a whole expression: the edits of its findings, until nothing certain is left to find.

An edit may uncover the next mistake: `a = 'x' or 'y'` becomes `a == 'x' || 'y'`, whose 'y' is a
constant. So the fixed text is read again, and a text that would be refused is never suggested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .problems import Finding, InvalidExpression, fixed

MAX_ROUNDS = 8
"""Most readings for one fix."""
MAX_CHARS = 500
"""The length of texts up to which there are as many; longer ones are read once again."""


def fix_of(
    text: str, findings: Sequence[Finding], find: Callable[[str], Sequence[Finding]]
) -> str | None:
    """Return *text* as it must have been meant, or None in doubt. *find* gives the findings of a
    text; it may raise `InvalidExpression`."""
    for _ in range(MAX_ROUNDS if len(text) <= MAX_CHARS else 2):
        wrong = [finding for finding in findings if not finding.is_note]
        if not wrong:
            return text
        if any(finding.edit is None for finding in wrong):
            return None
        text = fixed(text, wrong)
        try:
            findings = find(text)
        except InvalidExpression as error:
            findings = [error.finding]
    return None
