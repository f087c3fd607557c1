"""The names that a condition starts from are tasks; those further in are not."""

from __future__ import annotations

from plait.core.expressions.evaluation import condition
from plait.core.expressions.nodes import Key, Source
from plait.core.expressions.roots import fields_at_root
from plait.core.expressions.syntax import parse

from ..tables import table


def output(id: str) -> Key:
    return Key(Source.OUTPUT, id)


def test_a_condition_lists_the_tasks_that_it_names_in_their_order() -> None:
    read = condition("oc.x == a.y && b[?c].d | e")
    assert read.references == (output("oc"), output("a"), output("b"))
    assert [field.name for field in fields_at_root(read.tree)] == ["b", "a", "oc"]
    assert repr(read) == "<Expression oc.x == a.y && b[?c].d | e>"


@table(
    ("text", "names"),
    [
        ("a.b.c", {"a"}),
        ("a[?b.c].d", {"a"}),
        ("sort_by(a, &b)[].c", {"a"}),
        ("{n: a.b, m: [c]}", {"a", "c"}),
        ("!a && (b || c.d) == e", {"a", "b", "c", "e"}),
        ("[0]", set()),
    ],
)
def test_a_root_is_looked_up_in_the_whole_value(text: str, names: set[str]) -> None:
    assert {field.name for field in fields_at_root(parse(text))} == names
