"""Texts that look like references and are none: refused where that is all but certain, else
noted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.dag import read_dag
from plait.core.language.lookalikes import lookalikes
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op
from plait.errors import InvalidDag
from tests.fakes import tool

CATALOG = Catalog([tool("s:t", closed=False)], [ServerInfo("s", ServerState.READY)])
IDS = ("a", "b.c", "other-one")


def planned(text: Any, **options: Any) -> Plan:
    tasks: list[dict[str, Any]] = [{"id": id, "tool": "s:t"} for id in IDS]
    tasks.append({"id": "last", "tool": "s:t", "arguments": {"x": [text]}, **options})
    return check(read_dag({"tasks": tasks}), CATALOG, Policy())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("$OUTPUT.a", "$OUTPUT[a]"),
        ("$OUTPUT.a.items[0].title", "$OUTPUT[a].items[0].title"),
        ("$OUTPUT.b.c.title", "$OUTPUT[b.c].title"),
        ("$output[a].title", "$OUTPUT[a].title"),
        ("${output[a].title}", "$OUTPUT[a].title"),
        ("$Outputs[a]", "$OUTPUT[a]"),
        ("$OUTPUT(a).title", "$OUTPUT[a].title"),
        ("$OUTPUT{a}", "$OUTPUT[a]"),
        ('$output["a"]', "$OUTPUT[a]"),
        ("It is $OUTPUT.a.", "It is $OUTPUT[a]."),
    ],
)
def test_what_is_all_but_a_reference_is_refused_with_what_was_meant(text: str, meant: str) -> None:
    with pytest.raises(InvalidDag) as refused:
        planned(text)
    (problem,) = refused.value.problems
    assert (problem.path, problem.code, problem.fix) == (
        "tasks[3].arguments.x[0]",
        "invalid_reference",
        Fix(Op.REPLACE, meant),
    )
    assert problem.hint is not None
    assert meant.removeprefix("It is ").rstrip(".") in problem.hint


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("${a}", '"${a" is taken as text; the output is $OUTPUT[a]'),
        ("run $a now", '"$a" is taken as text; the output is $OUTPUT[a]'),
        ("{{ b.c.title }}", '"{{ b.c.title" is taken as text; the output is $OUTPUT[b.c]'),
        ("$ITEM.name", '"$ITEM" is taken as text; there is an item only with for_each'),
    ],
)
def test_what_may_have_been_meant_as_a_reference_is_noted(text: str, note: str) -> None:
    assert planned(text).notes == (f"tasks[3].arguments.x[0]: {note}",)


@pytest.mark.parametrize(
    "text",
    [
        "$OUTPUT[a]",
        "${OUTPUT[a].x ?? 1} and $OUTPUT[b.c]",
        "$$OUTPUT[a]",
        "$OUTPUT_DIR",
        "$OUTPUT.other",
        "$output[z]",
        "costs 5$a",
        "$$a",
        "{a}",
        "a.b",
    ],
)
def test_all_else_is_taken_without_a_word(text: str) -> None:
    assert planned(text).notes == ()


def test_an_item_is_not_a_lookalike_where_there_are_items() -> None:
    assert planned("$ITEM and $INDEX", for_each=[1]).notes == ()


def test_notes_are_few_and_the_others_are_counted() -> None:
    notes = planned(["${a}"] * 100).notes
    assert len(notes) == 21
    assert notes[-1] == "80 more texts that look like references are taken as text"
    assert len(planned(["${a}"] * 20).notes) == 20


@given(st.text(st.sampled_from("$$${[.](a}{{OUTPUToutput\"'0 ")))
def test_any_text_is_looked_at(text: str) -> None:
    for found in lookalikes([((), text)], IDS, items=False):
        assert found.found in found.text


def test_a_long_hostile_text_is_looked_at_in_time() -> None:
    for text in (
        "$output." * 10**6,
        "$" * 10**6,
        "{{ " * 10**6,
        "$" + "a" * 10**6,
        "$output[" + "a." * 10**6,
    ):
        list(lookalikes([((), text)], IDS, items=False))
