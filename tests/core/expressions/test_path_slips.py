"""What is said of paths as other languages write them, and which ones have no certain fix."""

from __future__ import annotations

from plait.core.expressions.evaluation import expression
from plait.core.expressions.problems import Edit, fixed
from plait.core.expressions.slips import find_slip

from ..tables import table


@table(
    ("text", "character", "message", "edit"),
    [
        ("a.length()", 3, "length() is not called on a value", Edit(0, 10, "length(a)")),
        ("a[].b.len()", 7, "len() is not called on a value", None),
        ("a[].length()", 5, "length() is not called on a value", Edit(0, 12, "length(a[])")),
        ("a.join(',')", 3, "join() is not called on a value", Edit(0, 11, "join(',', a)")),
        ("JSON.stringify(a)", 1, "functions have no JSON. before them", Edit(0, 14, "to_string")),
        ("json.dumps(a.b)", 1, "functions have no json. before them", Edit(0, 10, "to_string")),
        ("Array.from(a)", 1, "functions have no Array. before them", None),
        ("a['b']", 3, "a key in brackets has double quotes", Edit(1, 6, ".b")),
        ("a['b c']", 3, "a key in brackets has double quotes", Edit(1, 8, '["b c"]')),
        (".a", 1, "no full stop stands before the first name", Edit(0, 1, "")),
        ("a | .b", 5, "no full stop stands before the first name", Edit(1, 4, "")),
        ("[.a[] | .b]", 2, "no full stop stands before the first name", Edit(0, 11, ".a[] | .b")),
        (
            "a[] | {n: .b, m: .c}",
            11,
            "no full stop stands before the first name",
            Edit(3, 11, ".{n: "),
        ),
        ("[.a, .b]", 2, "no full stop stands before the first name", Edit(1, 2, "")),
        ("/a/0/b-c", 1, "a path has full stops between its names", Edit(0, 8, 'a[0]."b-c"')),
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


@table(
    ("text", "meant"),
    [
        ("a.filter(x => x.b === 'c').map(x => x.d)", "map(&d, a[?b == 'c'])"),
        ("a.filter((x) => x['b'] == 1 && !x.c)", "a[?@.b == 1 && !c]"),
        ("a.filter(x => x.b > 1).length > 2", "(a[?b > 1]).length > 2"),
        ("a.filter(x => x.b)[0].c", "(a[?b])[0].c"),
        ("a.filter(x => x.tags.includes('b'))", "a[?contains(tags, 'b')]"),
        ("a.find(x => x.b == 3).c", "(a[?b == 3])[0].c"),
        ("a.some(x => x == 3)", "length(a[?@ == 3]) > 0"),
        ("!a.some(x => x.b)", "!(length(a[?b]) > 0)"),
        ("a.map(x => x.b.toUpperCase()).join(',')", "join(',', map(&upper(b), a))"),
    ],
)
def test_a_function_with_an_arrow_is_an_expression_of_the_element(text: str, meant: str) -> None:
    expression(meant)
    for _ in range(5):
        found = find_slip(text)
        if found is None:
            break
        assert found.edit is not None
        text = fixed(text, [found])
    assert text == meant


@table(
    "text",
    [
        "a.filter(x => x.b > limit)",  # a variable from outside
        "a.filter(x => x.b > max)",
        "a.reduce((x, y) => x + y, 0)",
        "a.map(({b}) => b)",
        "a.map(x => ({b: x.c}))",
        "a.map(x => x.map(y => y.b))",
        "a[].b.map(x => x.c)",
        "a.every(x => x.b)",
        "sum(a, x => x.b)",
        "map(x => x.b)",
    ],
)
def test_other_functions_with_an_arrow_have_advice_and_no_fix(text: str) -> None:
    found = find_slip(text)
    assert found is not None
    assert found.edit is None
    assert found.hint.startswith("Write list[?condition], or map(&expression, list)")


@table(
    ("text", "rule"),
    [
        ("${{ success() }}", "all_success"),
        ("${{ failure() && a }}", "one_failed"),
        ("${{ always() }}", "always"),
    ],
)
def test_a_function_without_ours_is_found_inside_of_braces(text: str, rule: str) -> None:
    found = find_slip(text)
    assert found is not None
    assert found.edit is None
    assert f'trigger_rule: "{rule}"' in found.hint
