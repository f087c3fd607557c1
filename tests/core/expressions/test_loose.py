"""Loose tokens: the ends of operands and the partners of brackets."""

from __future__ import annotations

from plait.core.expressions.loose import COMPARING, ENDING, JOINING, Loose, is_arrow

from ..tables import table

STOPS = frozenset((*ENDING, *JOINING, *COMPARING))


@table(
    ("text", "kinds"),
    [
        ("a===b", "name === name"),
        ("a!==b =!c", "name !== name =! name"),
        ("a=>b ==!c", "name => name == ! name"),
        ("a and not b OR c", "name and not name or name"),
        ("a.and.in", "name . name . name"),
        ("and == not", "name == name"),
        ("a not in b", "name not in name"),
        ("a is not null", "name is not name"),
        ("a?.b ?? c ? d : e", "name ?. name ?? name ? name : name"),
        ("x[?in]", "name filter name ]"),
        ("${{ a }} {{b}} ${c}", "${{ name }} {{ name }} ${ name }"),
        ("{a: {b: c}}", "{ name : { name : name } }"),
        ("$.a $OUTPUT[a]", "$ . name reference"),
        ("a.0.1 #", "name . number . number other"),
    ],
)
def test_signs_and_words_of_other_languages_are_tokens(text: str, kinds: str) -> None:
    assert " ".join(token.kind for token in Loose(text).tokens[:-1]) == kinds


@table(
    ("text", "sign", "before", "after"),
    [
        ("a.x in b.y", "in", "a.x", "b.y"),
        ("c && f(a, b)[0] in [1, 2] || d", "in", "f(a, b)[0]", "[1, 2]"),
        ("x[?a == 1 ?? (2 | 3)]", "??", "1", "(2 | 3)"),
        ("{k: a ?? b, l: c}", "??", "a", "b"),
        ("a ?? b]", "??", "a", "b"),
        ("?? b", "??", "", "b"),
        ("a ??", "??", "a", ""),
    ],
)
def test_an_operand_ends_at_operators_and_brackets(
    text: str, sign: str, before: str, after: str
) -> None:
    loose = Loose(text)
    at = next(n for n, token in enumerate(loose.tokens) if token.kind == sign)
    assert loose.between(loose.start_before(at, STOPS), at) == before
    assert loose.between(at + 1, loose.end_after(at + 1, STOPS)) == after


@table(
    ("text", "path"),
    [
        ("a && b.c!", "b.c"),
        ("f(x)[0].y!", "f(x)[0].y"),
        ("not a[?b.c].d[]!", "a[?b.c].d[]"),
        ("(a || b)!", "(a || b)"),
        ("x, $OUTPUT[a].b['k']!", "$OUTPUT[a].b['k']"),
        ("a ]!", "]"),
        ("'t'!", "'t'"),
        ("==!", ""),
    ],
)
def test_a_path_goes_back_to_its_first_name(text: str, path: str) -> None:
    loose = Loose(text)
    at = len(loose.tokens) - 2
    start = loose.path_before(at)
    assert loose.between(start, at) == (path if path != "]" else "")


def test_items_and_holes_are_seen_outside_of_brackets_alone() -> None:
    loose = Loose("[a, f(b, c), d == e]")
    assert [loose.between(*item) for item in loose.items(0)] == ["a", "f(b, c)", "d == e"]
    assert not loose.holds(0, len(loose.tokens) - 1, ("==",))
    assert loose.holds(1, len(loose.tokens) - 2, ("==",))
    assert Loose("a)(").holds(0, 3, ("==",)) is False


@table(
    ("text", "is_closed"),
    [("a == 'b'", True), ("a == 'b", False), ('a in ["\\x"]', False), ('a in ["\\ud800"]', False)],
)
def test_an_open_quote_is_seen(text: str, is_closed: bool) -> None:
    assert Loose(text).is_closed is is_closed


@table(
    ("text", "at", "is_one"),
    [
        ("a.f(x => x)", 5, True),
        ("f(a, x => x)", 5, True),
        ("a.f((x, y) => x)", 9, True),
        ("a => 5", 1, False),
        ("(a => 5)", 2, False),
        ("f(a.b => 5)", 5, False),
    ],
)
def test_an_arrow_follows_the_name_that_begins_an_argument(
    text: str, at: int, is_one: bool
) -> None:
    loose = Loose(text)
    assert loose.kind(at) == "=>"
    assert is_arrow(loose, at) == is_one
