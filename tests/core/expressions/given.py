"""What functions give, as a table: an expression, the value it is applied to, and the result."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.expressions.evaluation import expression
from plait.errors import ExpressionFailed

START = 1_795_953_600.0
"""2026-11-29T12:00:00Z, the start of the run."""


def assert_gives(text: str, value: Any, want: Any) -> None:
    """Assert that *text* gives *want*, of its very type: 1 is not 1.0."""
    found = expression(text).evaluate(value, start=START)
    assert (found, type(found)) == (want, type(want))


def assert_fails(text: str, value: Any, message: str) -> None:
    with pytest.raises(ExpressionFailed) as failed:
        expression(text).evaluate(value, start=START)
    assert failed.value.message.startswith(message)
