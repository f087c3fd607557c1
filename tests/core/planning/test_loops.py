"""Objects in `for_each` that describe a list: refused, with the list as their fix where that is
certain."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.loops import described
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op
from plait.errors import InvalidDag
from tests.fakes import tool

from ..tables import table

CATALOG = Catalog([tool("s:do", closed=False)], [ServerInfo("s", ServerState.READY)])
IDS = ("a", "b.c")
ITEMS = "$OUTPUT[a].items"


@table(
    ("each", "fixed"),
    [
        ({"task": "a", "path": "items"}, ITEMS),
        ({"step": "a", "field": "$.items"}, ITEMS),
        ({"id": "a", "path": "items"}, ITEMS),
        ({"source": "$OUTPUT[a]", "path": "items"}, ITEMS),
        ({"task": "a", "path": "items[*].n"}, "$OUTPUT[a].items[*].n"),
        ({"task": "a", "path": "[0].rows"}, "$OUTPUT[a][0].rows"),
        ({"task": "b.c", "path": "rows"}, "$OUTPUT[b.c].rows"),
        *(({name: "a.items"}, ITEMS) for name in ("from", "ref", "in", "source", "items", "of")),
        *(({name: ITEMS}, ITEMS) for name in ("from", "ref", "in", "source", "items", "task")),
        *(({name: [1, 2]}, [1, 2]) for name in ("items", "in", "list", "from", "each")),
        *(({name: ITEMS}, ITEMS) for name in ("data", "values", "elements")),
        *(({name: ["a", 1]}, ["a", 1]) for name in ("data", "values", "elements")),
        ({"node": "a", "output": "items"}, ITEMS),
        ({"task": "a", "result": "rows"}, "$OUTPUT[a].rows"),
        ({"list": {"task": "a", "path": "items"}}, ITEMS),
        ({"items": {"from": "$OUTPUT[a]", "output": "items"}}, ITEMS),
        ({"range": 3}, [0, 1, 2]),
    ],
)
def test_a_description_of_a_list_has_the_list_as_its_fix(each: Any, fixed: Any) -> None:
    loop = described(each, IDS)
    assert loop is not None
    assert loop[:2] == (fixed, True)
    task = {"id": "w", "tool": "s:do", "arguments": {"x": "y"}, "for_each": each}
    document = {"tasks": [{"id": "a", "tool": "s:do"}, {"id": "b.c", "tool": "s:do"}, task]}
    with pytest.raises(InvalidDag) as error:
        check(read_dag(document), CATALOG, Policy())
    assert [one.fix for one in error.value.problems] == [Fix(Op.REPLACE, fixed)]
    document["tasks"][2]["literal"] = True
    check(read_dag(document), CATALOG, Policy())


@table(
    ("each", "items"),
    [
        ({"task": "a", "path": "items", "as": "x"}, ITEMS),
        ({"items": ITEMS, "item_var": "x"}, ITEMS),
        ({"items": [1], "loop_var": "x"}, [1]),
        ({"task": "a"}, "$OUTPUT[a]"),
        ({"list": {"task": "a"}}, "$OUTPUT[a]"),
        ({"data": "a"}, "$OUTPUT[a]"),
        ({"from": "a"}, "$OUTPUT[a]"),
        ({"source": ITEMS, "path": "x"}, "$OUTPUT[a].items.x"),
        ({"source": "a.items", "path": "x"}, "$OUTPUT[a].items.x"),
        ({"source": "${OUTPUT[a].items}", "path": "x"}, "${OUTPUT[a].items}"),
        ({"over": "a.items[?open]"}, "$OUTPUT[id].path"),
    ],
)
def test_one_that_says_more_has_none(each: Any, items: Any) -> None:
    loop = described(each, IDS)
    assert loop is not None
    assert loop[:2] == (items, False)


@table(
    "each",
    [
        {"range": [1, 3]},
        {"range": {"to": 3}},
        {"range": "$OUTPUT[a].n"},
        {"range": 0},
        {"count": 3},
    ],
)
def test_numbers_on_which_languages_do_not_agree_have_advice_and_no_fix(each: Any) -> None:
    task = {"id": "w", "tool": "s:do", "arguments": {"x": "y"}, "for_each": each}
    with pytest.raises(InvalidDag) as error:
        check(read_dag({"tasks": [{"id": "a", "tool": "s:do"}, task]}), CATALOG, Policy())
    [problem] = error.value.problems
    assert problem.fix is None
    assert "Write the numbers themselves, such as [0, 1, 2]" in str(problem.hint)


@table(
    "each",
    [
        *({"dev": "a"}, {"task": "z", "path": "items"}, {"from": 1, "to": 3}),
        *({"range": 3, "x": 1}, {"count": "3"}, {"times": [3]}, {"range": None}, {"count": True}),
        *(
            {"task": "a", "output": {"x": 1}},
            {"list": {"dev": "a"}},
            {"node": "a", "output": "b.c"},
        ),
        *({"id": "a", "name": "x"}, {"source": "a", "in": "b.c"}, {"items": [1], "name": "x"}),
        *({"items": ITEMS, "value": "$OUTPUT[a].y"}, {"from": "ada", "in": "x"}, {}),
        *({"items": [1], "list": [2]}, {"path": "a"}, {"source": {"x": 1}}, {"a": ITEMS}),
    ],
)
def test_an_object_to_run_over_is_left_alone(each: Any) -> None:
    assert described(each, IDS) is None
