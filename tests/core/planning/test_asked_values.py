"""Values that are expressions."""

from __future__ import annotations

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.asked_values import SHAPE, asked
from plait.core.planning.check import check
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op
from plait.errors import InvalidDag
from tests.fakes import tool

from ..tables import table

CATALOG = Catalog([tool("s:read", readOnlyHint=True)], [ServerInfo("s", ServerState.READY)])


@table(
    ("text", "meant"),
    [
        ("a.total", "$OUTPUT[a].total"),
        ("a.items[0].title", "$OUTPUT[a].items[0].title"),
        ("length(a.items)", SHAPE),
        ("count(a.items)", SHAPE),
        ("a.total + 1", SHAPE),
        ("a.total > b.total", SHAPE),
        ("!a.ok", SHAPE),
        ("a", None),
        ("a.e. this", None),
        ("report.md", None),
        ("length(x.items)", None),
        ("see a.total", None),
        ("(not a word)", None),
        ("a.x" * 1_000, None),
    ],
)
def test_an_expression_over_outputs_is_found(text: str, meant: str | None) -> None:
    assert asked(text, ("a", "b")) == meant


def test_such_a_value_is_refused_unless_it_is_literal() -> None:
    def tasks(**value: object) -> dict[str, object]:
        return {"tasks": [{"id": "a", "tool": "s:read"}, {"id": "v", **value}]}

    with pytest.raises(InvalidDag) as refused:
        check(read_dag(tasks(value="a.total")), CATALOG, Policy())
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("invalid_reference", "tasks[1].value")
    assert problem.fix == Fix(Op.REPLACE, "$OUTPUT[a].total")
    check(read_dag(tasks(value="a.total", literal=True)), CATALOG, Policy())
    check(read_dag(tasks(value={"file": "a.total"})), CATALOG, Policy())
