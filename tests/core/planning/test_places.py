"""Locations in a document: how they are written, and how messages show what stands there."""

from __future__ import annotations

from typing import Any

from plait.core.language.dag import Dag, Task
from plait.core.language.reader import read_dag
from plait.core.language.references import Missing, Reference, parse
from plait.core.planning.keywords import Part
from plait.core.planning.places import (
    MAX_CHARS,
    MAX_FIELDS,
    fields_of,
    has_more,
    listed,
    location_of,
    mentions,
    part_at,
    paths_of,
    quoted,
)
from plait.core.planning.types import Types

from ..tables import table
from .typed import typed


def test_the_part_at_a_place_is_found():
    assert part_at({"a": [{"b": 7}]}, ("a", 0, "b")) == 7


def test_a_task_is_found_where_it_stands_in_the_document_that_was_sent():
    reading = read_dag({"tasks": [{"id": "b", "tool": "s:x"}, {"id": "a", "tool": "s:x"}]})
    assert list(paths_of(reading)) == ["tasks[0]", "tasks[1]"]


def test_a_task_of_the_earlier_run_has_a_path_of_its_own():
    reading = read_dag({"tasks": [{"id": "b", "tool": "s:x"}], "resume_from": "r_1"})
    taken_over = Task(id="old", tool="s:x")
    completed = Dag(tasks=(taken_over, *reading.dag.tasks), resume_from="r_1")
    with_both = type(reading)(**{**vars_of(reading), "dag": completed})
    assert list(paths_of(with_both)) == ["resume_from.old", "tasks[0]"]


def vars_of(reading: Any) -> dict[str, Any]:
    return {name: getattr(reading, name) for name in type(reading).__dataclass_fields__}


def test_mentions_are_dependencies_and_references_with_their_guards():
    plan = typed(
        {"tool": "s:list"},
        {
            "tool": "s:read",
            "depends_on": ["t0"],
            "for_each": "$OUTPUT[t0].items",
            "arguments": {"path": "${OUTPUT[t0].total ?? 1} of $ITEM.title"},
        },
    )
    task = plan.tasks["t1"]
    found = list(mentions(task.task, task.arguments, task.items, "tasks[1]"))
    assert found == [
        ("tasks[1].depends_on[0]", "t0", False, None),
        ("tasks[1].arguments.path", "t0", True, "${OUTPUT[t0].total ?? 1} of $ITEM.title"),
        ("tasks[1].for_each", "t0", False, "$OUTPUT[t0].items"),
    ]


def located(text: str) -> Any:
    plan = typed({"tool": "s:open"}, {"tool": "s:read", "arguments": {"path": text}})
    reference = next(piece for piece in parse(text) if isinstance(piece, Reference))
    return location_of(plan.tasks["t1"], "tasks[1]", ("path",), reference)


def test_a_location_knows_its_path_its_argument_and_its_text():
    at = located("see $OUTPUT[t0].items[0].title")
    assert (at.path, at.argument) == ("tasks[1].arguments.path", "path")
    assert at.text == "see $OUTPUT[t0].items[0].title"
    assert at.shown == "$OUTPUT[t0].items[0].title"
    assert at.container(2) == "$OUTPUT[t0].items[0]"


@table(
    ("text", "rewritten"),
    [
        ("see $OUTPUT[t0].a", "see $OUTPUT[t0].b"),
        ("${OUTPUT[t0].a ?? 1}!", "${OUTPUT[t0].b ?? 1}!"),
        ("${OUTPUT[t0].a}!", "${OUTPUT[t0].b}!"),
        ("$OUTPUT[t0].a, $OUTPUT[t0].a", None),
    ],
)
def test_a_text_is_rewritten_with_another_path_if_that_is_unambiguous(
    text: str, rewritten: str | None
):
    assert located(text).rewritten(("b",)) == rewritten


def test_odd_names_are_quoted_and_long_ones_cut():
    assert quoted("a b") == '"a b"'
    assert len(quoted("x" * 500)) == MAX_CHARS + 2
    assert listed({"a b": "string"}) == 'Fields: "a b": string.'


def test_fields_are_listed_with_their_types_and_bounded():
    schema: Any = {
        "type": "object",
        "properties": {f"f{n}": {"type": "integer"} for n in range(30)},
    }
    types = Types()
    fields = fields_of(types, types.forms(Part(schema, {})))
    assert fields["f0"] == "integer"
    assert listed(fields).count(": integer") == MAX_FIELDS
    assert listed(fields).endswith(", ….")
    assert listed({}) == ""


@table(("more", "expected"), [(True, True), (False, False), ({}, False)])
def test_members_beyond_the_declared_ones_count_only_if_they_are_announced(
    more: Any, expected: bool
):
    schema = {"type": "object", "properties": {"a": {}}, "additionalProperties": more}
    types = Types()
    assert has_more(types.forms(Part(schema, {}))) is expected


def test_a_reference_without_a_default_has_none():
    [reference] = parse("$OUTPUT[t0]")
    assert isinstance(reference, Reference)
    assert isinstance(reference.default, Missing)
