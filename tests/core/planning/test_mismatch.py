"""Reports on references: notes, hints and fixes, each only as certain as it is."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.tools.catalog import Catalog
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op
from plait.core.values.schema import Schema
from plait.errors import InvalidDag
from tests.fakes import tool

from ..steps import steps
from ..tables import table
from .typed import STRING, TYPED, refused, typed


def test_an_undeclared_member_of_an_open_schema_is_a_note_and_notes_are_bounded() -> None:
    task = {"tool": "s:read", "arguments": {"path": "$OUTPUT[t0].totl"}}
    plan = typed({"tool": "s:open"}, *[task] * 30)
    assert len(plan.notes) == 21
    assert plan.notes[-1] == "20 notes on references are given; there may be more"
    assert len(typed({"tool": "s:open"}, *[task] * 20).notes) == 20
    assert plan.notes[0] == (
        'tasks[1].arguments.path: the schema of $OUTPUT[t0] declares no "totl"; did you mean '
        '"total"?'
    )


@table(
    ("path", "notes"), [(".title", 0), (".result.title", 0), (".titel", 1), (".result.titel", 1)]
)
def test_names_are_looked_up_inside_the_wrapper_of_an_sdk(path: str, notes: int) -> None:
    wrapped = {"type": "object", "properties": {"title": STRING}}
    output = {"type": "object", "properties": {"result": wrapped}, "required": ["result"]}
    catalog = Catalog(
        [tool("s:wrap", output=output), *TYPED.tools.values()], TYPED.servers.values()
    )
    reader = {"id": "b", "tool": "s:read", "arguments": {"path": f"$OUTPUT[a]{path}"}}
    plan = check(read_dag({"tasks": [{"id": "a", "tool": "s:wrap"}, reader]}), catalog, Policy())
    assert [note.endswith('declares no "titel"; did you mean "title"?') for note in plan.notes] == [
        True
    ] * notes


SEEN = Schema(
    {
        "type": "object",
        "properties": {"title": STRING, "more": {"type": "object", "properties": {"a": {}}}},
    }
)


@table(
    ("path", "for_each", "note"),
    [
        (".title", None, None),
        (".titel", None, 'earlier outputs of s:read had no "titel"; did you mean "title"?'),
        (".more.b", None, 'earlier outputs of s:read had no "b"'),
        (".title.deep", None, None),
        ("[0].titel", ["x"], 'earlier outputs of s:read had no "titel"; did you mean "title"?'),
    ],
)
def test_learned_shapes_give_notes_and_refuse_nothing(
    path: str, for_each: Any, note: str | None
) -> None:
    producer = {
        "tool": "s:read",
        "arguments": {"path": "x"},
        **({"for_each": for_each} if for_each else {}),
    }
    consumer = {"tool": "s:read", "arguments": {"path": f"$OUTPUT[t0]{path}"}}
    plan = typed(
        producer, consumer, learned_shape=lambda tool: SEEN if tool.name == "read" else None
    )
    assert [text.partition(": ")[2] for text in plan.notes] == ([note] if note else [])


def test_a_learned_shape_with_more_keys_than_were_kept_rules_out_none() -> None:
    seen = Schema({"type": "object", "properties": {"title": STRING}, "additionalProperties": True})
    producer = {"tool": "s:read", "arguments": {"path": "x"}}
    plan = typed(
        producer,
        {"tool": "s:read", "arguments": {"path": "$OUTPUT[t0].titel"}},
        learned_shape=lambda tool: seen,
    )
    assert plan.notes == ()


def test_an_object_with_one_list_is_fixed_to_that_list() -> None:
    two = {"type": "object", "properties": {"a": {"type": "array"}, "b": {"type": "array"}}}
    catalog = Catalog([tool("s:two", output=two), *TYPED.tools.values()], TYPED.servers.values())
    tasks = [{"id": "two", "tool": "s:two"}, {"id": "one", "tool": "s:list"}]
    tasks += [
        {"id": f"of_{id}", "tool": "s:list", "for_each": f"$OUTPUT[{id}]"} for id in ("one", "two")
    ]
    with pytest.raises(InvalidDag) as error:
        check(read_dag({"tasks": tasks}), catalog, Policy())
    assert [(problem.id, problem.fix and problem.fix.to) for problem in error.value.problems] == [
        ("of_one", "$OUTPUT[one].items"),
    ]


def test_a_text_is_fixed_only_if_the_mistake_occurs_once_in_it() -> None:
    texts = ["$OUTPUT[t0].totl and $$OUTPUT[t0].totl", "${OUTPUT[t0].totl} and $$OUTPUT[t0].totl"]
    found = refused(
        {"tool": "s:list"}, *[{"tool": "s:read", "arguments": {"path": text}} for text in texts]
    )
    assert [problem.fix and problem.fix.to for problem in found] == [
        None,
        "${OUTPUT[t0].total} and $$OUTPUT[t0].totl",
    ]
    texts = ["a $OUTPUT[listed].total", "$OUTPUT[listed].total of $$OUTPUT[listed]"]
    tasks = [
        {"id": f"t{n}", "tool": "s:read", "arguments": {"path": text}}
        for n, text in enumerate(texts)
    ]
    with pytest.raises(InvalidDag) as error:
        check(read_dag({"tasks": [{"id": "list_ed", "tool": "s:list"}, *tasks]}), TYPED, Policy())
    assert [problem.fix and problem.fix.to for problem in error.value.problems] == [
        "a $OUTPUT[list_ed].total",
        None,
    ]


def test_two_problems_at_one_place_have_no_fix_since_each_would_undo_the_other() -> None:
    text = "$OUTPUT[t0].totl of $OUTPUT[t0].itmes"
    found = refused({"tool": "s:list"}, {"tool": "s:read", "arguments": {"path": text}})
    assert [(problem.code, problem.fix) for problem in found] == [("invalid_reference", None)] * 2


def test_a_long_text_is_not_sent_back_fixed() -> None:
    text = "x" * 5_000 + "$OUTPUT[t0].totl"
    [problem] = refused({"tool": "s:list"}, {"tool": "s:read", "arguments": {"path": text}})
    assert problem.fix is None
    assert problem.hint == "Did you mean $OUTPUT[t0].total? Fields: items: array, total: integer."
    catalog = Catalog([tool("s:lists", {"a": {"type": "array"}})], TYPED.servers.values())
    with pytest.raises(InvalidDag) as error:
        check(
            read_dag({"tasks": [{"id": "t", "tool": "s:lists", "arguments": {"a": "x" * 5_000}}]}),
            catalog,
            Policy(),
        )
    assert error.value.problems[0].fix is None


def test_only_the_first_wrong_references_into_a_wide_schema_cost_more_the_wider_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plait.core.planning.mismatch.MAX_GUESSES", 4)
    wide = {
        "type": "object",
        "properties": {f"field{n}": STRING for n in range(20)},
        "additionalProperties": False,
    }
    catalog = Catalog([tool("s:wide", output=wide), *TYPED.tools.values()], TYPED.servers.values())
    tasks = [
        {"id": f"t{n}", "tool": "s:read", "arguments": {"path": f"$OUTPUT[w].f{n}"}}
        for n in range(8)
    ]

    def refuse(count: int) -> None:
        document = {"tasks": [{"id": "w", "tool": "s:wide"}, *tasks[:count]]}
        with pytest.raises(InvalidDag) as error:
            check(read_dag(document), catalog, Policy())
        assert len(error.value.problems) == count

    refuse(8)  # so that what is kept for later documents is there
    assert steps(lambda: refuse(8)) - steps(lambda: refuse(5)) < 3 * 1_000


@table(
    ("path", "fix"),
    [
        ("$INDEX.txt", "${INDEX}.txt"),
        ("out/$INDEX.tar.gz", "out/${INDEX}.tar.gz"),
        ("$ITEM.title.md", "${ITEM.title}.md"),
        ("a $INDEX.txt, b", "a ${INDEX}.txt, b"),
        ("$INDEX.txt and $INDEX.txt", None),
        ("$INDEX.title", None),
        ("$ITEM.txt", None),  # an object
        ('$INDEX["txt"]', None),
    ],
)
def test_the_end_of_the_name_of_a_file_is_no_step_of_a_path(path: str, fix: str | None) -> None:
    [problem] = refused(
        {"tool": "s:list"},
        {"tool": "s:read", "for_each": "$OUTPUT[t0].items", "arguments": {"path": path}},
    )[:1]
    assert problem.code == "invalid_reference"
    assert problem.fix == (None if fix is None else Fix(Op.REPLACE, fix))
    if fix is not None:
        assert typed(
            {"tool": "s:list"},
            {"tool": "s:read", "for_each": "$OUTPUT[t0].items", "arguments": {"path": fix}},
        )


@table(
    ("path", "fix"),
    [
        ("$OUTPUT[t0].total", "${OUTPUT[t0].total | to_string(@)}"),
        ("${OUTPUT[t0].total ?? 0}", '${OUTPUT[t0].total | to_string(@) ?? "0"}'),
        ("${OUTPUT[t0].items | length(@)}", "${OUTPUT[t0].items | to_string(length(@))}"),
        ("$OUTPUT[t0].items | length(@)", "${OUTPUT[t0].items | to_string(length(@))}"),
        ("$OUTPUT[t0].items", None),  # a list is rarely meant as a text
        ("${OUTPUT[t0].total ?? OUTPUT[t0].total}", None),
    ],
)
def test_a_number_goes_into_a_text_by_a_function(path: str, fix: str | None) -> None:
    [problem] = refused({"tool": "s:list"}, {"tool": "s:read", "arguments": {"path": path}})
    assert problem.code == "type_mismatch"
    assert problem.fix == (None if fix is None else Fix(Op.REPLACE, fix))
    if fix is not None:
        assert typed({"tool": "s:list"}, {"tool": "s:read", "arguments": {"path": fix}}).notes == ()


def test_a_member_of_the_list_of_all_pages_is_selected_in_each_of_them() -> None:
    pages = {"tool": "s:list", "arguments": {"page": 1}, "allow_repeat": True}
    pages |= {"repeat": {"set": {"page": "total"}}}
    behind = {"tool": "s:read", "for_each": "$OUTPUT[t0].items", "arguments": {"path": "x"}}
    [problem] = refused(pages, behind)
    assert problem.hint is not None
    assert 'write select: "items" in t0, and leave .items out here' in problem.hint
    selected = {**behind, "for_each": "$OUTPUT[t0]"}
    assert typed({**pages, "select": "items"}, selected)
