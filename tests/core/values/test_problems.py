"""How problems read, and what a misspelt word was meant to be."""

from __future__ import annotations

import pytest

from plait.core.values.problems import (
    MAX_PROBLEMS,
    REMOVE,
    Fix,
    Op,
    Problem,
    Problems,
    TooManyProblems,
    did_you_mean,
    first_of,
    nearest,
    slip_of,
    some_of,
    with_one_fix_a_place,
    written,
)

from ..steps import steps
from ..tables import table


@table(
    ("problem", "sentence"),
    [
        (Problem("tasks", "missing_field", "tasks is missing."), "tasks: tasks is missing."),
        (
            Problem("tasks[1].tool", "unknown_tool", 'Unknown tool "x".', 'Did you mean "y"?', "b"),
            'tasks[1].tool "b": Unknown tool "x". Did you mean "y"?',
        ),
    ],
)
def test_a_problem_reads_as_place_task_message_and_fix(problem: Problem, sentence: str) -> None:
    assert str(problem) == sentence


@table(
    ("names", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
    ],
)
def test_names_are_listed_up_to_a_number_and_the_others_counted(
    names: list[str], said: str
) -> None:
    assert some_of(names, 3) == said
    assert some_of(dict.fromkeys(names), 3) == said


def test_thousands_of_others_are_counted_readably() -> None:
    assert some_of([str(n) for n in range(5_002)], 2) == "0, 1 and 5,000 more"


@table(
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


def test_the_nearest_of_many_long_words_that_are_alike_is_looked_for_in_few_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plait.core.values.problems.MAX_COMPARED", 10_000)
    words = [f"{'x' * 50}{number}" for number in range(100, 400)]
    assert nearest(f"{'x' * 50}zz", words)
    assert nearest(words[-1].upper(), words) == [words[-1]]
    assert steps(lambda: nearest(f"{'x' * 50}zz", words)) < 20_000


def test_a_suggestion_is_made_only_where_a_word_is_near() -> None:
    assert did_you_mean("depend_on", ["depends_on", "id"]) == 'Did you mean "depends_on"?'
    assert did_you_mean("colour", ["depends_on", "id"]) is None


@table(
    ("word", "words", "meant"),
    [
        ("titel", ["title", "total"], "title"),
        ("Title", ["title", "total"], "title"),
        ("userName", ["user_name", "user"], "user_name"),
        ("titles", ["title", "total"], "title"),
        ("pth", ["path", "head"], "path"),
        ("serach", ["search"], "search"),
        ("adress", ["address"], "address"),
        ("metods", ["method", "methods"], "methods"),
        ("colour", ["colors"], None),
        ("heed", ["head"], None),
        ("hd", ["head", "h"], None),
        ("step3", ["step1", "step2"], None),
        ("step3", ["step4"], None),
        ("step_1", ["step1", "step2"], "step1"),
        ("item", ["items", "time"], "items"),
        ("tems", ["item", "items", "team"], "items"),
        ("nam", ["name", "names_"], "name"),
        ("cat", ["cats", "cart"], None),
        ("x", [], None),
        ("Name", ["name", "NAME"], None),
        ("a" * 5_000, ["a" * 4_999], None),
    ],
)
def test_a_word_is_a_slip_of_another_only_where_there_is_no_doubt(
    word: str, words: list[str], meant: str | None
) -> None:
    assert slip_of(word, words) == meant


def test_one_name_is_given_once_in_an_object() -> None:
    paths = ["a.nubmer", "a.numbr", "b.nubmer", 'a["num ber"]']
    problems = [Problem(path, "x", "No.", fix=Fix(Op.RENAME, "number")) for path in paths]
    kept = [problem.fix is not None for problem in with_one_fix_a_place(problems)]
    assert kept == [True, False, True, False]


@table(
    ("fix", "shown", "advice"),
    [
        (Fix(Op.REPLACE, 5), {"op": "replace", "path": "a.b", "value": 5}, "Write 5."),
        (Fix(Op.REPLACE, None), {"op": "replace", "path": "a.b", "value": None}, "Write null."),
        (Fix(Op.RENAME, "c"), {"op": "rename", "path": "a.b", "to": "c"}, 'Name it "c".'),
        (REMOVE, {"op": "remove", "path": "a.b"}, "Leave it out."),
        (Fix(Op.REMOVE, path="d[0]"), {"op": "remove", "path": "d[0]"}, "Leave it out."),
    ],
)
def test_a_fix_comes_after_the_hint_as_one_operation(
    fix: Fix, shown: dict[str, object], advice: str
) -> None:
    document = Problem("a.b", "x", "One.", "Two.", "t", fix).document()
    assert list(document) == ["path", "id", "code", "message", "hint", "fix"]
    assert document["fix"] == shown
    assert fix.advice == advice


@table(
    ("place", "path"),
    [
        ((), ""),
        (("items", 0, "title"), ".items[0].title"),
        (("content-type", "a.b", ""), '["content-type"]["a.b"][""]'),
        (("größe", "2nd"), '.größe["2nd"]'),
    ],
)
def test_a_place_is_written_like_the_path_of_a_reference(
    place: tuple[str | int, ...], path: str
) -> None:
    assert written(place) == path


def test_what_has_no_fix_does_not_tell_one() -> None:
    assert "fix" not in Problem("a", "x", "One.").document()


def test_there_is_one_fix_at_a_place_or_none() -> None:
    problems = [
        Problem("a", "x", "One.", fix=REMOVE),
        Problem("b", "x", "Two.", fix=REMOVE),
        Problem("a", "y", "Three.", fix=Fix(Op.REPLACE, 3)),
        Problem("c", "x", "Four.", fix=Fix(Op.REPLACE, 4)),
        Problem("c", "y", "Five.", fix=Fix(Op.REPLACE, 4)),
        Problem("d", "x", "Six."),
        Problem("d", "y", "Seven.", fix=REMOVE),
    ]
    kept = [problem.fix for problem in with_one_fix_a_place(problems)]
    assert kept == [None, REMOVE, None, Fix(Op.REPLACE, 4), None, None, None]


def problem(number: int) -> Problem:
    return Problem(f"tasks[{number}]", "wrong_type", "no")


def test_more_problems_than_are_looked_for_are_not_added() -> None:
    found = Problems()
    found += [problem(number) for number in range(MAX_PROBLEMS - 1)]
    found.append(problem(MAX_PROBLEMS))
    with pytest.raises(TooManyProblems) as error:
        found.extend(map(problem, range(10)))
    assert len(error.value.problems) == MAX_PROBLEMS + 1
    more, *first = first_of(error.value.problems)
    assert first == found[:MAX_PROBLEMS]
    assert (more.path, more.code) == ("$", "limit_exceeded")
    said = f"There are more than {MAX_PROBLEMS} problems; the others were not looked for."
    assert more.message == said
