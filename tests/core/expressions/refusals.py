"""Texts that are not expressions: where, why, and the fix."""

from __future__ import annotations

import pytest

from plait.core.expressions.evaluation import expression
from plait.core.expressions.problems import InvalidExpression, fixed


def assert_refused(text: str, character: int, message: str, right: str | None) -> None:
    """Assert that *text* is refused at *character*, and that *right*, if not None, is its fix."""
    with pytest.raises(InvalidExpression) as refused:
        expression(text)
    finding = refused.value.finding
    assert (finding.start + 1, message in finding.message) == (character, True), finding
    if right is None:
        assert finding.edit is None
        return
    assert fixed(text, [finding]) == right
    expression(right)
