"""Patterns that JavaScript compiles in its Unicode mode; `tests/interop` asks Node about each."""

from __future__ import annotations

from plait.core.values.js_pattern import is_js_pattern

from ..stack import little_stack_left
from ..steps import steps
from ..tables import table

VALID = [
    "", "a", "^[a-z0-9_-]{1,32}$", r"^\d{4}-\d{2}-\d{2}T", r"[\w.-]+@[\w-]+", r"(?:a|b)*c+?",
    r"(?<year>\d+)-\k<year>", r"(a)\1", r"(?=x)y", r"(?<!x)y(?!z)",
    r"\u00e9\x41\cA\0", r"\u{1F600}",
    r"[\]\\^-]", "[-a]", "[^]", "[a-]", r"[\b\-]", r"\p{L}\P{Nd}", "a{2}b{2,}c{2,3}?", r"\.\/\(",
    "é|ü", r"[\d.]", r"\bword\B", "(a|)", "[]", r"\^\$",
]  # fmt: skip
REFUSED = [
    "(?P<x>a)", r"a\Z", r"\Aa", r"^[\w-.]+$", r"[a-\d]", "(?i)a", r"\_", r"\-", r"\'", "{", "}",
    "]", "a**", "*a", "a{3,2}", "(?=x)*", "(", ")", "[a", "[z-a]", r"\k<none>", r"\1",
    r"(?<a>x)(?<a>y)",
    "(?#comment)", "(?>a)", "a++", r"\u12", r"\x1", r"\01", "\\", r"\p{Nonsense}", "a{,3}", "^*",
    r"\Q", "x{1",
]  # fmt: skip


@table("pattern", VALID)
def test_a_pattern_that_javascript_compiles_is_accepted(pattern: str) -> None:
    assert is_js_pattern(pattern)


@table("pattern", REFUSED)
def test_a_pattern_that_javascript_refuses_is_refused(pattern: str) -> None:
    assert not is_js_pattern(pattern)


def test_a_long_pattern_takes_steps_in_proportion_to_its_length() -> None:
    def scan(count: int) -> None:
        assert is_js_pattern("(?:" * count + "a" + ")" * count)
        assert not is_js_pattern("[" + "a-b" * 4 * count)

    assert steps(lambda: scan(160)) < 2.1 * steps(lambda: scan(80))


def test_a_pattern_nested_deeper_than_the_stack_is_read() -> None:
    with little_stack_left():
        assert is_js_pattern("(?:" * 210 + "a" + ")" * 210)
