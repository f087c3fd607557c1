"""The findings in an expression as problems of the document, or of the request, that holds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...errors import ExpressionFailed
from ..values.problems import MAX_FIX_CHARS, Fix, Op, Problem
from ..values.strict import short
from .fixes import fix_of
from .problems import Finding

EXAMPLE = (
    "Write it as items[?state == 'open' && size > 3].name, odd names as \"a-b\". See jmespath.org."
)


def problems_of(
    text: str,
    findings: Sequence[Finding],
    find: Callable[[str], Sequence[Finding]],
    path: str,
    id: str | None = None,
    *,
    otherwise: str | None = None,
    may_guess: bool = True,
) -> list[Problem]:
    """Return a problem for each certain one of *findings* in *text*, which stands at *path* and
    belongs to the task *id*. All have the same fix, if there is one. *find* gives the findings of
    a text that is tried as the fix; *otherwise* is the hint where none is known. Without
    *may_guess* nothing is tried, which takes time."""
    wrong = [finding for finding in findings if not finding.is_note]
    is_tried = may_guess and len(text) <= MAX_FIX_CHARS
    whole = fix_of(text, wrong, find) if is_tried else None
    fix = None if whole is None or len(whole) > MAX_FIX_CHARS else Fix(Op.REPLACE, whole)
    problems = []
    for number, finding in enumerate(wrong):
        hints = [finding.hint] if finding.hint else []
        if fix is not None and number == 0:
            hints.insert(0, fix.advice)
        elif finding.edit is not None:
            there = finding.edit.text
            hints.insert(0, f"Write {short(there)} there." if there else "Leave it out.")
        hint = " ".join(hints) or otherwise
        message = f"{finding.placed_message}."
        problems.append(Problem(path, ExpressionFailed.code, message, hint, id, fix))
    return problems
