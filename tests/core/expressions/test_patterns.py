r"""Regular expressions: what is found, what each costs, and what is none."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.expressions.budget import BASE_MATCHING, BASE_STEPS, MATCHING_PER_UNIT, Budget
from plait.core.expressions.evaluation import expression
from plait.core.expressions.patterns import MAX_CHARS, Pattern, pattern
from plait.core.expressions.signatures import Unfit
from plait.errors import ExpressionFailed

from ...profiles import share_of_examples
from ..tables import table


def budget() -> Budget:
    return Budget(lambda: 0)


def spans(text: str, searched: str) -> list[tuple[int, int]]:
    raw = searched.encode()
    return [found.span() for found in Pattern(text).matches(raw, budget())]


@table(
    ("text", "searched", "found"),
    [
        ("a", "banana", [(1, 2), (3, 4), (5, 6)]),
        (r"\b", "  ab", [(2, 2), (4, 4)]),
        ("^a", "aa", [(0, 1)]),
        ("(?m)^a", "aa\na", [(0, 1), (3, 4)]),
        ("x*", "abxd", [(0, 0), (1, 1), (2, 3), (3, 3), (4, 4)]),
        ("", "é😀", [(0, 0), (2, 2), (6, 6)]),
        (r"\B", "é", [(0, 0), (2, 2)]),
        (".", "é😀", [(0, 2), (2, 6)]),
        ("a", "", []),
        ("", "", [(0, 0)]),
    ],
)
def test_all_matches_are_found_once(text: str, searched: str, found: list[tuple[int, int]]) -> None:
    assert spans(text, searched) == found


_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "(?:ab|a)", "(a)", r"\w", "^", "$", r"\b"])
_PATTERNS = st.lists(
    st.tuples(_ATOMS, st.sampled_from(["", "", "*", "+", "?", "*?", "{1,2}"])), max_size=4
).map(lambda pieces: "".join(a + (r if a not in ("^", "$", r"\b") else "") for a, r in pieces))


@share_of_examples(4)
@given(_PATTERNS, st.text("abc ", max_size=12))
def test_matches_are_those_of_python(text: str, searched: str) -> None:
    """Except for an empty match at the place where Python then tries to find a longer one."""
    want = [found.span() for found in re.finditer(text, searched)]
    found = spans(text, searched)
    if [span for span in want if span[0] == span[1]] == []:
        assert found == want
    first = re.search(text, searched)
    assert found[:1] == ([] if first is None else [first.span()])


@table(
    ("text", "said"),
    [
        ("(", "missing ): ("),
        ("a**", "bad repetition operator: **"),
        ("(?=a)", "look-around is not supported"),
        ("(?<!a)", "look-around is not supported"),
        ("(?>a)", "there are no atomic groups"),
        (r"(a)\1", "there are no references to groups"),
        (r"a\Z", r"the end of the text is \z"),
        ("(?:" + "x" * 990 + "){1000}", "pattern too large"),
        (r"a\C", "there are no single bytes"),
        ("a" * (MAX_CHARS + 1), "wants a regex of at most 1,000 characters"),
    ],
)
def test_what_is_no_pattern_says_why(text: str, said: str) -> None:
    with pytest.raises(Unfit, match=re.escape(said)):
        pattern(text)


SQUARE = "a[^b]*b|a"


@table(
    ("text", "times"),
    [
        ("a+", 1),
        (r"\w+@\w+", 1),
        ("(?i)error", 1),
        ("error|warn", 1.2),
        (r"\d+(?:\.\d+)?|x", 2),
        ("(?:.x)?.", 6),
        ("(?s)(?:.*y)?x", 60),
        (SQUARE.replace("a", "x"), 60),
        (r"\Qx\E", 60),
    ],
)
def test_a_text_is_paid_for_as_often_as_it_may_be_looked_at(text: str, times: float) -> None:
    searched = ("x" + "." * 9 + "\n") * 100
    compiled, paid = Pattern(text), budget()
    assert isinstance([*compiled.matches(searched.encode(), paid)], list)
    looked_at = (BASE_MATCHING - paid.matching) / compiled.instructions
    assert looked_at <= times * len(searched)
    assert times < 10 or looked_at > 20 * len(searched)


def test_a_bounded_search_looks_no_farther_than_its_pattern_is_long() -> None:
    compiled, paid = Pattern("ab|a"), budget()
    assert len([*compiled.matches(b"a" * 1_000, paid)]) == 1_000
    looked_at = (BASE_MATCHING - paid.matching) / compiled.instructions
    assert looked_at <= 1_000 * (1 + compiled.instructions)


def test_a_pattern_that_looks_to_the_end_at_each_match_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plait.core.expressions.budget.BASE_MATCHING", BASE_MATCHING // 100)
    searched = "a" * 2_000
    finds: Any = expression("find_all(@, 'a')").evaluate(searched)
    assert len(finds) == 2_000
    with pytest.raises(ExpressionFailed, match="regular expressions take more steps") as failed:
        expression(f"find_all(@, '{SQUARE}')").evaluate(searched)
    assert str(failed.value.hint).startswith("Search each line by itself")
    assert expression(f"length(find_all(@, '{SQUARE}'))").evaluate(searched[:200]) == 200


def test_a_search_in_too_much_text_for_its_pattern_is_not_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plait.core.expressions.budget.BASE_MATCHING", BASE_MATCHING // 100)
    compiled = Pattern("(a|b)*a(a|b){25}c")
    raw = b"a" * (BASE_MATCHING // 100 // compiled.instructions + 1)
    with pytest.raises(ExpressionFailed, match="regular expressions take more steps"):
        compiled.first(raw, budget())
    larger = Budget(lambda: 1 + compiled.instructions // MATCHING_PER_UNIT)
    assert compiled.first(raw, larger) is None


@table("text", ["(a+)+$", "(a|a)*$", "(.*)*x", "(a*)*b", "(x+x+)+y", "(a?){50}a{50}"])
def test_patterns_that_explode_elsewhere_end(text: str) -> None:
    assert expression(f"matches(@, '{text}')").evaluate("a" * 5_000 + "!") in (True, False)


def test_patterns_that_are_computed_are_paid_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plait.core.expressions.budget.BASE_STEPS", BASE_STEPS // 10)
    values: Any = [f"a{{1,{n}}}a{{1,{n}}}" for n in range(900, 909)]
    with pytest.raises(ExpressionFailed, match="more steps"):
        expression("[?matches('a', @)]").evaluate(values)
    same: Any = ["a{1,99}"] * 200
    assert expression("[?matches('a', @)] | length(@)").evaluate(same) == 200
