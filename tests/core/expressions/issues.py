"""Shapes that expressions are read over: issues, of which all is known, and tasks before a
condition. And what a reading says of an expression."""

from __future__ import annotations

from dataclasses import replace

from plait.core.expressions.evaluation import condition, expression
from plait.core.expressions.nodes import Key, Source
from plait.core.expressions.problems import fixed
from plait.core.expressions.reading import Reading, read, read_condition
from plait.core.expressions.shapes import ANY, Shape, list_of, object_of, of, or_null

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
    Key(Source.ITEM): object_of({"id": NUMBER, "all": list_of(object_of({"n": NUMBER}))}),
    Key(Source.OUTPUT, "v"): object_of(
        {
            "items": list_of(object_of({"n": NUMBER})),
            "least": NUMBER,
            "of": object_of({"all": list_of(object_of({"n": NUMBER})), "most": NUMBER}),
        }
    ),
    Key(Source.STATUS, "f"): replace(
        TEXT, options=("success", "failed", "timeout", "skipped", "cancelled")
    ),
}

DEPENDENCIES = {
    "check": object_of({"state": TEXT, "ok": BOOLEAN, "n": NUMBER}),
    "x.y": object_of({"ok": BOOLEAN}),
    "hits": object_of({"result": list_of(object_of({"n": NUMBER}))}),
    "text": TEXT,
}
TASKS = {*DEPENDENCIES, "later"}
OUTPUTS = {Key(Source.OUTPUT, id): shape for id, shape in DEPENDENCIES.items()}
OUTPUTS[Key(Source.OUTPUT, "oc")] = REFERENCES[Key(Source.OUTPUT, "oc")]


def said(reading: Reading) -> list[tuple[int, bool, str]]:
    return [(found.start + 1, found.is_note, found.message) for found in reading.findings]


def read_select(text: str, shape: Shape = ISSUES) -> Reading:
    return read(expression(text), shape, REFERENCES)


def read_when(text: str) -> Reading:
    return read_condition(condition(text), DEPENDENCIES, TASKS, OUTPUTS)


def assert_found(
    text: str, reading: Reading, character: int, message: str, right: str | None
) -> None:
    """Assert that the first certain mistake stands at *character*, and that *right* is its fix."""
    first = next(finding for finding in reading.findings if not finding.is_note)
    assert (first.start + 1, message in first.message) == (character, True), said(reading)
    got = fixed(text, reading.findings)
    assert (got if got != text else None) == right
