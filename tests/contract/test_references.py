"""Section 3 of the contract: references. One test for each of its rules, in their order."""

from __future__ import annotations

from typing import Any

import pytest

from ..fakes import structured, text, tool
from .conftest import House, task

pytestmark = pytest.mark.virtual_time

SOURCE = {
    "field": {"sub": [{"a b": 1}]},
    "items": [{"name": "x"}, {"name": "y"}],
    "name": "n",
    "none": None,
}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("$OUTPUT[a]", SOURCE),
        ('$OUTPUT[a].field.sub[0]["a b"]', 1),
        ("$OUTPUT[a].items[-1].name", "y"),
        ("$OUTPUT[a].items.0.name", "x"),
        ("$OUTPUT[a].items[*].name", ["x", "y"]),
        ("${OUTPUT[a].name}.txt", "n.txt"),
        ('${OUTPUT[a].gone ?? "none"}', "none"),
        ("${OUTPUT[a].gone ?? [1, {}]}", [1, {}]),
        ("${OUTPUT[a].gone ?? OUTPUT[a].none ?? OUTPUT[a].name ?? 0}", "n"),
        ("${OUTPUT[a] | items[?name == 'y'].name | [0]}", "y"),
        ("$$OUTPUT[a]", "$OUTPUT[a]"),
    ],
)
async def test_every_form_of_a_reference(house: House, written: str, value: Any) -> None:
    assert (await house.run(task("a", **SOURCE), task("b", x=written))).outputs["b"] == {"x": value}


async def test_a_string_that_is_exactly_one_reference_becomes_the_value_with_its_type(
    house: House,
) -> None:
    values = {"n": 1, "f": 0.5, "b": True, "l": [1], "o": {"k": None}, "z": None}
    result = await house.run(
        task("a", **values), task("b", **{name: f"$OUTPUT[a].{name}" for name in values})
    )
    assert result.outputs["b"] == values


async def test_in_longer_text_a_string_is_as_it_is_and_anything_else_compact_json(
    house: House,
) -> None:
    result = await house.run(
        task("a", s="x", o={"k": [1, None]}), task("b", t="<$OUTPUT[a].s> $OUTPUT[a].o")
    )
    assert result.outputs["b"] == {"t": '<x> {"k":[1,null]}'}


async def test_references_are_found_at_any_depth_of_values_and_never_in_keys(house: House) -> None:
    deep = {"$OUTPUT[a]": [[{"k": "$OUTPUT[a].x"}]]}
    assert (await house.run(task("a", x=1), task("b", **deep))).outputs["b"] == {
        "$OUTPUT[a]": [[{"k": 1}]]
    }


async def test_what_is_substituted_is_not_read_again(house: House) -> None:
    sly = task("a", "s:text", text="$$OUTPUT[c] $${OUTPUT[a]} $ITEM")
    result = await house.run(sly, task("b", x="$OUTPUT[a]"), task("c", y=1))
    assert result.outputs["b"] == {"x": "$OUTPUT[c] ${OUTPUT[a]} $ITEM"}


async def test_a_name_is_of_letters_of_any_script_and_the_longest_match_counts(
    house: House,
) -> None:
    result = await house.run(
        task("a", größe_2=1, 名=2), task("b", x="$OUTPUT[a].größe_2", y="$OUTPUT[a].名, ok")
    )
    assert result.outputs["b"] == {"x": 1, "y": "2, ok"}


async def test_any_other_key_is_quoted(house: House) -> None:
    result = await house.run(
        task("a", **{"content-type": "t"}), task("b", x='$OUTPUT[a]["content-type"]')
    )
    assert result.outputs["b"] == {"x": "t"}


async def test_a_full_stop_that_no_name_follows_is_text(house: House) -> None:
    assert (await house.run(task("a", n="x"), task("b", t="by $OUTPUT[a].n."))).outputs["b"] == {
        "t": "by x."
    }


async def test_only_members_of_objects_and_indices_of_lists_are_reachable(house: House) -> None:
    result = await house.run(
        task("a", s="text"), task("b", x="$OUTPUT[a].s.upper"), task("c", x="$OUTPUT[a].s[0]")
    )
    assert [error.code for error in result.errors] == ["reference_error", "reference_error"]


async def test_null_is_a_value_but_a_default_takes_its_place(house: House) -> None:
    guarded = task("b", y='${OUTPUT[a].x ?? "default"}', z="$OUTPUT[a].x")
    result = await house.run(task("a", x=None), guarded)
    assert result.outputs["b"] == {"y": "default", "z": None}


