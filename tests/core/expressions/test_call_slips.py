"""Calls whose arguments are those of another language."""

from __future__ import annotations

from plait.core.expressions.call_slips import CALL_RULES
from plait.core.expressions.evaluation import expression
from plait.core.expressions.loose import Loose
from plait.core.expressions.problems import fixed

from ..tables import table

[RULE] = CALL_RULES["name"]


@table(
    ("text", "at", "right"),
    [
        ("concat(a, 'b', c.d)", 0, "join('', [a, 'b', c.d])"),
        ("concat(a)", 0, None),
        ("first(items)", 0, "items[0]"),
        ("last(items[].n)", 0, "(items[].n)[-1]"),
        ("min(a, b)", 0, "min([a, b])"),
        ("max(a.b, 3, c)", 0, "max([a.b, 3, c])"),
        ("min(a)", 0, None),
        ("unique(items, &id)", 0, "unique_by(items, &id)"),
        ("Sort(items, &a.b)", 0, "sort_by(items, &a.b)"),
        ("sum(items, &n)", 0, "sum(map(&n, items))"),
        ("a | group_by(&b)", 2, "a | group_by(@, &b)"),
        ("a | map(&b)", 2, "a | map(&b, @)"),
        ("a | join(', ')", 2, "a | join(', ', @)"),
        ("a | default('x')", 2, "a | not_null(@, 'x')"),
        ("split(',')", 0, "split(@, ',')"),
        ("a | startswith('x')", 2, "a | starts_with(@, 'x')"),
        ("a | sort_by('n')", 2, "a | sort_by(@, &n)"),
        ("a | group_by(n)", 2, "a | group_by(@, &n)"),
        ("a | len()", 2, "a | length(@)"),
        ("a | concat('x')", 2, None),  # it may go to the end
        ("a || default('x')", 2, None),
        ("a.first(b)", 2, None),
        ("first", 0, None),
        ("lower(a, b)", 0, None),
    ],
)
def test_arguments_are_written_as_ours(text: str, at: int, right: str | None) -> None:
    loose = Loose(text)
    found = RULE(loose, at)
    assert (None if found is None else fixed(text, [found])) == right
    if right is not None:
        expression(right)
