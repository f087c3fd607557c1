"""What is said of paths as other languages write them, and which ones have no certain fix."""

from __future__ import annotations

from plait.core.expressions.problems import Edit
from plait.core.expressions.slips import find_slip

from ..tables import table


@table(
    ("text", "character", "message", "edit"),
    [
        ("a.length()", 3, "length() is not called on a value", Edit(0, 10, "length(a)")),
        ("a[].b.len()", 7, "len() is not called on a value", None),
        ("a[].length()", 5, "length() is not called on a value", Edit(0, 12, "length(a[])")),
        ("a.join(',')", 3, "join() is not called on a value", Edit(0, 11, "join(',', a)")),
        ("a['b']", 3, "a key in brackets has double quotes", Edit(1, 6, ".b")),
        ("a['b c']", 3, "a key in brackets has double quotes", Edit(1, 8, '["b c"]')),
        (".a", 1, "no full stop stands before the first name", Edit(0, 1, "")),
        ("a | .b", 5, "no full stop stands before the first name", Edit(1, 4, "")),
        ("a > .5", 5, "a number starts with a digit", Edit(4, 4, "0")),
        ("$", 1, "the current value is written @", Edit(0, 1, "@")),
        ("$a", 1, "$ is not needed before a name", Edit(0, 1, "")),
        ("$item.a", 1, "$item is not a reference", Edit(0, 5, "$ITEM")),
        (
            "$OUTPUT.a",
            1,
            "the id of a task stands in brackets: $OUTPUT[a]",
            Edit(0, 9, "$OUTPUT[a]"),
        ),
        ("$STATUS.a == 'x'", 1, "$STATUS wants the id of a task", Edit(0, 9, "$STATUS[a]")),
        ("$STATUS == 'x'", 1, "$STATUS wants the id of a task", None),
        ("$ERROR", 1, "$ERROR wants the id of a task", None),
        ("OUTPUT[a]", 1, "a reference starts with $", Edit(0, 9, "$OUTPUT[a]")),
        ("{{ a }}", 1, "an expression has no braces around it", Edit(0, 7, "a")),
        ("`a`", 1, "an expression has no backquotes around it", Edit(0, 3, "a")),
        ("a.'b'", 3, "a name has no single quotes", Edit(1, 5, ".b")),
        ("a[b == 1]", 2, "a filter starts with [?", Edit(2, 2, "?")),
        ("a[ ? b]", 4, "a filter starts with [?", Edit(1, 4, "[?")),
        ("map(a, &b)", 1, "its arguments have another order", Edit(4, 9, "&b, a")),
        ("sort_by(&b, a)", 1, "its arguments have another order", Edit(8, 13, "a, &b")),
        ("{a, b: c}", 2, "a member has a name and a value: a: a", Edit(1, 8, "a: a, b: c")),
        ("{a: b,}", 6, "no comma stands at the end", Edit(5, 6, "")),
        ("`a > 1`", 1, "an expression has no backquotes around it", Edit(0, 7, "a > 1")),
    ],
)
def test_a_slip_in_a_path_has_its_place_and_its_edit(
    text: str, character: int, message: str, edit: Edit | None
) -> None:
    found = find_slip(text)
    assert found is not None
    assert (found.start + 1, found.message, found.edit) == (character, message, edit)


@table(
    "text",
    [
        "a.length(@)",
        "a.nothing()",
        "a.sort_by()",
        "['b']",
        "a..b",
        "$..a",
        "`{a}`",
        "a.OUTPUT[b]",
    ],
)
def test_what_may_be_meant_otherwise_is_no_slip(text: str) -> None:
    assert find_slip(text) is None
