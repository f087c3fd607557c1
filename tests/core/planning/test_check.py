"""A DAG held against its tools: every problem at once, or a plan. Whole documents stand in
`cases/`."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.dag import Dag, Task
from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan, TakenOver
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy, Rule
from plait.core.tools.rules import Rules
from plait.core.values.problems import Problem
from plait.errors import InvalidDag
from tests.fakes import tool

from ...profiles import CHARACTERS, share_of_examples
from ..steps import steps
from ..tables import table
from .typed import typed

STRING: dict[str, Any] = {"type": "string"}
CATALOG = Catalog(
    [
        tool("s:any"),
        tool("s:read", {"path": STRING, "head": {"type": "integer"}}, ["path"], readOnlyHint=True),
        tool("s:write", {"path": STRING, "content": STRING}, ["path", "content"]),
    ],
    [ServerInfo("s", ServerState.READY), ServerInfo("late", ServerState.CONNECTING)],
)


def planned(
    *tasks: dict[str, Any], policy: Policy | None = None, returns: Any = None, **options: Any
) -> Plan:
    document: dict[str, Any] = {
        "tasks": [{"id": f"t{n}", "tool": "s:any", **task} for n, task in enumerate(tasks)],
        **options,
    }
    document["return"] = returns
    return check(read_dag(document), CATALOG, policy or Policy())


def problems(
    *tasks: dict[str, Any], policy: Policy | None = None, returns: Any = None, **options: Any
) -> list[Problem]:
    with pytest.raises(InvalidDag) as refused:
        planned(*tasks, policy=policy, returns=returns, **options)
    return list(refused.value.problems)


def codes(found: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in found]


def test_all_problems_are_told_at_once_those_of_form_and_those_of_meaning() -> None:
    found = problems(
        {"tool": "s:raed", "retries": "2", "arguments": {"x": "$OUTPUT[t9]"}},
        {"tool": "s:read", "arguments": {"pth": 1}, "depends_on": ["t2"], "select": "a["},
        {"depends_on": ["t1"], "timeout_s": 0},
        {"tool": "s:write", "arguments": "nope", "retries": 2},
        {"for_each": 5, "arguments": {"x": "$ITEM["}},
        nme="x",
        returns=["t8"],
    )
    assert codes(found) == [
        ("tasks[0].retries", "wrong_type"),
        ("tasks[2].timeout_s", "wrong_type"),
        ("tasks[3].arguments", "invalid_json"),
        ("tasks[4].for_each", "wrong_type"),
        ("nme", "unknown_field"),
        ("tasks[0].tool", "unknown_tool"),
        ("tasks[0].arguments.x", "unknown_task"),
        ("tasks[1].arguments.pth", "invalid_arguments"),
        ("tasks[1].select", "invalid_expression"),
        ("tasks[3].retries", "not_repeatable"),
        ("tasks[4].arguments.x", "invalid_reference"),
        ("return[0]", "unknown_task"),
        ("tasks", "cycle"),
    ]


def test_two_tasks_of_one_id_hide_no_other_problem() -> None:
    found = problems(
        {"id": "a", "arguments": {"x": "$OUTPUT[b]"}},
        {"id": "b", "arguments": {"x": "$OUTPUT[a]"}},
        {"id": "c"},
        {"id": "c"},
        {"id": "d", "arguments": {"x": "$OUTPUT[nobody]"}},
    )
    assert {problem.code for problem in found} == {"duplicate_id", "cycle", "unknown_task"}


def test_a_problem_stands_where_the_task_stands_in_the_document() -> None:
    document = {
        "tasks": [
            None,
            {"id": "a"},
            {"id": "b", "tool": "x:y"},
            {"id": "c", "tool": "s:any", "select": "["},
        ]
    }
    with pytest.raises(InvalidDag) as refused:
        check(read_dag(document), CATALOG, Policy())
    assert [problem.path for problem in refused.value.problems] == [
        "tasks[0]",
        "tasks[1].tool",
        "tasks[2].tool",
        "tasks[3].select",
    ]


def test_a_reference_to_a_task_that_could_not_be_read_is_not_wrong() -> None:
    assert codes(problems({"tool": ""}, {"depends_on": ["t0"]}, returns=["t0"])) == [
        ("tasks[0].tool", "wrong_type")
    ]


def test_arguments_are_checked_as_far_as_they_are_known() -> None:
    assert planned({}, {"tool": "s:read", "arguments": {"path": "$OUTPUT[t0].p"}})
    assert planned({}, {"tool": "s:read", "arguments": {"path": "x", "head": "$OUTPUT[t0].n"}})
    [problem] = problems(
        {}, {"tool": "s:read", "arguments": {"path": "$OUTPUT[t0].p", "head": "x"}}
    )
    assert problem.message == 'head must be an integer; it is "x".'
    assert problem.hint == "Signature: s:read(path: string, head?: integer)"


def test_of_a_server_that_was_not_reached_yet_nothing_is_refused() -> None:
    plan = planned({"tool": "late:anything", "arguments": {"x": 1}})
    assert plan.tasks["t0"].tool.listed is False


def test_times_and_weights_come_from_the_task_then_from_the_policy() -> None:
    policy = Policy((Rule("s:any", timeout_s=9, weight=3),))
    own, said = planned({"timeout_s": 5, "weight": 2}, {}, policy=policy).tasks.values()
    assert (own.timeout_s, own.weight) == (5, 2)
    assert (said.timeout_s, said.weight) == (9, 3)


@table(
    ("for_each", "code"),
    [
        ("x", "invalid_reference"),
        ("$OUTPUT[t0].x and more", "invalid_reference"),
        ("$OUTPUT[t0]$OUTPUT[t0]", "invalid_reference"),
        ("$$OUTPUT[t0]", "invalid_reference"),
        ("$ITEM", "invalid_reference"),
        ("$OUTPUT[t0", "invalid_reference"),
        ("$OUTPUT[t9]", "unknown_task"),
        ("$OUTPUT[t1]", "self_reference"),
        (list(range(1001)), "limit_exceeded"),
    ],
)
def test_for_each_takes_a_list_or_one_reference_to_a_list(for_each: Any, code: str) -> None:
    assert codes(problems({}, {"for_each": for_each})) == [("tasks[1].for_each", code)]


@table(
    "for_each",
    [
        [],
        [{"a": n} for n in range(100)],
        "$OUTPUT[t0].x",
        "${OUTPUT[t0].x ?? []}",
        " $OUTPUT[t0]\n",
    ],
)
def test_a_list_or_one_reference_to_a_list_is_taken(for_each: Any) -> None:
    assert planned({}, {"for_each": for_each, "arguments": {"x": "$ITEM.a", "n": "$INDEX"}})


def test_a_list_of_as_many_items_as_there_may_be_is_taken() -> None:
    assert planned({"for_each": [1] * 1_000})


def test_blanks_around_the_one_reference_are_no_text() -> None:
    items = planned({}, {"for_each": " $OUTPUT[t0]\n"}).tasks["t1"].items
    assert items is not None
    assert items.found[0][1].text == items.references[0].text == "$OUTPUT[t0]"


@table(
    ("expression", "message"),
    [
        ("", "the expression is empty (at character 1)."),
        ("a[", "the expression ends too early"),
        ("a-b", "- is not an operator (at character 2)."),
        ("a b", "b does not fit here (at character 3)."),
        ("'a", "the ' is never closed (at character 1)."),
        ("[" * 1_100, "it is nested more than 100 levels deep"),
        ("lenght(@)", "unknown function lenght (at character 1)."),
        ("items[?starts_wit(name, 'a')]", "unknown function starts_wit (at character 8)."),
        ("length()", "length() takes other arguments"),
        ("join(@)", "join(text, list) does not take 1 arguments"),
        ("merge()", "merge(object, …) does not take 0 arguments"),
        ("not_null()", "not_null(any, …) does not take 0 arguments"),
        ("[" + "9" * 5000 + "]", "99999999999999999999 is not an index"),
    ],
)
def test_an_expression_that_cannot_work_is_refused(expression: str, message: str) -> None:
    [problem] = problems({"select": expression})
    assert (problem.path, problem.code) == ("tasks[0].select", "invalid_expression")
    assert problem.message.startswith(message)
    assert problem.hint


@table(
    "expression", ["a.b", "items[?n > `1`].{n: n}", "sort_by(items, &n)[-1]", "merge(a, b)", "@"]
)
def test_an_expression_that_can_work_is_taken(expression: str) -> None:
    assert planned({"select": expression}).tasks["t0"].select is not None


def test_the_type_of_a_value_or_a_group_that_is_reused_is_unknown() -> None:
    """Neither has been read: the references in a value are no texts, and a group is not null."""
    tasks = [
        Task(id="v", value={"n": "$OUTPUT[gone].n"}),
        Task(id="g", tasks=[Task(id="in", tool="s:read")]),
        Task(id="late", tool="s:read", arguments={"path": "$OUTPUT[g].path"}),
        Task(id="sum", value=1, when="v.n > `1`"),
    ]
    taken_over = {"v": TakenOver("value", ()), "g": TakenOver("group", ())}
    plan = check(read_dag(Dag(tasks=tasks)), CATALOG, Policy(), reused=taken_over)
    assert plan.tasks["late"].needs == ("g",)


def test_nothing_of_a_reused_task_is_checked() -> None:
    reused = Task(id="a", tool="s:read", arguments={"x": "$OUTPUT[gone]"}, select="]", retries=3)
    late = Task(id="b", tool="s:any", arguments={"x": "$OUTPUT[a]"})
    taken_over = {"a": TakenOver("s:read", ("gone",))}
    without_it = Catalog([tool("s:any")], [ServerInfo("s", ServerState.READY)])
    for catalog in (CATALOG, without_it):
        plan = check(
            read_dag(Dag(tasks=(reused, late))),
            catalog,
            Policy(tables=(Rules(deny=("s:read",)),)),
            reused=taken_over,
        )
        assert (plan.tasks["a"].tool.full_name, plan.tasks["a"].reused_inputs) == (
            "s:read",
            ("gone",),
        )
        assert plan.layers == (("a",), ("b",))


def test_what_a_call_costs_decides_what_is_urgent() -> None:
    slow = {"t0": 1.0, "t1": 9.0}
    plan = typed({"tool": "s:list"}, {"tool": "s:list"}, cost=lambda task: slow[task.id])
    assert (plan.critical_path, plan.costs) == (("t1",), slow)


def test_the_steps_to_report_unknown_names_grow_with_their_number_alone() -> None:
    tasks = [{"tool": f"s:nowhere{n}", "depends_on": [f"x{n}"]} for n in range(40)]
    assert len(problems(*tasks)) == 80
    assert steps(lambda: problems(*tasks)) < 2.5 * steps(lambda: problems(*tasks[:20]))


def test_a_plan_that_is_dropped_leaves_nothing_to_the_collector() -> None:
    """The tasks of thousands of plans would pile up until it runs, and then hold up all others."""
    tasks: list[dict[str, Any]] = [{"select": "a"}, {"arguments": {"x": "$OUTPUT[t0].b"}}]
    planned(*tasks)  # what is made once and stays
    gc.disable()
    try:
        gc.collect(0)
        planned(*tasks)
        assert gc.collect(0) == 0
    finally:
        gc.enable()


IDS = st.sampled_from(["a", "b", "c", "d", "A", "a b", "", "é"])
STRINGS = st.sampled_from(
    [
        "$OUTPUT[a]",
        "$OUTPUT[b].x[0]",
        "x ${OUTPUT[c] ?? 1}",
        "$OUTPUT[",
        "$ITEM",
        "$$OUTPUT[a]",
        "s:read",
        "s.any",
        "a[?b]",
        "x",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2000)
    | st.floats()
    | STRINGS
    | st.text(CHARACTERS, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(STRINGS | st.sampled_from(["path", "head"]), inner, max_size=3)
    ),
    max_leaves=5,
)
TASKS = st.fixed_dictionaries(
    {
        "id": IDS,
        "tool": st.sampled_from(
            ["s:read", "s:any", "s__write", "any", "late:x", "x:y", "s:raed", ""]
        ),
    },
    optional={
        "arguments": VALUES
        | st.dictionaries(st.sampled_from(["path", "head", "x"]), VALUES, max_size=3),
        "depends_on": st.lists(IDS, max_size=2) | VALUES,
        "for_each": st.lists(VALUES, max_size=3) | STRINGS,
        "select": STRINGS,
        "when": STRINGS | VALUES,
        "retries": st.integers(-1, 3) | VALUES,
        "timeout_s": st.floats(),
        "dependsOn": VALUES,
        "nonsense": VALUES,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "tasks": st.lists(TASKS | VALUES, max_size=5)
        | st.dictionaries(IDS, TASKS, max_size=3)
        | VALUES
    },
    optional={
        "return": st.lists(IDS, max_size=2),
        "schedule": STRINGS,
        "timeout_s": VALUES,
        "resume_from": STRINGS,
    },
)


@share_of_examples(0.4)
@given(DOCUMENTS)
def test_any_document_gives_a_plan_or_is_refused_for_reasons(document: Any) -> None:
    match outcome(document):
        case InvalidDag(problems=said):
            assert said
            assert all(problem.path and problem.message.endswith((".", "?")) for problem in said)
            assert not any(problem.message.endswith(("..", "?.", ":.")) for problem in said)
        case plan:
            assert sorted(id for layer in plan.layers for id in layer) == sorted(plan.tasks)
            for id, task in plan.tasks.items():
                assert all(plan.layer_of[need] < plan.layer_of[id] for need in task.needs)
                assert task.requires <= set(task.needs)


def outcome(document: Any) -> Plan | InvalidDag:
    try:
        return check(read_dag(document), CATALOG, Policy())
    except InvalidDag as refused:
        return refused


def test_a_document_of_too_many_calls_is_refused_as_a_whole() -> None:
    each = [{"id": f"t{n}", "tool": "s:any", "for_each": [*range(10)]} for n in range(10)]
    reading = read_dag({"tasks": [*each, {"id": "last", "tool": "s:any"}]})
    assert len(check(reading, CATALOG, Policy(), max_calls=101).tasks) == 11
    with pytest.raises(InvalidDag) as refused:
        check(reading, CATALOG, Policy(), max_calls=100)
    [problem] = refused.value.problems
    assert (problem.path, problem.code, problem.message) == (
        "tasks",
        "limit_exceeded",
        "The tasks make 101 calls and values; one run makes at most 100.",
    )


@table(
    "tasks",
    [
        [{"depends_on": [f"x{n}_{m}" for m in range(10)]} for n in range(4)],  # while checking
        [{f"f{n}": 1 for n in range(40)}],  # while reading one task
        [{"timeout_s": "soon"} for _ in range(40)],  # while reading many
    ],
)
def test_a_document_full_of_problems_is_not_searched_to_its_end(
    tasks: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plait.core.values.problems.MAX_PROBLEMS", 30)
    found = problems(*tasks)
    assert len(found) == 30 + 1
    assert (found[0].path, found[0].code) == ("$", "limit_exceeded")
    assert len({problem.path for problem in found}) == 30 + 1


def test_problems_of_a_task_in_a_group_have_its_whole_id() -> None:
    inner = {
        "id": "b",
        "tool": "s:read",
        "arguments": {"path": "$OUTPUT[zork].x", "hed": "$OUTPUT[z].y"},
        "depends_on": ["b"],
        "select": "a ==",
        "when": "zork.x",
        "colour": 1,
    }
    group = {"id": "h", "tasks": [inner, {"id": "c", "tool": 5}]}
    found = problems({"id": "g", "tasks": [group]}, {"tool": "s:write"})
    assert {problem.id for problem in found if ".tasks[0].tasks[0]" in problem.path} == {"g.h.b"}
    assert [problem.id for problem in found if ".tasks[0].tasks[1]" in problem.path] == ["g.h.c"]
    assert {problem.id for problem in found if problem.path.startswith("tasks[1]")} == {"t1"}
