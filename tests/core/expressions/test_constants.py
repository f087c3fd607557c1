"""Constants in conditions, which decide nothing."""

from __future__ import annotations

import pytest

from plait.core.expressions.evaluation import condition
from plait.core.expressions.reading import read_condition
from plait.core.expressions.shapes import ANY, object_of, of

from ..steps import steps
from ..tables import table
from .issues import assert_found, read_select, read_when, said

WHEN: list[tuple[str, int, str, str | None]] = [
    # condition, character, a part of the message, the right condition (None: no certain fix)
    (
        "check.state == 'b' || 'e'",
        23,
        "'e' is a constant",
        "check.state == 'b' || check.state == 'e'",
    ),
    (
        "check.state == 'b' || 'e' || 'f'",
        23,
        "'e' is a constant",
        "check.state == 'b' || check.state == 'e' || check.state == 'f'",
    ),
    ("check.state != 'b' && 'e'", 23, "'e' is", "check.state != 'b' && check.state != 'e'"),
    ("check.state == 'b' || \"e\"", 23, '"e" is', "check.state == 'b' || check.state == 'e'"),
    ("check.state == 'b' || e", 23, "e is a constant", "check.state == 'b' || check.state == 'e'"),
    ("'b' == check.state || 'e'", 23, "'e' is", "'b' == check.state || check.state == 'e'"),
    (
        "check.state == 'b' || e || f",
        23,
        "e is a constant",
        "check.state == 'b' || check.state == 'e' || check.state == 'f'",
    ),
    ("check.n == 1 || 2", 17, "2 is a constant", "check.n == 1 || check.n == 2"),
    (
        "check.ok && (check.state == 'b' || 'e')",
        36,
        "'e' is a constant",
        "check.ok && (check.state == 'b' || check.state == 'e')",
    ),
    (
        "check.ok && check.state == ('b' || 'e')",
        28,
        "('b' || 'e') is a constant",
        "check.ok && (check.state == 'b' || check.state == 'e')",
    ),
    (
        "check.state != ('b' || 'e')",
        16,
        "('b' || 'e') is a constant",
        "(check.state != 'b' && check.state != 'e')",
    ),
    ("check.n > (1 || 2)", 11, "(1 || 2) is a constant", None),
    (
        "contains(check.state, 'a') || 'b'",
        31,
        "'b' is a constant",
        "contains(check.state, 'a') || contains(check.state, 'b')",
    ),
    (
        "contains(check.state, 'a') && 'b'",
        31,
        "'b' is a constant",
        "contains(check.state, 'a') && contains(check.state, 'b')",
    ),
    ("starts_with(check.state, 'a') && 'b'", 34, "'b' is a constant", None),
    ("check.state == 'b' && 'e'", 23, "'e' is a constant", None),
    ("check.state == 'b' || 5", 23, "5 is a constant", None),
    ("check.n > 5 || 6", 16, "6 is a constant", None),
    ("check.ok && 'x'", 13, "'x' is a constant", None),
    ("check.ok || 'x'", 13, "'x' is a constant", None),
    ("check.ok | 'x'", 12, "'x' is a constant", None),
    ("!(check.ok && 'x')", 15, "'x' is a constant", None),
    ("'check.ok'", 1, "'check.ok' is a constant", "check.ok"),
    ("'check.n > 1'", 1, "is a constant", "check.n > 1"),
    ("'check'", 1, "'check' is a constant", "check"),
    ("check.ok && 'hits[0].n'", 13, "is a constant", "check.ok && hits[0].n"),
    ("'later.ok'", 1, "is a constant", "later.ok"),
    ("'check.n' > '100'", 1, "compares constants", "check.n > 100"),
    ("('100' < 'check.n') && check.ok", 1, "constants", "(100 < check.n) && check.ok"),
    ("'check.state' == 'open'", 1, "compares constants", "check.state == 'open'"),
    ("'chekc.state' == 'open'", 1, "compares constants", None),
    ("'check.n' > 'check.n'", 1, "compares constants", None),
    ("1 > 2", 1, "1 > 2 compares constants", None),
    ("check.ok && 1 == 1", 13, "1 == 1 compares constants", None),
    ("'false'", 1, "'false' is a constant", "false"),
    ("!'true'", 1, "!'true' is a constant", None),
    ("'false' && check.ok", 1, "'false' is a constant", "false && check.ok"),
    ("1", 1, "1 is a constant", "true"),
    ("`0`", 1, "`0` is a constant", "false"),
    ("'yes'", 1, "'yes' is a constant", None),
    ("null", 1, "null is a constant", None),
    ("`[]`", 1, "`[]` is a constant", None),
    ("contains('abc', 'b')", 1, "is a constant", None),
]
FILTERS: list[tuple[str, int, str, str | None]] = [
    (
        "items[?state == 'open' || 'closed'].number",
        27,
        "'closed' is a constant",
        "items[?state == 'open' || state == 'closed'].number",
    ),
    (
        "items[?state == 'open' || closed]",
        27,
        "closed",
        "items[?state == 'open' || state == 'closed']",
    ),
    ("items[?'state' == 'open']", 8, "compares constants", "items[?state == 'open']"),
    ("items[?'number' > '3']", 8, "compares constants", "items[?number > 3]"),
    ("items[?'labels']", 8, "is a constant", "items[?labels]"),
    ("items[?number > 3 && 'x']", 22, "'x' is a constant", None),
    (
        "items[?assignee.login == $OUTPUT[oc].handle && 'x']",
        48,
        "'x' is a constant",
        None,
    ),
]


