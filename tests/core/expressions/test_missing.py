"""Names that one value does not have: found where they decide something."""

from __future__ import annotations

from typing import Any

from plait.core.expressions.evaluation import condition, expression
from plait.core.expressions.missing import missing_in

from ..tables import table

VALUE = {"version": 2, "rows": [{"name": "x"}], "none": None}


@table(
    ("text", "paths"),
    [
        ("verson", ["verson"]),
        ("none.x", []),
        ("not_null(verson, null)", []),
        ("verson || version", []),
        ("verson || releese", ["verson", "releese"]),
        ("verson == null", []),
        ("version && verson", []),  # it is not asked what is before it
        ("rows[0].nme", ["rows[0].nme"]),
        ("rows[].nme", ["nme"]),
        ("version > '1'", ["version"]),
        ("{a: verson, b: version}", ["verson"]),
    ],
)
def test_what_a_value_lacks_is_listed(text: str, paths: list[str]) -> None:
    assert [one.path for one in missing_in(expression(text).tree, VALUE)] == paths


@table(
    ("holds", "paths"),
    [(lambda part: True, ["a.verson", "a.releese"]), (lambda part: False, []), (None, [])],
)
def test_what_stands_behind_an_and_counts_if_all_before_it_holds(
    holds: Any, paths: list[str]
) -> None:
    tree = condition("a.version && a.verson && a.releese").tree
    found = missing_in(tree, {"a": VALUE}, of_tasks=True, holds=holds)
    assert [one.path for one in found] == paths
