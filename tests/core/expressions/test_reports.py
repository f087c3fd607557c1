"""Findings as problems: their place, their hint and one fix for all of an expression."""

from __future__ import annotations

from plait.core.expressions.problems import Edit, Finding
from plait.core.expressions.reports import problems_of
from plait.core.values.problems import MAX_FIX_CHARS, Fix, Op, Problem

WRONG = Finding(0, 1, "a is unknown", Edit(0, 1, "b"))


def nothing(text: str) -> tuple[Finding, ...]:
    return ()


def test_a_finding_becomes_a_problem_with_its_fix() -> None:
    other = Finding(4, 5, "c is unknown", Edit(4, 5, ""), hint="Fields: d.")
    likely = Finding(2, 3, "likely", is_note=True)
    fix = Fix(Op.REPLACE, "b + ")
    assert problems_of("a + c", [WRONG, likely, other], nothing, "tasks[0].when", "t") == [
        Problem(
            "tasks[0].when",
            "invalid_expression",
            "a is unknown (at character 1).",
            'Write "b + ".',
            "t",
            fix,
        ),
        Problem(
            "tasks[0].when",
            "invalid_expression",
            "c is unknown (at character 5).",
            "Leave it out. Fields: d.",
            "t",
            fix,
        ),
    ]


def test_without_a_fix_the_hint_says_what_is_known() -> None:
    unsure = Finding(0, 1, "odd")
    first, second = problems_of("a", [WRONG, unsure], nothing, "select", otherwise="See there.")
    assert (first.fix, first.hint) == (None, 'Write "b" there.')
    assert (second.fix, second.hint) == (None, "See there.")


def test_a_long_text_is_not_repeated_as_a_fix() -> None:
    text = "a" + "x" * MAX_FIX_CHARS
    assert problems_of(text, [WRONG], nothing, "select")[0].fix is None
