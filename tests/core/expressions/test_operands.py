"""References in quoted texts, and in regular expressions."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.expressions.evaluation import expression
from plait.core.expressions.frame import Operand
from plait.core.expressions.nodes import Key, Source
from plait.errors import ReferenceFailed

from ..tables import table

BOUND = {
    Key(Source.OUTPUT, "oc"): Operand({"handle": "ken", "odd key": 5, "list": [1, 2]}),
    Key(Source.ITEM): Operand({"name": "a.b (c)", "n": 2, "é": "é"}),
}


@table(
    ("text", "message"),
    [
        ("'run $OUTPUT[oc].x'", "there is no x in an object with the keys handle, odd key, list"),
        ("'run $OUTPUT[oc].list[5]'", "there is no 5 in a list"),
        ("'run $OUTPUT[gone].x'", r"\$OUTPUT\[gone\] has no value"),
    ],
)
def test_a_text_with_a_reference_that_leads_nowhere_fails(text: str, message: str) -> None:
    with pytest.raises(ReferenceFailed, match=message):
        expression(text).evaluate(None, BOUND)


@table(
    ("text", "value", "want"),
    [
        ("matches(@, '^$ITEM.name$')", "a.b (c)", True),
        ("matches(@, '^$ITEM.name$')", "aXb (c)", False),
        ("matches(@, '^a{$ITEM.n}$')", "aa", True),
        ("find(@, '$ITEM.name=(\\d+)')", "x=1 a.b (c)=23", "23"),
        ("replace(@, '$ITEM.name', '$ITEM.n')", "a.b (c)!", "2!"),
        ("matches(@, '$ITEM[\"é\"]')", "é", True),
        ("replace(@, 'x', '$ITEM.name')", "x", "a.b (c)"),
        ("matches(@, $ITEM.name)", "aXb c", True),
    ],
)
def test_in_a_regular_expression_a_reference_in_a_text_is_meant_literally(
    text: str, value: Any, want: Any
) -> None:
    """As an operand of its own, it is a regular expression."""
    assert expression(text).evaluate(value, BOUND) == want
