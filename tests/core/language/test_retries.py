"""`retries` as a number and as an object. All that is said of wrong ones is in `core/cases`."""

from __future__ import annotations

from typing import Any

from plait.core.language.dag import Dag
from plait.core.language.reader import read_dag
from plait.core.language.retries import DELAY_S, Retries, gathered, read_retries
from plait.core.values.strict import dumps, loads

from ..tables import table


def retries_of(given: Any) -> Retries:
    reading = read_dag({"tasks": [{"id": "a", "tool": "s:t", "retries": given}]})
    assert not reading.problems
    return reading.dag.tasks[0].retrying


@table(
    ("given", "read"),
    [
        (3, Retries(max=3)),
        ({"max": 3}, Retries(max=3, on=None, delay_s=DELAY_S)),
        (
            {"max": 1, "on": ["tool_error"], "delay_s": 2},
            Retries(max=1, on=["tool_error"], delay_s=2),
        ),
        ('{"max": 2, "delay_s": 0}', Retries(max=2, delay_s=0)),
        ({"max": 2, "delayS": 1}, Retries(max=2, delay_s=1)),
    ],
)
def test_retries_are_a_number_or_say_which_and_how_soon(given: Any, read: Retries):
    assert retries_of(given) == read


def test_retries_are_written_down_with_their_document():
    dag = read_dag(
        {"tasks": [{"id": "a", "tool": "s:t", "retries": {"max": 1, "on": ["timeout"]}}]}
    ).dag
    document = loads(dumps(dag.model_dump(mode="json", by_alias=True)))
    assert Dag.model_validate(document).tasks[0].retrying == Retries(max=1, on=["timeout"])


def test_what_is_wrong_in_retries_leaves_the_rest_of_them():
    given = {"max": 2, "on": ["timout"], "delay_s": "1s"}
    found = read_retries(given, "tasks[0].retries", "a", guesses=9)
    assert found is not None
    assert found.members == {"max": 2}
    assert [problem.path for problem in found.problems] == [
        "tasks[0].retries.on[0]",
        "tasks[0].retries.delay_s",
    ]
    assert given == {"max": 2, "on": ["timout"], "delay_s": "1s"}


def test_what_belongs_into_retries_is_put_there_by_one_fix():
    members = {"id": "a", "retry": 2, "retry_on": "timed out", "backoff": "exponential"}
    task, problems = gathered(members, "tasks[0]", "a")
    assert task == {"id": "a", "retries": {"max": 2, "on": ["timeout"]}}
    fixes = [problem.fix for problem in problems]
    assert fixes[0] is not None
    assert (fixes[0].to, fixes[0].path, fixes[1]) == (task, "tasks[0]", None)


def test_without_a_number_of_attempts_it_is_not_known_what_was_meant():
    task, [problem] = gathered({"id": "a", "retry_on": ["timeout"]}, "tasks[0]", "a")
    assert (task, problem.fix) == ({"id": "a"}, None)
