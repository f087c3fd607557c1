"""`repeat` as it is written: its fields, their other names, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.dag import Dag, Task
from plait.core.language.reader import read_dag
from plait.core.language.repeats import EXAMPLE, Repeat, read_repeat
from plait.core.values.problems import Fix, Op
from plait.errors import InvalidDag

from ..tables import table


def problems(repeat: Any) -> list[tuple[str, str]]:
    found = read_repeat(repeat, "tasks[0].repeat", "a", guesses=9)
    return [
        (problem.path.removeprefix("tasks[0].repeat"), problem.message)
        for problem in found.problems
    ]


def test_a_repeat_is_read_with_the_names_of_the_page():
    written = {"set": {"page": "next"}, "while": "more", "until": "end", "every_s": 1, "max": 3}
    task = {"id": "a", "tool": "s:t", "repeat": written}
    [read] = read_dag({"tasks": [task]}).dag.tasks
    assert read.repeat == Repeat(set={"page": "next"}, while_="more", until="end", every_s=1, max=3)
    assert read.model_dump(mode="json", by_alias=True)["repeat"] == written


@table("given", [{}, {"max": 3}, {"every_s": 1.0}])
def test_a_repeat_that_nothing_ends_is_refused(given: dict[str, Any]):
    assert problems(given) == [("", "repeat needs set, until or while: nothing else ends it.")]
    task = Task(id="a", tool="s:t", repeat=Repeat(**given))
    with pytest.raises(InvalidDag, match="nothing else ends it"):
        read_dag(Dag(tasks=[task]))


def test_it_may_come_as_text():
    found = read_repeat('{"until": "ok",}', "tasks[0].repeat", "a", guesses=9)
    assert found.members == {"until": "ok"}
    assert found.notes == [
        "tasks[0].repeat came as a JSON string; it was parsed",
        "tasks[0].repeat: a trailing comma was corrected",
    ]


@table("given", [[], "until", 3, True])
def test_anything_but_an_object_is_refused(given: Any):
    found = read_repeat(given, "p", "a", guesses=9)
    assert [(one.code, one.hint) for one in found.problems] == [("wrong_type", EXAMPLE)]


@table(
    ("name", "meant"),
    [
        ("interval", "every_s"),
        ("max_pages", "max"),
        ("stop_when", "until"),
        ("continue_while", "while"),
        ("update", "set"),
        ("evry_s", "every_s"),
    ],
)
def test_names_of_other_engines_have_their_fix(name: str, meant: str):
    value: Any = {"every_s": 1, "max": 3, "set": {"page": "next"}}.get(meant, "ok")
    found = read_repeat(
        {"until": "done", name: value} if meant != "until" else {name: value}, "p", "a", guesses=9
    )
    assert [problem.fix for problem in found.problems] == [Fix(Op.RENAME, meant)]
    assert meant in found.members


@table(
    ("given", "expected"),
    [
        ({"until": True}, (".until", "until must be an expression, which is text; it is true.")),
        (
            {"set": {"a b": 3}},
            ('.set["a b"]', 'set["a b"] must be an expression, which is text; it is 3.'),
        ),
        ({"set": "next"}, (".set", 'set must be an object; it is "next".')),
        ({"until": "x", "max": 0}, (".max", "max must be at least 1; it is 0.")),
        ({"until": "x", "max": 10_001}, (".max", "max must be at most 10000; it is 10001.")),
        (
            {"until": "x", "every_s": 0.01},
            (".every_s", "every_s must be at least 0.05; it is 0.01."),
        ),
        ({"until": ""}, (".until", 'until must be a non-empty string; it is "".')),
        ({"while": "x" * 10_001}, None),
    ],
)
def test_what_is_wrong_is_said_with_its_place(given: Any, expected: tuple[str, str] | None):
    found = problems(given)
    assert len(found) == 1
    assert expected is None or found == [expected]


def test_the_rest_of_the_document_is_read_as_if_it_were_right():
    task = {"id": "a", "tool": "s:t", "repeat": {"until": True}, "bogus": 1}
    with_both = read_dag({"tasks": [task]})
    assert [problem.path for problem in with_both.problems] == [
        "tasks[0].bogus",
        "tasks[0].repeat.until",
    ]
    assert with_both.unread == {"a": frozenset({"bogus", "repeat"})}


@table("kind", [{"value": 1}, {"tasks": [{"id": "b", "tool": "s:t"}]}])
def test_only_calls_are_repeated(kind: dict[str, Any]):
    reading = read_dag({"tasks": [{"id": "a", "repeat": {"until": "x"}, **kind}]})
    assert [(one.path, one.fix) for one in reading.problems] == [("tasks[0].repeat", None)]
