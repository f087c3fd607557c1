"""The reading before a run: what it says, where, and with which fix."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.core.expressions.evaluation import condition, expression
from plait.core.expressions.problems import fixed
from plait.core.expressions.reading import Reading, read, read_condition
from plait.core.expressions.shapes import (
    ANY,
    Shape,
    list_of,
    object_of,
    of,
    of_value,
    or_null,
)
from plait.core.expressions.syntax import Key, Source
from plait.errors import ExpressionFailed

from ..steps import steps
from .test_evaluation import EXPRESSIONS

TEXT, NUMBER, BOOLEAN = of("text"), of("integer"), of("boolean")
STATE = replace(TEXT, options=("open", "closed"))
ISSUE = {
    "number": NUMBER,
    "title": TEXT,
    "state": STATE,
    "labels": list_of(TEXT),
    "assignee": or_null(object_of({"login": TEXT})),
    "content-type": TEXT,
    "sha": TEXT,
}
ISSUES = object_of({"items": list_of(object_of(ISSUE)), "total": NUMBER, "next": or_null(NUMBER)})
LEARNED = Shape(
    frozenset({"object"}),
    {
        "items": list_of(
            Shape(
                frozenset({"object"}),
                {name: replace(shape, is_learned=True) for name, shape in ISSUE.items()},
                is_learned=True,
            )
        ),
        "total": replace(NUMBER, is_learned=True),
    },
    is_learned=True,
)
REFERENCES = {
    Key(Source.OUTPUT, "oc"): object_of({"handle": TEXT}),
    Key(Source.OUTPUT, "any"): ANY,
    Key(Source.ITEM): object_of({"id": NUMBER}),
}

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
    ("itms[].number", 1, "unknown field itms", "items[].number"),
    ("items[].nuber", 9, "unknown field nuber", "items[].number"),
    ("items[?stat == 'open']", 8, "unknown field stat", "items[?state == 'open']"),
    ("items.title", 7, "a list has no field title", "items[].title"),
    ("total.x", 7, "an integer has no fields", None),
    ("items[0].labels.name", 17, "a list has no field", None),
    ("title[0]", 1, "unknown field title", None),
    ("items[0].title[0]", 15, "a text has no elements", None),
    ("total[]", 6, "an integer is not a list", None),
    ('items[?state == "open"]', 17, "single quotes", "items[?state == 'open']"),
    ('items[?"open" == state]', 8, "single quotes", "items[?'open' == state]"),
    ("items[?state == open]", 17, "unknown field open to compare with", "items[?state == 'open']"),
    ('items[?contains(labels, "bug")]', 25, "single quotes", "items[?contains(labels, 'bug')]"),
    ("items[?state == 'opened']", 8, "is never true", None),
    ("items[?state == 'closd']", 8, "is never true", "items[?state == 'closed']"),
    ("items[?state != 'opened']", 8, "is always true", None),
    ("items[?number == '3']", 8, "an integer == one of '3' is never true", "items[?number == 3]"),
    ("items[?number > '3']", 8, "is never true", "items[?number > 3]"),
    ("items[?title == 5]", 8, "is never true", "items[?title == '5']"),
    ("items[?labels > 2]", 8, "a list > one of 2 is never true", None),
    ("items == 'x'", 1, "is never true", None),
    ("items[?number][0]", 15, "[0] is applied to each element", "items[?number] | [0]"),
    ("'x' == items[?number][0].title", 22, "each", "'x' == (items[?number] | [0].title)"),
    ("items[][0].title", 8, "applied to each element", "items[] | [0].title"),
    ("items[?number][:2].title", 15, "[:2] is applied to each", "items[?number] | [:2].title"),
    ("items[?number][?title]", 15, "applied to each", "items[?number && title]"),
    ("items[?total > number]", 8, "total is read from each element", None),
    ("items[].{t: total}", 13, "total is read from each element", None),
    ("sort_by(items, &total)", 17, "total is read from each element", None),
    ("items[].{n: number}[?n]", 20, "is not a list", None),
    ("lines(items)", 7, "lines() wants a text, and this is a list", None),
    ("sum(total)", 5, "sum() wants a list, and this is an integer", None),
    ("contains(total, 'x')", 10, "contains() wants a text or a list", None),
    ("$OUTPUT[od].handle", 1, 'unknown task "od"', None),
    ("$OUTPUT[oc].handel", 13, "unknown field handel", "$OUTPUT[oc].handle"),
    ("$OUTPUT[oc].output.handle", 13, "no output around it", "$OUTPUT[oc].handle"),
    ("'run $OUTPUT[oc].handel'", 18, "unknown field handel", "'run $OUTPUT[oc].handle'"),
    ('$OUTPUT[oc]["handel"]', 13, "unknown field handel", '$OUTPUT[oc]["handle"]'),
    ("$INDEX", 1, "there is no $INDEX here", None),
]

NOTES = [
    ("itms[].number", LEARNED, 1, "no field itms is known"),
    ("items[?number == '3']", LEARNED, 8, "never true"),
    ('x[?a == "in progress"]', ANY, 9, "a text has single quotes"),
    ("join('\\n', x)", ANY, 7, "a backslash and a letter"),
    ("contains(x, [1]) == [1]", ANY, 21, "an element of the value"),
]

DEPENDENCIES = {
    "check": object_of({"state": TEXT, "ok": BOOLEAN, "n": NUMBER}),
    "x.y": object_of({"ok": BOOLEAN}),
    "hits": object_of({"result": list_of(object_of({"n": NUMBER}))}),
    "text": TEXT,
}
TASKS = {*DEPENDENCIES, "later"}
OUTPUTS = {Key(Source.OUTPUT, id): shape for id, shape in DEPENDENCIES.items()}
OUTPUTS[Key(Source.OUTPUT, "oc")] = REFERENCES[Key(Source.OUTPUT, "oc")]
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
WHEN: list[tuple[str, int, str, str | None]] = [
    ('check.state != "blocked"', 16, "single quotes", "check.state != 'blocked'"),
    ("check.state == open", 16, "open is not a dependency", "check.state == 'open'"),
    ("chekc.ok", 1, "chekc is not a dependency", "check.ok"),
    ("output.ok", 1, "output is not a dependency", None),
    ("outputs.check.ok", 1, "outputs is not a dependency", "check.ok"),
    ("check.output.ok", 7, "no output around it", "check.ok"),
    ("x.y.ok", 1, "x.y is one id", '"x.y".ok'),
    ("check.totl > 1", 7, "unknown field totl", None),
    ("check.stae == 'open' && !chek.ok", 7, "stae", "check.state == 'open' && !check.ok"),
    ("hits[?n == check.n]", 12, "only the value around", "hits[?n == $OUTPUT[check].n]"),
    ("check.ok == True", 13, "True is not a dependency", "check.ok == true"),
    ("check.n == '5'", 1, "is never true", "check.n == 5"),
    ("$ITEM.id == 1", 1, "there is no $ITEM here", None),
]


def said(reading: Reading) -> list[tuple[int, bool, str]]:
    return [(found.start + 1, found.is_note, found.message) for found in reading.findings]


@pytest.mark.parametrize("text", FINE)
def test_nothing_is_said_of_a_right_expression(text: str) -> None:
    assert said(read(expression(text), ISSUES, REFERENCES)) == []


@pytest.mark.parametrize(
    ("text", "character", "message", "right"), CERTAIN, ids=[case[0] for case in CERTAIN]
)
def test_a_certain_mistake_is_found_with_its_place(
    text: str, character: int, message: str, right: str | None
) -> None:
    reading = read(expression(text), ISSUES, REFERENCES)
    first = next(finding for finding in reading.findings if not finding.is_note)
    assert (first.start + 1, message in first.message) == (character, True), said(reading)
    got = fixed(text, reading.findings)
    assert (got if got != text else None) == right
    if right:
        assert said(read(expression(right), ISSUES, REFERENCES)) == []


@pytest.mark.parametrize(("text", "shape", "character", "message"), NOTES)
def test_a_likely_mistake_is_a_note(text: str, shape: Shape, character: int, message: str) -> None:
    reading = read(expression(text), shape, REFERENCES)
    assert all(finding.is_note for finding in reading.findings)
    assert any(at == character and message in text for at, _, text in said(reading)), said(reading)


@pytest.mark.parametrize("text", WHEN_FINE)
def test_nothing_is_said_of_a_right_condition(text: str) -> None:
    assert said(read_condition(condition(text), DEPENDENCIES, TASKS, OUTPUTS)) == []


@pytest.mark.parametrize(
    ("text", "character", "message", "right"), WHEN, ids=[case[0] for case in WHEN]
)
def test_a_mistake_in_a_condition_is_found_with_its_place(
    text: str, character: int, message: str, right: str | None
) -> None:
    reading = read_condition(condition(text), DEPENDENCIES, TASKS, OUTPUTS)
    first = reading.findings[0]
    assert (first.start + 1, message in first.message) == (character, True), said(reading)
    got = fixed(text, reading.findings)
    assert (got if got != text else None) == right
    if right:
        assert said(read_condition(condition(right), DEPENDENCIES, TASKS, OUTPUTS)) == []


def test_the_only_dependency_is_meant_by_the_names_of_other_engines() -> None:
    only = {"check": DEPENDENCIES["check"]}
    reading = read_condition(condition("output.ok"), only, {"check"}, {})
    assert fixed("output.ok", reading.findings) == "check.ok"


def test_a_condition_without_dependencies_is_told_where_to_name_them() -> None:
    [finding] = read_condition(condition("x.ok"), {}, {"later"}, {}).findings
    assert (finding.message, finding.hint) == (
        "x is not a dependency",
        "Name the tasks it reads in depends_on.",
    )


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("inner", [list_of(object_of({"n": NUMBER})), or_null(list_of(ANY))])
def test_a_wrapper_is_looked_through(inner: Shape) -> None:
    wrapper = Shape(frozenset({"object"}), {"result": inner}, is_closed="null" not in inner.kinds)
    for text in ("[].n", "result[].n", "length(@)"):
        assert said(read(expression(text), wrapper, {})) == []


@pytest.mark.parametrize(
    "text",
    [
        "|".join(["{a:@,b:@}"] * 900),
        "|".join(["[@,@]"] * 1_400),
        "{x:`1`,y:'a'}|" + "|".join(["{x:{a:x,b:x},y:{a:y,b:y}}"] * 300) + "|[x,y]",
        "||".join(["a.b"] * 2_000),
        "[" + ",".join(["{a:@}"] * 1_500) + "]",
    ],
    ids=range(5),
)
def test_reading_takes_steps_linear_in_the_text(text: str) -> None:
    read_once = expression(text)
    assert steps(lambda: read(read_once, ISSUES, {})) < 60 * len(text)


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


@settings(deadline=None)
@given(EXPRESSIONS, _VALUES)
def test_the_shape_that_is_read_holds_for_the_result(text: str, value: object) -> None:
    made = expression(text)
    reading = read(made, of_value(value), {})
    try:
        found = made.evaluate(value)  # type: ignore[arg-type]  # drawn JSON
    except ExpressionFailed:
        return
    assert is_of(found, reading.shape) or reading.findings, (text, value, str(reading.shape))


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
        return known and (
            not shape.is_closed
            or shape.of_members is not None
            or value.keys() <= shape.members.keys()
        )
    return shape.options is None or value is None or value in shape.options
