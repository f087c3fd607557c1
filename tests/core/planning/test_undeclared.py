"""Arguments that a tool takes but does not declare: each is a note, with the name that it was
likely meant to be."""

from __future__ import annotations

from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.mismatch import MAX_NOTES
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.policy import Policy

STRING = {"type": "string"}
ISSUE: dict[str, Any] = {
    "type": "object",
    "properties": {"title": STRING, "labels": {"type": "array", "items": STRING}},
    "required": ["title"],
}
SCHEMA: dict[str, Any] = {
    "properties": {"cursor": STRING, "size": {"type": "integer"}, "issue": ISSUE},
}


def notes(more: dict[str, Any] | None = None, **task: Any) -> list[str]:
    hints: Any = {"readOnlyHint": True}
    page = Tool("s", "page", {"inputSchema": {**SCHEMA, **(more or {})}, "annotations": hints})
    catalog = Catalog([page], [ServerInfo("s", ServerState.READY)])
    document = {"tasks": [{"id": "a", "tool": "s:page", **task}]}
    return [
        note.removeprefix("tasks[0].")
        for note in check(read_dag(document), catalog, Policy()).notes
    ]


SIGNATURE = "Signature: s:page(cursor?: string, size?: integer, issue?: {title, labels: [string]})"


def test_arguments_that_an_open_schema_does_not_declare_are_noted() -> None:
    assert notes(arguments={"cursor": "x", "size": 1}) == []
    assert notes(arguments={"curser": "x"}) == [
        'arguments.curser: s:page declares no curser. Did you mean "cursor"?'
    ]
    assert notes(repeat={"set": {"after": "next"}}) == [
        f"repeat.set.after: s:page declares no after. {SIGNATURE}"
    ]


def test_members_inside_of_arguments_are_noted_too() -> None:
    assert notes(arguments={"issue": {"title": "x", "labels": ["y"]}}) == []
    assert notes(arguments={"issue": {"title": "x", "lables": ["y"]}}) == [
        'arguments.issue.lables: s:page declares no issue.lables. Did you mean "labels"?'
    ]
    listed = {"properties": {"issues": {"type": "array", "items": ISSUE}}}
    [note] = notes(listed, arguments={"issues": [{"title": "x"}, {"title": "x", "who": "y"}]})
    assert note.startswith("arguments.issues[1].who: s:page declares no issues[1].who. Signature")


def test_a_schema_that_takes_any_name_is_noted_only_where_one_is_near() -> None:
    wide = {"additionalProperties": True}
    assert notes(wide, arguments={"other": "x"}) == []
    assert len(notes(wide, arguments={"curser": "x"})) == 1
    inside = {"properties": {"issue": {**ISSUE, **wide}}}
    assert notes(inside, arguments={"issue": {"title": "x", "who": "y"}}) == []
    assert len(notes(inside, arguments={"issue": {"title": "x", "lables": "y"}})) == 1
    of_others = {"additionalProperties": STRING}
    assert notes(of_others, arguments={"curser": "x"}) == []


def test_such_notes_are_few() -> None:
    many = {f"x{number}": 1 for number in range(50)}
    assert len(notes(arguments=many)) == MAX_NOTES
    assert len(notes(arguments={"issue": {"title": "x", **many}})) == MAX_NOTES
