"""What is said of operators of other languages, and which ones have no certain fix."""

from __future__ import annotations

from plait.core.expressions.problems import Edit
from plait.core.expressions.slips import find_slip

from ..tables import table


@table(
    ("text", "character", "message", "edit"),
    [
        ("a === b", 3, "=== is not an operator", Edit(2, 5, "==")),
        ("a and b OR c", 3, "and is not an operator", Edit(2, 10, "&& b ||")),
        ("a & b", 3, "& is not an operator", Edit(2, 3, "&&")),
        ("not a", 1, "not is not an operator", Edit(0, 5, "!a")),
        ("a in b", 3, "in is not an operator", Edit(0, 6, "contains(b, a)")),
        ("a is not null", 3, "is is not an operator", Edit(2, 13, "!= null")),
        ("a contains 'b'", 3, "contains is not an operator", Edit(0, 14, "contains(a, 'b')")),
        ("a == 1 || == 2", 11, "before == a value is missing", Edit(10, 10, "a ")),
        ("a ?? b", 3, "?? is not an operator", Edit(0, 6, "not_null(a, b)")),
        ("a ?? ", 3, "?? is not an operator", None),
        ("a ? b : c", 3, "? is not an operator", None),
        ("a ? '' : 'c'", 3, "? is not an operator", None),
        ("a ? 'b'", 3, "? is not an operator", None),
        ("a ? 'b' : 'c'", 3, "? is not an operator", Edit(0, 13, "a && 'b' || 'c'")),
        ("'b' if a else 'c'", 5, "if is not an operator", Edit(0, 17, "a && 'b' || 'c'")),
        ("a?.b", 2, "?. is not an operator", Edit(1, 3, ".")),
        ("a == {}", 6, "an empty object is written `{}`", Edit(5, 7, "`{}`")),
        ("a => 3", 3, "=> is not an operator", Edit(2, 4, ">=")),
        ("x => x.items", 3, "=> is not an operator", None),
        ("(i) => i.total > 2", 5, "=> is not an operator", None),
        ("a;", 2, "; is not needed", Edit(1, 2, "")),
    ],
)
def test_a_slip_in_an_operator_has_its_place_and_its_edit(
    text: str, character: int, message: str, edit: Edit | None
) -> None:
    found = find_slip(text)
    assert found is not None
    assert (found.start + 1, found.message, found.edit) == (character, message, edit)


@table("text", ["a.and.b #", "and", "a b", "'a or b", "{a: {b: c}} d", "sort_by(a, &b) c", "in a"])
def test_a_word_that_may_be_a_name_is_no_slip(text: str) -> None:
    assert find_slip(text) is None
