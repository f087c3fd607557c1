"""How problems read, and what a misspelt word was meant to be."""

from __future__ import annotations

import pytest

from plait.core.problems import Problem, did_you_mean, nearest
from plait.errors import InvalidDag


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (Problem("tasks", "missing_field", "tasks is missing."), "tasks: tasks is missing."),
        (
            Problem("tasks[1].tool", "unknown_tool", 'There is no tool "x".', 'Did you mean "y"?', "b"),
            'tasks[1].tool "b": There is no tool "x". Did you mean "y"?',
        ),
    ],
)
def test_a_problem_reads_as_place_task_message_and_mend(problem: Problem, sentence: str) -> None:
    assert str(problem) == sentence


def test_a_refused_dag_says_all_its_problems() -> None:
    refused = InvalidDag([Problem("a", "x", "One."), Problem("b", "y", "Two.")], ["a note"])
    assert str(refused) == "a: One.; b: Two."
    assert [problem.path for problem in refused.problems] == ["a", "b"]
    assert refused.notes == ("a note",)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("read_fil", ["read_file"]),
        ("READ_FILE", ["read_file"]),
        ("write", ["write_file"]),
        ("frobnicate", []),
        ("", []),
        ("read_file" * 10_000, []),
    ],
)
def test_the_nearest_word_is_found_whatever_its_case(word: str, found: list[str]) -> None:
    assert nearest(word, ["list_files", "read_file", "write_file"]) == found


def test_a_suggestion_is_made_only_where_a_word_is_near() -> None:
    assert did_you_mean("depend_on", ["depends_on", "id"]) == 'Did you mean "depends_on"?'
    assert did_you_mean("colour", ["depends_on", "id"]) is None
