"""Names that are not there, and their fixes."""

from __future__ import annotations

from plait.core.expressions.evaluation import condition, expression
from plait.core.expressions.names import MAX_GUESSED
from plait.core.expressions.nodes import Key, Source
from plait.core.expressions.problems import fixed
from plait.core.expressions.reading import read, read_condition
from plait.core.expressions.shapes import ANY, list_of, object_of, of

from ..tables import table
from .issues import DEPENDENCIES, ISSUES, REFERENCES, assert_found, read_select, read_when, said

CERTAIN: list[tuple[str, int, str, str | None]] = [
    # expression, character, a part of the message, the right expression (None: no certain fix)
    ("itms[].number", 1, "unknown field itms", "items[].number"),
    ("items[].nuber", 9, "unknown field nuber", "items[].number"),
    ("items[?stat == 'open']", 8, "unknown field stat", "items[?state == 'open']"),
    ('items["title"]', 7, "a list has no field title", "items[].title"),
    ("(items).title", 9, "a list has no field title", "(items)[].title"),
    ("items[?assignee == None]", 20, "None is written null", "items[?assignee == null]"),
    ("$OUTPUT[any][?x == True]", 20, "True is written true", "$OUTPUT[any][?x == true]"),
    ("[totl, total]", 2, "unknown field totl", "[total, total]"),
    ('items | ["title"]', 10, "a list has no field title", "items | [[].title]"),
    ("items.title", 7, "a list has no field title", "items[].title"),
    ("total.x", 7, "an integer has no fields", None),
    ("items[0].labels.name", 17, "a list has no field", None),
    ("title[0]", 1, "unknown field title", None),
    ('items[?state == "open"]', 17, "single quotes", "items[?state == 'open']"),
    ('items[?"open" == state]', 8, "single quotes", "items[?'open' == state]"),
    ("items[?state == open]", 17, "unknown field open to compare with", "items[?state == 'open']"),
    ('items[?contains(labels, "bug")]', 25, "single quotes", "items[?contains(labels, 'bug')]"),
    ('split(items[0].title, ", ")', 23, "single quotes", "split(items[0].title, ', ')"),
    ("items[0].title | lower", 18, "a function is called", "items[0].title | lower(@)"),
    ("items | unique", 9, "a function is called", "items | unique(@)"),
    ("items | [0].title | trim", 21, "a function is called", "items | [0].title | trim(@)"),
    ("items[0].title | split", 18, "has no fields", None),
    ("items[?total > number]", 8, "total is read from each element", None),
    ("items[].{t: total}", 13, "total is read from each element", None),
    ("sort_by(items, &total)", 17, "total is read from each element", None),
    (
        "$OUTPUT[v].items[?n >= least]",
        24,
        "only the value",
        "$OUTPUT[v].items[?n >= $OUTPUT[v].least]",
    ),
    (
        "$OUTPUT[v].of.all[?n > most]",
        24,
        "only the value",
        "$OUTPUT[v].of.all[?n > $OUTPUT[v].of.most]",
    ),
    (
        "$OUTPUT[v].of.all[?n > least]",
        24,
        "only the value",
        "$OUTPUT[v].of.all[?n > $OUTPUT[v].least]",
    ),
    ("$ITEM.all[?n > id]", 16, "only the value", "$ITEM.all[?n > $ITEM.id]"),
    ("$OUTPUT[oc].handel", 13, "unknown field handel", "$OUTPUT[oc].handle"),
    ("$OUTPUT[oc].output.handle", 13, "no output around it", "$OUTPUT[oc].handle"),
    ("'run $OUTPUT[oc].handel'", 18, "unknown field handel", "'run $OUTPUT[oc].handle'"),
    ('$OUTPUT[oc]["handel"]', 13, "unknown field handel", '$OUTPUT[oc]["handle"]'),
]

WHEN: list[tuple[str, int, str, str | None]] = [
    # expression, character, a part of the message, the right expression (None: no certain fix)
    ('check.state != "blocked"', 16, "single quotes", "check.state != 'blocked'"),
    ("check.state == open", 16, "open is not a dependency", "check.state == 'open'"),
    ("chekc.ok", 1, "chekc is not a dependency", "check.ok"),
    ("output.ok", 1, "output is not a dependency", None),
    ("outputs.check.ok", 1, "outputs is not a dependency", "check.ok"),
    ("steps.check.outputs.ok", 1, "steps is not a dependency", "check.ok"),
    ('steps["chekc"].ok', 1, "steps is not a dependency", "check.ok"),
    ("check.output.ok", 7, "no output around it", "check.ok"),
    ("x.y.ok", 1, "x.y is one id", '"x.y".ok'),
    ("check.totl > 1", 7, "unknown field totl", None),
    ("check.stae == 'open' && !chek.ok", 7, "stae", "check.state == 'open' && !check.ok"),
    ("hits[?n == check.n]", 12, "only the value around", "hits[?n == $OUTPUT[check].n]"),
    ("check.ok == True", 13, "True is not a dependency", "check.ok == true"),
]


