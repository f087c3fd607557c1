"""Variant spellings: each is replaced by the usual one, with a note."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.dag import DAG_FIELDS, TASK_FIELDS
from plait.core.language.variants import dag_spelling, task_spelling
from plait.core.values.problems import Fix, Op
from plait.core.values.strict import dumps

from ...profiles import CHARACTERS, share_of_examples
from ..strategies import json_values
from ..tables import table

TASK: dict[str, Any] = {"id": "a", "tool": "s:t"}
PATH = "tasks[0]"


@table(
    ("members", "usual", "note"),
    [
        *[
            (
                {name: {"x": 1}},
                {"arguments": {"x": 1}},
                f'tasks[0]: "{name}" was read as arguments',
            )
            for name in ("args", "params", "parameters", "input", "inputs", "Arguments")
        ],
        *[
            (
                {name: ["b"]},
                {"depends_on": ["b"]},
                f'tasks[0]: "{name}" was read as depends_on',
            )
            for name in ("dependsOn", "depends-on", "needs", "after", "dependencies", "deps")
        ],
        ({"forEach": [1]}, {"for_each": [1]}, 'tasks[0]: "forEach" was read as for_each'),
        ({"timeoutS": 5}, {"timeout_s": 5}, 'tasks[0]: "timeoutS" was read as timeout_s'),
        (
            {"arguments": '{"x": 1}'},
            {"arguments": {"x": 1}},
            "tasks[0].arguments came as a JSON string; it was parsed",
        ),
        *[
            (
                {"depends_on": text},
                {"depends_on": ids},
                "tasks[0]: depends_on was a string; it was taken as a list",
            )
            for text, ids in [("b", ["b"]), ('["b", "c"]', ["b", "c"]), ("[b", ["[b"])]
        ],
    ],
)
def test_a_variant_of_a_task_is_read_and_noted(
    members: dict[str, Any], usual: dict[str, Any], note: str
) -> None:
    spelling = task_spelling({**TASK, **members}, TASK_FIELDS, "tasks[0]", "a")
    assert spelling.members == {**TASK, **usual}
    assert (spelling.notes, spelling.problems) == ([note], [])


@table(
    ("members", "usual", "note"),
    [
        (
            {"tasks": dumps([TASK])},
            {"tasks": [TASK]},
            "tasks came as a JSON string; it was parsed",
        ),
        (
            {"tasks": {"a": {"tool": "s:t"}, "b": {"id": "other", "tool": "s:t"}}},
            {"tasks": [TASK, {**TASK, "id": "b"}]},
            "tasks was a map; its keys were taken as ids",
        ),
        (
            {"tasks": {"a": 5}},
            {"tasks": [5]},
            "tasks was a map; its keys were taken as ids",
        ),
        ({"tasks": TASK}, {"tasks": [TASK]}, "tasks was one task; it was taken as a list of one"),
        ({"failFast": False}, {"fail_fast": False}, '"failFast" was read as fail_fast'),
        ({"return": "a"}, {"return": ["a"]}, "return was a string; it was taken as a list"),
    ],
)
def test_a_variant_of_a_document_is_read_and_noted(
    members: dict[str, Any], usual: dict[str, Any], note: str
) -> None:
    spelling = dag_spelling(members, DAG_FIELDS)
    assert (spelling.members, spelling.notes, spelling.problems) == (usual, [note], [])


AS_ARGUMENTS: list[Any] = [
    ("value", "arguments", {"x": 1}, {"x": 1}),
    ("Output", "arguments", {"value": [1]}, [1]),
    ("set", "args", {"x": 1, "value": 2}, {"x": 1, "value": 2}),
]


@table(
    ("members", "usual", "fix"),
    [
        *(
            ({name: "$OUTPUT[b]"}, {"value": "$OUTPUT[b]"}, (name, Fix(Op.RENAME, "value")))
            for name in ("output", "outputs", "result", "return")
        ),
        ({"tool": "value", "value": 1}, {"value": 1}, ("tool", Fix(Op.REMOVE))),
        *(
            (
                {"tool": tool, name: given},
                {"value": value},
                ("tool", Fix(Op.REPLACE, {"id": "a", "value": value}, PATH)),
            )
            for tool, name, given, value in AS_ARGUMENTS
        ),
    ],
)
def test_a_task_that_makes_a_value_in_another_form_has_a_fix(
    members: dict[str, Any], usual: dict[str, Any], fix: tuple[str, Fix]
) -> None:
    spelling = task_spelling({"id": "a", **members}, TASK_FIELDS, PATH, "a")
    assert spelling.members == {"id": "a", **usual}
    assert [(each.path, each.fix) for each in spelling.problems] == [(f"{PATH}.{fix[0]}", fix[1])]


@table("name", ["steps", "do", "body"])
def test_the_tasks_of_a_group_under_another_name_have_a_fix(name: str) -> None:
    group = {"id": "g", "for_each": [1], name: [{"id": "b", "tool": "s:t"}], "output": "$OUTPUT[b]"}
    spelling = task_spelling(group, TASK_FIELDS, "tasks[0]", "g")
    assert [problem.fix for problem in spelling.problems] == [
        Fix(Op.RENAME, "tasks"),
        Fix(Op.RENAME, "value"),
    ]
    assert spelling.members["value"] == "$OUTPUT[b]"


@table(
    "members",
    [
        {"tool": "s:value", "arguments": {"x": 1}},
        {"tool": "s:t", "output": "text"},
        {"tool": "value"},
        {"tool": "value", "arguments": "text"},
        {"output": 1, "result": 2},
    ],
)
def test_what_is_not_clearly_a_value_is_not_read_as_one(members: dict[str, Any]) -> None:
    spelling = task_spelling({"id": "a", **members}, TASK_FIELDS, PATH, "a")
    assert "value" not in spelling.members


@table(
    ("text", "flaw"),
    [
        ('{"x"', "not JSON: "),
        ('{"x": 1, "x": 2}', "not strict JSON: x appears twice in one object"),
    ],
)
def test_text_that_should_be_json_and_is_not_is_reported_and_left_out(text: str, flaw: str) -> None:
    spelling = task_spelling({**TASK, "arguments": text}, TASK_FIELDS, "tasks[0]", "a")
    [problem] = spelling.problems
    assert (problem.path, problem.code, problem.id) == ("tasks[0].arguments", "invalid_json", "a")
    assert problem.message.startswith(f"arguments is text that is {flaw}")
    assert spelling.members == TASK


@table(
    ("members", "read", "fixes"),
    [
        ({"task_id": "a", "tool": "s:t"}, TASK, [("task_id", "rename", "id")]),
        ({"id": "a", "name": "s:t"}, TASK, [("name", "rename", "tool")]),
        ({"id": "a", "tool_name": "s:t"}, TASK, [("tool_name", "rename", "tool")]),
        ({"name": "a", "tool": "s:t"}, TASK, [("name", "rename", "id")]),
        ({**TASK, "name": "x"}, TASK, [("name", "remove", None)]),
        *[
            ({**TASK, name: {"x": 1}}, {**TASK, field: {"x": 1}}, [(name, "rename", field)])
            for name, field in [
                ("tool_args", "arguments"),
                ("toolArgs", "arguments"),
                ("with", "arguments"),
                ("if", "when"),
                ("condition", "when"),
                ("loop", "for_each"),
                ("requires", "depends_on"),
                ("max_retries", "retries"),
                ("depend_on", "depends_on"),
            ]
        ],
        *[
            ({**TASK, name: "x"}, TASK, [(name, "remove", None)])
            for name in ("description", "comment", "thought", "colour")
        ],
        (
            {"id": "a", "server": "s", "tool": "t"},
            TASK,
            [("server", "remove", None), ("tool", "replace", "s:t")],
        ),
        ({**TASK, "server": "s"}, TASK, [("server", "remove", None)]),
        ({**TASK, "when": "x", "if": "x"}, {**TASK, "when": "x"}, [("if", "remove", None)]),
    ],
)
def test_a_field_of_another_engine_has_its_fix_and_is_read_as_if_it_were_fixed(
    members: dict[str, Any], read: dict[str, Any], fixes: list[tuple[str, str, object]]
) -> None:
    spelling = task_spelling(members, TASK_FIELDS, "tasks[0]", "a")
    assert spelling.members == read
    found = [(problem.path, problem.fix) for problem in spelling.problems]
    assert [(path.removeprefix("tasks[0]."), fix and (fix.op, fix.to)) for path, fix in found] == [
        (name, (op, to)) for name, op, to in fixes
    ]


@table("name", ["steps", "plan", "dag", "nodes", "jobs", "workflow", "tsks"])
def test_other_names_of_the_tasks_have_their_fix(name: str) -> None:
    spelling = dag_spelling({name: [TASK]}, DAG_FIELDS)
    assert spelling.members == {"tasks": [TASK]}
    assert [(problem.path, problem.fix) for problem in spelling.problems] == [
        (name, Fix(Op.RENAME, "tasks"))
    ]


@table(
    ("members", "usual", "notes"),
    [
        (
            {"id": 1, "depends_on": [2, "b"]},
            {"id": "1", "depends_on": ["2", "b"]},
            [
                'tasks[0].id: 1 was read as "1"',
                "tasks[0]: the numbers in depends_on were read as ids",
            ],
        ),
        (
            {"depends_on": "b, c"},
            {"depends_on": ["b", "c"]},
            ["tasks[0]: depends_on was a string; it was taken as a list"],
        ),
        (
            {"arguments": ""},
            {"arguments": {}},
            ["tasks[0].arguments was empty text; it was taken as {}"],
        ),
        (
            {"arguments": []},
            {"arguments": {}},
            ["tasks[0].arguments was an empty list; it was taken as {}"],
        ),
        (
            {"arguments": "```json\n{“x”: 1,}\n```"},
            {"arguments": {"x": 1}},
            [
                "tasks[0].arguments came as a JSON string; it was parsed",
                (
                    "tasks[0].arguments: a code fence and typographic quotes and a trailing comma "
                    "were corrected"
                ),
            ],
        ),
        (
            {"arguments": dumps(dumps({"x": 1}))},
            {"arguments": {"x": 1}},
            [
                "tasks[0].arguments came as a JSON string; it was parsed",
                "tasks[0].arguments: JSON inside of a JSON string was corrected",
            ],
        ),
        (
            {"for_each": "[1, 2]"},
            {"for_each": [1, 2]},
            ["tasks[0].for_each came as a JSON string; it was parsed"],
        ),
    ],
)
def test_slips_that_change_no_meaning_are_corrected_and_noted(
    members: dict[str, Any], usual: dict[str, Any], notes: list[str]
) -> None:
    spelling = task_spelling({"tool": "s:t", **members}, TASK_FIELDS, "tasks[0]", None)
    assert spelling.members == {"tool": "s:t", **usual}
    assert (spelling.notes, spelling.problems) == (notes, [])


@table(
    ("text", "slip", "meant"),
    [
        ("{'x': 1}", "single quotes", {"x": 1}),
        ('{"x": 1} // one', "comments", {"x": 1}),
        ('Here it is: {"x": 1}', "text around the JSON", {"x": 1}),
        ('{"x": True}', "Python's True, False or None", {"x": True}),
        ("{x: 1}", "names without quotes", {"x": 1}),
    ],
)
def test_other_slips_are_refused_by_name_with_the_value_that_was_meant(
    text: str, slip: str, meant: Any
) -> None:
    spelling = task_spelling({**TASK, "arguments": text}, TASK_FIELDS, "tasks[0]", "a")
    [problem] = spelling.problems
    assert slip in problem.message
    assert problem.fix == Fix(Op.REPLACE, meant)


@table("text", ["$OUTPUT[a]", " $ITEM", "${OUTPUT[a].x ?? {}}"])
def test_one_reference_stands_for_all_arguments(text: str) -> None:
    spelling = task_spelling({**TASK, "arguments": text}, TASK_FIELDS, "tasks[0]", "a")
    assert (spelling.problems, spelling.notes) == ([], [])
    assert spelling.members["arguments"] == text.strip()


@table("text", ["$OUTPUT[a] $OUTPUT[b]", "$ITEM!", "$OUTPUT[a"])
def test_more_than_one_reference_cannot_stand_for_all_arguments(text: str) -> None:
    spelling = task_spelling({**TASK, "arguments": text}, TASK_FIELDS, "tasks[0]", "a")
    [problem] = spelling.problems
    assert (problem.path, problem.code) == ("tasks[0].arguments", "wrong_type")
    assert "its own reference" in str(problem.hint)


def test_a_document_inside_of_its_own_tasks_is_taken_out() -> None:
    inner: dict[str, Any] = {"tasks": [TASK], "fail_fast": True}
    for tasks in (inner, dumps(inner)):
        spelling = dag_spelling({"tasks": tasks}, DAG_FIELDS)
        assert (spelling.members, spelling.problems) == (inner, [])
        assert spelling.notes[-1] == "tasks was a whole document; its fields were taken"
    kept = dag_spelling({"tasks": inner, "fail_fast": False}, DAG_FIELDS)
    assert kept.members["fail_fast"] is False


@share_of_examples(0.4)
@given(
    st.fixed_dictionaries(
        {"id": st.just("a")},
        optional={
            "arguments": st.dictionaries(st.text(CHARACTERS), json_values(), max_size=3),
            "for_each": st.lists(json_values(), max_size=3),
            "depends_on": st.lists(st.text(CHARACTERS), max_size=3),
        },
    )
)
def test_usual_spelling_stays_as_it_is(members: dict[str, Any]) -> None:
    spelling = task_spelling(members, TASK_FIELDS, "tasks[0]", None)
    assert (spelling.members, spelling.notes, spelling.problems) == (members, [], [])


@table("name", ["arguments", "input", "request", "whatever"])
def test_a_document_under_any_name_is_the_document(name: str) -> None:
    inner = {"tasks": [TASK], "fail_fast": True}
    for value, members in ((inner, inner), ([TASK], {"tasks": [TASK]})):
        spelling = dag_spelling({name: value}, DAG_FIELDS)
        assert spelling.members == members
        [problem] = spelling.problems
        assert (problem.path, problem.fix) == (name, Fix(Op.RENAME, "tasks"))


@table("arguments", [{"x": 1}, '{"x": 1}'])
def test_a_call_of_a_function_becomes_a_task(arguments: Any) -> None:
    members = {"id": "a", "type": "function", "function": {"name": "s:t", "arguments": arguments}}
    spelling = task_spelling(members, TASK_FIELDS, "tasks[0]", "a")
    task: dict[str, Any] = {"id": "a", "tool": "s:t", "arguments": {"x": 1}}
    assert spelling.members == task
    [problem] = spelling.problems
    assert problem.path == "tasks[0].function"
    assert problem.fix == Fix(Op.REPLACE, task, "tasks[0]")


def test_a_use_of_a_tool_becomes_a_task() -> None:
    members = {"type": "tool_use", "id": "toolu_1", "name": "s:t", "input": {"x": 1}}
    spelling = task_spelling(members, TASK_FIELDS, "tasks[0]", "toolu_1")
    assert spelling.members == {"id": "toolu_1", "tool": "s:t", "arguments": {"x": 1}}
    assert [problem.fix and problem.fix.op for problem in spelling.problems] == ["remove", "rename"]


@table(
    ("condition", "filtered"),
    [
        ("state == 'open'", "${OUTPUT[i].items | [?state == 'open']}"),
        ("$ITEM.state == 'open'", "${OUTPUT[i].items | [?state == 'open']}"),
        ("$ITEM", "${OUTPUT[i].items | [?@]}"),
    ],
)
@table("items", ["for_each", "loop"])
@table("each", ["$OUTPUT[i].items", "${OUTPUT[i].items}"])
def test_a_filter_next_to_items_is_put_into_their_list(
    condition: str, filtered: str, items: str, each: str
) -> None:
    spelling = task_spelling({**TASK, items: each, "filter": condition}, TASK_FIELDS, PATH, "a")
    problem = spelling.problems[0]
    assert (problem.path, problem.fix) == (
        "tasks[0].filter",
        Fix(Op.REPLACE, {**TASK, items: filtered}, PATH),
    )
    assert spelling.members == {**TASK, "for_each": each}


@table(
    ("each", "condition"),
    [
        ([1, 2], "@ == `1`"),
        ("$OUTPUT[i].items", {"state": "open"}),
        ("$OUTPUT[i].items", "x => x.open"),
        ("$OUTPUT[i].items", "$OUTPUT[b].open"),
        ("$OUTPUT[i].items", "$ITEM[0] == `1`"),
        ("${OUTPUT[i].items ?? []}", "open"),
    ],
)
def test_a_filter_next_to_items_has_no_fix_where_it_is_unclear(each: Any, condition: Any) -> None:
    task = {**TASK, "for_each": each, "filter": condition}
    [problem] = task_spelling(task, TASK_FIELDS, PATH, "a").problems
    assert problem.fix is None
    assert "for_each" in str(problem.hint)


def test_a_filter_of_a_task_without_items_is_its_select() -> None:
    [problem] = task_spelling({**TASK, "filter": "x"}, TASK_FIELDS, PATH, "a").problems
    assert problem.fix == Fix(Op.RENAME, "select")


@table(
    ("document", "task", "run"),
    [
        ({**TASK, "arguments": {"x": 1}}, {**TASK, "arguments": {"x": 1}}, {}),
        ({**TASK, "dry_run": True, "return": ["a"]}, TASK, {"dry_run": True, "return": ["a"]}),
        ({**TASK, "dryRun": True, "name": "n"}, TASK, {"dry_run": True, "name": "n"}),
        ({**TASK, "timeout_s": 3, "unless": "x"}, {**TASK, "timeout_s": 3, "unless": "x"}, {}),
        ({"id": "v", "value": 1}, {"id": "v", "value": 1}, {}),
        ({"tool": "s:t", "name": "a"}, {"tool": "s:t", "name": "a"}, {}),
    ],
)
def test_a_single_task_is_a_document(document: Any, task: Any, run: Any) -> None:
    spelling = dag_spelling(document, DAG_FIELDS)
    assert spelling.members == {"tasks": [task], **run}
    assert spelling.notes[0] == "a single task was sent; it was taken as tasks"
    assert spelling.problems == []


@table(
    "document",
    [
        *({"tasks": [TASK], "tool": "s:t"}, {"steps": [TASK], "tool": "s:t"}, {"id": "a"}),
        *({"plan": [TASK], "tool": "s:t"}, {"x": [TASK], "tool": "s:t"}, {"tool": {"name": "x"}}),
        *({"id": "a", "tasks": [TASK]}, {"value": 1}),
    ],
)
def test_other_documents_are_no_single_task(document: Any) -> None:
    assert "a single task" not in "".join(dag_spelling(document, DAG_FIELDS).notes)