async def test_a_path_that_is_not_there_fails_with_what_was_there(house: House) -> None:
    result = await house.run(
        task("a", one=1, two=[1, 2]),
        task("b", x="$OUTPUT[a].three"),
        task("c", x="$OUTPUT[a].two[5]"),
    )
    assert "one, two" in result.errors[0].message
    assert "a list of 2" in result.errors[1].message


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        ({"content": [{"type": "text", "text": "[1]"}], "structuredContent": {"n": 1}}, {"n": 1}),
        ({"content": [{"type": "text", "text": '{"n": 1}'}]}, {"n": 1}),
        ({"content": [{"type": "text", "text": "[1, 2]"}]}, [1, 2]),
        ({"content": [{"type": "text", "text": "7"}]}, "7"),
        ({"content": [{"type": "text", "text": "plain"}]}, "plain"),
        ({"content": []}, None),
        (
            {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        ),
    ],
)
async def test_the_output_of_a_task(house: House, answer: Any, output: Any) -> None:
    house.servers.add("s:given", lambda: {"isError": False, **answer})
    assert (await house.run(task("a", "s:given"))).outputs == {"a": output}


async def test_text_on_a_text_output_is_the_text(house: House) -> None:
    assert (
        await house.run(task("a", "s:text", text="hi"), task("b", x="$OUTPUT[a].text"))
    ).outputs["b"] == {"x": "hi"}


async def test_both_result_and_a_path_straight_into_a_wrapper_are_understood(house: House) -> None:
    house.servers.add("s:wrapped", lambda: structured({"result": [{"n": 1}]}))
    result = await house.run(
        task("a", "s:wrapped"), task("b", x="$OUTPUT[a].result[0].n", y="$OUTPUT[a][0].n")
    )
    assert result.outputs["b"] == {"x": 1, "y": 1}


async def test_a_task_whose_only_links_to_a_failed_task_are_guarded_runs(house: House) -> None:
    result = await house.run(
        task("a", "s:fail"), task("b", x='${OUTPUT[a].n ?? "d"}'), task("c", x="$OUTPUT[a].n")
    )
    assert [task.status for task in result.tasks] == ["failed", "success", "skipped"]
    assert result.outputs["b"] == {"x": "d"}


async def test_either_branch_goes_into_one_argument_with_a_chain_of_defaults(house: House) -> None:
    chain = "${OUTPUT[a].n ?? OUTPUT[b].n ?? null}"
    result = await house.run(
        task("a", "s:fail"),
        task("b", n=2),
        task("c", x=chain),
        task("d", x="${OUTPUT[b].n ?? OUTPUT[a].n}"),
    )
    assert [task.status for task in result.tasks] == ["failed", "success", "success", "skipped"]
    assert result.outputs["c"] == {"x": 2}


async def test_a_trigger_rule_that_is_written_down_decides_alone(house: House) -> None:
    guarded = task("b", x="${OUTPUT[a].n ?? 1}")
    result = await house.run(
        task("a", "s:fail"), guarded, guarded | {"id": "c", "trigger_rule": "all_success"}
    )
    assert [task.status for task in result.tasks] == ["failed", "success", "skipped"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("$OUTPUT[a].items[?name == 'y']", [{"name": "y"}]),
        ("$OUTPUT[a].items[:1]", [{"name": "x"}]),
        ("$OUTPUT[a].items | [0].name", "x"),
    ],
)
async def test_a_filter_a_slice_or_a_pipe_behind_a_reference_is_understood_with_a_note(
    house: House, written: str, value: Any
) -> None:
    result = await house.run(task("a", **SOURCE), task("b", x=written))
    assert result.outputs["b"] == {"x": value}
    [note] = result.notes
    assert f"{written} was read as ${{OUTPUT[a].items | " in note


async def test_braces_and_question_marks_inside_quotes_belong_to_the_expression(
    house: House,
) -> None:
    expression = "${OUTPUT[a].items | [?name == '}' || name == '??'] | {n: length(@)} ?? 0}"
    result = await house.run(task("a", **SOURCE), task("b", x=expression))
    assert result.outputs["b"] == {"x": {"n": 0}}


async def test_a_reference_in_an_expression_is_an_operand_at_every_depth(house: House) -> None:
    each = task("b", x="${OUTPUT[a].items | [?name == $ITEM.n && $OUTPUT[c].on].name}")
    result = await house.run(
        task("a", **SOURCE), task("c", on=True), each | {"for_each": [{"n": "y"}, {"n": "z"}]}
    )
    assert result.outputs["b"] == [{"x": ["y"]}, {"x": []}]


