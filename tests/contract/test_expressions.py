"""Section 3.1 of the contract: expressions. One test for each of its sentences, in their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plait.core.tools.tool_stats import ToolStats
from plait.errors import InvalidDag

from ..fakes import structured, tool
from .conftest import NUMBER, STRING, House, task

pytestmark = pytest.mark.virtual_time

VALUES: dict[str, Any] = {
    "log": "2026-11-28 WARN slow\n2026-11-29 ERROR disk full\n",
    "name": " Ada ",
    "nested": {"list": [1, 2], "a b": "s", "no": False},
    "none": None,
    "n": 3,
    "half": 2.5,
    "numbers": [2, None, 4],
    "texts": ["b", None, "a"],
    "json": '{"ok": [1]}',
    "items": [
        {"id": 1, "by": "ken", "at": "2026-02-01"},
        {"id": 2, "by": "ada", "at": "2026-10-01"},
        {"id": 3, "by": None, "at": None},
        {"id": 4, "by": "ken", "at": "2025-01-01"},
    ],
    "counts": {"z": 1, "a": 2},
}


async def selected(house: House, expression: str) -> Any:
    """Return what *expression* makes of `VALUES`, of which nothing is known beforehand."""
    result = await house.run(task("a", **VALUES) | {"select": expression})
    assert [error.message for error in result.errors] == []
    return result.outputs["a"]


def ago(days: int) -> str:
    """Return a date, in the middle of that day before now."""
    return (datetime.now(UTC) - timedelta(days=days, hours=12)).isoformat()


async def test_select_when_repeat_and_a_bar_take_jmespath_with_these_functions(
    house: House,
) -> None:
    result = await house.run(
        task("a", n=1) | {"select": "{n: n, up: upper('a')}",
                          "repeat": {"set": {"n": "n < 2 && add(n, 1)"}}},
        task("b", x="${OUTPUT[a] | [].up | join('', @)}") | {"when": "matches(a[0].up, 'A')"},
    )  # fmt: skip
    assert result.outputs["b"] == {"x": "AA"}


@pytest.mark.parametrize(
    "expression",
    [
        "lines(none)", "split(none, ',')", "split(name, none)", "trim(none)", "lower(none)",
        "replace(none, 'a', 'b')", "replace(name, 'a', none)", "matches(none, 'a')",
        "find(none, 'a')", "find_all(none, 'a')", "from_json(none)", "unique(none)",
        "unique_by(none, &id)", "group_by(none, &id)", "count_by(none, &id)", "entries(none)",
        "from_entries(none)", "add(n, none)", "subtract(none, n)", "multiply(n, none)",
        "divide(none, n)", "round(none, `1`)", "age_days(none)",
        "length(none)", "sum(none)", "join(',', none)", "sort(none)", "sort_by(none, &id)",
        "max_by(none, &id)", "keys(none)", "values(none)", "contains(none, 'a')",
        "starts_with(none, 'a')", "ends_with(name, none)", "abs(none)", "ceil(none)",
        "reverse(none)", "map(&id, none)", "merge(nested, none)",
    ],
)  # fmt: skip
async def test_a_null_where_a_function_wants_something_else_makes_its_result_null(
    house: House, expression: str
) -> None:
    assert await selected(house, expression) is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sum(numbers)", 6),
        ("avg(numbers)", 3),
        ("min(numbers)", 2),
        ("max(numbers)", 4),
        ("join('+', texts)", "b+a"),
    ],
)
async def test_nulls_in_a_list_are_left_out_by_sum_avg_min_max_and_join(
    house: House, expression: str, value: Any
) -> None:
    assert await selected(house, expression) == value


async def test_nulls_go_last_in_sort_and_sort_by(house: House) -> None:
    assert await selected(house, "sort(texts)") == ["a", "b", None]
    assert await selected(house, "sort(numbers)") == [2, 4, None]
    assert await selected(house, "sort_by(items, &at)[].id") == [4, 1, 2, 3]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("lines(log)", ["2026-11-28 WARN slow", "2026-11-29 ERROR disk full"]),
        ("split('a, b', ', ')", ["a", "b"]),
        ("trim(name)", "Ada"),
        ("lower(name)", " ada "),
        ("upper(name)", " ADA "),
        (r"replace(log, '(?s) .*', '')", "2026-11-28"),
        ("matches(log, 'ERR')", True),
        ("matches(log, '^ERR')", False),
        ("find(log, '[A-Z]+')", "WARN"),
        ("find(log, '(\\w+) full')", "disk"),
        ("find(log, 'gone')", None),
        ("find_all(log, '[A-Z]+')", ["WARN", "ERROR"]),
        ("from_json(json).ok[0]", 1),
    ],
)
async def test_functions_of_texts(house: House, expression: str, value: Any) -> None:
    assert await selected(house, expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("unique(items[].by)", ["ken", "ada"]),
        ("unique_by(items, &by)[].id", [1, 2, 3]),
        ("group_by(items, &by).ken[].id", [1, 4]),
        ("count_by(items, &by)", {"ken": 2, "ada": 1, "null": 1}),
        ("entries(counts)", [{"key": "z", "value": 1}, {"key": "a", "value": 2}]),
        ("from_entries(entries(counts))", {"z": 1, "a": 2}),
    ],
)
async def test_functions_of_lists_and_objects(house: House, expression: str, value: Any) -> None:
    assert await selected(house, expression) == value


async def test_keys_of_group_by_and_count_by_are_texts_null_as_null_in_the_order_they_came(
    house: House,
) -> None:
    assert await selected(house, "keys(group_by(items, &by))") == ["ken", "ada", "null"]
    assert list(await selected(house, "count_by(items, &id)")) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("add(n, half)", 5.5),
        ("subtract(n, 1)", 2),
        ("multiply(n, half)", 7.5),
        ("divide(n, 2)", 1.5),
        ("round(3.14159, 2)", 3.14),
    ],
)
async def test_functions_of_numbers(house: House, expression: str, value: Any) -> None:
    assert await selected(house, expression) == value


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


async def test_age_days_is_utc_where_the_date_has_no_zone(house: House) -> None:
    plain = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=2, minutes=1)
    west = (plain - timedelta(hours=8)).isoformat()
    result = await house.run(
        task("a", x=plain.isoformat(), y=f"{west}-08:00", z=f"{west}Z")
        | {"select": "[age_days(x), age_days(y), age_days(z)]"}
    )
    assert result.outputs["a"] == [2, 2, 2]


@pytest.mark.parametrize("expression", ["divide(n, 0)", "from_json(name)", "age_days(name)"])
async def test_divide_by_zero_and_what_cannot_be_read_are_null(
    house: House, expression: str
) -> None:
    assert await selected(house, expression) is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("round(half)", 3),
        ("round(multiply(half, -1))", -3),
        ("round(2.345, 2)", 2.35),
        ("round(-0.5)", -1),
        ("round(25, -1)", 30),
    ],
)
async def test_round_goes_away_from_zero_at_a_half(
    house: House, expression: str, value: Any
) -> None:
    assert await selected(house, expression) == value


async def test_backslash_1_in_replace_is_a_group(house: House) -> None:
    expression = r"replace(items[0].at, '(\d+)-(\d+)-.*', '\2/\1')"
    assert await selected(house, expression) == "02/2026"


async def test_whole_numbers_stay_integers_for_types_too(house: House) -> None:
    house.servers.add(tool("s:number", {"n": {"type": "integer"}}), lambda n: n)
    made = {"id": "v", "value": {"n": 2}}
    result = await house.run(
        made | {"select": "add(multiply(n, 3), 1)"}, task("b", "s:number", n="$OUTPUT[v]")
    )
    assert result.outputs == {"b": 7}
    assert type(await selected(house, "divide(multiply(n, 4), 2)")) is int
    refused = await house.refused(
        made | {"select": "to_string(add(n, 1))"}, task("b", "s:number", n="$OUTPUT[v]")
    )
    assert refused == {"tasks[1].arguments.n": "type_mismatch"}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("n > 0", True),
        ("nested.no == false", True),
        ("none == null", True),
        ("[1, -2.5, true, null, 'x']", [1, -2.5, True, None, "x"]),
    ],
)
async def test_bare_numbers_true_false_and_null_are_literals(
    house: House, expression: str, value: Any
) -> None:
    assert await selected(house, expression) == value


async def test_indices_and_quoted_keys_are_written_as_in_references(house: House) -> None:
    assert await selected(house, "nested.list.0") == 1
    assert await selected(house, 'nested["a b"]') == "s"


async def test_objects_and_lists_made_are_null_for_null_only_behind_a_full_stop(
    house: House,
) -> None:
    assert await selected(house, "[none.{a: @}, none.[@], none | {a: @}, none | [@]]") == [
        None, None, {"a": None}, [None]
    ]  # fmt: skip


async def test_a_slice_takes_a_part_of_a_text_too(house: House) -> None:
    assert await selected(house, "items[0].at[:4]") == "2026"
    assert await selected(house, "items[0].at[-2:]") == "01"


async def test_join_takes_any_scalars(house: House) -> None:
    assert await selected(house, "join(' ', [n, half, true, 'x'])") == "3 2.5 true x"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("nested == {list: [1, 2], \"a b\": 's', no: false}", True),
        ("n == 'three'", False),
        ("name != nested", True),
        ("none == gone", None),
        ("none != gone", None),
        ("gone == null", True),
        ("none != null", False),
        ("n == null", False),
        ("items[?by == gone]", []),
    ],
)
async def test_equality_compares_any_two_values_and_is_null_for_two_nulls_unless_one_is_written(
    house: House, expression: str, value: Any
) -> None:
    assert await selected(house, expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("n < 4", True),
        ("half <= 2.5", True),
        ("items[?at >= '2026-03'].id", [2]),
        ("items[?at > '2026-01-31'].id", [1, 2]),
        ("'Z' < 'a' && 'z' < 'ä'", True),
        ("n < name", None),
        ("none >= n", None),
        ("nested.no < n", None),
    ],
)
async def test_order_is_of_two_numbers_or_two_texts_by_code_point_and_null_for_anything_else(
    house: House, expression: str, value: Any
) -> None:
    assert await selected(house, expression) == value


async def test_not_holds_for_the_whole_path(house: House) -> None:
    assert await selected(house, "!nested.no") is True
    assert await selected(house, "!nested.list") is False


async def test_a_path_that_is_not_there_is_null_behind_a_reference_too(house: House) -> None:
    result = await house.run(
        task("a", n=1), task("b", x=2) | {"select": "[gone.x, $OUTPUT[a].gone.x, x]"}
    )
    assert result.outputs["b"] == [None, None, 2]


async def test_a_path_that_is_not_there_is_reference_error_in_a_quoted_text(house: House) -> None:
    result = await house.run(task("a", n=1), task("b") | {"select": "'is: $OUTPUT[a].gone'"})
    assert [(error.id, error.code) for error in result.errors] == [("b", "reference_error")]


async def test_backslash_n_in_a_text_is_two_characters_and_a_note_says_so(house: House) -> None:
    result = await house.run(task("a", x=["p", "q"]) | {"select": r"join('\n', x)"})
    assert result.outputs["a"] == r"p\nq"
    [note] = result.notes
    assert r"\n" in note


async def test_expressions_look_through_a_wrapper_as_references_do(house: House) -> None:
    house.servers.add("s:wrapped", lambda: structured({"result": [{"n": 1}, {"n": 2}]}))
    result = await house.run(
        task("a", "s:wrapped") | {"select": "[?n > 1]"},
        task("b", "s:wrapped"),
        task("c", x="${OUTPUT[b] | [1].n}") | {"when": "length(b) == 2 && b[0].n == 1"},
        **{"return": ["a", "c"]},
    )
    assert result.outputs == {"a": [{"n": 2}], "c": {"x": 2}}


# Expressions are read before anything runs

ISSUE = {"type": "object", "additionalProperties": False,
         "properties": {"state": STRING, "number": NUMBER}}  # fmt: skip
ISSUES = {"type": "object", "additionalProperties": False,
          "properties": {"items": {"type": "array", "items": ISSUE}, "me": STRING}}  # fmt: skip


@pytest.fixture
def issues(house: House) -> House:
    """A house whose issues declare their shape."""
    found = {"items": [{"state": "open", "number": 1}], "me": "ada"}
    house.servers.add(tool("s:issues", output=ISSUES, readOnlyHint=True), lambda: found)
    return house


async def fix(house: House, *tasks: dict[str, Any]) -> tuple[str, str, Any]:
    """Return the path and the code of the only problem of a document, and the value of its fix."""
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": list(tasks)})
    [problem] = refused.value.problems
    assert house.called == []
    return problem.path, problem.code, problem.fix and problem.fix.to


@pytest.mark.parametrize(
    ("written", "fixed"),
    [
        ("items[?stat == 'open']", "items[?state == 'open']"),
        ('items[?state == "open"]', "items[?state == 'open']"),
        ("items[?number == 'open']", None),
        ("itms[0].number", "items[0].number"),
        ("items[?state == 'open'][0]", "items[?state == 'open'] | [0]"),
        ("items[][0]", "items[] | [0]"),
        ("items[:2][0]", "items[:2] | [0]"),
        ("items[?number > 1][?state == 'open']", "items[?number > 1 && state == 'open']"),
    ],
)
async def test_a_path_a_comparison_and_an_index_that_can_never_be_right_are_refused_with_their_fix(
    issues: House, written: str, fixed: str | None
) -> None:
    assert await fix(issues, task("a", "s:issues") | {"select": written}) == (
        "tasks[0].select", "invalid_expression", fixed
    )  # fmt: skip


@pytest.mark.parametrize("path", ["", ".deep", '.deep["a b"]'])
async def test_a_name_in_a_filter_that_stands_around_it_gets_the_reference_to_write(
    house: House, path: str
) -> None:
    whole: Any = {"items": [{"n": 1}], "least": 1}
    made = {"id": "v", "value": {**whole, "deep": {**whole, "a b": whole}}}
    source = f"OUTPUT[v]{path}"
    written = "${" + source + " | items[?n >= least]}"
    _, code, fixed = await fix(house, made, task("b", x=written))
    assert code == "invalid_expression"
    assert fixed == written.replace("least", f"${source}.least")
    assert (await house.run(made, task("b", x=fixed))).outputs == {"b": {"x": [{"n": 1}]}}


async def test_an_index_or_filter_behind_a_filter_stands_where_elements_are_lists(
    house: House,
) -> None:
    rows = {"id": "v", "value": [[1, 2], [3]], "select": "[?length(@) > 1][0]"}
    assert (await house.run(rows)).outputs["v"] == [1]


async def test_a_path_against_a_learned_shape_is_a_note(house: House) -> None:
    async with house.gateway(learned=ToolStats()) as gateway:
        for _ in range(3):
            await gateway.execute({"tasks": [task("a", state="open")]})
        result = await gateway.execute({"tasks": [task("a", state="open") | {"select": "stat"}]})
    assert result.outputs["a"] is None
    assert len(result.notes) == 2  # before it ran, and after
    assert all("state" in note for note in result.notes)


async def test_each_id_in_when_is_a_dependency(house: House) -> None:
    misspelt = task("b") | {"when": "alpa.n > 1", "depends_on": ["alpha"]}
    missing = task("c") | {"when": "other.n > 1"}
    assert await house.refused(task("alpha", n=2), misspelt, missing) == {
        "tasks[1].when": "invalid_expression",
        "tasks[2].when": "invalid_expression",
    }
    added = await house.run(task("alpha", n=2), task("b", x=1) | {"when": "alpha.n > 1"})
    assert added.outputs == {"b": {"x": 1}}
    assert any("depends_on" in note for note in added.notes)


# Bounds


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


async def test_a_when_that_is_only_true_or_false_is_a_note(house: House) -> None:
    result = await house.run(task("a") | {"when": "false"}, task("b") | {"when": "true"})
    assert result.notes == (
        "tasks[0].when: it is never true: the task never runs (at character 1)",
        "tasks[1].when: it is always true: the task needs no when (at character 1)",
    )


@pytest.mark.parametrize("select", ["rows[?archvied == true].id", "rows[?!archvied].id"])
async def test_a_path_of_a_filter_that_no_element_has_is_a_note_and_fails_what_feeds_a_change(
    house: House, select: str
) -> None:
    rows = [{"id": "1", "archived": True}, {"id": "2", "archived": False}]
    listed = task("list", rows=rows) | {"select": select}
    result = await house.run(listed, task("b", x="$OUTPUT[list]"))
    assert result.status == "success"
    [note] = result.notes
    there = "no element has archvied; elements have id, archived"
    assert note.startswith(f"tasks.list.select: {there}. Did you mean archived?")
    result = await house.run(
        listed,
        {"id": "v", "value": {"ids": "$OUTPUT[list]"}},
        task("say", "s:say", text="$ITEM") | {"for_each": "$OUTPUT[v].ids"},
        task("b", x="$OUTPUT[list]"),
    )
    [failed, *skipped] = result.errors
    assert (failed.id, failed.code) == ("list", "invalid_expression")
    assert failed.message == f"select: {there}"
    assert failed.hint is not None
    assert "not_null(archvied, null)" in failed.hint
    assert {error.id for error in skipped} == {"v", "say", "b"}
    assert "s:say" not in house.called


async def test_a_change_with_such_a_filter_in_its_arguments_is_not_sent(house: House) -> None:
    text = "old: ${OUTPUT[list].rows | [?archvied].id}"
    rows = task("list", rows=[{"id": "1", "archived": True}])
    result = await house.run(rows, task("say", "s:say", text=text))
    assert [(error.id, error.code) for error in result.errors] == [("say", "invalid_expression")]
    assert "s:say" not in house.called


async def test_not_null_says_that_elements_may_lack_a_path(house: House) -> None:
    listed = task("list", rows=[{"id": "1"}, {"id": "2"}])
    listed |= {"select": "rows[?!not_null(archived, null)].id"}
    say = task("say", "s:say", text="$ITEM") | {"for_each": "$OUTPUT[list]"}
    result = await house.run(listed, say)
    assert (result.status, result.notes) == ("success", ())
    assert result.outputs == {"say": [{"said": "1"}, {"said": "2"}]}


async def test_regular_expressions_take_linear_time(house: House) -> None:
    """This one would take for ever where each way is tried."""
    result = await house.run(task("a", x="a" * 5_000) | {"select": "matches(x, '^(a|a)*(a*)*b$')"})
    assert result.outputs["a"] is False


@pytest.mark.parametrize(
    ("most", "more"),
    [
        ("x" * 10_000, "x" * 10_001),
        ("!" * 99 + "x", "!" * 101 + "x"),
        (f"matches(x, '{'a' * 1_000}')", f"matches(x, '{'a' * 1_001}')"),
    ],
    ids=["10,000 characters", "100 levels", "a pattern of 1,000"],
)
async def test_an_expression_has_10000_characters_100_levels_and_patterns_of_1000(
    house: House, most: str, more: str
) -> None:
    assert (await house.run(task("a", x="x") | {"select": most})).status == "success"
    assert list(await house.refused(task("a", x="x") | {"select": more})) == ["tasks[0].select"]


async def test_an_expression_that_multiplies_ends_as_invalid_expression(house: House) -> None:
    bomb = "x" + "[].[$OUTPUT[a].x, $OUTPUT[a].x][]" * 12
    result = await house.run(
        task("a", x=list(range(60))), task("b", x=list(range(60))) | {"select": bomb}
    )
    assert [(error.id, error.code) for error in result.errors] == [("b", "invalid_expression")]


async def test_a_problem_says_where_it_stands_in_the_expression_and_the_nearest_function(
    house: House,
) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute(
                {"tasks": [task("a") | {"select": "x || uper(y)"}, task("b") | {"select": "x ["}]}
            )
    unknown, open_ = refused.value.problems
    assert "at character 6" in unknown.message
    assert unknown.fix is not None
    assert unknown.fix.to == "x || upper(y)"
    assert "at character 4" in open_.message