@table(("text", "character", "message", "right"), WHEN)
def test_a_constant_in_a_when_is_found(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_when(text), character, message, right)
    if right and "later" not in right and not right.startswith(("true", "false")):
        assert said(read_when(right)) == []


@table(
    ("when", "note"),
    [
        ("false", "it is never true: the task never runs"),
        ("true", "it is always true: the task needs no when"),
        ("!true", "it is never true: the task never runs"),
        ("check.ok && false", "it is never true: the task never runs"),
        ("check.ok || !false", "it is always true: the task needs no when"),
        ("check.ok && true", None),
        ("check.ok || false", None),
        ("check.ok == false", None),
    ],
)
def test_a_switch_that_decides_a_whole_condition_is_noted(when: str, note: str | None) -> None:
    assert said(read_when(when)) == ([] if note is None else [(1, True, note)])


@table(("text", "character", "message", "right"), FILTERS)
def test_a_constant_in_a_filter_is_found(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_select(text), character, message, right)
    if right:
        assert said(read_select(right)) == []


def test_each_constant_is_reported_once() -> None:
    for text in ("'a' == 'b'", "check.state == 'b' || e", "'x' || 'y'", "check.ok && 'a' > 1"):
        assert len(read_when(text).findings) == 1


@table(
    "text",
    ["true", "`false`", "!true", "check.ok && true", "false && check.ok", "check.ok || `true`"],
)
def test_true_and_false_switch_a_task_on_or_off(text: str) -> None:
    assert all(finding.is_note for finding in read_when(text).findings)


@table(
    "text",
    [
        "items[0].title || 'none'",
        "items[?(assignee.login || 'none') == 'ken']",
        "items[].{t: title && 'yes' || 'no'}",
        "items[?contains(['bug', 'crash'], title)]",
        "items[?`true`]",
        "'run $OUTPUT[oc].handle'",
        "{n: 1, t: 'x'}",
    ],
)
def test_a_constant_that_is_a_value_is_right(text: str) -> None:
    assert said(read_select(text)) == []


def test_of_an_unknown_element_nothing_is_known_but_a_constant() -> None:
    [finding] = read_select("x[?'state' == 'open']", ANY).findings
    assert (finding.edit, finding.is_note) == (None, False)


@pytest.mark.parametrize(
    "text",
    [
        "a.x == 1" + "||1" * 60,
        "a." + "x." * 60 + "x == 'a'" + " || 'b'" * 40,
        "a.x == (" + "||".join("1" * 60) + ")",
        "||".join(["'a.b'"] * 40),
        "||".join(["'a.b' > '1'"] * 30),
        "(" * 60 + "a.x" + " || 'b')" * 60,
    ],
    ids=range(6),
)
def test_constants_are_found_in_steps_linear_in_the_text(text: str) -> None:
    made = condition(text)
    shapes = {"a": object_of({"x": of("integer")})}
    assert steps(lambda: read_condition(made, shapes, {"a"}, {})) < 30 * len(text)