async def test_in_a_quoted_text_a_reference_is_put_in_as_text_in_a_pattern_literally(
    house: House,
) -> None:
    result = await house.run(
        task("a", id=7, pattern="1.2"),
        task("b", texts=["run 7 ", "1.2", "1x2"])
        | {"select": "[texts[?@ == 'run $OUTPUT[a].id '], "
                     "texts[?matches(@, '^$OUTPUT[a].pattern$')]]"},
    )  # fmt: skip
    assert result.outputs["b"] == [["run 7 "], ["1.2"]]


async def test_a_reference_is_bound_after_its_expression_was_parsed_and_adds_its_dependency(
    house: House,
) -> None:
    result = await house.run(
        task("a", sly="' || `1` || '") | {"priority": -1},
        task("b", x=["' || `1` || '"])
        | {"select": "x[?@ == $OUTPUT[a].sly] && 'is $OUTPUT[a].sly'"},
    )
    assert result.layers == (("a",), ("b",))
    assert result.outputs == {"b": "is ' || `1` || '"}


async def test_references_are_looked_for_in_value_for_each_and_every_expression(
    house: House,
) -> None:
    result = await house.run(
        task("a", n=1, list=[1, 2]),
        {"id": "value", "value": {"deep": ["$OUTPUT[a].n"]}},
        task("each", x="$ITEM") | {"for_each": "$OUTPUT[a].list"},
        task("select", x=1) | {"select": "$OUTPUT[a].n"},
        task("when", x=1) | {"when": "$OUTPUT[a].n == 1"},
        task("repeat", x=0) | {"repeat": {"set": {"x": "x == 0 && $OUTPUT[a].n"}}, "select": "x"},
        task("bar", x="${OUTPUT[a].list | [?@ > $OUTPUT[a].n]}"),
    )
    assert result.outputs == {
        "value": {"deep": [1]},
        "each": [{"x": 1}, {"x": 2}],
        "select": 1,
        "when": {"x": 1},
        "repeat": [0, 1],
        "bar": {"x": [2]},
    }


async def test_how_a_task_ended_is_a_dependency_that_a_rule_lets_one_read(house: House) -> None:
    ends = {
        "a": "$STATUS[a]",
        "b": "$STATUS[b]",
        "error": "$ERROR[a].code",
        "none": "$ERROR[b].code",
    }
    result = await house.run(
        task("a", "s:fail"),
        task("b", x=1),
        task("all", **ends) | {"trigger_rule": "all_done"},
        task("one", x="$ERROR[a]") | {"trigger_rule": "one_failed"},
        task("skipped", x="$STATUS[a]"),
        task("guarded", x="${STATUS[a] ?? null}"),
        task("after", x="$STATUS[skipped]") | {"trigger_rule": "all_done"},
    )
    assert result.outputs["all"] == {
        "a": "failed", "b": "success", "error": "tool_error", "none": None
    }  # fmt: skip
    assert result.outputs["one"] == {"x": {"code": "tool_error", "message": "EACCES: /x"}}
    assert result.outputs["guarded"] == {"x": "failed"}
    assert result.outputs["after"] == {"x": "skipped"}
    assert next(one.status for one in result.tasks if one.id == "skipped") == "skipped"


async def test_the_error_of_a_for_each_has_its_items(house: House) -> None:
    house.servers.add("s:odd", lambda n: text("odd", is_error=True) if n % 2 else {"n": n})
    result = await house.run(
        task("each", "s:odd", n="$ITEM") | {"for_each": [1, 2, 3]},
        task("again", x="$ITEM.item", n="$ITEM.index")
        | {"for_each": "$ERROR[each].items", "trigger_rule": "all_done"},
        task("first", x="$ERROR[each].message") | {"trigger_rule": "all_done"},
    )
    assert result.outputs["again"] == [{"x": 1, "n": 0}, {"x": 3, "n": 2}]
    assert result.outputs["first"] == {"x": "odd"}


async def test_expressions_ask_how_a_task_ended(house: House) -> None:
    late = {"trigger_rule": "all_done"}
    result = await house.run(
        task("a", "s:fail"),
        task("b", x=1) | {"when": "$STATUS[a] == 'failed'"} | late,
        task("c", x=1) | {"when": "$ERROR[a].code == 'timeout'"} | late,
        task("d", x="${ERROR[a] | message}") | {"select": "[x, $STATUS[c]]"} | late,
        {"id": "e", "value": "a $STATUS[a]", "select": "{t: 'is: $ERROR[a].code', v: @}"} | late,
    )
    assert [one.status for one in result.tasks] == [
        "failed", "success", "skipped", "success", "success"
    ]  # fmt: skip
    assert result.outputs["d"] == ["EACCES: /x", "skipped"]
    assert result.outputs["e"] == {"t": "is: tool_error", "v": "a failed"}


