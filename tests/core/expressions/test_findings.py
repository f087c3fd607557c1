"""The findings of one reading."""

from __future__ import annotations

from plait.core.expressions.findings import Findings
from plait.core.expressions.problems import Edit
from plait.core.expressions.shapes import ANY
from plait.core.expressions.syntax import parse


def test_findings_are_in_the_order_of_the_text_and_certain_ones_first() -> None:
    findings = Findings("a.b")
    findings.say(2, 3, "likely", is_note=True)
    assert findings.are_notes(0)
    assert findings.say(2, 3, "certain", "c") is ANY
    findings.say(0, 1, "first")
    assert (len(findings), findings.are_notes(0), findings.are_notes(2)) == (3, False, False)
    assert [found.message for found in findings.in_order()] == ["first", "certain", "likely"]
    assert findings.in_order()[1].edit == Edit(2, 3, "c")
    assert findings.written(parse("a.b")) == "a.b"