@table(("text", "character", "message", "right"), CERTAIN)
def test_a_name_that_is_not_there_is_found(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_select(text), character, message, right)
    if right:
        assert said(read_select(right)) == []


@table(("text", "character", "message", "right"), WHEN)
def test_a_name_in_a_condition_that_is_no_dependency_is_found(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_when(text), character, message, right)
    if right:
        assert said(read_when(right)) == []


@table(
    ("text", "right"),
    [
        ("steps.other.ok", "other.ok"),
        ("needs.other.outputs.ok > 1", "other.ok > 1"),
        ("steps.other.outcome == 'success'", "$STATUS[other] == 'success'"),
        ("needs.other.result", "$STATUS[other]"),
    ],
)
def test_a_task_below_the_name_of_another_engine_is_meant_though_it_is_no_dependency_yet(
    text: str, right: str
) -> None:
    reading = read_condition(condition(text), {}, ["other"], {})
    assert fixed(text, reading.findings) == right


def test_a_misspelt_name_is_searched_among_all_tasks_only_where_they_are_few() -> None:
    few = ["check", *(f"t{number}" for number in range(MAX_GUESSED - 1))]
    reading = read_condition(condition("chekc.ok"), {}, few, {})
    assert fixed("chekc.ok", reading.findings) == "check.ok"
    reading = read_condition(condition("chekc.ok"), {}, [*few, "more"], {})
    assert [finding.edit for finding in reading.findings] == [None]
    dependencies = {"check": DEPENDENCIES["check"]}
    reading = read_condition(condition("chekc.ok"), dependencies, [*few, "more"], {})
    assert fixed("chekc.ok", reading.findings) == "check.ok"


def test_a_name_of_the_value_around_becomes_a_reference_where_that_value_has_one() -> None:
    text = "items[?number < total]"
    reading = read(expression(text), ISSUES, REFERENCES, source="$OUTPUT[a]")
    assert fixed(text, reading.findings) == "items[?number < $OUTPUT[a].total]"


def test_the_only_dependency_is_meant_by_the_names_of_other_engines() -> None:
    only = {"check": DEPENDENCIES["check"]}
    reading = read_condition(condition("output.ok"), only, {"check"}, {})
    assert fixed("output.ok", reading.findings) == "check.ok"


def test_a_name_of_the_value_that_has_the_list_becomes_a_reference_in_a_condition() -> None:
    text = "check.all[?n >= least]"
    right = "check.all[?n >= $OUTPUT[check].least]"
    shape = object_of({"all": list_of(object_of({"n": of("integer")})), "least": of("integer")})
    seen, own = {"check": shape}, {Key(Source.OUTPUT, "check"): shape}
    found = read_condition(condition(text), seen, seen, own).findings
    assert fixed(text, found) == right
    assert not read_condition(condition(right), seen, seen, own).findings


def test_the_text_of_a_text_is_the_output() -> None:
    assert_found("text", read_select("text", of("text")), 1, "is the text itself", "@")
    found = read_select("text | lines(@)", of("text"))
    assert_found("text | lines(@)", found, 1, "is the text itself", "@ | lines(@)")
    assert not read_select("text", object_of({"text": of("text")})).findings


def test_a_name_of_an_argument_of_the_call_becomes_a_reference_to_it() -> None:
    references = {Key(Source.ARGUMENTS): object_of({"page": of("integer")})}
    found = read(expression("add(page, 1)"), ISSUES, references).findings
    assert fixed("add(page, 1)", found) == "add($ARGUMENTS.page, 1)"
    has_it = object_of({"page": of("integer")})
    assert not read(expression("add(page, 1)"), has_it, references).findings


def test_a_task_in_a_group_is_reached_by_the_group() -> None:
    group_of = {"inner": "g"}.get
    found = read_condition(condition("inner.ok"), DEPENDENCIES, DEPENDENCIES, {}, group_of).findings
    assert "refer to $OUTPUT[g]" in found[0].hint
    reading = read(expression("[?a == $OUTPUT[inner]]"), ANY, {}, group_of=group_of)
    assert "refer to $OUTPUT[g]" in reading.findings[0].hint


def test_a_condition_without_dependencies_is_told_where_to_name_them() -> None:
    [finding] = read_condition(condition("x.ok"), {}, {"later"}, {}).findings
    assert (finding.message, finding.hint) == (
        "x is not a dependency",
        "Begin each name with the id of a task, such as a.total.",
    )
