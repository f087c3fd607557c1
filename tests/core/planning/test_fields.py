"""The fields of a task as they are compiled: what is wrong with them as they are written."""

from __future__ import annotations

from typing import Any

from plait.core.expressions.evaluation import expression
from plait.core.language.dag import Task
from plait.core.language.reader import read_dag
from plait.core.language.references import Reference
from plait.core.planning.fields import MAX_LOOKALIKES, Fields
from plait.core.planning.links import Links
from plait.core.values.problems import Fix, Op, Problems
from tests.fakes import tool

from ..tables import table

READ_ONLY = tool("s:read", readOnlyHint=True)


class Given:
    """Fields of a document with the tasks `a` and `t`."""

    def __init__(self) -> None:
        tasks = [{"id": id, "tool": "s:do"} for id in ("a", "t")]
        self.problems = Problems()
        self.notes: list[str] = []
        links = Links(read_dag({"tasks": tasks}), self.problems, self.notes)
        self.fields = Fields(links, self.problems, self.notes, max_items=3)

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(problem.path, problem.code) for problem in self.problems]


def task(**fields: Any) -> Task:
    return Task(id="t", **({"tool": "s:do"} | fields))


def test_references_are_compiled_and_bad_ones_reported_with_their_place():
    given = Given()
    value: dict[str, Any] = {"x": "$OUTPUT[a].n", "y": ["$OUTPUT[a"]}
    template = given.fields.template(value, "p", task(), items=False)
    assert template.found == ((("x",), Reference("a", ("n",), text="$OUTPUT[a].n")),)
    assert given.said == [("p.y[0]", "invalid_reference")]


def test_what_is_understood_as_its_braced_form_is_noted():
    given = Given()
    given.fields.template({"x": "$OUTPUT[a][?n]"}, "p", task(), items=False)
    assert given.said == []
    assert given.notes == ["p.x: $OUTPUT[a][?n] was read as ${OUTPUT[a] | [?n]}"]


@table("text", ["${OUTPUT[a] | lenght(@)}", "${OUTPUT[a] | items[?}", "${OUTPUT[a] | a b}"])
def test_an_expression_in_a_reference_that_is_wrong_is_one_problem(text: str):
    given = Given()
    given.fields.template({"x": text}, "p", task(), items=False)
    assert len(given.said) == 1
    assert given.said[0][0] == "p.x"


def test_the_item_of_a_group_that_is_not_around_is_unknown():
    given = Given()
    given.fields.template({"x": "$ITEM[each].n"}, "p", task(), items=True)
    assert given.said == [("p.x", "unknown_task")]


def test_text_that_was_meant_as_a_reference_is_refused_where_it_changes_something_and_noted_else():
    given = Given()
    template = given.fields.template({"x": "{{a.n}}"}, "p", task(), items=False)
    given.fields.lookalikes(task(), READ_ONLY, template, "p", items=False)
    assert (given.said, len(given.notes)) == ([], 1)
    given.fields.lookalikes(task(), tool("s:write"), template, "p", items=False)
    assert given.said == [("p.x", "invalid_reference")]
    assert given.problems[0].fix == Fix(Op.REPLACE, "$OUTPUT[a].n")
    given.fields.lookalikes(task(literal=True), tool("s:write"), template, "p", items=False)
    assert len(given.said) == 1


def test_notes_on_such_texts_are_counted_above_some():
    given = Given()
    value: dict[str, Any] = {f"x{n}": "{{a.n}}" for n in range(MAX_LOOKALIKES + 5)}
    template = given.fields.template(value, "p", task(), items=False)
    given.fields.lookalikes(task(), READ_ONLY, template, "p", items=False)
    given.fields.end_notes()
    assert len(given.notes) == MAX_LOOKALIKES + 1
    assert given.notes[-1] == "5 more texts that look like references are taken as text"


