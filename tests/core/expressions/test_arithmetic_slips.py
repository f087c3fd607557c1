"""Slips in arithmetic: signs become functions, products before sums."""

from __future__ import annotations

from plait.core.expressions.arithmetic_slips import ARITHMETIC_RULES
from plait.core.expressions.loose import Loose
from plait.core.expressions.problems import fixed

from ..tables import table


@table(
    ("text", "at", "right"),
    [
        ("n + 1", 1, "add(n, 1)"),
        ("n -1", 1, "subtract(n, 1)"),
        ("a - b - c", 1, "subtract(subtract(a, b), c)"),
        ("a - -1", 1, "subtract(a, -1)"),
        ("a + b * c - d / 2", 1, "subtract(add(a, multiply(b, c)), divide(d, 2))"),
        ("a[?x > 1 + 2].y", 5, "a[?x > add(1, 2)].y"),
        ("f(a, b * 2)", 5, "f(a, multiply(b, 2))"),
        ("'a' + b + \"c\"", 1, "join('', ['a', b, 'c'])"),
        ("a.b[0] + c.d", 6, "add(a.b[0], c.d)"),
        ("a && b + c || d", 3, "a && add(b, c) || d"),
        ("!a * b", 2, "!multiply(a, b)"),
        ("a % 2", 1, None),
        ("a +", 1, None),
        ("'a' - b", 1, None),
        ("content-type", 1, None),
        ("n-1", 1, None),
    ],
)
def test_signs_become_functions(text: str, at: int, right: str | None) -> None:
    loose = Loose(text)
    [rule] = ARITHMETIC_RULES[loose.kind(at)]
    found = rule(loose, at)
    assert found is not None
    assert (fixed(text, [found]) if found.edit else None) == right
    assert (found.hint == "") is (right is not None)


@table(
    ("text", "at"), [("a.*", 2), ("a[*]", 2), ("-1", 0), ("+ a", 0), ("a ; b", 1), ("[1:-1]", 3)]
)
def test_what_calculates_nothing_is_left_alone(text: str, at: int) -> None:
    loose = Loose(text)
    assert [rule(loose, at) for rule in ARITHMETIC_RULES[loose.kind(at)]] == [None]