async def test_a_group_sees_the_ends_of_tasks_in_it_and_around_it(house: House) -> None:
    inner = [
        task("in", "s:fail"),
        task("seen", s="$STATUS[in]", o="$STATUS[out]") | {"trigger_rule": "all_done"},
    ]
    group: dict[str, Any] = {"id": "g", "for_each": ["x"], "tasks": inner}
    group["trigger_rule"] = "all_done"
    group["value"] = {"seen": "$OUTPUT[seen]", "code": "$ERROR[in].code", "of": "${ITEM | @}"}
    result = await house.run(task("out", "s:fail"), group)
    assert result.outputs["g"] == [
        {"seen": {"s": "failed", "o": "failed"}, "code": "tool_error", "of": "x"}
    ]


async def test_the_items_of_groups_are_named_in_expressions_too(house: House) -> None:
    inner = [
        task("one", x="$ITEM.n") | {"when": "$ITEM.on"},
        task("two", x="${OUTPUT[all] | [?n == $ITEM[g].n].t}")
        | {
            "for_each": "${ITEM.parts | [?@ != $ITEM.n]}",
            "select": "{x: x, p: $ITEM, g: $INDEX[g]}",
        },
    ]
    items = [{"n": 1, "on": True, "parts": [1, 2]}, {"n": 2, "on": False, "parts": [3]}]
    group: dict[str, Any] = {"id": "g", "for_each": items, "tasks": inner}
    group["value"] = ["${OUTPUT[one].x ?? null}", "${OUTPUT[two] | [0]}"]
    all_ = task("all") | {"select": "[{n: `1`, t: 'one'}, {n: `2`, t: 'two'}]"}
    result = await house.run(all_, group)
    assert result.outputs["g"] == [
        [1, {"x": ["one"], "p": 2, "g": 0}],
        [None, {"x": ["two"], "p": 3, "g": 1}],
    ]


async def test_a_whole_number_in_brackets_is_an_index_into_the_item(house: House) -> None:
    each = task("a", x="$ITEM[0]", y="${ITEM | [1]}") | {"select": "[x, y, $ITEM[1]]"}
    result = await house.run(each | {"for_each": [["p", "q"]]})
    assert result.outputs["a"] == [["p", "q", "q"]]


async def test_a_condition_of_the_item_is_refused(house: House) -> None:
    each = task("b", x="$ITEM") | {"for_each": "$OUTPUT[a].items", "when": "$ITEM.open"}
    assert await house.refused(task("a", items=[]), each) == {"tasks[1].when": "invalid_expression"}


async def test_an_unknown_id_itself_and_a_dependent_are_refused_before_anything_runs(
    house: House,
) -> None:
    problems = await house.refused(
        task("a", x="$OUTPUT[nobody]"),
        task("b", x="$OUTPUT[b]"),
        task("c", x="$OUTPUT[d]"),
        task("d", x="$OUTPUT[c]"),
    )
    assert problems == {
        "tasks[0].arguments.x": "unknown_task",
        "tasks[1].arguments.x": "self_reference",
        "tasks": "cycle",
    }


CLOSED = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "additionalProperties": False,
}
OPEN = {**CLOSED, "additionalProperties": True}


@pytest.mark.parametrize("path", ["titel", "title.x"])
async def test_a_path_that_a_closed_output_schema_rules_out_is_refused(
    house: House, path: str
) -> None:
    house.servers.add(tool("s:closed", output=CLOSED), lambda: {"title": "t"})
    problems = await house.refused(task("a", "s:closed"), task("b", x=f"$OUTPUT[a].{path}"))
    assert list(problems) == ["tasks[1].arguments.x"]


async def test_a_value_whose_type_the_consumer_rules_out_is_refused(house: House) -> None:
    house.servers.add(tool("s:closed", output=CLOSED), lambda: {"title": "t"})
    house.servers.add(tool("s:number", {"n": {"type": "integer"}}), lambda n: n)
    problems = await house.refused(
        task("a", "s:closed"), task("b", "s:number", n="$OUTPUT[a].title")
    )
    assert problems == {"tasks[1].arguments.n": "type_mismatch"}


async def test_an_open_output_schema_gives_a_note_and_is_decided_when_it_runs(house: House) -> None:
    house.servers.add(tool("s:open", output=OPEN), lambda: {"title": "t", "extra": 1})
    result = await house.run(task("a", "s:open"), task("b", x="$OUTPUT[a].extra"))
    assert result.outputs["b"] == {"x": 1}
    assert any("extra" in note for note in result.notes)


async def test_what_is_not_known_is_decided_when_it_runs(house: House) -> None:
    result = await house.run(task("a", x=1), task("b", y="$OUTPUT[a].gone"))
    assert result.errors[0].code == "reference_error"
    assert result.notes == ()
