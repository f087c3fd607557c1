"""The fix of a whole expression is right when it is read again, or not given."""

from __future__ import annotations

from collections.abc import Sequence

from plait.core.expressions.fixes import MAX_ROUNDS, fix_of
from plait.core.expressions.problems import Edit, Finding, invalid

from ..tables import table
from .issues import read_when


def find(text: str) -> Sequence[Finding]:
    return read_when(text).findings


def test_an_edit_that_uncovers_a_mistake_is_followed_by_the_next() -> None:
    first = Finding(0, 5, "no path in a text", Edit(0, 10, "'chekc.n'"))
    assert fix_of("`check.n`` > '5'", [first], find) is None
    text = "check.state == 'a' or chekc.ok"
    assert fix_of(text, [Finding(19, 21, "or", Edit(19, 21, "||"))], find) == (
        "check.state == 'a' || check.ok"
    )


@table("edit", [None, Edit(0, 8, "check.nothing"), Edit(0, 8, "check.[")])
def test_a_text_that_would_be_refused_is_no_fix(edit: Edit | None) -> None:
    assert fix_of("chekc.ok", [Finding(0, 8, "wrong", edit)], find) is None


def test_a_note_needs_no_edit() -> None:
    assert fix_of("check.ok", [Finding(0, 5, "likely", is_note=True)], find) == "check.ok"


def test_edits_without_end_are_no_fix() -> None:
    rounds: list[str] = []

    def growing(text: str) -> Sequence[Finding]:
        rounds.append(text)
        raise invalid(0, 0, "more", Edit(0, 0, "a"))

    assert fix_of("a", [Finding(0, 0, "more", Edit(0, 0, "a"))], growing) is None
    assert len(rounds) == MAX_ROUNDS
