"""Every evaluation ends within a bound of steps and of size that its input sets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.core.expressions.budget import (
    BASE_MADE,
    BASE_STEPS,
    FEW_UNITS,
    MADE_PER_UNIT,
    Budget,
    depth,
    equal,
    is_true,
    size,
    to_text,
)
from plait.core.expressions.evaluation import condition, expression
from plait.core.expressions.frame import Operand
from plait.core.expressions.nodes import Key, Source
from plait.errors import ExpressionFailed

from ..steps import steps
from ..tables import table

DOUBLED = "|".join(["[@,@]"] * 20)
BOMBS = [
    DOUBLED,
    "|".join(["[@,@]"] * 100),
    "|".join(["{a:@,b:@}"] * 60) + "|to_string(@)",
    "|".join(["[@,@][]"] * 20),
    "|".join(["join('', [@,@])"] * 20),
    DOUBLED + "|[0]==[1]|[@]",
    DOUBLED + "|join('',[to_string(@)])",
    "|".join(["map(&[@,@],[@,@])"] * 30),
    "|".join(["'$OUTPUT[a]$OUTPUT[a]' | [@]"] * 20),
    "|".join(["merge({a:@},{b:@})"] * 60) + "|values(@)|[0]|to_string(@)",
    "|".join(["replace(to_string(@), '.', '\\0\\0')"] * 20),
    "|".join(["replace(to_string(@), '', to_string(@))"] * 9),
    DOUBLED + "|unique(@)",
    DOUBLED + "|unique_by(@, &@)",
    DOUBLED + "|group_by(@, &@)",
    DOUBLED + "|count_by(@, &@)",
    DOUBLED + "|from_json(to_string(@))",
    "|".join(["entries({a:@,b:@})"] * 20) + "|to_string(@)",
    "|".join(["{a:@,b:@}|entries(@)[].{key:key,value:[value,value]}|from_entries(@)"] * 20),
    "|".join(["group_by([@,@], &'a')"] * 20) + "|to_string(@)",
    "|".join(["group_by(to_array(@), &@)"] * 20),
    "|".join(["count_by([@], &@)"] * 20),
    "|".join(["from_entries([{key: @, value: [@, @]}])"] * 20),
    DOUBLED + "|group_by(@, &to_string(@))",
    "`7`|" + "|".join(["multiply(@,@)"] * 20),
    "|".join(["find_all(join('', [to_string(@), to_string(@)]), '.')|join('', @)"] * 20),
    "|".join(["upper(join('', [to_string(@), to_string(@)]))"] * 20),
    "|".join(["split(join('a', [to_string(@), to_string(@)]), 'a')"] * 20),
    "|".join(["[@,@][]"] * 15) + "|[].{a:@}|[?a=='x'].a|join(join('',@),@)",
]
A = Key(Source.OUTPUT, "a")
compiled_once = cache(expression)


@table("text", BOMBS)
@table("value", ["x", ["x", "y"], 12])
def test_an_expression_that_multiplies_ends_soon(
    text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plait.core.expressions.budget.BASE_STEPS", BASE_STEPS // 1_000)
    monkeypatch.setattr("plait.core.expressions.budget.BASE_MADE", BASE_MADE // 1_000)
    for module in ("budget", "evaluation"):
        monkeypatch.setattr(f"plait.core.expressions.{module}.FEW_UNITS", FEW_UNITS // 1_000)
    compiled = compiled_once(text)
    bound = {A: Operand("x" * 1_000)}

    def ended() -> None:
        try:
            found = compiled.evaluate(value, bound)
        except ExpressionFailed:
            return
        most = BASE_MADE // 1_000 + MADE_PER_UNIT * size([value, "x" * 1_000])
        assert size([found]) <= most

    assert steps(ended) < 3_000


def test_a_doubling_list_is_stopped_within_few_steps_and_says_so() -> None:
    compiled = expression("|".join(["[@,@]"] * 26))

    def stopped() -> None:
        with pytest.raises(ExpressionFailed, match="grows above the limit of 100,010 values"):
            compiled.evaluate("x")

    assert steps(stopped) < 40_000


def test_a_condition_has_the_same_budget() -> None:
    text = "|".join(["a", *["[@,@]"] * 40])
    with pytest.raises(ExpressionFailed, match="grows above the limit"):
        condition(text).evaluate(None, {A: Operand("x")})


def test_a_doubling_list_that_is_only_counted_is_no_problem() -> None:
    assert expression("|".join(["[@,@]"] * 500) + "|length(@)").evaluate("x") == 2


def test_the_bound_grows_with_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plait.core.expressions.budget.BASE_STEPS", BASE_STEPS // 100)
    monkeypatch.setattr("plait.core.expressions.budget.BASE_MADE", BASE_MADE // 100)
    items: Any = [{"id": n, "name": "n" * 20} for n in range(600)]
    assert len(expression("[].{a: id, b: name, c: [id, name]}").evaluate(items)) == 600  # type: ignore[arg-type]  # a list
    assert len(expression("sort_by(@, &name)[?id >= 0].name").evaluate(items)) == 600  # type: ignore[arg-type]  # a list


def test_a_join_by_filter_of_300_by_300_is_allowed_and_one_of_3000_by_3000_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundredth of the steps, and of the pairs."""
    monkeypatch.setattr("plait.core.expressions.budget.BASE_STEPS", BASE_STEPS // 100)
    few: Any = [{"k": n % 10, "v": n} for n in range(30)]
    many: Any = few * 10
    compiled = expression("[].{k: k, n: length($OUTPUT[a][?k == 5])}")
    assert len(compiled.evaluate(few, {A: Operand(few)})) == 30  # type: ignore[arg-type]  # a list
    with pytest.raises(ExpressionFailed, match="more steps than the size of its input allows"):
        compiled.evaluate(many, {A: Operand(many)})


@table(
    "text",
    [
        "[" * 99 + "@" + "]" * 99,
        "!" * 90 + "a",
        "a" + "[*]" * 90,
        "a" + "[]" * 90,
        "(" * 90 + "a" + ")" * 90,
        "|".join(["@"] * 700),
        "||".join(["a"] * 700),
        "a" + ".a" * 499,
    ],
)
def test_long_and_nested_expressions_meet_no_recursion_limit(text: str) -> None:
    errors = []

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
            return
        try:
            expression(text).evaluate({"a": [[1]]})
        except RecursionError as error:
            errors.append(error)

    worker = threading.Thread(target=partial(deep, 400))
    worker.start()
    worker.join()
    assert not errors


def test_deep_values_meet_no_recursion_limit() -> None:
    value: Any = 1
    for _ in range(5_000):
        value = [value]
    assert expression("@ == $OUTPUT[a]").evaluate(value, {A: Operand([[value[0][0]]])}) is True
    assert len(expression("unique(@)").evaluate(value)) == 1  # type: ignore[arg-type]  # a list
    for text in ("to_string(@)", "'$OUTPUT[a]'", "group_by(@, &@)"):
        with pytest.raises(ExpressionFailed, match="nested more than"):
            expression(text).evaluate(value, {A: Operand(value)})


_STEPS = st.sampled_from(
    [
        "[@,@]", "[@,@][]", "{a:@,b:[@,@]}", "*", "[*].[@,@]", "[]", "[?@]", "[?@==@]", "[::-1]",
        "[0]", "join('ab',to_array(@))", "join(to_string(@),[@,@])", "to_string(@)",
        "split(to_string(@),'')", "map(&[@,@],to_array(@))", "values({a:@,b:@})",
        "merge({a:@},{b:@})", "reverse(to_array(@))", "from_json(to_string(@))",
        "replace(to_string(@),'.','\\0\\0')", "replace(to_string(@),'','$OUTPUT[a]')",
        "find_all(to_string(@),'.')", "group_by(to_array(@),&@)", "count_by(to_array(@),&type(@))",
        "unique(to_array(@))", "unique_by(to_array(@),&type(@))", "entries({a:@})",
        "from_entries([{key:@,value:@}])",
        "from_entries([{key:@,value:[@,@]}])", "lines(to_string(@))", "upper(to_string(@))",
        "multiply(length(to_string(@)),length(to_string(@)))", "sort_by(to_array(@),&to_string(@))",
        "contains(to_array(@),@)", "[@,$OUTPUT[a]]", "'$OUTPUT[a]$OUTPUT[a]'", "not_null(@,`1`)",
    ]
)  # fmt: skip
_INPUTS = st.recursive(
    st.sampled_from([None, True, 7, "a", "aba\n", 1.5, "x" * 500]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.lists(_STEPS, min_size=1, max_size=12), st.integers(1, 4), _INPUTS)
def test_any_chain_of_what_multiplies_gives_no_more_than_its_input_allows(
    chain: list[str], times: int, value: Any
) -> None:
    compiled = expression("|".join(chain * times))
    try:
        found = compiled.evaluate(value, {A: Operand("ref" * 20)})
    except ExpressionFailed:
        return
    assert size([found]) <= BASE_MADE + (MADE_PER_UNIT + 1) * size([value, "ref" * 20])


def budget(units: int = 0, reads: Callable[[], None] = lambda: None) -> Budget:
    def read() -> int:
        reads()
        return units

    return Budget(read)


def test_the_input_is_measured_only_when_the_base_is_used_up() -> None:
    measured: list[None] = []
    small = budget(5, lambda: measured.append(None))
    small.make(BASE_MADE)
    assert not measured
    small.make(5 * MADE_PER_UNIT)
    assert len(measured) == 1
    with pytest.raises(ExpressionFailed):
        small.make(1)
    assert len(measured) == 1


@table(
    ("value", "expected"),
    [(None, False), (False, False), ("", False), ([], False), ({}, False), (0, True), (0.0, True)],
)
def test_zero_is_true_and_what_is_empty_is_not(value: Any, expected: bool) -> None:
    assert is_true(value) is expected


@table(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        ("1", 1, False),
        ([1, {"x": True}], [1, {"x": 1}], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1.0}, True),
        ([1], [1, 2], False),
        ({"a": 1}, {"b": 1}, False),
        (9007199254740993, 9007199254740992, False),
    ],
)
def test_equality_is_that_of_json(one: Any, other: Any, expected: bool) -> None:
    assert equal(one, other, budget()) is expected


def test_shared_parts_count_each_time_that_they_would_be_written() -> None:
    value: Any = ["x"]
    for _ in range(30):
        value = [value, value]
    assert size([value], 1_000) > 2**30
    assert steps(lambda: size([value], 1_000)) < 10_000
    assert size([{"a": "x" * 640, "b": [1, 2]}]) == 1 + 2 + 10 + 2
    assert size([{"a" * 640: 1, "b": {"c" * 64: 2}}]) == 1 + 2 + 10 + 1 + 1
    assert size([{"a" * 640: 1, "b": {"c" * 64: 2}}], 1) == 1 + 2 + 10 + 1 + 1
    assert depth([[{"a": [1]}]]) == 4


def test_text_stays_and_anything_else_becomes_compact_json() -> None:
    assert to_text("a", budget()) == "a"
    assert to_text({"a": [1, "é"]}, budget()) == '{"a":[1,"é"]}'
