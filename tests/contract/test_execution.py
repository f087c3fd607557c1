"""Section 4 of the contract: execution. One test for each of its promises, in their order."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from itertools import pairwise
from typing import Any

import anyio
import pytest

from plait.core.results.record import RunStatus
from plait.core.scheduling.events import Status
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.notices import Changed, Notice
from plait.core.scheduling.rates import Rate
from plait.core.tools.policy import Rule
from plait.core.tools.tool_stats import ToolStats
from plait.core.values.principal import Principal
from plait.core.values.problems import Fix, Op
from plait.core.values.strict import dumps
from plait.engine.gateway import GatewayLimits
from plait.errors import InvalidDag, PolicyDenied
from plait.upstream.answers import run_answer

from ..fakes import FakeCaller, text, tool
from .conftest import House, task

pytestmark = pytest.mark.virtual_time


def read(id: str, path: str, **more: Any) -> dict[str, Any]:
    return task(id, "files:read", path=path, name=id) | more


def write(id: str, path: str, text: Any = "", **more: Any) -> dict[str, Any]:
    return task(id, "files:write", path=path, text=text, name=id) | more


async def test_validation_lists_all_problems_at_once_and_nothing_has_run(house: House) -> None:
    problems = await house.refused(
        {"id": "1 2", "tool": "s:echo"},
        task("a", "s:eco"),
        task("a", x="$OUTPUT[b"),
        task("c", "s:say") | {"select": "items[", "priority": "high"},
        task("d", x="$OUTPUT[e]"),
        task("e", x="$OUTPUT[d]"),
        task("f", "t:echo") | {"depends_on": ["z"]},
        return_=["a"],
    )
    assert set(problems.values()) >= {
        "invalid_id", "unknown_tool", "duplicate_id", "invalid_reference", "invalid_arguments",
        "invalid_expression",
        "wrong_type", "unknown_server", "unknown_task", "unknown_field",
    }  # fmt: skip


async def test_a_problem_says_where_what_would_be_right_and_the_signature_of_the_tool(
    house: House,
) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [task("a", "s:say", txt="x")]})
    problem = refused.value.problems[0]
    assert problem.path == "tasks[0].arguments.txt"
    assert "text" in f"{problem.message} {problem.hint}"
    assert "s:say(text: string)" in str(problem.hint)


async def test_cycles_are_named_as_a_path(house: House) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag, match=r"a -> b -> a|b -> a -> b"):
            await gateway.execute({"tasks": [task("a", x="$OUTPUT[b]"), task("b", x="$OUTPUT[a]")]})


async def test_a_failed_task_never_stops_another_that_does_not_depend_on_it(house: House) -> None:
    result = await house.run(
        task("bad", "s:fail"), task("good", "s:sleep", seconds=3), task("after", x="$OUTPUT[bad]")
    )
    assert [task.status for task in result.tasks] == ["failed", "success", "skipped"]


async def test_every_task_ends_in_exactly_one_final_status(house: House) -> None:
    tasks = [
        task("ok"),
        task("bad", "s:fail"),
        task("late", "s:sleep", seconds=9) | {"timeout_s": 1},
        task("skipped", x="$OUTPUT[bad]"),
        task("cut", "s:sleep", seconds=99),
    ]
    result = await house.run(*tasks, timeout_s=5)
    assert [task.status for task in result.tasks] == [
        "success",
        "failed",
        "timeout",
        "skipped",
        "cancelled",
    ]
    assert [task.id for task in result.tasks] == ["ok", "bad", "late", "skipped", "cut"]


async def test_what_hangs_on_a_failure_is_skipped_naming_the_root_cause(house: House) -> None:
    result = await house.run(
        task("a", "s:fail"), task("b", x="$OUTPUT[a]"), task("c", x="$OUTPUT[b]")
    )
    assert [(error.code, error.caused_by) for error in result.errors[1:]] == [
        ("dependency_failed", "a")
    ] * 2


# Conflicts


async def test_two_calls_that_touch_the_same_one_writing_never_overlap_and_start_in_document_order(
    house: House,
) -> None:
    house.files["x"] = "old"
    result = await house.run(read("first", "x"), write("second", "x", "new"), read("third", "x"))
    assert [task.start_ms for task in result.tasks] == [0, 1_000, 2_000]
    assert result.outputs == {
        "first": {"text": "old"},
        "second": {"path": "x"},
        "third": {"text": "new"},
    }


async def test_readers_of_the_same_run_beside_each_other(house: House) -> None:
    assert (
        await house.run(*[read(f"r{n}", "x") for n in range(5)])
    ).metrics.execution_time_ms == 1_000


async def test_the_earlier_in_the_document_goes_first_even_where_it_is_ready_later(
    house: House,
) -> None:
    wait = task("wait", "s:sleep", seconds=5)
    result = await house.run(
        wait, read("early", "x", depends_on=["wait"]), write("late", "x", "new")
    )
    assert [task.start_ms for task in result.tasks] == [0, 5_000, 6_000]


async def test_dependencies_go_before_document_order(house: House) -> None:
    result = await house.run(write("a", "x", "$OUTPUT[b].text"), read("b", "x"))
    assert [task.start_ms for task in result.tasks] == [1_000, 0]


async def test_two_runs_of_one_gateway_do_not_overlap_either(house: House) -> None:
    async with house.gateway() as gateway:
        runs = [await gateway.submit({"tasks": [write(id, "x")]}) for id in ("one", "two")]
        for run in runs:
            await gateway.wait(run.run_id)
    assert house.spans == {"one": (0, 1), "two": (1, 2)}


@pytest.mark.parametrize("beneath", ["d/x", "d/sub/y", "d/../d/z"])
async def test_a_path_overlaps_with_what_lies_beneath_it(house: House, beneath: str) -> None:
    result = await house.run(write("folder", "d"), read("file", beneath), read("other", "dd"))
    assert [task.start_ms for task in result.tasks] == [0, 1_000, 0]


async def test_arguments_with_references_are_claimed_when_the_task_is_ready(house: House) -> None:
    where = task("where", path="x")
    result = await house.run(where, write("dynamic", "$OUTPUT[where].path"), write("static", "x"))
    starts = sorted(task.start_ms or 0 for task in result.tasks[1:])
    assert starts[1] - starts[0] >= 1_000


async def test_each_item_of_a_for_each_claims_what_it_touches(house: House) -> None:
    each = write("each", "$ITEM", for_each=["x", "y", "x"])
    assert (await house.run(each)).metrics.execution_time_ms == 2_000


async def test_claims_are_taken_all_at_once_so_nothing_deadlocks(house: House) -> None:
    tasks = [
        task(f"t{n}", "s:sleep") | {"writes": keys}
        for n, keys in enumerate([["db:a", "db:b"], ["db:b", "db:c"], ["db:c", "db:a"]] * 3)
    ]
    result = await house.run(*tasks)
    assert result.status == "success"
    assert result.metrics.max_parallelism == 1


async def test_a_writer_is_not_starved_by_a_stream_of_readers(house: House) -> None:
    async with house.gateway() as gateway:
        await gateway.submit({"tasks": [read("r1", "x")]})
        await anyio.sleep(0.5)
        writer = await gateway.submit({"tasks": [write("w", "x")]})
        for number in range(2, 5):
            await gateway.submit({"tasks": [read(f"r{number}", "x")]})
            await anyio.sleep(0.1)
        await gateway.wait(writer.run_id)
    assert house.spans["w"] == (1, 2)


async def test_the_policy_says_what_a_call_touches(house: House) -> None:
    async with house.gateway(Rule("s:sleep", writes=("db:{table}",))) as gateway:
        tasks = [
            task(id, "s:sleep", table=table)
            for id, table in (("a", "users"), ("b", "users"), ("c", "logs"))
        ]
        result = await gateway.execute({"tasks": tasks})
    assert [task.start_ms for task in result.tasks] == [0, 1_000, 0]


async def test_an_operator_can_turn_conflicts_off(house: House) -> None:
    async with house.gateway(resolver=None) as gateway:
        result = await gateway.execute({"tasks": [write("a", "x"), write("b", "x")]})
    assert result.metrics.execution_time_ms == 1_000


async def test_the_plan_and_the_result_show_which_waited_for_which_and_why(house: House) -> None:
    tasks = [read("a", "x"), write("b", "x")]
    async with house.gateway() as gateway:
        plan = await gateway.plan({"tasks": tasks})
        result = await gateway.execute({"tasks": tasks, "detail": "full"})
    assert plan["conflicts"] == [
        {"id": "b", "waits_for": "a", "resource": "file:x", "why": "write after read"}
    ]
    assert [(wait.why, wait.on, wait.resource, wait.ms) for wait in result.tasks[1].waits] == [
        ("conflict", "a", "file:x", 1_000)
    ]


# Concurrency


@pytest.mark.parametrize(
    ("limits", "rules"),
    [
        (Limits(gateway=2), ()),
        (Limits(servers=(("s", 2),)), ()),
        (Limits(), (Rule("s:*", max_concurrency=2),)),
    ],
    ids=["gateway", "server", "tool"],
)
async def test_limits_per_gateway_server_and_tool(
    house: House, limits: Limits, rules: tuple[Rule, ...]
) -> None:
    async with house.gateway(*rules, limits=GatewayLimits(concurrency=limits)) as gateway:
        result = await gateway.execute({"tasks": [task(f"t{n}", "s:sleep") for n in range(6)]})
    assert result.metrics.max_parallelism == 2
    assert result.metrics.execution_time_ms == 3_000


async def test_rate_limits_per_server(house: House) -> None:
    limits = Limits(rates=(("s", Rate(2, 1)),))
    async with house.gateway(limits=GatewayLimits(concurrency=limits)) as gateway:
        result = await gateway.execute({"tasks": [task(f"t{n}", "s:sleep") for n in range(6)]})
    assert [task.start_ms for task in result.tasks] == [0, 0, 1_000, 1_000, 2_000, 2_000]


async def test_limits_of_the_gateway_hold_over_all_runs(house: House) -> None:
    async with house.gateway(slots=1) as gateway:
        runs = [
            await gateway.submit({"tasks": [task("a", "s:sleep", name=str(n))]}) for n in range(3)
        ]
        for run in runs:
            await gateway.wait(run.run_id)
    assert [house.spans[str(n)] for n in range(3)] == [(0, 1), (1, 2), (2, 3)]


async def test_an_adaptive_limit_grows_while_answers_stay_as_fast_as_usual(house: House) -> None:
    limits = GatewayLimits(concurrency=Limits(gateway=64, servers=(("s", "auto"),)))
    async with house.gateway(limits=limits) as gateway:
        result = await gateway.execute({"tasks": [task(f"t{n}", "s:sleep") for n in range(300)]})
    assert 8 < result.metrics.max_parallelism <= 64


async def test_a_ready_task_that_fits_runs_at_once_the_most_urgent_first(house: House) -> None:
    tasks = [task(f"t{n}", "s:sleep", name=f"t{n}") | {"priority": n} for n in range(4)]
    await house.run(*tasks, max_concurrency=2)
    assert {name for name, (began, _) in house.spans.items() if began == 0} == {"t2", "t3"}


# Cancellation, long runs, progress


async def test_cancelling_a_run_cancels_each_call_in_flight_and_leaves_nothing_running(
    house: House,
) -> None:
    async with house.gateway() as gateway:
        run = await gateway.submit(
            {"tasks": [task(f"t{n}", "s:sleep", seconds=99) for n in range(3)]}
        )
        await anyio.sleep(1)
        result = await gateway.cancel(run.run_id)
    assert result.status == "cancelled"
    assert house.servers.aborted == ["s:sleep"] * 3


async def test_the_clients_cancel_cancels_the_run_and_cancel_run_does(house: House) -> None:
    async with house.client() as client:
        with anyio.move_on_after(1):
            await client.call_tool("execute_dag", {"tasks": [task("a", "s:sleep", seconds=99)]})
        await anyio.sleep(1)
        assert house.servers.aborted == ["s:sleep"]
        document = {"tasks": [task("a", "s:sleep", seconds=99)], "wait_s": 1}
        running: Any = await client.call_tool("execute_dag", document)
        run_id = running.structured_content["run_id"]
        cancelled: Any = await client.call_tool("cancel_run", {"run_id": run_id})
        assert cancelled.structured_content["status"] == "cancelled"
        assert house.servers.aborted == ["s:sleep"] * 2


async def test_after_wait_s_the_answer_is_running_and_get_run_waits_for_the_rest(
    house: House,
) -> None:
    async with house.gateway() as gateway:
        run = await gateway.submit({"tasks": [task("a", "s:sleep", seconds=9)]})
        assert (await gateway.wait(run.run_id, 2)).status is RunStatus.RUNNING
        assert (await gateway.wait(run.run_id)).status is RunStatus.SUCCESS


async def test_progress_never_goes_backwards_and_shows_items(house: House) -> None:
    each = task("each", "s:sleep", seconds="$ITEM") | {"for_each": [1, 2, 3]}
    async with house.gateway() as gateway:
        run = await gateway.submit({"tasks": [task("bad", "s:fail"), each]})
        told = [progress async for progress in gateway.follow(run.run_id)]
    assert [progress.settled for progress in told] == sorted(progress.settled for progress in told)
    assert told[-1].finished
    assert any("running each 1/3; failed bad" in str(progress) for progress in told)


async def test_progress_comes_as_tasks_settle_every_5_s_and_at_most_ten_times_a_second(
    house: House,
) -> None:
    """Forty tasks settle one after the other within half a second, then one takes a minute."""
    heard: list[tuple[float, float]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((anyio.current_time(), progress))
        assert total == 41

    quick = [task(f"t{n}", "s:sleep", seconds=n / 80) for n in range(40)]
    slow = task("slow", "s:sleep", seconds=60) | {"depends_on": ["t39"]}
    async with house.client() as client:
        began = anyio.current_time()
        await client.call_tool(
            "execute_dag",
            {"tasks": [*quick, slow], "wait_s": 99},
            progress_callback=note,
            read_timeout_seconds=99,
        )
        assert anyio.current_time() - began == pytest.approx(60.5, abs=0.1)
    times, values = zip(*heard, strict=True)
    assert all(later > earlier for earlier, later in pairwise(values))
    burst = [time for time in times if time - began <= 0.49]
    assert 4 <= len(burst) <= 6
    assert all(later - earlier >= 0.09 for earlier, later in pairwise(times[:-1]))
    assert all(later - earlier <= 5.01 for earlier, later in pairwise([began, *times]))
    assert len(times) - len(burst) == pytest.approx(13, abs=1)
    assert values[-1] == 41


async def test_the_message_of_progress_says_what_runs_what_failed_and_how_long_it_takes(
    house: House,
) -> None:
    """With what a call says of its own progress. How long each takes is known from once before."""

    async def report(on_progress: Any) -> None:
        await anyio.sleep(1)
        on_progress({"progress": 1, "total": 3, "message": "page 1"})
        await anyio.sleep(4)

    answers = iter([{}, text("gone", is_error=True)])
    house.servers.add(tool("s:report"), report)
    house.servers.add(tool("s:odd"), lambda: next(answers))
    messages: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        messages.append(message)

    tasks = [
        task("deploys", "s:odd"),
        task("trace", "s:report"),
        task("blame", "s:sleep", seconds=3),
    ]
    async with house.client(learned=ToolStats()) as client:
        for _ in range(2):
            messages.clear()
            await client.call_tool("execute_dag", {"tasks": tasks}, progress_callback=note)
    assert messages == [
        "1/3 done; running trace, blame; failed deploys; about 5 s left",
        "1/3 done; running trace, blame; failed deploys; trace: page 1; about 4 s left",
        "2/3 done; running trace; failed deploys; trace: page 1; about 2 s left",
        "3/3 done; failed deploys",
    ]


# At most once, time, strict JSON


async def test_a_call_that_may_have_arrived_is_sent_again_only_under_retries(house: House) -> None:
    assert (await house.run(task("a", "s:flaky", times=1))).tasks[0].attempts == 1
    assert len(house.servers.calls) == 1


async def test_a_tasks_timeout_does_not_count_its_wait_in_the_queue(house: House) -> None:
    tasks = [task(f"t{n}", "s:sleep", seconds=2) | {"timeout_s": 3} for n in range(4)]
    result = await house.run(*tasks, max_concurrency=1)
    assert result.status == "success"
    assert result.metrics.execution_time_ms == 8_000


@pytest.mark.parametrize(
    "text",
    [
        '{"tasks": [{"id": "a", "tool": "s:echo", "arguments": {"x": NaN}}]}',
        '{"tasks": [{"id": "a", "tool": "s:echo", "arguments": {"x": 1e999}}]}',
        '{"tasks": [], "tasks": []}',
        '{"tasks": [{"id": "a", "tool": "s:echo", "arguments": {"x": "\\ud800"}}]}',
        '{"tasks": [{"id": "a", "tool": "s:echo", "arguments": '
        + '{"x":' * 70
        + "1"
        + "}" * 70
        + "}]}",
    ],
    ids=["NaN", "beyond numbers", "duplicate member", "lone surrogate", "70 levels"],
)
async def test_what_breaks_strict_json_is_refused_with_its_place(house: House, text: str) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute(text)
    assert refused.value.problems[0].code == "invalid_json"


async def test_every_result_names_every_task_once_also_after_a_timeout_or_a_limit(
    house: House,
) -> None:
    tasks = [task("a"), task("b", "s:sleep", seconds=9), task("c", x="$OUTPUT[b].slept")]
    late = await house.run(*tasks, timeout_s=2)
    assert [(one.id, one.status) for one in late.tasks] == [
        ("a", "success"), ("b", "cancelled"), ("c", "skipped")
    ]  # fmt: skip
    async with house.gateway(limits=GatewayLimits(max_output_bytes=20)) as gateway:
        tasks = [task("a", x="y" * 99), task("b", x="$OUTPUT[a].x"), task("c")]
        limited = await gateway.execute({"tasks": tasks})
    assert [(one.id, one.status) for one in limited.tasks] == [
        ("a", "failed"), ("b", "skipped"), ("c", "success")
    ]  # fmt: skip


async def test_every_result_names_every_task_once_also_after_a_cancel(house: House) -> None:
    tasks = [task("a"), task("b", "s:sleep", seconds=9), task("c", x="$OUTPUT[b].slept")]
    async with house.gateway() as gateway:
        run = await gateway.submit({"tasks": tasks})
        await anyio.sleep(1)
        result = await gateway.cancel(run.run_id)
    assert [(one.id, one.status) for one in result.tasks] == [
        ("a", "success"), ("b", "cancelled"), ("c", "cancelled")
    ]  # fmt: skip


def nested(levels: int) -> Any:
    """A list in a list in a list, with something in the innermost."""
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(("levels", "is_read"), [(60, True), (61, False)])
async def test_documents_have_64_levels(house: House, levels: int, is_read: bool) -> None:
    """Four of them are around an argument."""
    document = {"tasks": [task("a", x=nested(levels))]}
    async with house.gateway() as gateway:
        for written in (document, json.dumps(document)):
            if is_read:
                assert (await gateway.execute(written)).status == "success"
                continue
            with pytest.raises(InvalidDag, match="64") as refused:
                await gateway.execute(written)
            assert [problem.code for problem in refused.value.problems] == ["invalid_json"]


@pytest.mark.parametrize(("levels", "status"), [(179, "success"), (180, "failed")])
async def test_results_have_180_levels_and_what_is_deeper_fails_its_own_task_alone(
    house: House, levels: int, status: str
) -> None:
    """One of them is around what the tool gives."""
    house.servers.add("s:deep", lambda: {"structuredContent": {"x": nested(levels)}, "content": []})
    result = await house.run(task("a", "s:deep"), task("b"))
    assert [task.status for task in result.tasks] == [status, "success"]
    assert [error.code for error in result.errors] == ["invalid_output"] * (status == "failed")


async def test_integers_are_exact(house: House) -> None:
    big = 2**64 + 1
    result = await house.run(task("a", n=big), task("b", n="$OUTPUT[a].n"))
    assert result.outputs["b"] == {"n": big}


async def test_an_answer_that_breaks_strict_json_fails_its_own_task_alone(house: House) -> None:
    house.servers.add("s:odd", lambda: {"structuredContent": {"x": float("nan")}, "content": []})
    result = await house.run(task("a", "s:odd"), task("b"))
    assert [task.status for task in result.tasks] == ["failed", "success"]
    assert result.errors[0].code == "invalid_output"


# Text that was meant as a reference


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("{{a.x}}", "$OUTPUT[a].x"),
        ("${{ steps.a.outputs.x }}", "$OUTPUT[a].x"),
        ("$a.x", "$OUTPUT[a].x"),
        ("{a}", "$OUTPUT[a]"),
        ("#E1", "$OUTPUT[E1]"),
        ("$1", "$OUTPUT[1]"),
        ("$.a.x", "$OUTPUT[a].x"),
        ({"$ref": "a.x"}, "$OUTPUT[a].x"),
        ("<a.x>", "$OUTPUT[a].x"),
        ("{{$OUTPUT[a].x}}", "$OUTPUT[a].x"),
    ],
)
async def test_other_spellings_of_a_reference_are_a_problem_with_their_fix_where_something_changes(
    house: House, text: Any, right: str
) -> None:
    made = [task(id, x=1) for id in ("a", "E1", "1")]
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [*made, write("w", "p", text)]})
        [problem] = refused.value.problems
        assert (problem.path, problem.code) == ("tasks[3].arguments.text", "invalid_reference")
        assert problem.fix == Fix(Op.REPLACE, right)
        meant = await gateway.execute({"tasks": [*made, write("w", "p", text, literal=True)]})
    assert meant.outputs["w"] == {"path": "p"}


async def test_they_are_a_note_elsewhere_and_text_where_they_name_no_task(house: House) -> None:
    result = await house.run(task("a", x=1), task("r", x="{{a.x}}"), write("w", "p", "{{b.x}}"))
    assert result.outputs["r"] == {"x": "{{a.x}}"}
    assert house.files == {"p": "{{b.x}}"}
    [note] = result.notes
    assert "$OUTPUT[a].x" in note


# One road


async def test_a_call_by_name_passes_what_a_task_passes(house: House) -> None:
    """Policy, limits, conflicts, cache and notices."""
    ended: Counter[str] = Counter()
    rules = Rule("s:echo", cache_ttl_s=60), Rule("s:sleep", max_concurrency=1)

    def observe(notice: Notice) -> None:
        if isinstance(notice, Changed) and notice.after is Status.SUCCESS:
            ended[notice.tool] += 1

    async with house.gateway(*rules, deny=["s:say"], observers=[observe]) as gateway:

        async def call(tool: str, **arguments: Any) -> None:
            server, _, name = tool.partition(":")
            await gateway.call(server, name, {"name": name, "arguments": arguments})

        with pytest.raises(PolicyDenied):
            await call("s:say", text="x")
        for _ in range(2):
            await call("s:echo", x=1)
        assert house.called == ["s:echo"]
        async with anyio.create_task_group() as calls:
            for n in range(2):
                calls.start_soon(partial(call, "s:sleep", name=f"s{n}"))
                calls.start_soon(partial(call, "files:write", path="x", name=f"w{n}"))
    assert sorted(house.spans.items()) == [
        ("s0", (0, 1)), ("s1", (1, 2)), ("w0", (0, 1)), ("w1", (1, 2)),
    ]  # fmt: skip
    assert ended == {"s:echo": 2, "s:sleep": 2, "files:write": 2}


# Weights and fairness


async def test_what_is_less_urgent_does_not_start_past_a_wide_task_for_ever(house: House) -> None:
    """Calls of one slot end one after the other, so two slots are never free by themselves."""
    small = [task(f"t{n}", "s:sleep", seconds=1 + n % 2) for n in range(40)]
    wide = task("wide", "s:sleep") | {"weight": 2, "priority": 1, "depends_on": ["t0"]}
    result = await house.run(*small, wide, max_concurrency=2)
    assert (result.tasks[-1].start_ms or 0) < 10_000


async def test_of_two_callers_neither_gets_more_than_twice_the_slots_of_the_other(
    house: House,
) -> None:
    async with house.gateway(slots=4) as gateway:
        runs = []
        for name, count in (("l", 40), ("s", 8)):
            caller = FakeCaller()
            caller.principal = Principal(name)
            tasks = [task(f"t{n}", "s:sleep", name=f"{name}{n}") for n in range(count)]
            runs.append(await gateway.submit({"tasks": tasks}, caller))
            await anyio.sleep(0.5)
        await gateway.wait(runs[1].run_id, principal=Principal("s"))
    both = [name[0] for name, (began, _) in house.spans.items() if 1 <= began < 4]
    assert len(both) == 12
    assert both.count("s") in range(4, 9)


# Large outputs


async def test_references_always_see_the_whole_output_up_to_its_limit(house: House) -> None:
    limits = GatewayLimits(max_output_bytes=100)
    async with house.gateway(limits=limits) as gateway:
        result = await gateway.execute({"tasks": [task("a", x="y" * 200), task("b", x="y" * 50)]})
    assert [task.status for task in result.tasks] == ["failed", "success"]
    assert result.errors[0].code == "output_too_large"


async def test_a_large_output_is_a_preview_with_its_size_its_shape_and_a_call(house: House) -> None:
    log = "\n".join([*[f"step {n}: ok" for n in range(3_000)], "ERROR: no space left", "end"])
    issues = [{"number": n, "body": "x" * 20} for n in range(40)]
    async with house.gateway() as gateway:
        result = await gateway.execute(
            {"tasks": [task("log", log=log, code=1), task("issues", items=issues), task("s", x=1)]}
        )
    answer: Any = run_answer(result, 24_000, detail="concise").structured_content
    assert answer["outputs"]["issues"] == {"items": issues}
    assert answer["outputs"]["s"] == {"x": 1}
    preview = answer["outputs"]["log"]
    assert 1_900 < len(dumps(preview)) <= 2_000
    assert preview["log"].startswith("step 0: ok\nstep 1")
    assert preview["log"].endswith("ERROR: no space left\nend")
    assert answer["truncated"] == [
        {
            "id": "log",
            "chars": len(dumps({"log": log, "code": 1})),
            "shape": "{log: text of 3,002 lines, code}",
            "get_run": {
                "run_id": result.run_id,
                "task": "log",
                "select": "lines(log)[?contains(@, 'ERROR')]",
            },
        }
    ]
    assert len(dumps(answer)) < 24_000 // 4


async def test_a_list_is_cut_to_its_first_elements_with_its_length_and_small_outputs_come_whole(
    house: House,
) -> None:
    rows: list[Any] = [{"number": n, "body": "x" * 200} for n in range(300)]
    result = await house.run(task("rows", items=rows), task("small", x=1))
    answer: Any = run_answer(result, 24_000, detail="concise").structured_content
    assert answer["outputs"]["small"] == {"x": 1}
    preview = answer["outputs"]["rows"]
    assert len(dumps(preview)) <= 2_000
    assert preview["items"][0] == rows[0]
    assert "300" in dumps(preview)
    [cut] = answer["truncated"]
    assert (cut["id"], cut["chars"]) == ("rows", len(dumps({"items": rows})))
    assert len(dumps(answer)) <= 24_000


async def test_the_whole_is_at_the_resource_of_the_run_and_through_get_run(house: House) -> None:
    rows = [{"number": n, "body": "x" * 200} for n in range(300)]
    async with house.client(max_chars=4_000) as client:
        cut: Any = await client.call_tool("execute_dag", {"tasks": [task("rows", items=rows)]})
        run_id = cut.structured_content["run_id"]
        [named] = cut.structured_content["truncated"]
        found: Any = await client.call_tool("get_run", named["get_run"])
        one = {"run_id": run_id, "task": "rows", "select": "items[299].number"}
        last: Any = await client.call_tool("get_run", one)
        whole: Any = await client.read_resource(f"plait://runs/{run_id}/tasks/rows")
        run: Any = await client.read_resource(f"plait://runs/{run_id}")
    assert cut.structured_content["outputs"]["rows"] != {"items": rows}
    assert not found.is_error
    assert last.structured_content["value"] == 299
    assert json.loads(whole.contents[0].text) == {"items": rows}
    assert json.loads(run.contents[0].text)["outputs"] == {"rows": {"items": rows}}


async def test_the_outputs_of_a_run_have_a_limit_together(house: House) -> None:
    limits = GatewayLimits(max_run_bytes=5_000)
    tasks = [task("a", x="y" * 3_000), task("b", x="y" * 3_000) | {"depends_on": ["a"]}]
    async with house.gateway(limits=limits) as gateway:
        result = await gateway.execute({"tasks": tasks})
    assert [(error.id, error.code) for error in result.errors] == [("b", "output_too_large")]
