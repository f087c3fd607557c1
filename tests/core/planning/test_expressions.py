"""`select` and `when` are read before anything runs, against the schemas of what they will see."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.expressions import MAX_NOTES
from plait.core.planning.plan import Plan
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op, Problem
from plait.core.values.schema import Schema
from plait.errors import InvalidDag
from tests.fakes import tool

from ..stack import little_stack_left
from ..tables import table


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


TEXT, NUMBER, BOOLEAN = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
LIST = closed(
    items={"type": "array", "items": closed(id=NUMBER, n=NUMBER, name=TEXT)}, total=NUMBER
)
WRAPPED = {
    "type": "object",
    "properties": {"result": {"type": "array", "items": closed(n=NUMBER)}},
    "required": ["result"],
}
CATALOG = Catalog(
    [
        tool("s:check", output=closed(state=TEXT, ok=BOOLEAN, err={"type": ["string", "null"]})),
        tool("s:list", output=LIST),
        tool("s:open", output={**LIST, "additionalProperties": True}),
        tool("s:wrapped", output=WRAPPED),
        tool("s:any"),
        tool("s:post", {"value": {}}),
    ],
    [ServerInfo("s", ServerState.READY)],
)
CHECK = {"id": "check", "tool": "s:check"}
LISTED = {"id": "a", "tool": "s:list"}


def planned(*tasks: dict[str, Any], **given: Any) -> Plan:
    return check(read_dag({"tasks": list(tasks)}), CATALOG, Policy(), **given)


def problems(*tasks: dict[str, Any], **given: Any) -> list[Problem]:
    with pytest.raises(InvalidDag) as refused:
        planned(*tasks, **given)
    return list(refused.value.problems)


def replacement(text: str | None) -> Fix | None:
    return None if text is None else Fix(Op.REPLACE, text)


def deploy(when: str, *depends_on: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "deploy",
        "tool": "s:post",
        "depends_on": list(depends_on),
        "when": when,
        "arguments": {"value": "DEPLOY"},
        **more,
    }


@table(
    ("when", "fix"),
    [
        ('check.state != "blocked"', "check.state != 'blocked'"),
        ('check.state == "open"', "check.state == 'open'"),
        ("check.state == open", "check.state == 'open'"),
        ("chekc.ok", "check.ok"),
        ("output.ok", "check.ok"),
        ("check.output.ok", "check.ok"),
        ("outputs.check.ok", "check.ok"),
        ("steps.check.ok", "check.ok"),
        ("check.ok == True", "check.ok == true"),
        ("$.check.ok", "check.ok"),
        ("$check.ok", "check.ok"),
        ("${OUTPUT[check].ok}", "$OUTPUT[check].ok"),
        ("check.state == `$OUTPUT[check].state`", "check.state == $OUTPUT[check].state"),
        ("check.stat == 'open'", "check.state == 'open'"),
        ("check.ok > 5", None),
        ("nothing.ok", None),
        ("$ITEM.ok", None),
        ("$OUTPUT[chekc].ok", "$OUTPUT[check].ok"),
    ],
)
def test_a_condition_that_cannot_mean_what_it_says_is_refused_with_its_fix(
    when: str, fix: str | None
) -> None:
    [problem] = problems(CHECK, deploy(when, "check"))
    assert (problem.path, problem.code, problem.id) == (
        "tasks[1].when",
        "invalid_expression",
        "deploy",
    )
    assert problem.fix == replacement(fix)
    if fix is not None:
        assert problem.hint is not None
        assert "Write " in problem.hint
        planned(CHECK, deploy(fix, "check"))


@table(
    "when",
    [
        "check.ok",
        "!check.ok",
        "check.ok == true",
        "check.ok && !check.err",
        "check.state == '$OUTPUT[check].state'",
        "check.err == null",
    ],
)
def test_a_right_condition_is_taken_without_a_note(when: str) -> None:
    assert planned(CHECK, deploy(when, "check")).notes == ()


@table(
    ("when", "note"),
    [
        ("false", "it is never true: the task never runs (at character 1)"),
        ("`true`", "it is always true: the task needs no when (at character 1)"),
    ],
)
def test_a_condition_that_is_only_a_switch_is_noted(when: str, note: str) -> None:
    assert planned(CHECK, deploy(when, "check")).notes == (f"tasks[1].when: {note}",)


def test_a_dotted_id_is_one_name_in_double_quotes() -> None:
    [problem] = problems({**CHECK, "id": "x.y"}, deploy("x.y.ok", "x.y"))
    assert problem.fix == replacement('"x.y".ok')
    planned({**CHECK, "id": "x.y"}, deploy('"x.y".ok', "x.y"))


@table("depends_on", [[], ["x"]])
@table(
    ("when", "note"),
    [
        ("check.ok", "tasks[2].when: it names check, which was added to depends_on"),
        ("$OUTPUT[check].ok", None),
    ],
)
def test_a_task_that_a_condition_names_becomes_a_dependency(
    depends_on: list[str], when: str, note: str | None
) -> None:
    plan = planned(CHECK, {"id": "x", "tool": "s:any"}, deploy(when, *depends_on))
    assert plan.tasks["deploy"].needs == (*depends_on, "check")
    assert plan.tasks["deploy"].requires == {*depends_on, "check"}
    assert plan.notes == (() if note is None else (note,))


def test_a_condition_does_not_take_the_guard_from_a_reference() -> None:
    guarded = deploy("!check", arguments={"value": "${OUTPUT[check].ok ?? 1}"})
    assert planned(CHECK, guarded).tasks["deploy"].requires == frozenset()


def test_a_condition_cannot_refer_to_its_own_task() -> None:
    assert [problem.code for problem in problems(deploy("$OUTPUT[deploy].ok"))] == [
        "self_reference"
    ]


def test_a_condition_that_cannot_be_parsed_and_refers_to_its_own_task_has_both_problems() -> None:
    found = problems(CHECK, deploy("not $OUTPUT[deploy].ok and check.state == 'a'", "check"))
    assert [problem.code for problem in found] == ["invalid_expression", "self_reference"]
    assert [problem.fix for problem in found] == [None, None]


@table(
    ("select", "fix"),
    [
        ("a.items", "items"),
        ("$OUTPUT[a].items[0].name", "items[0].name"),
        ("output.items[].id", "items[].id"),
        ("items[?n == $OUTPUT[a].total]", None),
    ],
)
def test_a_select_has_the_output_of_its_task_as_its_value(select: str, fix: str | None) -> None:
    [problem] = problems({**LISTED, "select": select})
    assert (problem.code, problem.fix) == ("invalid_expression", replacement(fix))
    assert "it is read from the output itself" in problem.message


def test_a_cycle_through_conditions_is_refused() -> None:
    one, other = {**CHECK, "when": "b.ok"}, {"id": "b", "tool": "s:any", "when": "check.ok"}
    assert {problem.code for problem in problems(one, other)} == {"cycle"}


@table(
    ("select", "fix"),
    [
        ("itms[].id", "items[].id"),
        ("items[].nm", None),
        ("items[].nmae", "items[].name"),
        ("items.id", "items[].id"),
        ("items[?total > 1]", None),
        ('items[?name == "x"]', "items[?name == 'x']"),
        ("items[?name == `$ITEM`]", None),
        ("items[?n == '5']", "items[?n == 5]"),
        ("items[?n][0]", "items[?n] | [0]"),
        ("total[0]", None),
        ("$.items[].id", "items[].id"),
        ("items[?x == $ITEM]", None),
    ],
)
def test_a_select_that_finds_nothing_is_refused(select: str, fix: str | None) -> None:
    found = problems({**LISTED, "select": select})
    assert {problem.code for problem in found} == {"invalid_expression"}
    assert found[0].fix == replacement(fix)
    if fix is not None:
        planned({**LISTED, "select": fix})


def test_all_mistakes_of_all_expressions_are_listed_at_once() -> None:
    found = problems(
        {**LISTED, "select": "itms[].id"},
        CHECK,
        deploy("check.stat == 'x' && chekc.ok && check.ok == 5", "check"),
    )
    assert [(problem.path, problem.message) for problem in found] == [
        ("tasks[0].select", "unknown field itms (at character 1)."),
        ("tasks[2].when", "unknown field stat (at character 7)."),
        ("tasks[2].when", "chekc is not a dependency (at character 22)."),
        ("tasks[2].when", "a boolean == 5 is never true (at character 34)."),
    ]


def test_several_mistakes_of_one_expression_have_one_fix_for_all() -> None:
    found = problems(CHECK, deploy("check.stat == 'x' && chekc.ok", "check"))
    whole = "check.state == 'x' && check.ok"
    assert [problem.fix for problem in found] == [replacement(whole), None]
    assert found[0].hint is not None
    assert found[0].hint.startswith("Write \"check.state == 'x' && check.ok\".")


@table(
    ("when", "fix"),
    [
        ("chekc.ok and check.stat == open", "check.ok && check.state == 'open'"),
        ("check.ok = `chekc.ok`", None),
        ("`check.ok`", "check.ok"),
        ("`list.total` > `100`", "list.total > `100`"),
        ("`list.total > 100`", "list.total > 100"),
        ("not chekc.ok", "!check.ok"),
        ("${{ steps.chekc.outputs.ok === True }}", "check.ok == true"),
        (
            'chekc.state.startsWith("o") AND list.items.length > 3',
            "starts_with(check.state, 'o') && length(list.items) > 3",
        ),
        ("'list.total' > '100'", "list.total > 100"),
        ("'any.total' > '100'", "any.total > 100"),
        ("check.state == 'a' or 'b'", "check.state == 'a' || check.state == 'b'"),
        ("check.state == `a` or `b`", "check.state == 'a' || check.state == 'b'"),
    ],
)
def test_the_fix_of_what_cannot_be_parsed_is_read_too(when: str, fix: str | None) -> None:
    given = [CHECK, {"id": "list", "tool": "s:list"}, {"id": "any", "tool": "s:any"}]
    found = problems(*given, deploy(when, "check"))
    assert found[0].fix == replacement(fix)
    if fix is None:
        assert [problem.message for problem in found] == [
            "= is not an operator (at character 10).",
            ("\"check.ok == 'chekc.ok'\": a boolean == 'chekc.ok' is never true (at character 1)."),
        ]
    else:
        assert len(found) == 1
        planned(*given, deploy(fix, "check"))


def test_a_fix_with_the_item_is_given_only_where_there_is_one() -> None:
    wrong = {**LISTED, "select": "items[?name == `$ITEM`]"}
    [problem] = problems({**wrong, "for_each": ["a"]})
    assert problem.fix == replacement("items[?name == $ITEM]")
    assert [problem.fix for problem in problems(wrong)] == [None, None]


def test_references_in_a_select_are_operands_that_add_their_dependency() -> None:
    select = {"id": "b", "tool": "s:list", "select": "items[?name == $OUTPUT[check].state].id"}
    assert planned(CHECK, select).tasks["b"].needs == ("check",)
    each = {
        "id": "b",
        "tool": "s:list",
        "for_each": [1, 2],
        "arguments": {},
        "select": "items[?n == $ITEM].{n: n, at: $INDEX}",
    }
    assert planned(each).tasks["b"].needs == ()
    [problem] = problems({**each, "for_each": [{"id": 1}], "select": "items[?n == $ITEM.ix]"})
    assert problem.message == "unknown field ix (at character 19)."


@table("when", ["length(b) > 0", "b[0].n == 1", "b.result[0].n == 1"])
def test_a_wrapper_is_looked_through_by_conditions(when: str) -> None:
    planned({"id": "b", "tool": "s:wrapped"}, deploy(when, "b"))
    [problem] = problems({"id": "b", "tool": "s:wrapped"}, deploy("b[0].m == 1", "b"))
    assert problem.message.startswith("unknown field m")


@table(
    ("task", "when", "message"),
    [
        ({"select": "{ids: items[].id}"}, "a.idz", "unknown field idz"),
        ({"select": "items[].id"}, "a.ids", "a list has no field ids; [] goes over its elements"),
        ({"for_each": [1, 2]}, "a.total", "a list has no field total; [] goes over its elements"),
        ({"for_each": [1], "select": "total"}, "a[0].x", "null or an integer has no fields"),
        ({"select": "{result: total}"}, "a.result > '5'", None),
    ],
)
def test_what_a_select_makes_is_known_to_the_conditions_behind_it(
    task: dict[str, Any], when: str, message: str | None
) -> None:
    if message is None:
        planned({**LISTED, **task}, deploy(when, "a"))
        return
    [problem] = problems({**LISTED, **task}, deploy(when, "a"))
    assert problem.message.startswith(message)


def test_an_open_schema_gives_notes_and_an_unknown_one_nothing() -> None:
    opened, unknown = {"id": "a", "tool": "s:open"}, {"id": "a", "tool": "s:any"}
    notes = planned({**opened, "select": "itms[].id"}).notes
    assert notes == (
        "tasks[0].select: no field itms is declared (at character 1). Did you mean items?",
    )
    assert planned({**unknown, "select": "itms[].id"}).notes == ()
    many = [{**opened, "id": f"t{n}", "select": "itms[].id"} for n in range(MAX_NOTES + 5)]
    assert len(planned(*many).notes) == MAX_NOTES


def test_a_learned_shape_gives_notes() -> None:
    shape: Any = {"type": "object", "properties": {"items": {"type": "array"}}}

    def learned(tool: Tool) -> Schema | None:
        return Schema(shape) if tool.full_name == "s:any" else None

    select = {"id": "a", "tool": "s:any", "select": "itms[].id"}
    notes = planned(select, learned_shape=learned).notes
    assert notes == (
        "tasks[0].select: no field itms is known (at character 1). Did you mean items?",
    )


def test_shapes_are_followed_back_through_a_bounded_number_of_tasks() -> None:
    count = 70  # twice as many as the stack holds, if each were followed
    step = {"select": "$OUTPUT[t{}]", "for_each": "$OUTPUT[t{}]"}
    for field, text in step.items():
        tasks = [
            {"id": f"t{n}", "tool": "s:any", "select": "$ITEM" if field == "for_each" else "@"}
            | {field: text.format(n + 1)}
            for n in range(count)
        ]
        last = {"id": f"t{count}", "tool": "s:any", "select": "[{x: `1`}]"}
        with little_stack_left(400):
            assert len(planned(*tasks, last).tasks) == count + 1


def test_a_question_that_only_a_success_is_asked_has_the_rule_as_its_fix() -> None:
    task: Any = {"id": "w", "tool": "s:any", "when": "$STATUS[check] == 'failed'"}
    [problem] = problems(CHECK, task)
    fixed = {**task, "trigger_rule": "all_done"}
    assert problem.fix == Fix(Op.REPLACE, fixed, "tasks[1]")
    assert planned(CHECK, fixed)
    [written] = problems(CHECK, {**task, "trigger_rule": "all_success"})
    assert written.fix == Fix(Op.REPLACE, "all_done", "tasks[1].trigger_rule")


def test_the_code_of_an_error_is_one_of_those_that_there_are() -> None:
    task = {"id": "w", "tool": "s:any", "trigger_rule": "all_done"}
    [problem] = problems(CHECK, {**task, "when": "$ERROR[check].code == 'tool-error'"})
    assert problem.fix == replacement("$ERROR[check].code == 'tool_error'")
    assert planned(CHECK, {**task, "when": "$ERROR[check].code == 'tool_error'"}).notes == ()
