"""The document as clients send it: what is understood, what is refused, and that all of it is told
at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.dag import Dag, Task
from plait.core.language.forms import EXAMPLE
from plait.core.language.reader import Reading, read_dag
from plait.core.values.problems import MAX_GUESSES, REMOVE, Fix, Op, Problem
from plait.core.values.strict import dumps
from plait.errors import InvalidDag

from ...profiles import CHARACTERS, share_of_examples
from ..steps import steps
from ..strategies import nested
from ..tables import table

A: dict[str, Any] = {"id": "a", "tool": "s:t"}


def refused(document: object, **limits: int) -> tuple[Problem, ...]:
    with pytest.raises(InvalidDag) as error:
        read_dag(document, **limits)
    return error.value.problems


def read_task(**members: Any) -> tuple[Task, Reading]:
    reading = read_dag({"tasks": [{**A, **members}]})
    return reading.dag.tasks[0], reading


def test_an_id_with_spaces_around_it_has_its_fix_unless_another_task_has_that_id() -> None:
    spaced = {**A, "id": " b\n"}
    [alone] = read_dag({"tasks": [A, spaced]}).problems
    assert (alone.path, alone.code, alone.fix) == ("tasks[1].id", "invalid_id", replaced("b"))
    for tasks in ([{**A, "id": "b"}, spaced], [{**A, "id": "b "}, spaced]):
        *_, last = read_dag({"tasks": tasks}).problems
        assert (last.path, last.code, last.fix) == ("tasks[1].id", "invalid_id", None)
        assert last.hint is not None
        assert 'it is another task\'s id too, "b"' in last.hint
    group = {"id": "g", "tasks": [spaced]}
    [apart] = read_dag({"tasks": [{**A, "id": "b"}, group]}).problems
    assert (apart.path, apart.fix) == ("tasks[1].tasks[0].id", replaced("b"))


def replaced(value: Any) -> Fix:
    return Fix(Op.REPLACE, value)


def test_a_condition_that_is_true_is_left_out_and_one_that_is_false_is_explained() -> None:
    [true] = read_dag({"tasks": [{**A, "when": True}]}).problems
    assert (true.path, true.code, true.fix) == ("tasks[0].when", "wrong_type", REMOVE)
    for value in (False, 0, 1, ["x"]):
        [other] = read_dag({"tasks": [{**A, "when": value}]}).problems
        assert (other.path, other.fix) == ("tasks[0].when", None)
        assert other.hint is not None
        assert "Leave out a task that must not run." in other.hint


@table("form", [lambda d: d, dumps, lambda d: dumps(d).encode(), lambda d: Dag.model_validate(d)])
def test_a_dag_is_read_from_a_value_from_text_and_from_a_model(form: Any) -> None:
    document = {"tasks": [A, {**A, "id": "b", "depends_on": ["a"]}], "return": ["b"]}
    assert read_dag(form(document)).dag == Dag.model_validate(document)


def test_what_is_null_was_not_given() -> None:
    members = dict.fromkeys(set(Task.model_fields) - {"id", "tool"})
    options = {"return": None, **dict.fromkeys(set(Dag.model_fields) - {"tasks", "return_"})}
    reading = read_dag({"tasks": [{**A, **members}], **options})
    assert not reading.problems
    assert not reading.notes
    assert reading.dag == read_dag({"tasks": [A]}).dag


def test_a_null_id_is_a_missing_one() -> None:
    [problem] = read_dag({"tasks": [{"id": None, "tool": "s:t"}]}).problems
    assert (problem.path, problem.code) == ("tasks[0].id", "missing_field")


@table("id", ["", " a", "a ", "a b", "-a", ".a", "é", "a/b", "a\n", "\n", "x" * 65, "$a", "a\x00"])
def test_an_id_that_the_contract_forbids_is_refused(id: str) -> None:
    reading = read_dag({"tasks": [{"id": id, "tool": "s:t"}]})
    [problem] = reading.problems
    assert (problem.path, problem.code) == ("tasks[0].id", "invalid_id")
    assert reading.dag.tasks == ()


@table(
    ("members", "message"),
    [
        ({"arguments": [1]}, "arguments must be an object; it is [1]."),
        ({"depends_on": {}}, "depends_on must be a list; it is {}."),
        ({"depends_on": [[]]}, "depends_on[0] must be a string; it is []."),
        (
            {"for_each": 5},
            "for_each must be a list, an object, or one reference to either; it is 5.",
        ),
        ({"select": []}, "select must be a string; it is []."),
        (
            {"trigger_rule": "any"},
            (
                'trigger_rule must be "all_success", "all_done", "one_failed", "one_success", '
                '"none_failed" or "always"; it is "any".'
            ),
        ),
        ({"timeout_s": 0}, "timeout_s must be above 0; it is 0."),
        ({"timeout_s": 86_401}, "timeout_s must be at most 86400; it is 86401."),
        ({"timeout_s": "5"}, 'timeout_s must be a number; it is "5".'),
        ({"timeout_s": True}, "timeout_s must be a number; it is true."),
        ({"retries": 1.5}, "retries must be an integer; it is 1.5."),
        ({"retries": -1}, "retries must be at least 0; it is -1."),
        ({"retries": 21}, "retries must be at most 20; it is 21."),
        ({"allow_repeat": 1}, "allow_repeat must be true or false; it is 1."),
        ({"priority": "high"}, 'priority must be a number; it is "high".'),
        ({"priority": 10**400}, "priority must be a number; it is 1" + "0" * 58 + "…."),
        ({"weight": 0}, "weight must be at least 1; it is 0."),
        ({"tool": ""}, 'tool must be a non-empty string; it is "".'),
        ({"tool": {}}, "tool must be a string; it is {}."),
    ],
)
def test_a_field_of_the_wrong_type_is_reported_in_the_words_of_json(
    members: dict[str, Any], message: str
) -> None:
    [problem] = read_dag({"tasks": [{**A, **members}]}).problems
    assert (problem.code, problem.message) == ("wrong_type", message)
    assert problem.path.startswith(f"tasks[0].{next(iter(members))}")


@table(
    ("field", "value"),
    [
        ("when", "x" * 10_001),
        ("select", "x" * 10_001),
        ("repeat", {"until": "x" * 10_001}),
        ("tool", "s:" + "x" * 300),
    ],
)
def test_a_text_that_is_too_long_is_above_a_limit(field: str, value: Any) -> None:
    [problem] = read_dag({"tasks": [{**A, field: value}]}).problems
    assert problem.code == "limit_exceeded"
    assert problem.path.startswith(f"tasks[0].{field}")
    assert "at most" in problem.message


@table(
    ("options", "message"),
    [
        ({"return": {}}, "return must be a list; it is {}."),
        ({"fail_fast": "yes"}, 'fail_fast must be true or false; it is "yes".'),
        ({"schedule": "fast"}, 'schedule must be "eager" or "layers"; it is "fast".'),
        ({"max_concurrency": 0}, "max_concurrency must be at least 1; it is 0."),
        ({"timeout_s": -1}, "timeout_s must be above 0; it is -1."),
        ({"wait_s": -1}, "wait_s must be at least 0; it is -1."),
        ({"resume_from": 5}, "resume_from must be a string; it is 5."),
        ({"dry_run": 1}, "dry_run must be true or false; it is 1."),
        ({"detail": "all"}, 'detail must be "concise" or "full"; it is "all".'),
    ],
)
def test_an_option_of_the_wrong_type_is_reported_too(options: dict[str, Any], message: str) -> None:
    [problem] = read_dag({"tasks": [A], **options}).problems
    assert (problem.path, problem.code, problem.message) == (
        next(iter(options)),
        "wrong_type",
        message,
    )


def test_a_wrong_field_does_not_hide_the_other_fields() -> None:
    task, reading = read_task(retries="2", depends_on=["x"], nonsense=1)
    assert task.depends_on == ("x",)
    assert reading.unread == {"a": {"retries", "nonsense"}}


def test_a_wrong_option_does_not_hide_the_other_options() -> None:
    dag = read_dag({"tasks": [A], "nme": "x", "return": ["a"], "resume_from": "r_1"}).dag
    assert (dag.return_, dag.resume_from) == (("a",), "r_1")


def test_a_task_that_cannot_be_read_still_exists() -> None:
    assert read_dag({"tasks": [{"id": "a"}, {"id": 5}, {"id": None}, 7]}).malformed == {"a", "5"}


def test_all_problems_are_reported_at_once_in_the_order_of_the_document() -> None:
    document = {
        "tasks": [{"id": "a b", "tool": "s:t"}, {"tool": 5}, A, {**A, "retry": 1}, None],
        "returns": [],
        "fail_fast": 1,
    }
    assert [(problem.path, problem.code) for problem in read_dag(document).problems] == [
        ("tasks[0].id", "invalid_id"),
        ("tasks[1].id", "missing_field"),
        ("tasks[1].tool", "wrong_type"),
        ("tasks[3].retry", "unknown_field"),
        ("tasks[4]", "wrong_type"),
        ("tasks[3].id", "duplicate_id"),
        ("returns", "unknown_field"),
        ("fail_fast", "wrong_type"),
    ]


@table(
    ("name", "hint"),
    [
        ("depend_on", 'Did you mean "depends_on"?'),
        ("retry", 'Did you mean "retries"?'),
        ("zzz", "Leave it out if nothing depends on it. Fields: allow_repeat,"),
    ],
)
def test_an_unknown_field_is_reported_with_the_nearest_known_one(name: str, hint: str) -> None:
    _, reading = read_task(**{name: 1})
    [problem] = reading.problems
    assert (problem.path, problem.code, problem.message) == (
        f"tasks[0].{name}",
        "unknown_field",
        f'Unknown field "{name}".',
    )
    assert str(problem.hint).startswith(hint)


def test_the_python_name_of_return_is_unknown_in_a_document() -> None:
    [problem] = read_dag({"tasks": [A], "return_": ["a"]}).problems
    assert problem.hint == 'Did you mean "return"?'


def test_variant_spellings_of_a_document_and_of_its_tasks_are_read_and_noted() -> None:
    reading = read_dag({"tasks": {"a": {"tool": "s:t", "args": {"x": 1}}}, "failFast": True})
    assert reading.dag == read_dag({"tasks": [{**A, "arguments": {"x": 1}}], "fail_fast": True}).dag
    assert reading.notes == (
        '"failFast" was read as fail_fast',
        "tasks was a map; its keys were taken as ids",
        'tasks[0]: "args" was read as arguments',
    )
    assert reading.problems == ()


def test_a_list_is_taken_as_the_tasks() -> None:
    reading = read_dag([A])
    assert reading.dag == read_dag({"tasks": [A]}).dag
    assert reading.notes == ("a list was sent; it was taken as tasks",)


@table(
    ("document", "path", "code"),
    [
        ({"tasks": "[{"}, "tasks", "invalid_json"),
        ({"tasks": [{**A, "arguments": "{"}]}, "tasks[0].arguments", "invalid_json"),
        ({"tasks": [{**A, "arguments": {}, "args": {}}]}, "tasks[0].args", "unknown_field"),
    ],
)
def test_a_variant_that_cannot_be_read_is_reported_once(
    document: Any, path: str, code: str
) -> None:
    [problem] = read_dag(document).problems
    assert (problem.path, problem.code) == (path, code)


# The document as a whole.


@table(
    ("document", "said"),
    [
        ("hello", "not JSON: Expecting value at line 1, column 1"),
        (
            "{'tasks': []}",
            "not JSON: there are single quotes in it",
        ),
        (b"\xff", "not UTF-8: invalid start byte at byte 0"),
        (
            '{"tasks": [{"id": NaN}]}',
            "not strict JSON: tasks[0].id is NaN, which is not a JSON number",
        ),
        ('{"tasks": [], "tasks": []}', "not strict JSON: tasks appears twice in one object"),
        (
            {"tasks": [{"id": "\ud800"}]},
            "not strict JSON: tasks[0].id holds a lone surrogate (\\ud800)",
        ),
        (
            {"tasks": nested(64)},
            "not strict JSON: tasks[0][0][0][0][0][0][0] is nested deeper than 64 levels",
        ),
    ],
)
def test_json_that_is_not_strict_is_refused(document: object, said: str) -> None:
    [problem] = refused(document)
    assert (problem.path, problem.code, problem.message) == (
        "$",
        "invalid_json",
        f"The DAG is {said}.",
    )


@table("document", ["", b" \n"])
def test_an_empty_text_is_called_so(document: str | bytes) -> None:
    [problem] = refused(document)
    assert (problem.path, problem.code, problem.message) == (
        "$",
        "invalid_json",
        "The DAG is empty.",
    )
    assert problem.hint == EXAMPLE


@table(("document", "shown"), [(None, "null"), ("5", "5"), (True, "true"), ('"run"', '"run"')])
def test_anything_but_an_object_or_a_list_is_refused(document: object, shown: str) -> None:
    [problem] = refused(document)
    assert (problem.path, problem.code) == ("$", "wrong_type")
    assert problem.message == f"A DAG is a JSON object with tasks; this is {shown}."
    assert str(problem.hint).startswith('Send {"tasks"')


def test_a_document_above_its_size_is_refused_unread() -> None:
    document: Any = {"tasks": [{**A, "arguments": {"x": "y" * 1000}}]}
    for form in (document, dumps(document), dumps(document).encode()):
        [problem] = refused(form, max_bytes=1000)
        assert (problem.path, problem.code) == ("$", "limit_exceeded")
    [problem] = refused("[" * 1001, max_bytes=1000)
    assert problem.code == "limit_exceeded"


@table(
    ("tasks", "code", "message"),
    [
        ({}, "missing_field", "tasks is missing."),
        ({"tasks": 5}, "wrong_type", "tasks must be a list."),
        ({"tasks": []}, "limit_exceeded", "A DAG has at least one task."),
        ({"tasks": [{}] * 11}, "limit_exceeded", "There are 11 tasks; at most 10 fit in one DAG."),
    ],
)
def test_the_number_of_tasks_has_bounds(tasks: dict[str, Any], code: str, message: str) -> None:
    [problem] = read_dag(tasks, max_tasks=10).problems
    assert (problem.path, problem.code, problem.message) == ("tasks", code, message)


@table("tasks", [{}, {"tasks": []}, {"tasks": None}])
def test_a_dag_that_resumes_another_may_bring_no_task(tasks: dict[str, Any]) -> None:
    assert read_dag({**tasks, "resume_from": "r_1"}).problems == ()


@table(
    ("dag", "code"),
    [
        (Dag(tasks=()), "limit_exceeded"),
        (Dag(tasks=tuple(Task(id=f"t{n}", tool="s:t") for n in range(11))), "limit_exceeded"),
        (Dag(tasks=(Task(id="a", tool="s:t", arguments={"x": float("nan")}),)), "invalid_json"),
        (Dag(tasks=(Task(id="a", tool="s:t", arguments={"x": {1, 2}}),)), "invalid_json"),
        (Dag(tasks=(Task(id="a", tool="s:t", arguments={"x": nested(100)}),)), "invalid_json"),
        (Dag(tasks=(Task(id="a", tool="s:t", for_each=[float("inf")]),)), "invalid_json"),
    ],
)
def test_a_model_made_in_python_is_held_to_the_same_rules(dag: Dag, code: str) -> None:
    assert [problem.code for problem in refused(dag, max_tasks=10)] == [code]


def test_two_models_of_one_id_are_reported() -> None:
    task = Task(id="a", tool="s:t")
    [problem] = read_dag(Dag(tasks=(task, task))).problems
    assert (problem.path, problem.code) == ("tasks[1].id", "duplicate_id")


def test_the_steps_to_report_mistakes_grow_with_their_number_alone() -> None:
    task = {**A, **{f"depend_on{n}": n for n in range(8)}}
    tasks = [{**task, "id": f"t{n}"} for n in range(16)]
    problems = read_dag({"tasks": tasks}).problems
    assert len(problems) == 128
    assert sum("Did you mean" in str(problem.hint) for problem in problems) == MAX_GUESSES
    few, many = ({"tasks": tasks[:count]} for count in (8, 16))
    assert steps(lambda: read_dag(many)) < 2.5 * steps(lambda: read_dag(few))


FIELDS = sorted({*Task.model_fields, *Dag.model_fields, "return", "args", "needs", "dependsOn"})


@share_of_examples(0.4)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(CHARACTERS, max_size=5)
        | st.sampled_from(["a", "s:t", "[]", "{}"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
        ),
        max_leaves=20,
    )
)
def test_any_value_is_read_or_refused(document: Any) -> None:
    match outcome(document):
        case InvalidDag(problems=problems):
            assert problems
        case reading:
            assert reading.problems or reading.dag.tasks or reading.dag.resume_from is not None


def outcome(document: Any) -> Reading | InvalidDag:
    try:
        return read_dag(document)
    except InvalidDag as refused:
        return refused


def test_a_task_makes_a_value_in_place_of_a_call() -> None:
    [task] = read_dag({"tasks": [{"id": "v", "value": None}]}).dag.tasks
    assert (task.is_value, task.value, task.tool) == (True, None, None)
    [task] = read_dag({"tasks": [{"id": "v", "value": {"x": [1]}, "timeout_s": None}]}).dag.tasks
    assert task.value == {"x": [1]}


def test_a_value_that_is_null_beside_a_tool_was_not_given() -> None:
    """Some clients send every optional field."""
    [task] = read_dag({"tasks": [{"id": "a", "tool": "s:t", "value": None}]}).dag.tasks
    assert (task.is_value, task.tool) == (False, "s:t")
    [task] = read_dag({"tasks": [{"id": "a", "tool": None, "value": 1}]}).dag.tasks
    assert task.is_value


@table("make", [lambda task: task, lambda task: Dag(tasks=[Task(**task)])])
def test_a_task_is_a_call_or_a_value_and_one_of_them(make: Any) -> None:
    def problems(**fields: Any) -> list[tuple[str, str]]:
        made = make({"id": "a", **fields})
        document = made if isinstance(made, Dag) else {"tasks": [made]}
        try:
            found = read_dag(document).problems
        except InvalidDag as error:
            found = error.problems
        return [(problem.path, problem.code) for problem in found]

    assert problems() == [("tasks[0].tool", "missing_field")]
    assert problems(tool="s:t", value=1) == [("tasks[0].value", "unknown_field")]
    assert problems(value=1, retries=2, arguments={}) == [
        ("tasks[0].arguments", "unknown_field"),
        ("tasks[0].retries", "unknown_field"),
    ]
    assert problems(value=1, select="x", when="b", for_each=[1], priority=1) == []


def test_what_is_for_calls_alone_is_left_out_of_a_value() -> None:
    [problem] = read_dag({"tasks": [{"id": "a", "value": 1, "weight": 2}]}).problems
    assert problem.message == "weight is for calls of tools; a value takes none."
    assert problem.fix == REMOVE


def test_a_name_beside_a_value_is_not_taken_for_its_tool() -> None:
    [problem] = read_dag({"tasks": [{"id": "a", "value": 1, "name": "sum"}]}).problems
    assert (problem.path, problem.code) == ("tasks[0].name", "unknown_field")
    assert problem.fix == REMOVE
