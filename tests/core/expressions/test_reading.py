"""The reading before a run: what it says, where, and with which fix."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.core.expressions.evaluation import expression
from plait.core.expressions.problems import fixed
from plait.core.expressions.reading import read
from plait.core.expressions.shapes import ANY, Shape, list_of, object_of, of_value, or_null
from plait.core.values.strict import Json
from plait.errors import ExpressionFailed

from ..steps import steps
from ..tables import table
from .issues import ISSUES, LEARNED, NUMBER, REFERENCES, assert_found, read_select, read_when, said
from .test_closures import EXPRESSIONS

FINE = [
    "items[?state == 'open'].number",
    "items[?state == 'open' && number > 3].{n: number, t: title}",
    "items[?labels].labels[0]",
    "items[?!assignee].number",
    "items[?assignee.login == $OUTPUT[oc].handle]",
    "items[?assignee == null]",
    "length(items)",
    "items[?contains(labels, 'bug')] | [0].title",
    "items[].labels[] | sort(@)",
    "items[].sha[:7]",
    "items[].labels[:2]",
    "items[?\"content-type\" == 'x']",
    "sort_by(items, &number)[-1].title",
    "max_by(items, &number).assignee.login || 'nobody'",
    "total > 10 || next",
    "items[].[number, title] | [0][1]",
    "@ | items[0]",
    "*",
    "join(', ', items[].title)",
    "items[?title == state]",
    "$OUTPUT[any].x.y[0].z",
    "map(&title, items)",
    "values({a: total, b: next})[0]",
    "merge({a: total}, {b: next}).b",
    "not_null(next, total)",
    "reverse(items)[0].title",
    "to_number(items[0].title) > 1",
    "sum(items[].number) > 1",
    "items[0].title || 'none'",
    "items[?number > 1] | [0].sha[:7]",
    "$ITEM.id",
]


CERTAIN: list[tuple[str, int, str, str | None]] = [
    # expression, character, a part of the message, the right expression (None: no certain fix)
    ("$OUTPUT[od].handle", 1, 'unknown task "od"', None),
    ("$INDEX", 1, "there is no $INDEX here", None),
    ("items[0].title[0]", 15, "a text has no elements", None),
]

NOTES = [
    ("itms[].number", LEARNED, 1, "no field itms is known"),
    ("items[?number == '3']", LEARNED, 8, "never true"),
    ('x[?a == "in progress"]', ANY, 9, "a text has single quotes"),
    ("join('\\n', x)", ANY, 7, "a backslash and a letter"),
    ("contains(x, [1]) == [1]", ANY, 21, "an element of the value"),
]

WHEN_FINE = [
    "check.ok",
    "!check.ok",
    "check.state == 'open' && !check.ok",
    '"x.y".ok',
    "length(hits) > 0",
    "hits.result[0].n == 1",
    "hits[0].n",
    "$OUTPUT[oc].handle == 'ken'",
    "check.ok == true",
    "text == 'x' || text.text == 'x'",
    "check.n > 5 && check.n != `null`",
]


@table("text", FINE)
def test_nothing_is_said_of_a_right_expression(text: str) -> None:
    assert said(read_select(text)) == []


@pytest.mark.parametrize(
    ("text", "character", "message", "right"), CERTAIN, ids=[case[0] for case in CERTAIN]
)
def test_a_certain_mistake_is_found_with_its_place(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_select(text), character, message, right)


@table(("text", "shape", "character", "message"), NOTES)
def test_a_likely_mistake_is_a_note(text: str, shape: Shape, character: int, message: str) -> None:
    reading = read_select(text, shape)
    assert all(finding.is_note for finding in reading.findings)
    assert any(at == character and message in text for at, _, text in said(reading)), said(reading)


@table("text", WHEN_FINE)
def test_nothing_is_said_of_a_right_condition(text: str) -> None:
    assert said(read_when(text)) == []


def test_a_condition_has_no_item() -> None:
    assert_found("$ITEM.id == 1", read_when("$ITEM.id == 1"), 1, "there is no $ITEM here", None)


@table(
    ("text", "kinds"),
    [
        ("length(items)", {"integer"}),
        ("items[0].title || 'none'", {"text"}),
        ("total > 1", {"boolean", "null"}),
        ("items[].number", {"list"}),
        ("{n: total}", {"object"}),
        ("sum(items[].number)", {"integer"}),
        ("abs(total)", {"integer"}),
        ("max(items[].number)", {"integer", "null"}),
        ("items[0].assignee.login", {"text", "null"}),
        ("'run $OUTPUT[oc].handle'", {"text"}),
    ],
)
def test_the_kind_of_the_result_is_known(text: str, kinds: set[str]) -> None:
    assert read(expression(text), ISSUES, REFERENCES).shape.kinds == kinds


@table("inner", [list_of(object_of({"n": NUMBER})), or_null(list_of(ANY))])
def test_a_wrapper_is_looked_through(inner: Shape) -> None:
    wrapper = Shape(frozenset({"object"}), {"result": inner}, is_closed="null" not in inner.kinds)
    for text in ("[].n", "result[].n", "length(@)"):
        assert said(read(expression(text), wrapper, {})) == []


@table(
    ("part", "mark", "whole"),
    [
        ("{a:@,b:@}", "|", "{}"),
        ("[@,@]", "|", "{}"),
        ("{x:{a:x,b:x},y:{a:y,b:y}}", "|", "{{x:`1`,y:'a'}}|{}|[x,y]"),
        ("a.b", "||", "{}"),
        ("{a:@}", ",", "[{}]"),
    ],
)
def test_reading_takes_steps_linear_in_the_text(part: str, mark: str, whole: str) -> None:
    def steps_of(count: int) -> int:
        compiled = expression(whole.format(mark.join([part] * count)))
        return steps(lambda: read(compiled, ISSUES, {}))

    few = steps_of(15)
    assert few < 60 * 15 * len(part + mark)
    assert steps_of(30) < 2.1 * few


_VALUES = st.recursive(
    st.sampled_from([None, True, False, 2, 3, 2.5, "x"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=14,
)


@settings(deadline=None)
@given(EXPRESSIONS, st.sampled_from(["abc", "bb", '"a"', "c.d", "$ITEM.zz"]), _VALUES)
def test_every_fix_gives_a_valid_expression(text: str, name: str, value: object) -> None:
    text = f"({text})[?{name} == 'x'][0] | [{name}, {text}]"
    findings = read(expression(text), of_value(value), REFERENCES).findings
    for finding in findings:
        expression(fixed(text, [finding]))
    expression(fixed(text, findings))


_OF_FUNCTIONS = st.sampled_from(
    [
        "lower({})", "find({}, 'a(x)?')", "find_all({}, '.')", "matches({}, 'x')", "trim({})",
        "replace({}, 'x', '')", "from_json({})", "unique({})", "unique_by({}, &a)",
        "group_by({}, &a)", "group_by({}, &a).x", "count_by({}, &@)", "entries({})",
        "entries({})[0]", "from_entries({})", "from_entries({}).a", "add({}, 1)",
        "subtract({}, 2.5)", "multiply({}, 2)", "divide({}, 2)", "divide(6, {})", "round({})",
        "round({}, 1)", "round({}, -1)", "age_days({})", "sum({})", "avg({})",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(EXPRESSIONS, _OF_FUNCTIONS, _VALUES)
def test_the_shape_that_is_read_of_a_function_holds_for_its_result(
    text: str, function: str, value: object
) -> None:
    of_argument = read(expression(text), of_value(value), {}).shape
    assert_shape_holds(function.format(text), value, may_be_null=of_argument == ANY)


def test_what_is_unknown_is_taken_to_be_what_a_function_wants() -> None:
    nothing: list[Json] = []
    for text, value in (("lower([0].a)", nothing), ("lower((*)[0])", None)):
        assert read(expression(text), of_value(value), {}).shape.kinds == {"text"}
        assert expression(text).evaluate(value) is None
    known = read(expression("lower([0].a)"), of_value([{"a": "x"}, {"a": None}]), {})
    assert known.shape.kinds == {"text", "null"}


@settings(deadline=None)
@given(EXPRESSIONS, _VALUES)
def test_the_shape_that_is_read_holds_for_the_result(text: str, value: object) -> None:
    assert_shape_holds(text, value)


def assert_shape_holds(text: str, value: object, *, may_be_null: bool = False) -> None:
    """Check that the shape that is read of *text* is one of its result; with *may_be_null*
    that may be null instead."""
    made = expression(text)
    reading = read(made, of_value(value), {})
    try:
        found = made.evaluate(value)  # type: ignore[arg-type]  # drawn JSON
    except ExpressionFailed:
        return
    holds = is_of(found, reading.shape) or (may_be_null and found is None)
    assert holds or reading.findings, (text, value, str(reading.shape))


def is_of(value: object, shape: Shape) -> bool:
    """Return whether *value* is one of the values of *shape*."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list"}
    kind = "null" if value is None else kinds.get(type(value), "object")
    if kind not in shape.kinds and not (kind == "integer" and "number" in shape.kinds):
        return False
    if isinstance(value, list) and shape.element is not None:
        return all(is_of(item, shape.element) for item in value)
    if isinstance(value, dict):
        known = all(
            is_of(value.get(name), part) or name not in value
            for name, part in shape.members.items()
        )
        if shape.of_members is not None:
            others = value.keys() - shape.members.keys()
            known = known and all(is_of(value[name], shape.of_members) for name in others)
        return known and (
            not shape.is_closed
            or shape.of_members is not None
            or value.keys() <= shape.members.keys()
        )
    return shape.options is None or value is None or value in shape.options
