"""One evaluation: what it may spend grows with all that it is given."""

from __future__ import annotations

import pytest

from plait.core.expressions.budget import BASE_MADE, MADE_PER_UNIT
from plait.core.expressions.frame import Frame, Operand
from plait.core.expressions.nodes import Key, Source
from plait.errors import ExpressionFailed


def test_the_value_and_the_references_count_as_input() -> None:
    frame = Frame([1, 2], {Key(Source.OUTPUT, "a"): Operand(["x"] * 7)})
    frame.budget.make(BASE_MADE + MADE_PER_UNIT * (1 + 2 + 1 + 7))
    with pytest.raises(ExpressionFailed):
        frame.budget.make(1)
