"""Section 3 of the contract: expressions. One test for each of its sentences, in their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ..fakes import tool
from .conftest import House, task

pytestmark = pytest.mark.virtual_time

LOG = "2026-11-28 WARN slow\n2026-11-29 ERROR disk full\n2026-11-29 ERROR disk full\n"


def ago(days: int) -> str:
    """Return a date, in the middle of that day before now."""
    return (datetime.now(UTC) - timedelta(days=days, hours=12)).isoformat()


async def test_functions_of_texts_lists_objects_and_numbers_are_there_besides_jmespaths(
    house: House,
) -> None:
    result = await house.run(
        task("a", log=LOG) | {"select": "group_by(unique(lines(log)), &find(@, ' ([A-Z]+)'))"},
        {
            "id": "b",
            "value": "$OUTPUT[a]",
            "select": "entries(@)[].{k: lower(key), n: length(value)}",
        },
        {"id": "c", "value": [1, 2, 4], "select": "round(divide(sum(@), length(@)), 1)"},
        task("d", x=1) | {"when": "matches(to_string(c), '^2') && add(c, 1) > 3"},
        **{"return": ["*"]},
    )
    assert result.status == "success"
    assert result.outputs["a"] == {"WARN": [LOG.splitlines()[0]], "ERROR": [LOG.splitlines()[1]]}
    assert result.outputs["b"] == [{"k": "warn", "n": 1}, {"k": "error", "n": 1}]
    assert result.outputs["c"] == 2.3


async def test_age_days_counts_to_the_start_of_the_run_at_every_depth(house: House) -> None:
    old: Any = task("old", date=ago(3))
    result = await house.run(
        old | {"select": "age_days(date)"},
        {"id": "v", "value": ago(4), "select": "age_days(@)"},
        task("p") | {"for_each": [ago(7)], "arguments": {"x": "${ITEM | age_days(@)}"}},
        {"id": "e", "for_each": [ago(1), ago(2)], "value": "$ITEM", "select": "age_days(@)"},
        {"id": "g", "for_each": [ago(5)],
         "tasks": [task("i", date="$ITEM") | {"select": "{a: age_days(date)}", "when": "true"},
                   task("j", x="$OUTPUT[i].a") | {"when": "age_days('2020-01-01') > 2000"}]},
        task("w", x=1) | {"when": "age_days('2020-01-01') > 2000"},
        **{"return": ["*"]},
    )  # fmt: skip
    assert result.errors == ()
    assert result.outputs == {
        "old": 3,
        "v": 4,
        "p": [{"x": 7}],
        "e": [1, 2],
        "g": [{"x": 5}],
        "w": {"x": 1},
    }


async def test_a_regular_expression_that_is_none_is_refused_before_anything_runs(
    house: House,
) -> None:
    problems = await house.refused(task("a", x="b") | {"select": "find(x, '(b')"})
    assert problems == {"tasks[0].select": "invalid_expression"}


async def test_one_that_was_computed_fails_its_task_alone(house: House) -> None:
    result = await house.run(
        task("a", x="b", regex="(b") | {"select": "find(x, regex)"}, task("c", x=1)
    )
    [error] = result.errors
    assert (error.id, error.code) == ("a", "invalid_expression")
    assert error.message == "select: find() wants a regex: missing ): (b (at character 1)"
    assert result.outputs["c"] == {"x": 1}


async def test_whole_numbers_stay_integers_for_types_too(house: House) -> None:
    house.servers.add(tool("s:number", {"n": {"type": "integer"}}), lambda n: n)
    made = {"id": "v", "value": {"n": 2}}
    result = await house.run(
        made | {"select": "add(multiply(n, 3), 1)"}, task("b", "s:number", n="$OUTPUT[v]")
    )
    assert result.outputs == {"b": 7}
    refused = await house.refused(
        made | {"select": "to_string(add(n, 1))"}, task("b", "s:number", n="$OUTPUT[v]")
    )
    assert refused == {"tasks[1].arguments.n": "type_mismatch"}
