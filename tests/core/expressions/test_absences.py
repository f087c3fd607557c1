"""Paths in the condition of a filter that no element has."""

from __future__ import annotations

from typing import Any

from plait.core.expressions.absences import MAX_ABSENCES, Absences
from plait.core.expressions.evaluation import expression

from ..tables import table

ROWS: list[Any] = [
    {"id": 1, "archived": True, "owner": None, "labels": [{"name": "x"}], "kind": "issue"},
    {"id": 2, "archived": False, "owner": None, "labels": [], "kind": "issue", "a b": 1},
]
HAVE = "elements have id, archived, owner, labels, kind"


def absent(text: str, value: Any) -> list[tuple[str, str]]:
    absences = Absences()
    expression(text).evaluate(value, absences=absences)
    return [(one.message, one.hint) for one in absences.found()]


@table(
    ("text", "path", "near", "there"),
    [
        ("[?archvied == true].id", "archvied", "archived", HAVE),
        ("[?!archvied].id", "archvied", "archived", HAVE),
        ("[?@.archvied]", "archvied", "archived", HAVE),
        ("[?kind == 'issue' && !archvied]", "archvied", "archived", HAVE),
        ("[?stat == 'open' || archived]", "stat", None, HAVE),
        ("[?length(labls) > 0]", "labls", "labels", HAVE),
        ("[?contains(lables[].name, 'x')]", "lables", "labels", HAVE),
        ("[?state == null]", "state", None, HAVE),
        ("[?labels.name == 'x']", "labels.name", None, "labels is a list"),
        ("[?labels[?nme == 'x']]", "nme", "name", "elements have name"),
        ('[?"x y" > 1]', '"x y"', None, HAVE),
        ("{n: length([?archvied])}", "archvied", "archived", HAVE),
    ],
)
def test_a_path_that_no_element_has_is_found(
    text: str, path: str, near: str | None, there: str
) -> None:
    meant = f"Did you mean {near}? " if near else ""
    [(message, hint)] = absent(text, ROWS)
    assert message == f"no element has {path}; {there}"
    assert hint == f"{meant}If elements may lack it, write not_null({path}, null)."


@table(
    ("text", "value"),
    [
        ("[?archived].id", ROWS),
        ('[?"a b" == `1`]', ROWS),  # the last has it
        ("[?owner.login == 'x']", ROWS),  # a null may stand for an owner
        ("[?kind == 'pull' && merged_by.login == 'x']", ROWS),  # looked up in no element
        ("[?not_null(archvied, null)]", ROWS),
        ("[?sort_by(labels, &nme)]", ROWS),
        ("[*].labels[?name == 'x']", ROWS),
        ("[?x]", []),
        ("[?x]", {"x": 1}),
        ("[?x]", [1, 2]),
        ("[?x]", [{"y": 1}, None]),
        ("[?@ == 'a']", ["b"]),
        ("items[?x]", {"items": None}),
        ("[].a[?x]", [{"a": [{"y": 1}]}, {"a": [{"x": 1}]}]),  # in one of its lists
    ],
)
def test_a_path_that_may_be_there_is_not(text: str, value: Any) -> None:
    assert absent(text, value) == []


def test_a_path_within_objects_says_what_the_last_of_them_has() -> None:
    rows = [{"owner": None}, {"id": 1}]
    assert absent("[?owner.login]", rows) == []
    rows = [{"id": 1}, {"owner": {"login": "ada", "id": 1}}]
    [(message, hint)] = absent("[?owner.logn == 'ada']", rows)
    assert message == "no element has owner.logn; owner has login, id"
    assert hint.startswith("Did you mean owner.login?")


def test_each_path_is_found_once_and_they_are_bounded() -> None:
    assert len(absent("[?x > 1 && x < 5]", ROWS)) == 1
    assert len(absent("[*].labels[?x]", ROWS * 5)) == 1
    many = " || ".join(f"x{number}" for number in range(50))
    assert len(absent(f"[?{many}]", ROWS)) == MAX_ABSENCES


def test_long_and_many_names_are_cut() -> None:
    rows = [{f"{number}{'y' * 500}": 1 for number in range(300)}]
    [(message, _)] = absent("[?x]", rows)
    assert len(message) < 1_000
    assert message.endswith(" more")
