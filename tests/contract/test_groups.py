"""Section 2.1 of the contract: groups. One test for each of its sentences, in their order."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.scheduling.limits import Limits
from plait.core.tools.policy import Rule
from plait.engine.gateway import GatewayLimits
from plait.errors import InvalidDag

from ..fakes import tool
from .conftest import House, task

pytestmark = pytest.mark.virtual_time


def group(id: str, *tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": id, "tasks": list(tasks), **more}


async def test_a_group_is_a_dag_of_its_own_once_or_for_each_item(house: House) -> None:
    steps = [task("b", x="$ITEM"), task("c", x="$OUTPUT[b].x", y="$OUTPUT[a].x")]
    result = await house.run(
        task("a", x=5),
        {"id": "each", "for_each": [1, 2], "tasks": steps},
        {"id": "once", "tasks": [task("b", x="$OUTPUT[a].x")], "value": {"n": "$OUTPUT[b].x"}},
        **{"return": ["*"]},
    )
    assert result.outputs == {
        "a": {"x": 5},
        "each": [{"x": 1, "y": 5}, {"x": 2, "y": 5}],
        "once": {"n": 5},
    }


async def test_inner_ids_may_equal_outer_ones_and_hide_them(house: House) -> None:
    result = await house.run(
        task("a", x="outer"), group("g", task("a", x="inner"), task("b", x="$OUTPUT[a].x"))
    )
    assert result.outputs["g"] == {"x": "inner"}


async def test_a_group_depends_on_what_its_tasks_refer_to_by_depends_on_and_when_likewise(
    house: House,
) -> None:
    inner: dict[str, dict[str, Any]] = {
        "refers": task("i", x="$OUTPUT[slow].slept"),
        "waits": task("i") | {"depends_on": ["slow"]},
        "asks": task("i") | {"when": "slow.slept > 0"},
    }
    groups = [group(id, task("first"), one) for id, one in inner.items()]
    result = await house.run(task("slow", "s:sleep", seconds=2), *groups, detail="full")
    assert result.layers == (("slow",), ("refers", "waits", "asks"))
    assert [one.start_ms for one in result.tasks if one.id in inner] == [2_000] * 3


async def test_the_item_of_an_enclosing_for_each_is_named_by_its_tasks_id(house: House) -> None:
    each = task("in", own="$ITEM", outer="$ITEM[g].k", at="$INDEX[g].$INDEX") | {
        "for_each": "$ITEM.list"
    }
    items = [{"k": "p", "list": [1, 2]}, {"k": "q", "list": [3]}]
    result = await house.run(group("g", each, for_each=items))
    assert result.outputs["g"] == [
        [{"own": 1, "outer": "p", "at": "0.0"}, {"own": 2, "outer": "p", "at": "0.1"}],
        [{"own": 3, "outer": "q", "at": "1.0"}],
    ]


async def test_a_whole_number_in_the_brackets_is_always_an_index_into_the_item(
    house: House,
) -> None:
    each = task("in", x="$ITEM[1]") | {"for_each": [["a", "b"]]}
    assert (await house.run(group("1", each, for_each=[["c", "d"]]))).outputs["1"] == [[{"x": "b"}]]


async def test_in_a_tasks_own_for_each_item_is_the_enclosing_groups(house: House) -> None:
    inner = group("h", task("in", x="$ITEM"), for_each="$ITEM.list")
    result = await house.run(group("g", inner, for_each=[{"list": [1]}, {"list": [2, 3]}]))
    assert result.outputs["g"] == [[{"x": 1}], [{"x": 2}, {"x": 3}]]


@pytest.mark.parametrize("id", ["in", "g.in"])
async def test_nothing_outside_refers_to_an_inner_id(house: House, id: str) -> None:
    problems = await house.refused(group("g", task("in")), task("b", x=f"$OUTPUT[{id}]"))
    assert problems == {"tasks[1].arguments.x": "unknown_task"}


@pytest.mark.parametrize(
    ("more", "output"),
    [
        ({"value": {"x": "$OUTPUT[a].x", "y": 0}}, {"x": 1, "y": 0}),
        ({}, {"b": {"y": 1}, "c": {"z": 2}}),
        ({"tasks": [task("a", x=1), task("b", y="$OUTPUT[a].x")]}, {"y": 1}),
        (
            {"tasks": [task("a", x=1), task("b", y=1) | {"when": "false"}]},
            {"a": {"x": 1}, "b": None},
        ),
    ],
    ids=["its value", "its leaves by id", "a lone leaf bare", "null without an output"],
)
async def test_the_output_of_a_group(house: House, more: dict[str, Any], output: Any) -> None:
    steps = task("a", x=1), task("b", y="$OUTPUT[a].x"), task("c", z=2)
    assert (await house.run(group("g", *steps) | more)).outputs == {"g": output}


async def test_when_trigger_rule_depends_on_and_select_hold_for_a_group(house: House) -> None:
    result = await house.run(
        task("bad", "s:fail"),
        task("slow", "s:sleep", seconds=3),
        group("no", task("i"), when="slow.slept > 5"),
        group("rule", task("i", x=1), depends_on=["bad"], trigger_rule="one_failed"),
        group("waits", task("i", x=1), depends_on=["slow"], select="x"),
    )
    tasks = {one.id: one for one in result.tasks}
    assert tasks["no"].reason == "skipped: when (slow.slept > 5) is not true"
    assert result.outputs["rule"] == {"x": 1}
    assert result.outputs["waits"] == 1
    assert tasks["waits"].start_ms == 3_000


async def test_on_item_failure_holds_for_a_group(house: House) -> None:
    flaky = task("f", "s:flaky", key="$ITEM", times="$ITEM")
    result = await house.run(
        group("g", flaky, for_each=[0, 1], on_item_failure="skip"), task("b", x="$OUTPUT[g]")
    )
    assert result.outputs["b"] == {"x": [{"tries": 1}, None]}
    assert result.status == "partial"


async def test_the_priority_of_a_group_holds_for_its_tasks(house: House) -> None:
    await house.run(
        task("plain", "s:sleep", name="plain"),
        group("g", task("i", "s:sleep", name="inner"), priority=1),
        max_concurrency=1,
    )
    assert house.spans == {"inner": (0, 1), "plain": (1, 2)}


async def test_max_concurrency_is_how_many_items_at_once(house: House) -> None:
    each = group("g", task("i", "s:sleep"), for_each=list(range(6)), max_concurrency=2)
    result = await house.run(each)
    assert result.metrics.max_parallelism == 2
    assert result.metrics.execution_time_ms == 3_000


async def test_fail_fast_ends_an_item_at_its_first_failure_and_no_other(house: House) -> None:
    steps = [
        task("f", "s:flaky", times="$ITEM", key="$ITEM"),
        task("slow", "s:sleep", seconds=5, name="slow $ITEM"),
        task("after", x="$OUTPUT[slow].slept"),
    ]
    result = await house.run(
        group("g", *steps, for_each=[0, 9], fail_fast=True, value="$OUTPUT[after].x"),
        **{"return": ["g"]},
    )
    assert result.outputs == {"g": [5, None]}
    assert house.spans.keys() == {"slow 0"}
    tasks: Any = result.document("full")["tasks"]
    assert [(one["id"], one["status"]) for one in tasks if one["id"].startswith("g[1]")] == [
        ("g[1].f", "failed"), ("g[1].slow", "cancelled"), ("g[1].after", "skipped")
    ]  # fmt: skip


async def test_each_item_goes_through_a_group_on_its_own(house: House) -> None:
    """Item 1 is at its last step while item 0 is at its first."""
    steps = [
        task("first", "s:sleep", seconds="$ITEM", name="first $INDEX"),
        task("last", "s:sleep", seconds=1, name="last $INDEX") | {"depends_on": ["first"]},
    ]
    await house.run({"id": "g", "for_each": [9, 1], "tasks": steps})
    assert house.spans["last 1"][1] < house.spans["first 0"][1]


async def test_inner_tasks_are_scheduled_and_limited_like_all_others(house: House) -> None:
    slow = [task(f"t{n}", "s:sleep") for n in range(2)]
    result = await house.run(group("g", *slow, for_each=[1, 2]), *slow, max_concurrency=3)
    assert result.metrics.max_parallelism == 3
    async with house.gateway(limits=GatewayLimits(concurrency=Limits(servers=(("s", 1),)))) as one:
        result = await one.execute({"tasks": [group("g", *slow, for_each=[1, 2])]})
    assert result.metrics.execution_time_ms == 4_000


async def test_inner_tasks_never_overlap_where_they_touch_the_same(house: House) -> None:
    write = task("w", "files:write", path="x", name="$ITEM")
    await house.run(
        group("g", write, for_each=["one", "two"]),
        task("r", "files:read", path="x", name="r"),
    )
    assert sorted(house.spans.values()) == [(0, 1), (1, 2), (2, 3)]


async def test_inner_tasks_are_checked_and_typed_with_their_place(house: House) -> None:
    house.servers.add(tool("s:number", {"n": {"type": "integer"}}), lambda n: n)
    steps = [
        task("made", "s:say", txt="x"),
        {"id": "v", "value": {"t": "text"}},
        task("typed", "s:number", n="$OUTPUT[v].t"),
        task("typo", x="$OUTPUT[v].tt"),
    ]
    assert await house.refused(group("g", *steps)) == {
        "tasks[0].tasks[0].arguments.txt": "invalid_arguments",
        "tasks[0].tasks[2].arguments.n": "type_mismatch",
        "tasks[0].tasks[3].arguments.x": "invalid_reference",
    }


async def test_inner_tasks_are_cached_and_retried(house: House) -> None:
    async with house.gateway(Rule("s:echo", cache_ttl_s=60)) as gateway:
        document = {"tasks": [group("g", task("a", x="$ITEM"), for_each=[1, 2])]}
        await gateway.execute(document)
        again = await gateway.execute(document)
    assert again.outputs == {"g": [{"x": 1}, {"x": 2}]}
    assert house.called == ["s:echo"] * 2
    flaky = group("g", task("f", "s:flaky", times=1) | {"retries": 1})
    assert (await house.run(flaky)).outputs == {"g": {"tries": 2}}


async def test_tasks_name_inner_tasks_with_their_item(house: House) -> None:
    steps = [task("ok", x="$ITEM"), task("bad", "s:fail"), task("no", depends_on=["bad"])]
    steps[2]["depends_on"] = steps[2]["arguments"].pop("depends_on")
    one = {"id": "one", "tasks": [task("x"), task("y")]}
    result = await house.run({"id": "g", "for_each": [1, 2], "tasks": steps}, one)
    tasks: Any = result.document()["tasks"]
    assert [(task["id"], task["tool"], task["status"]) for task in tasks] == [
        ("g", "group", "failed"),
        ("g[0].ok", "s:echo", "success"),
        ("g[0].bad", "s:fail", "failed"),
        ("g[0].no", "s:echo", "skipped"),
        ("g[1].ok", "s:echo", "success"),
        ("g[1].bad", "s:fail", "failed"),
        ("g[1].no", "s:echo", "skipped"),
        ("one", "group", "success"),
        ("one.x", "s:echo", "success"),
        ("one.y", "s:echo", "success"),
    ]
    assert [one["counts"] for one in tasks[0]["inner"]] == [
        {"success": 2}, {"failed": 2}, {"skipped": 2}
    ]  # fmt: skip
    assert "inner" not in tasks[7]


async def test_tasks_are_named_if_anything_in_a_group_failed_or_all_of_them_on_demand(
    house: House,
) -> None:
    group = {"id": "g", "tasks": [task("a"), task("bad", "s:fail")], "value": "${OUTPUT[bad] ?? 1}"}
    assert "tasks" in (await house.run(group)).document()
    well = await house.run({"id": "g", "for_each": [1], "tasks": [task("a")]}, detail="full")
    assert "tasks" not in well.document()
    tasks: Any = well.document("full")["tasks"]
    assert [task["id"] for task in tasks] == ["g", "g[0].a"]


async def test_errors_of_inner_tasks_carry_their_path(house: House) -> None:
    steps = [task("ok", x="$ITEM"), task("bad", "s:fail")]
    result = await house.run(
        {"id": "g", "for_each": [1, 2], "tasks": steps, "value": "${OUTPUT[bad] ?? 0}"},
        {"id": "h", "for_each": [1], "tasks": steps},
        **{"return": ["*"]},
    )
    assert [error.id for error in result.errors] == ["g[0].bad", "g[1].bad", "h[0].bad"]
    assert result.outputs == {"g": [0, 0], "h": [None]}
    assert result.status == "partial"


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"tasks": [task("bad", "s:fail"), task("leaf", x="$OUTPUT[bad]")]}, "failed"),
        ({"tasks": [task("ok"), task("bad", "s:fail")]}, "failed"),
        ({"value": "$OUTPUT[bad]"}, "failed"),
        ({"value": "${OUTPUT[bad] ?? 0}"}, "success"),
        ({"tasks": [task("bad", "s:fail"), task("leaf", x="${OUTPUT[bad] ?? 0}")]}, "success"),
        (
            {
                "tasks": [
                    task("bad", "s:fail"),
                    task("leaf") | {"depends_on": ["bad"], "trigger_rule": "one_failed"},
                ]
            },
            "success",
        ),
    ],
    ids=["another needs it", "a leaf", "value needs it", "guarded in value", "guarded", "a rule"],
)
async def test_an_item_fails_if_a_task_failed_that_value_a_leaf_or_another_needed(
    house: House, more: dict[str, Any], status: str
) -> None:
    result = await house.run(group("g", task("bad", "s:fail"), for_each=[1]) | more)
    assert result.tasks[0].status == status


async def test_a_task_in_a_group_that_was_skipped_is_in_tasks_and_its_cause_in_errors(
    house: House,
) -> None:
    """A step that fails for a thousand items brings a thousand errors, whatever follows it."""
    steps = [
        task("look", "s:say", text="$ITEM"),
        task("note", x="$OUTPUT[look]"),
        task("close", x="$OUTPUT[note]"),
    ]
    group = {"id": "g", "for_each": "$OUTPUT[l].x", "tasks": steps}
    result = await house.run(task("l", x=["one", 2]), group, task("after", x="$OUTPUT[g]"))
    document: Any = result.document()
    assert [(error["id"], error["code"]) for error in document["errors"]] == [
        ("g[1].look", "invalid_arguments"),
        ("after", "dependency_failed"),
    ]
    assert {one["id"]: one["status"] for one in document["tasks"]} == {
        "l": "success", "g": "failed", "after": "skipped",
        "g[0].look": "success", "g[0].note": "success", "g[0].close": "success",
        "g[1].look": "failed", "g[1].note": "skipped", "g[1].close": "skipped",
    }  # fmt: skip


async def test_the_rest_is_as_for_for_each(house: House) -> None:
    """A failed item is null, its group has failed and keeps its list, and items have a limit."""
    flaky = task("f", "s:flaky", key="$ITEM", times="$ITEM")
    result = await house.run(
        group("g", flaky, for_each=[0, 1]),
        task("after", x="$OUTPUT[g]") | {"trigger_rule": "all_done"},
        **{"return": ["g", "after"]},
    )
    kept = [{"tries": 1}, None]
    assert result.outputs == {"g": kept, "after": {"x": kept}}
    assert result.tasks[0].status == "failed"
    async with house.gateway(limits=GatewayLimits(max_items=2)) as gateway:
        with pytest.raises(InvalidDag, match="at most 2 are run"):
            await gateway.execute({"tasks": [group("g", flaky, for_each=[0, 0, 0])]})


async def test_items_of_a_group_that_succeeded_are_reused(house: House) -> None:
    steps = [task("b", x="$ITEM"), task("c", "s:flaky", times=1, key="$ITEM")]
    document = {"tasks": [{"id": "g", "for_each": ["k", "l"], "tasks": steps}]}
    async with house.gateway() as gateway:
        house.failures["k"] = 5  # it has failed before, and works now
        first = await gateway.execute(document)
        assert first.outputs == {"g": [{"b": {"x": "k"}, "c": {"tries": 6}}, None]}
        before = len(house.servers.calls)
        again = await gateway.execute({**document, "resume_from": first.run_id})
    kept = {"b": {"x": "k"}, "c": {"tries": 6}}
    assert again.outputs == {"g": [kept, {"b": {"x": "l"}, "c": {"tries": 2}}]}
    assert len(house.servers.calls) == before + 2


async def test_items_that_succeeded_are_reused_although_the_group_runs_in_another_way(
    house: House,
) -> None:
    write = task("w", "files:write", path="$ITEM")
    fail = task("f", "s:flaky", times=1, key="$ITEM")

    def group(**fields: Any) -> dict[str, Any]:
        steps = [fail, write | fields | {"depends_on": ["f"]}]
        return {"tasks": [{"id": "g", "for_each": ["k", "l"], "tasks": steps}]}

    async with house.gateway() as gateway:
        house.failures["k"] = 5
        first = await gateway.execute(group())
        again = await gateway.execute({**group(timeout_s=30), "resume_from": first.run_id})
    assert again.status == "success"
    written = [given["path"] for name, given in house.servers.calls if name == "files:write"]
    assert written == ["k", "l"]


async def test_a_group_that_does_something_else_does_not_repeat_what_may_not_be(
    house: House,
) -> None:
    fail = task("f", "s:flaky", times=1, key="$ITEM")
    write = task("w", "files:write", path="$ITEM") | {"depends_on": ["f"]}  # for k alone
    steps, changed = [fail, write], [fail, write | {"when": "f.tries > 0"}]
    group = {"id": "g", "for_each": ["k", "l"]}
    async with house.gateway() as gateway:
        house.failures["k"] = 5
        first = await gateway.execute({"tasks": [{**group, "tasks": steps}]})
        sent = {"tasks": [{**group, "tasks": changed}], "resume_from": first.run_id}
        with pytest.raises(InvalidDag, match="items of g, all of which run again"):
            await gateway.execute(sent)
    assert house.called.count("files:write") == 1


async def test_a_call_that_may_not_be_made_twice_is_not_repeated_with_its_item(
    house: House,
) -> None:
    steps = [
        task("w", "files:write", path="$ITEM"),
        task("c", "s:fail") | {"depends_on": ["w"]},
    ]
    document = {"tasks": [{"id": "g", "for_each": ["k"], "tasks": steps}]}
    async with house.gateway() as gateway:
        first = await gateway.execute(document)
        with pytest.raises(InvalidDag, match="not known to be safe to call twice"):
            await gateway.execute({**document, "resume_from": first.run_id})
    assert house.called == ["files:write", "s:fail"]


async def test_a_group_that_lost_items_is_reused_where_it_is_not_sent_again(house: House) -> None:
    steps = [
        task("w", "files:write", path="$ITEM"),
        task("c", "s:flaky", key="$ITEM") | {"depends_on": ["w"]},
    ]
    some = {"id": "g", "for_each": ["k", "l"], "on_item_failure": "skip", "tasks": steps}
    async with house.gateway() as gateway:
        house.failures["k"] = 1
        first = await gateway.execute({"tasks": [some, task("bad", "s:fail")]})
        with pytest.raises(InvalidDag, match="Leave g out: it succeeded") as refused:
            await gateway.execute({"tasks": [some], "resume_from": first.run_id})
        assert refused.value.problems[0].code == "not_repeatable"
        document = {"tasks": [task("bad", x="$OUTPUT[g]")], "resume_from": first.run_id}
        again = await gateway.execute(document)
        with pytest.raises(InvalidDag, match="not known to be safe to call twice"):
            await gateway.execute({"tasks": [some], "resume_from": again.run_id})
    assert again.outputs == {"bad": {"x": [{"tries": 2}, None]}}
    assert [(error.id, error.index) for error in again.errors] == [("g", 1)]
    assert house.called.count("files:write") == 2


async def test_groups_nest_three_deep(house: House) -> None:
    three = group("a", group("b", group("c", task("d", x=1))))
    assert (await house.run(three)).outputs == {"a": {"x": 1}}
    assert await house.refused(group("o", three)) == {
        "tasks[0].tasks[0].tasks[0].tasks[0].tasks": "limit_exceeded"
    }


async def test_a_group_without_items_that_succeeded_runs_again_once_it_is_changed(
    house: House,
) -> None:
    write = task("w", "files:write", path="k")
    group = {"id": "g", "tasks": [write], "value": {"x": 1}}
    changed = [
        {**group, "value": {"x": 2}},
        {**group, "tasks": [task("w", "files:write", path="l")]},
    ]
    async with house.gateway() as gateway:
        first = await gateway.execute({"tasks": [group, task("z", "s:fail")]})
        for other in changed:
            document = {"tasks": [other], "resume_from": first.run_id}
            again = await gateway.execute(document)
            assert again.status == "success"
            noted = [note for note in again.notes if "only its value changed" in note]
            assert bool(noted) is (other["tasks"] == group["tasks"])
    assert house.called.count("files:write") == 3


async def test_a_group_without_items_that_failed_is_refused_for_what_succeeded_in_it(
    house: House,
) -> None:
    steps = [task("w", "files:write", path="k"), task("c", "s:fail") | {"depends_on": ["w"]}]
    document = {"tasks": [{"id": "g", "tasks": steps}]}
    async with house.gateway() as gateway:
        first = await gateway.execute(document)
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({**document, "resume_from": first.run_id})
    [problem] = refused.value.problems
    assert problem.message == (
        "g.w succeeded in g, which runs again, and files:write is not known to be safe to call "
        "twice."
    )
    assert problem.hint == (
        "Send the rest of it as other tasks, or set allow_repeat: true in g.w if a second call "
        "does no harm."
    )
    assert house.called.count("files:write") == 1