def test_resources_hold_no_references():
    given = Given()
    given.fields.resources(task(reads=["$OUTPUT[a].x"], writes=["$$OUTPUT[a]", "file:/x"]), "p")
    assert given.said == [("p.reads[0]", "invalid_reference")]


@table(
    ("items", "code"),
    [
        ([1, 2, 3], None),
        ([1, 2, 3, 4], "limit_exceeded"),
        ({"a": 1}, None),
        ({"items": "$OUTPUT[a].items"}, "invalid_reference"),
        ({"source": "$OUTPUT[a].items"}, "invalid_reference"),
        ({"items": "${OUTPUT[a].items}", "as": "issue"}, "invalid_reference"),
        ({"from": "$OUTPUT[a].items", "var": "x"}, "invalid_reference"),
        ({"items": "$OUTPUT[a].items", "max_parallel": 2}, "invalid_reference"),
        ({"items": "$OUTPUT[a].items", "name": "$OUTPUT[a].name"}, None),
        ({"source": "$OUTPUT[a].x", "from": "$OUTPUT[a].y"}, None),
        ({"items": "$OUTPUT[a].items", "other": 1}, None),
        ({"items": "all of $OUTPUT[a]"}, None),
        ({"items": [1], "as": "issue"}, "invalid_reference"),
        ({"a": "$OUTPUT[a].x"}, None),
        (dict.fromkeys("abcd"), "limit_exceeded"),
        ("$OUTPUT[a].items", None),
        ("all of $OUTPUT[a]", "invalid_reference"),
        ("text", "invalid_reference"),
    ],
)
def test_items_are_a_list_an_object_or_one_reference(items: Any, code: str | None):
    given = Given()
    given.fields.items(task(for_each=items), "p")
    assert given.said == ([] if code is None else [("p.for_each", code)])


@table(("others", "is_fixed"), [({}, True), ({"as": "x"}, False), ({"max_parallel": 2}, False)])
def test_an_object_that_describes_a_list_is_fixed_where_nothing_else_is_lost(
    others: dict[str, Any], is_fixed: bool
):
    given = Given()
    given.fields.items(task(for_each={"items": "$OUTPUT[a].items", **others}), "p")
    [problem] = given.problems
    assert problem.fix == (Fix(Op.REPLACE, "$OUTPUT[a].items") if is_fixed else None)


def test_an_expression_that_is_wrong_is_reported_and_its_fix_compiled():
    given = Given()
    read = given.fields.expression("a = 'x'", "p.select", task(), expression)
    assert read is not None
    assert read.text == "a == 'x'"
    assert given.said == [("p.select", "invalid_expression")]
    assert given.fields.expression(None, "p.select", task(), expression) is None
    assert given.fields.expression("a b c (", "p.select", task(), expression) is None


def test_a_repeat_is_compiled_whole_or_not_at_all():
    given = Given()
    good = given.fields.repeat(task(repeat={"set": {"page": "next"}}), "p")
    assert good is not None
    assert good.is_paging
    assert given.fields.repeat(task(repeat={"set": {"page": "next["}}), "p") is None
    assert given.said == [("p.repeat.set.page", "invalid_expression")]


@table(
    ("for_each", "fix"),
    [
        (["$OUTPUT[a].items"], "$OUTPUT[a].items"),
        (["${OUTPUT[a].items | [?open]}"], "${OUTPUT[a].items | [?open]}"),
        ({"items": ["x", "y"]}, ["x", "y"]),
        (["$OUTPUT[a].items[0]"], None),
        (["$OUTPUT[a]"], None),
        (["$OUTPUT[a].items", "$OUTPUT[a].items"], None),
        ({"channels": ["x", "y"]}, None),
    ],
)
def test_items_around_a_list_are_the_list(for_each: Any, fix: Any) -> None:
    given = Given()
    given.fields.items(task(for_each=for_each), "t")
    fixes = [] if fix is None else [Fix(Op.REPLACE, fix)]
    assert [problem.fix for problem in given.problems] == fixes
