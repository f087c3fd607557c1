"""Section 2 of the contract: the DAG document. One test for each row of its tables, in their
order."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.config import LimitSettings
from plait.core.scheduling.limits import Limits
from plait.core.tools.catalog import Tool
from plait.core.tools.policy import Rule
from plait.core.tools.tool_stats import ToolStats
from plait.core.values.problems import Fix, Op
from plait.engine.gateway import GatewayLimits
from plait.errors import ConnectionLost, InvalidDag
from plait.upstream.schemas import TOOLS

from ..cli.conftest import Plait
from ..fakes import tool
from .conftest import NUMBER, House, task

pytestmark = pytest.mark.virtual_time


def test_the_command_line_also_reads_a_document_as_toml(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "servers.toml").write_text("")
    (tmp_path / "dag.toml").write_text(
        """
        return = ["b"]
        [[tasks]]
        id = "a"
        tool = "s:echo"
        arguments = { x = [1, 2.5, true] }
        [[tasks]]
        id = "b"
        tool = "s:echo"
        arguments.y = "$OUTPUT[a].x[1]"
        """
    )
    run = Plait(house.servers)("run", "dag.toml", "--json", "--config", "servers.toml")
    assert json.loads(run.stdout)["outputs"] == {"b": {"y": 2.5}}


async def test_tasks_1_to_max_tasks_and_their_order_breaks_ties_only(house: House) -> None:
    result = await house.run(task("b", x="$OUTPUT[a].x"), task("a", x=1))
    assert result.outputs == {"b": {"x": 1}}
    assert await house.refused() == {"tasks": "limit_exceeded"}
    async with house.gateway(limits=GatewayLimits(max_tasks=1)) as gateway:
        with pytest.raises(InvalidDag, match="at most 1 fit"):
            await gateway.execute({"tasks": [task("a"), task("b")]})


async def test_a_document_has_at_most_10000_tasks_and_a_list_1000_items_by_default(
    house: House,
) -> None:
    """What servers.toml leaves out is the same in a gateway made in Python."""
    ours, of_settings = GatewayLimits(), LimitSettings()
    assert (ours.max_tasks, of_settings.max_tasks) == (10_000, 10_000)
    assert (ours.max_items, of_settings.max_items) == (1_000, 1_000)
    assert await house.refused(*[{}] * 10_001) == {"tasks": "limit_exceeded"}
    items = task("a") | {"for_each": [*range(1_001)]}
    assert await house.refused(items) == {"tasks[0].for_each": "limit_exceeded"}
    async with house.gateway() as gateway:
        most = await gateway.execute({"tasks": [task("a") | {"for_each": [*range(1_000)]}]})
    assert most.status == "success"


async def test_a_value_is_made_of_outputs_without_a_call(house: House) -> None:
    result = await house.run(
        task("a", x=[3, 4]),
        {"id": "v", "value": {"all": "$OUTPUT[a].x", "text": "${OUTPUT[a].x[0]}!"}},
        {"id": "s", "value": "$OUTPUT[v].all", "select": "sum(@)"},
        {"id": "e", "for_each": "$OUTPUT[a].x", "value": {"at": "$INDEX", "n": "$ITEM"}},
        **{"return": ["*"]},
    )
    assert result.outputs == {
        "a": {"x": [3, 4]},
        "v": {"all": [3, 4], "text": "3!"},
        "s": 7,
        "e": [{"at": 0, "n": 3}, {"at": 1, "n": 4}],
    }
    assert result.metrics.max_parallelism == 1
    both = {"id": "v", "value": 1, "tool": "s:echo"}
    assert await house.refused(both) == {"tasks[0].value": "unknown_field"}


async def test_return_defaults_to_the_leaves_and_star_is_all(house: House) -> None:
    tasks = task("a", x=1), task("b", x="$OUTPUT[a].x"), task("c") | {"depends_on": ["b"]}
    assert list((await house.run(*tasks)).outputs) == ["c"]
    assert list((await house.run(*tasks, **{"return": ["b", "a"]})).outputs) == ["b", "a"]
    assert list((await house.run(*tasks, **{"return": ["*"]})).outputs) == ["a", "b", "c"]


async def test_fail_fast_cancels_what_runs_and_skips_what_has_not_started(house: House) -> None:
    tasks = (
        task("bad", "s:fail"),
        task("runs", "s:sleep", seconds=9),
        task("later", x="$OUTPUT[runs].slept"),
    )
    result = await house.run(*tasks, fail_fast=True)
    assert {task.id: task.status for task in result.tasks} == {
        "bad": "failed",
        "runs": "cancelled",
        "later": "skipped",
    }
    assert house.servers.aborted == ["s:sleep"]


async def test_schedule_layers_changes_the_time_and_not_the_results(house: House) -> None:
    tasks = [
        task("a1", "s:sleep", seconds=1),
        task("a2", "s:sleep", seconds=5, x="$OUTPUT[a1].slept"),
        task("b1", "s:sleep", seconds=5),
        task("b2", "s:sleep", seconds=1, x="$OUTPUT[b1].slept"),
    ]
    eager = await house.run(*tasks)
    layers = await house.run(*tasks, schedule="layers")
    assert (eager.metrics.execution_time_ms, layers.metrics.execution_time_ms) == (6_000, 10_000)
    assert eager.outputs == layers.outputs


async def test_max_concurrency_bounds_the_calls_of_a_run_and_1_is_sequential(house: House) -> None:
    tasks = [task(f"t{number}", "s:sleep") for number in range(6)]
    assert (await house.run(*tasks, max_concurrency=1)).metrics.execution_time_ms == 6_000
    assert (await house.run(*tasks, max_concurrency=3)).metrics.max_parallelism == 3


async def test_max_concurrency_and_timeout_s_are_the_gateways_by_default(house: House) -> None:
    limits = GatewayLimits(concurrency=Limits(gateway=2), timeout_s=3)
    async with house.gateway(limits=limits) as gateway:
        result = await gateway.execute({"tasks": [task(f"t{n}", "s:sleep") for n in range(8)]})
    assert result.metrics.max_parallelism == 2
    assert (result.status, result.metrics.execution_time_ms) == ("timeout", 3_000)


async def test_timeout_s_ends_the_run_and_keeps_its_results(house: House) -> None:
    tasks = (
        task("done", x=1),
        task("slow", "s:sleep", seconds=9),
        task("never", x="$OUTPUT[slow].slept"),
    )
    result = await house.run(*tasks, timeout_s=2, **{"return": ["*"]})
    assert result.status == "timeout"
    assert result.metrics.execution_time_ms == 2_000
    assert result.outputs == {"done": {"x": 1}}
    assert [task.status for task in result.tasks] == ["success", "cancelled", "skipped"]


async def test_resume_from_reuses_what_succeeded_and_tasks_may_hold_only_the_mended_ones(
    house: House,
) -> None:
    async with house.gateway() as gateway:
        first = await gateway.execute(
            {
                "tasks": [
                    task("a", x=7),
                    task("b", "s:fail", y="$OUTPUT[a].x"),
                    task("c", z="$OUTPUT[b].y"),
                ]
            }
        )
        calls = len(house.servers.calls)
        mended = await gateway.execute(
            {"tasks": [task("b", y="$OUTPUT[a].x")], "resume_from": first.run_id}
        )
    assert mended.outputs == {"c": {"z": 7}}
    assert len(house.servers.calls) - calls == 2


async def test_a_whole_document_sent_again_with_resume_from_runs_only_what_did_not_succeed(
    house: House,
) -> None:
    tasks = [task("a", x=7), task("b", "s:fail", y="$OUTPUT[a].x"), task("c", z="$OUTPUT[b].y")]
    async with house.gateway() as gateway:
        first = await gateway.execute({"tasks": tasks})
        calls = len(house.servers.calls)
        fixed = [tasks[0], task("b", y="$OUTPUT[a].x"), tasks[2]]
        result = await gateway.execute({"tasks": fixed, "resume_from": first.run_id})
    assert result.outputs == {"c": {"z": 7}}
    assert len(house.servers.calls) - calls == 2
    assert [task.attempts for task in result.tasks] == [0, 1, 1]
    assert any(note.startswith("resume_from: a succeeded") for note in result.notes)


async def test_what_depends_on_a_task_that_is_sent_again_runs_again_though_it_is_not_sent(
    house: House,
) -> None:
    a, c = task("a", x=1), task("c", z="$OUTPUT[b].y")
    async with house.gateway() as gateway:
        first = await gateway.execute({"tasks": [a, task("b", y="$OUTPUT[a].x"), c]})
        result = await gateway.execute({"tasks": [task("a", x=2), c], "resume_from": first.run_id})
    assert result.outputs == {"c": {"z": 2}}
    assert "resume_from: b depends on what runs again, so it runs again too" in result.notes


async def test_a_call_that_may_not_be_repeated_is_made_again_only_if_it_is_sent_again(
    house: House,
) -> None:
    b = {**task("b", "files:write", path="/p", text="$OUTPUT[a].x"), "select": "`1`"}
    async with house.gateway() as gateway:
        first = await gateway.execute({"tasks": [task("a", x="1"), b]})
        changed = {"tasks": [task("a", x="2")], "resume_from": first.run_id}
        result = await gateway.execute(changed)
        assert house.files == {"/p": "1"}
        (note,) = result.notes
        assert note.startswith(f"resume_from: b keeps its output from {first.run_id}, though a ")
        await gateway.execute({**changed, "tasks": [*changed["tasks"], b]})
    assert house.files == {"/p": "2"}


async def test_a_task_that_failed_and_is_not_sent_again_is_named_with_its_fix(house: House) -> None:
    async with house.gateway() as gateway:
        first = await gateway.execute({"tasks": [task("a"), task("b", "s:fail")]})
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute(
                {"tasks": [task("c", x="$OUTPUT[b].x")], "resume_from": first.run_id}
            )
    (problem,) = refused.value.problems
    assert problem.message == f"b failed in {first.run_id} and is not sent again."
    assert problem.fix == Fix(Op.ADD, task("b", "s:fail"), "tasks")


async def test_references_to_an_earlier_runs_outputs_go_through_resume_from(house: House) -> None:
    async with house.gateway() as gateway:
        first = await gateway.execute({"tasks": [task("a", x=[1, 2])]})
        second = await gateway.execute(
            {"tasks": [task("new", y="$OUTPUT[a].x[1]")], "resume_from": first.run_id}
        )
    assert second.outputs["new"] == {"y": 2}


@pytest.mark.parametrize(
    ("name", "setting", "document", "waited"),
    [
        ("anybody", None, {}, 50),
        ("claude-code", None, {}, 1_500),
        ("claude-code", 7, {}, 7),
        ("claude-code", 7, {"wait_s": 3}, 3),
    ],
)
async def test_wait_s_is_that_of_the_client_else_50(
    house: House, name: str, setting: float | None, document: dict[str, Any], waited: float
) -> None:
    slow = task("a", "s:sleep", seconds=5_000) | {"timeout_s": 6_000}
    async with house.client(name, wait_s=setting) as client:
        began = anyio.current_time()
        answer: Any = await client.call_tool(
            "execute_dag", {"tasks": [slow], **document}, read_timeout_seconds=9e4
        )
        assert anyio.current_time() - began == waited
    assert answer.structured_content["status"] == "running"


@pytest.mark.parametrize("tasks", [{}, {"tasks": []}])
async def test_with_resume_from_tasks_may_be_empty_or_absent(
    house: House, tasks: dict[str, Any]
) -> None:
    """Then what was never sent runs."""
    document = {"tasks": [task("done"), task("slow", "s:sleep"), task("left", x=1)]}
    async with house.gateway() as gateway:
        first = await gateway.execute({**document, "timeout_s": 0.5, "max_concurrency": 1})
        again = await gateway.execute({**tasks, "resume_from": first.run_id})
    assert (first.outputs, again.outputs) == ({"done": {}}, {"left": {"x": 1}})


async def test_new_tasks_refer_to_any_task_of_the_run_that_kept_an_output(house: House) -> None:
    """Also to one that failed, if its items did not all."""
    each = task("a", "s:say", text="$ITEM") | {"for_each": "$OUTPUT[list].x"}
    new = task("c", x="$OUTPUT[a]") | {"trigger_rule": "all_done"}
    async with house.gateway() as gateway:
        first = await gateway.execute({"tasks": [task("list", x=["one", 2]), each]})
        result = await gateway.execute({"tasks": [new], "resume_from": first.run_id})
    assert result.outputs["c"] == {"x": [{"said": "one"}, None]}


async def test_dry_run_checks_and_plans_and_runs_nothing(house: House) -> None:
    async with house.gateway() as gateway:
        answer = await gateway.plan(
            {"tasks": [task("a"), task("b", x="$OUTPUT[a]")], "dry_run": True}
        )
    assert answer["status"] == "planned"
    assert house.called == []


async def test_detail_full_carries_tasks_and_all_metrics_when_all_went_well(house: House) -> None:
    concise = (await house.run(task("a"))).document("concise")
    full = (await house.run(task("a"), detail="full")).document("full")
    assert "tasks" not in concise
    assert full["tasks"]
    assert "critical_path" in full["metrics"]  # type: ignore[operator]  # it is an object


async def test_name_is_a_label(house: House) -> None:
    assert (await house.run(task("a"), name="nightly")).name == "nightly"


@pytest.mark.parametrize("id", ["a", "A_1", "9.x-y", "_" * 64])
async def test_id_is_a_letter_digit_or_underscore_then_63_more(house: House, id: str) -> None:
    assert (await house.run(task(id))).status == "success"


@pytest.mark.parametrize("id", ["", "-a", ".a", "a b", "é", "a" * 65, "a/b", "a\n"])
async def test_any_other_id_is_refused(house: House, id: str) -> None:
    assert await house.refused(task(id)) == {"tasks[0].id": "invalid_id"}


async def test_depends_on_waits_where_no_reference_says_so(house: House) -> None:
    result = await house.run(
        task("a", "s:sleep", seconds=2), task("b") | {"depends_on": ["a"]}, detail="full"
    )
    assert result.tasks[1].start_ms == 2_000


async def test_for_each_runs_once_an_item_in_parallel_in_the_items_order(house: House) -> None:
    each = task("each", "s:sleep", seconds="$ITEM.s", n="$INDEX") | {
        "for_each": [{"s": 3}, {"s": 1}]
    }
    result = await house.run(each)
    assert result.outputs == {"each": [{"slept": 3, "n": 0}, {"slept": 1, "n": 1}]}
    assert result.metrics.execution_time_ms == 3_000


async def test_for_each_takes_one_reference_to_a_list(house: House) -> None:
    each = task("each", n="$ITEM") | {"for_each": "$OUTPUT[a].list"}
    assert (await house.run(task("a", list=[4, 5]), each)).outputs == {"each": [{"n": 4}, {"n": 5}]}


async def test_a_failed_item_is_null_and_one_error_and_the_output_is_kept(house: House) -> None:
    list_ = task("list", x=["one", 2, "three"])
    each = task("each", "s:say", text="$ITEM") | {"for_each": "$OUTPUT[list].x"}
    result = await house.run(list_, each, **{"return": ["each"]})
    assert result.outputs == {"each": [{"said": "one"}, None, {"said": "three"}]}
    assert [(error.id, error.index, error.code) for error in result.errors] == [
        ("each", 1, "invalid_arguments")
    ]
    assert result.tasks[1].status == "failed"


async def test_on_item_failure_skip_succeeds_if_at_least_one_item_does(house: House) -> None:
    each = task("each", "s:flaky", key="$ITEM") | {
        "for_each": ["k", "l"],
        "on_item_failure": "skip",
    }
    document = {"tasks": [each, task("after", x="$OUTPUT[each]")], "return": ["*"]}
    async with house.gateway() as gateway:
        house.failures["k"] = 1
        first = await gateway.execute(document)
        assert first.outputs["each"] == [{"tries": 2}, None]
        assert first.outputs["after"] == {"x": [{"tries": 2}, None]}
        assert [(error.id, error.index) for error in first.errors] == [("each", 1)]
        assert (first.status, first.status.is_error) == ("partial", False)
        again = await gateway.execute({**document, "resume_from": first.run_id})
    assert again.outputs["after"] == {"x": [{"tries": 2}, {"tries": 2}]}
    assert (again.status, house.failures) == ("success", {"k": 2, "l": 2})


async def test_items_that_are_written_down_are_checked_before_anything_runs(house: House) -> None:
    each = task("each", "s:say", text="$ITEM") | {"for_each": ["one", 2, "three"]}
    assert await house.refused(each) == {"tasks[0].for_each[1]": "invalid_arguments"}


async def test_for_each_takes_at_most_max_items(house: House) -> None:
    limits = GatewayLimits(max_items=2)
    async with house.gateway(limits=limits) as gateway:
        with pytest.raises(InvalidDag, match="at most 2 are run"):
            await gateway.execute({"tasks": [task("a") | {"for_each": [1, 2, 3]}]})
        told = await gateway.execute(
            {"tasks": [task("l", x=[1, 2, 3]), task("a") | {"for_each": "$OUTPUT[l].x"}]}
        )
    assert told.errors[0].code == "output_too_large"


async def test_item_and_index_stand_in_arguments_value_select_repeat_and_inner_tasks(
    house: House,
) -> None:
    items = {"for_each": [{"n": 5}, {"n": 6}]}
    result = await house.run(
        task("arguments", x="$ITEM.n$INDEX") | items,
        {"id": "value", "value": ["$ITEM.n", "$INDEX"], **items},
        task("select", x=[1]) | {"select": "{n: $ITEM.n, i: $INDEX, count: length(x)}"} | items,
        task("repeat", n=0) | {"repeat": {"set": {"n": "n < 1 && $ITEM.n"}}, "select": "n"} | items,
        {"id": "inner", "tasks": [task("i", x="$ITEM.n")], **items},
    )
    assert result.outputs == {
        "arguments": [{"x": "50"}, {"x": "61"}],
        "value": [[5, 0], [6, 1]],
        "select": [{"n": 5, "i": 0, "count": 1}, {"n": 6, "i": 1, "count": 1}],
        "repeat": [[0, 5], [0, 6]],
        "inner": [{"x": 5}, {"x": 6}],
    }


async def test_a_when_that_names_the_item_is_refused_with_the_filter_as_its_fix(
    house: House,
) -> None:
    each = task("b", x="$ITEM") | {"for_each": "$OUTPUT[a].items", "when": "$ITEM.n == 0"}
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [task("a", items=[{"n": 0}, {"n": 1}]), each]})
    [problem] = refused.value.problems
    assert "${OUTPUT[a].items | [?n == 0]}" in f"{problem.fix} {problem.hint}"


async def test_select_is_applied_before_the_output_is_kept_referenced_or_returned(
    house: House,
) -> None:
    picked = task("a", items=[{"n": 1}, {"n": 2}]) | {"select": "items[].n"}
    result = await house.run(picked, task("b", x="$OUTPUT[a][1]"), **{"return": ["*"]})
    assert result.outputs == {"a": [1, 2], "b": {"x": 2}}


async def test_timeout_s_of_a_task_counts_for_each_attempt(house: House) -> None:
    slow = task("slow", "s:sleep", seconds=9) | {"timeout_s": 2, "retries": 1}
    result = await house.run(slow)
    assert result.tasks[0].status == "timeout"
    assert result.tasks[0].attempts == 2
    assert result.errors[0].code == "timeout"


async def test_timeout_s_is_the_tasks_then_the_tools_then_the_servers_then_60(
    house: House,
) -> None:
    house.servers.add(tool("s:other", closed=False), partial(anyio.sleep, 99))
    rule = Rule("s:sleep", timeout_s=5)
    async with house.gateway(rule, server_timeouts={"s": 7}) as gateway:
        tasks = [
            task("own", "s:sleep", seconds=99) | {"timeout_s": 3},
            task("tool", "s:sleep", seconds=99),
            task("server", "s:other"),
        ]
        result = await gateway.execute({"tasks": tasks})
    assert [task.duration_ms for task in result.tasks] == [3_000, 5_000, 7_000]
    assert (await house.run(task("none", "s:sleep", seconds=99))).tasks[0].duration_ms == 60_000


async def test_retries_follow_a_failure_that_may_pass_after_pauses(house: House) -> None:
    result = await house.run(task("a", "s:flaky", times=2) | {"retries": 2})
    assert result.outputs["a"] == {"tries": 3}
    assert result.tasks[0].attempts == 3
    assert result.metrics.execution_time_ms > 500


async def test_the_pauses_of_retries_double_and_are_spread_by_half_as_much(house: House) -> None:
    """Tasks that fail together are not tried again together."""
    tried: dict[int, list[float]] = {}

    def flaky(n: int) -> None:
        tried.setdefault(n, []).append(anyio.current_time())
        raise ConnectionLost("gone")

    house.servers.add(tool("s:down", {"n": NUMBER}, readOnlyHint=True), flaky)
    retries = {"retries": {"max": 3, "delay_s": 2}}
    await house.run(*[task(f"t{n}", "s:down", n=n) | retries for n in range(3)])
    pauses = [[later - earlier for earlier, later in pairwise(times)] for times in tried.values()]
    for first, second, third in pauses:
        assert 1 <= first <= 3
        assert 2 <= second <= 6
        assert 4 <= third <= 12
    assert len({first for first, *_ in pauses}) == 3


async def test_a_failure_that_cannot_pass_is_not_tried_again(house: House) -> None:
    result = await house.run(task("a", "s:fail") | {"retries": 3, "allow_repeat": True})
    assert result.tasks[0].attempts == 1


async def test_retries_by_kind_of_failure_and_without_on_the_first_three(house: House) -> None:
    def failed_once(**retries: Any) -> dict[str, Any]:
        return task("a", "s:fail") | {"retries": {"max": 2, **retries}, "allow_repeat": True}

    await house.run(failed_once())
    assert house.called == ["s:fail"]
    result = await house.run(failed_once(on=["tool_error"], delay_s=4))
    assert house.called == ["s:fail"] * 4
    assert 6_000 <= result.metrics.execution_time_ms <= 18_000
    result = await house.run(
        task("b", "s:flaky", times=1) | {"retries": {"max": 1, "on": ["timeout"]}}
    )
    assert [error.code for error in result.errors] == ["connection_lost"]
    house.failures.clear()
    assert (
        await house.run(task("b", "s:flaky", times=1) | {"retries": {"max": 1}})
    ).status == "success"


async def test_retries_are_refused_for_what_may_not_be_repeated_unless_allow_repeat(
    house: House,
) -> None:
    assert await house.refused(task("a", "s:say", text="x") | {"retries": 1}) == {
        "tasks[0].retries": "not_repeatable"
    }
    allowed = await house.run(task("a", "s:say", text="x") | {"retries": 1, "allow_repeat": True})
    assert allowed.status == "success"
    async with house.gateway(Rule("s:say", idempotent=True)) as gateway:
        assert (
            await gateway.execute({"tasks": [task("a", "s:say", text="x") | {"retries": 1}]})
        ).status == "success"


async def test_priority_goes_first_then_the_longer_way_then_document_order(house: House) -> None:
    tasks = [
        task("last", "s:sleep", name="last"),
        task("second", "s:sleep", name="second"),
        task("after", "s:sleep", name="after", x="$OUTPUT[second].slept"),
        task("first", "s:sleep", name="first") | {"priority": 1},
    ]
    await house.run(*tasks, max_concurrency=1)
    assert sorted(house.spans, key=lambda name: house.spans[name]) == [
        "first",
        "second",
        "last",
        "after",
    ]


async def test_ties_of_priority_go_to_the_longer_remaining_path_by_past_durations(
    house: House,
) -> None:
    """`b` is longer than `a` and what follows it: so much is known from the time before."""
    learned = ToolStats()
    house.servers.add(tool("s:brief", closed=False), partial(anyio.sleep, 1))
    before = [task("long", "s:sleep", seconds=5), task("brief", "s:brief")]
    chain = [task("a", "s:brief"), task("a2", "s:brief") | {"depends_on": ["a"]}]
    document = {"tasks": [*chain, task("b", "s:sleep", seconds=5)], "max_concurrency": 1}
    async with house.gateway(learned=learned) as gateway:
        unknown = await gateway.execute(document)
        await gateway.execute({"tasks": before})
        known = await gateway.execute(document)
    assert [task.start_ms for task in unknown.tasks] == [0, 1_000, 2_000]
    assert [task.start_ms for task in known.tasks] == [5_000, 6_000, 0]


@pytest.mark.parametrize(
    ("rule", "after_success", "after_failure"),
    [
        ("all_success", "success", "skipped"),
        ("all_done", "success", "success"),
        ("one_failed", "skipped", "success"),
        ("one_success", "success", "skipped"),
        ("none_failed", "success", "skipped"),
        ("always", "success", "success"),
    ],
)
async def test_trigger_rule(
    house: House, rule: str, after_success: str, after_failure: str
) -> None:
    well = await house.run(task("a"), task("b") | {"depends_on": ["a"], "trigger_rule": rule})
    ill = await house.run(
        task("a", "s:fail"), task("b") | {"depends_on": ["a"], "trigger_rule": rule}
    )
    assert (well.tasks[1].status, ill.tasks[1].status) == (after_success, after_failure)


def undo(*needs: str, **arguments: Any) -> dict[str, Any]:
    """A task that cleans up in two seconds."""
    rule = {"depends_on": [*needs], "trigger_rule": "always"}
    return task("undo", "s:sleep", name="undo", **{"seconds": 2, **arguments}) | rule


@pytest.mark.parametrize("options", [{"fail_fast": True}, {"timeout_s": 1}])
async def test_always_runs_also_after_fail_fast_and_the_timeout_of_the_run(
    house: House, options: dict[str, Any]
) -> None:
    bad = task("bad", "s:fail") if "fail_fast" in options else task("bad", "s:sleep", seconds=9)
    result = await house.run(
        task("a", "s:sleep", seconds=9),
        task("b", x="$OUTPUT[a]"),
        bad,
        undo("a"),
        **{"return": ["*"]},
        **options,
    )
    assert [task.status for task in result.tasks[:2]] == ["cancelled", "skipped"]
    assert result.outputs == {"undo": {"slept": 2}}
    assert result.status == ("partial" if "fail_fast" in options else "timeout")
    assert anyio.current_time() == options.get("timeout_s", 0) + 2


async def test_always_runs_also_when_the_client_has_left(house: House) -> None:
    async with house.gateway() as gateway:
        with anyio.move_on_after(1):
            await gateway.execute({"tasks": [task("a", "s:sleep", seconds=9), undo("a")]})
        [run] = gateway.runs()
        assert gateway.result(run).status == "running"
        result = await gateway.wait(run)
    assert house.servers.aborted == ["s:sleep"], "that of a alone"
    assert (result.status, result.tasks[1].status) == ("cancelled", "success")
    assert house.spans["undo"] == (1, 3)


async def test_always_runs_also_after_a_cancel_within_its_slot(house: House) -> None:
    document = {"tasks": [task("a", "s:sleep", seconds=9), undo("a")], "max_concurrency": 1}
    async with house.gateway(slots=1) as gateway:
        run = await gateway.submit(document)
        await anyio.sleep(1)
        result = await gateway.cancel(run.run_id)
    assert (result.status, result.tasks[1].status) == ("cancelled", "success")
    assert house.spans["undo"] == (1, 3)


async def test_cleanup_s_bounds_all_that_cleans_up(house: House) -> None:
    later = task("later") | {"depends_on": ["undo"], "trigger_rule": "always"}
    tasks = [task("a", "s:sleep", seconds=9), undo("a", seconds=99) | {"timeout_s": 99}, later]
    async with house.gateway() as gateway:
        run = await gateway.submit({"tasks": tasks})
        other = await gateway.submit({"tasks": [task("b", "s:sleep", seconds=3)]})
        await anyio.sleep(1)
        result = await gateway.cancel(run.run_id)
        assert (result.status, anyio.current_time()) == ("running", 6)
        assert gateway.result(other.run_id).status == "success"
        result = await gateway.wait(run.run_id)
    assert anyio.current_time() == 31
    assert result.status == "cancelled"
    assert [task.status for task in result.tasks] == ["cancelled", "cancelled", "skipped"]
    assert [error.code for error in result.errors] == ["cancelled", "timeout", "timeout"]
    assert house.called == ["s:sleep", "s:sleep", "s:sleep"]


async def test_the_end_of_the_gateway_leaves_what_cleans_up_five_seconds(house: House) -> None:
    short, long = (
        {"tasks": [task("a", "s:sleep", seconds=99), undo("a", seconds=seconds)]}
        for seconds in (4, 50)
    )
    async with house.gateway() as gateway:
        runs = [await gateway.submit(document) for document in (short, long)]
        await anyio.sleep(1)
    results = [gateway.result(run.run_id) for run in runs]
    assert [result.status for result in results] == ["cancelled", "cancelled"]
    assert [result.tasks[1].status for result in results] == ["success", "cancelled"]
    assert anyio.current_time() == 6


async def test_an_item_of_a_group_that_is_stopped_cleans_up(house: House) -> None:
    steps = [
        task("take", x="$ITEM"),
        task("use", "s:flaky", key="$ITEM"),
        task("give", "s:echo", x="$ITEM") | {"depends_on": ["use"], "trigger_rule": "always"},
    ]
    group = {"id": "g", "for_each": ["k", "l"], "tasks": steps, "value": "$OUTPUT[use]"}
    house.failures["k"] = 1
    result = await house.run(group, fail_fast=True)
    given = [str(given["x"]) for name, given in house.servers.calls if name == "s:echo"]
    assert sorted(given) == ["k", "k", "l", "l"]
    assert result.outputs == {"g": [{"tries": 2}, None]}


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("all_done", "success"),
        ("one_failed", "skipped"),
        ("one_success", "skipped"),
        ("none_failed", "success"),
    ],
)
async def test_for_a_trigger_rule_a_skip_by_a_condition_is_no_failure(
    house: House, rule: str, status: str
) -> None:
    after = task("b") | {"depends_on": ["c"], "trigger_rule": rule}
    result = await house.run(task("a"), task("c") | {"when": "false"}, after)
    assert result.tasks[2].status == status


async def test_one_failed_sees_what_a_dependency_was_skipped_for(house: House) -> None:
    after = task("b", x=1) | {"depends_on": ["c"], "trigger_rule": "one_failed"}
    result = await house.run(task("a", "s:fail"), task("c", x="$OUTPUT[a]"), after)
    assert result.outputs == {"b": {"x": 1}}


async def test_when_takes_references_and_ids_that_are_no_plain_names_are_quoted(
    house: House,
) -> None:
    result = await house.run(
        task("a-b", n=2),
        task("c", x=1) | {"when": '"a-b".n > 1'},
        task("d", x=1) | {"when": "$OUTPUT[a-b].n > 1"},
    )
    assert result.outputs == {"c": {"x": 1}, "d": {"x": 1}}


@pytest.mark.parametrize(
    ("cache", "after_s", "is_cached"),
    [
        (None, 59, True),
        (None, 61, False),
        (False, 1, False),
        (True, 59, True),
        (True, 61, False),
        (5, 4, True),
        (5, 6, False),
    ],
)
async def test_cache_is_never_for_false_the_policys_time_for_true_or_seconds(
    house: House, cache: Any, after_s: float, is_cached: bool
) -> None:
    given = {"cache": cache} if cache is not None else {}
    async with house.gateway(Rule("s:echo", cache_ttl_s=60)) as gateway:
        await gateway.execute({"tasks": [task("a", x=1)]})
        await anyio.sleep(after_s)
        result = await gateway.execute({"tasks": [task("a", x=1) | given]})
    assert result.outputs == {"a": {"x": 1}}
    assert result.tasks[0].cached is is_cached


async def test_when_is_not_truthy_skips_with_condition_and_what_depends_on_it_too(
    house: House,
) -> None:
    conditional = task("b") | {"depends_on": ["a"], "when": "a.total > `10`"}
    result = await house.run(task("a", total=3), conditional, task("c", x="$OUTPUT[b]"))
    assert [task.status for task in result.tasks] == ["success", "skipped", "skipped"]
    assert (result.status, result.errors) == ("success", ())
    assert [task.reason for task in result.tasks] == [
        None,
        "skipped: when (a.total > `10`) is not true",
        "skipped: b was skipped",
    ]


async def test_reads_and_writes_of_a_task_are_resources_beside_those_of_its_tool(
    house: House,
) -> None:
    tasks = [task(id, "s:sleep", name=id) | {"writes": ["db:users"]} for id in ("a", "b")]
    result = await house.run(*tasks, task("c", "s:sleep", name="c") | {"reads": ["db:users/7"]})
    assert [task.start_ms for task in result.tasks] == [0, 1_000, 2_000]


async def test_weight_is_slots_and_never_more_than_there_are(house: House) -> None:
    heavy = task("heavy", "s:sleep") | {"weight": 99}
    async with house.gateway(limits=GatewayLimits(concurrency=Limits(2))) as gateway:
        result = await gateway.execute(
            {"tasks": [heavy, task("x", "s:sleep"), task("y", "s:sleep")]}
        )
    assert [task.start_ms for task in result.tasks] == [0, 1_000, 1_000]


async def test_the_weight_of_a_task_goes_before_that_of_its_tools_policy(house: House) -> None:
    tasks = [task("policy", "s:sleep"), task("own", "s:sleep") | {"weight": 1}]
    async with house.gateway(Rule("s:sleep", weight=2), slots=2) as gateway:
        result = await gateway.execute({"tasks": [*tasks, task("more", "s:sleep")]})
        light = await gateway.execute({"tasks": [tasks[1], {**tasks[1], "id": "own2"}]})
    assert result.metrics.max_parallelism == 1
    assert light.metrics.max_parallelism == 2


@pytest.mark.parametrize(
    "members",
    [
        {"args": {"x": 1}},
        {"params": {"x": 1}},
        {"parameters": {"x": 1}},
        {"input": {"x": 1}},
        {"arguments": '{"x": 1}'},
    ],
)
async def test_variants_of_arguments_are_understood_and_told(
    house: House, members: dict[str, Any]
) -> None:
    result = await house.run({"id": "a", "tool": "s:echo", **members})
    assert result.outputs == {"a": {"x": 1}}
    assert result.notes


@pytest.mark.parametrize("name", ["dependsOn", "needs", "after"])
async def test_variants_of_depends_on_are_understood_and_told(house: House, name: str) -> None:
    result = await house.run(task("a"), task("b") | {name: ["a"]})
    assert result.layers == (("a",), ("b",))
    assert result.notes


@pytest.mark.parametrize("name", ["s__echo", "s.echo", "s/echo", "mcp__s__echo", "echo"])
async def test_variants_of_a_tools_name_are_understood_and_told(house: House, name: str) -> None:
    result = await house.run(task("a", name, x=1))
    assert result.tasks[0].tool == "s:echo"
    assert result.notes


async def test_tasks_as_a_map_or_as_text_and_camel_case_are_understood(house: House) -> None:
    async with house.gateway() as gateway:
        mapped = await gateway.execute({"tasks": {"a": {"tool": "s:echo"}}, "maxConcurrency": 1})
        text = await gateway.execute({"tasks": '[{"id": "a", "tool": "s:echo"}]'})
    assert mapped.status == text.status == "success"
    assert mapped.notes
    assert text.notes


@pytest.mark.parametrize(
    ("spelt", "options"),
    [
        ({"failFast": True}, {"fail_fast": True}),
        ({"maxConcurrency": 1}, {"max_concurrency": 1}),
        ({"timeoutS": 9}, {"timeout_s": 9}),
        ({"waitS": 9}, {"wait_s": 9}),
        ({"cleanupS": 9}, {"cleanup_s": 9}),
        ({"dryRun": False}, {"dry_run": False}),
    ],
)
async def test_camel_case_options_are_understood_and_told(
    house: House, spelt: dict[str, Any], options: dict[str, Any]
) -> None:
    async with house.gateway() as gateway:
        plain, camel = [
            await gateway.submit({"tasks": [task("a")], **more}) for more in (options, spelt)
        ]
    assert plain.dag == camel.dag
    assert (plain.notes, len(camel.notes)) == ((), 1)


@pytest.mark.parametrize(
    ("spelt", "fields"),
    [
        ({"forEach": [1]}, {"for_each": [1]}),
        ({"onItemFailure": "skip", "for_each": [1]}, {"on_item_failure": "skip", "for_each": [1]}),
        ({"timeoutS": 9}, {"timeout_s": 9}),
        ({"triggerRule": "all_done"}, {"trigger_rule": "all_done"}),
        ({"allowRepeat": True}, {"allow_repeat": True}),
        ({"dependsOn": []}, {"depends_on": []}),
        ({"repeat": {"until": "x", "everyS": 1}}, {"repeat": {"until": "x", "every_s": 1}}),
    ],
)
async def test_camel_case_fields_of_a_task_are_understood_and_told(
    house: House, spelt: dict[str, Any], fields: dict[str, Any]
) -> None:
    async with house.gateway() as gateway:
        plain, camel = [
            await gateway.submit({"tasks": [task("a") | more]}) for more in (fields, spelt)
        ]
    assert plain.dag == camel.dag
    assert (plain.notes, len(camel.notes)) == ((), 1)


FIELDS = [
    "tasks", "return", "fail_fast", "resume_from", "dry_run", "preview", "apply", "wait_s",
]  # fmt: skip
TASK_FIELDS = [
    "id", "tool", "arguments", "value", "tasks", "depends_on", "for_each", "when", "select",
    "repeat", "trigger_rule", "timeout_s",
]  # fmt: skip


def test_the_schema_that_models_see_holds_the_fields_of_the_proven_core() -> None:
    schema = TOOLS[0].input_schema["properties"]
    assert sorted(schema) == sorted(FIELDS)
    fields = schema["tasks"]["items"]["properties"]
    assert sorted(fields) == sorted(TASK_FIELDS)
    plain = {"type": "object", "additionalProperties": True}
    for shown in (fields["tasks"]["items"], fields["repeat"], fields["value"]):
        assert {key: shown[key] for key in plain} == plain
        assert shown.keys() <= {*plain, "description"}


async def test_all_others_are_accepted_too(house: House) -> None:
    fields = {
        "on_item_failure": "skip", "priority": 1, "retries": 1, "cache": False, "reads": ["db:a"],
        "weight": 2, "allow_repeat": True, "literal": True,
    }  # fmt: skip
    options = {
        "schedule": "layers", "max_concurrency": 2, "timeout_s": 9, "detail": "full", "name": "n",
        "cleanup_s": 3,
    }  # fmt: skip
    tasks = [task("a", x="$ITEM") | fields | {"for_each": [1]}]
    async with house.client() as client:
        answer: Any = await client.call_tool("execute_dag", {"tasks": tasks, **options})
    assert answer.structured_content["outputs"] == {"a": [{"x": 1}]}
    assert answer.structured_content["notes"] == []


DOCUMENT = '{"tasks": [{"id": "a", "tool": "s:echo"}]}'


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{DOCUMENT}\n```",
        f"\ufeff{DOCUMENT}",
        DOCUMENT.replace('"', "\u201c"),
        DOCUMENT[:-1] + ",}",
    ],
    ids=["a code fence", "a byte order mark", "typographic quotes", "a trailing comma"],
)
async def test_a_fence_a_mark_typographic_quotes_or_a_comma_are_understood_and_told(
    house: House, text: str
) -> None:
    async with house.gateway() as gateway:
        result = await gateway.execute(text)
    assert result.outputs == {"a": {}}
    assert result.notes


async def test_empty_text_for_arguments_and_numeric_ids_are_understood_and_told(
    house: House,
) -> None:
    result = await house.run(
        {"id": 1, "tool": "s:echo", "arguments": ""}, task("b") | {"depends_on": [1]}
    )
    assert result.layers == (("1",), ("b",))
    assert len(result.notes) == 3


@pytest.mark.parametrize("nothing", [None, ""])
async def test_nothing_for_an_optional_argument_that_does_not_take_it_is_left_out_with_a_note(
    house: House, nothing: Any
) -> None:
    house.servers.add(tool("s:number", {"n": NUMBER}), lambda n=7: {"n": n})
    result = await house.run(task("a", "s:number", n=nothing))
    assert result.outputs == {"a": {"n": 7}}
    [note] = result.notes
    assert "was left out" in note


async def test_any_other_unknown_field_is_a_problem_that_names_the_nearest(house: House) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag, match="depends_on"):
            await gateway.execute({"tasks": [task("a") | {"depend_on": []}]})
    assert await house.refused(task("a"), colour="red") == {"colour": "unknown_field"}


@pytest.mark.parametrize("name", ["steps", "plan", "nodes"])
async def test_the_fields_of_other_engines_name_tasks(house: House, name: str) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({name: [task("a")]})
    assert refused.value.problems[0].fix == Fix(Op.RENAME, "tasks")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"name": "a", "tool": "s:echo"}, "id"),
        ({"id": "a", "name": "s:echo"}, "tool"),
        ({"id": "a", "tool": "s:echo", "if": "true"}, "when"),
        ({"id": "a", "tool": "s:echo", "condition": "true"}, "when"),
        ({"id": "a", "tool": "s:echo", "loop": [1]}, "for_each"),
    ],
)
async def test_the_fields_of_other_engines_name_those_of_a_task(
    house: House, fields: dict[str, Any], name: str
) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [fields]})
    assert refused.value.problems[0].fix == Fix(Op.RENAME, name)


async def test_outputs_names_return(house: House) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [task("a")], "outputs": ["a"]})
    assert refused.value.problems[0].fix == Fix(Op.RENAME, "return")


async def test_a_tool_whose_schema_is_of_an_older_draft_is_served_and_checked(
    house: House,
) -> None:
    schema: Any = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1, "exclusiveMinimum": True}},
    }
    old = Tool("s", "old", {"name": "old", "inputSchema": schema})
    house.servers.add(old, lambda n: {"n": n})
    assert (await house.run(task("a", "s:old", n=2))).outputs == {"a": {"n": 2}}
    assert await house.refused(task("a", "s:old", n=1), task("b", "s:old", n="x")) == {
        "tasks[0].arguments.n": "invalid_arguments",
        "tasks[1].arguments.n": "invalid_arguments",
    }


async def test_one_reference_to_an_object_stands_for_all_arguments(house: House) -> None:
    said = {"text": "hi"}
    result = await house.run(
        task("a", said=said),
        {"id": "b", "tool": "s:say", "arguments": "$OUTPUT[a].said"},
        {"id": "c", "tool": "s:say", "for_each": [said, {"text": "ho"}], "arguments": "$ITEM"},
        {"id": "d", "tool": "s:say", "arguments": "${OUTPUT[a] | said}"},
        {"id": "e", "tool": "s:say", "arguments": "$OUTPUT[a].said.text"},
        {"id": "f", "tool": "s:say", "arguments": "$OUTPUT[a]"},
    )
    assert result.outputs["b"] == result.outputs["d"] == {"said": "hi"}
    assert result.outputs["c"] == [{"said": "hi"}, {"said": "ho"}]
    errors = {error.id: (error.code, error.message) for error in result.errors}
    assert errors["e"][0] == errors["f"][0] == "invalid_arguments"
    assert "$OUTPUT[a].said.text is text" in errors["e"][1]


async def test_an_argument_that_is_omit_or_whose_default_is_omit_is_left_out(house: House) -> None:
    result = await house.run(
        task("a", n=None),
        task("b", x="$OMIT", y="${OUTPUT[a].n ?? OMIT}", z={"k": "${OUTPUT[a].m ?? OMIT}"}),
    )
    assert result.outputs["b"] == {"z": {}}
    required = task("c", "s:say", text="${OUTPUT[a].n ?? OMIT}")
    assert await house.refused(task("a"), required, task("d", "s:say", text="$OMIT")) == {
        "tasks[1].arguments.text": "invalid_arguments",
        "tasks[2].arguments.text": "invalid_arguments",
    }
    value = {"id": "v", "value": "$OMIT"}
    assert await house.refused(value) == {"tasks[0].value": "invalid_reference"}


async def test_for_each_goes_over_an_object_and_over_json_text(house: House) -> None:
    each = {"k": "$ITEM.key", "v": "$ITEM.value"}
    result = await house.run(
        task("a", counts={"x": 1, "y": {"z": 2}}),
        task("b", **each) | {"for_each": "$OUTPUT[a].counts"},
        task("c", **each) | {"for_each": {"p": "$OUTPUT[a].counts.x", "q": [3]}},
        task("d", **each) | {"for_each": '{"r": 4}'},
        task("e", v="$ITEM") | {"for_each": "[5, 6]"},
        task("f", v="$ITEM") | {"for_each": {}},
    )
    assert result.outputs["b"] == [{"k": "x", "v": 1}, {"k": "y", "v": {"z": 2}}]
    assert result.outputs["c"] == [{"k": "p", "v": 1}, {"k": "q", "v": [3]}]
    assert result.outputs["d"] == [{"k": "r", "v": 4}]
    assert result.outputs["e"] == [{"v": 5}, {"v": 6}]
    assert result.outputs["f"] == []
    wrong = {"for_each": {"p": {"text": "a"}, "q": {"txt": "b"}}}
    say = {"id": "g", "tool": "s:say", "arguments": "$ITEM.value", **wrong}
    assert await house.refused(say) == {"tasks[0].for_each.q.txt": "invalid_arguments"}
