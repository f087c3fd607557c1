"""One evaluation: what it may spend grows with all that it is given."""

from __future__ import annotations

import pytest

from plait.core.expressions.budget import BASE_MADE, BASE_STEPS, MADE_PER_UNIT
from plait.core.expressions.frame import MAX_PATTERNS, Frame, Operand
from plait.core.expressions.nodes import Key, Source
from plait.core.expressions.patterns import STEPS_TO_COMPILE, Pattern
from plait.errors import ExpressionFailed


def test_the_value_and_the_references_count_as_input() -> None:
    frame = Frame([1, 2], {Key(Source.OUTPUT, "a"): Operand(["x"] * 7)})
    frame.budget.make(BASE_MADE + MADE_PER_UNIT * (1 + 2 + 1 + 7))
    with pytest.raises(ExpressionFailed):
        frame.budget.make(1)


def test_a_pattern_costs_the_same_whether_it_was_compiled_before_or_not() -> None:
    spent = []
    for _ in range(2):
        frame = Frame(None, {})
        assert frame.pattern("a+b") is frame.pattern("a+b")
        spent.append(BASE_STEPS - frame.budget.steps)
    assert spent[0] == spent[1] == STEPS_TO_COMPILE * Pattern("a+b").instructions


def test_few_patterns_are_at_hand_at_once() -> None:
    frame = Frame(None, {})
    first = frame.pattern("a")
    for number in range(MAX_PATTERNS):
        frame.pattern(f"b{number}")
    before = frame.budget.steps
    assert frame.pattern("a") is first
    assert frame.budget.steps < before
