"""Section 5 of the contract: the result. One test for each of its promises, in their order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plait.core.results.record import RunStatus
from plait.core.tools.policy import Rule
from plait.core.values.strict import dumps
from plait.errors import (
    CallError,
    CallTimeout,
    ConnectionLost,
    InvalidDag,
    ProtocolError,
    ServerUnavailable,
)
from plait.upstream.answers import run_answer

from ..fakes import structured, tool
from .conftest import House, task

pytestmark = pytest.mark.virtual_time


async def test_the_keys_stand_in_the_contracts_order(house: House) -> None:
    result = await house.run(task("a"), task("b", "s:fail"), task("c", x="$OUTPUT[b]"))
    assert list(result.document()) == [
        "status", "run_id", "errors", "outputs", "truncated", "notes", "tasks", "layers", "metrics",
    ]  # fmt: skip


async def test_a_task_and_the_metrics_hold_what_the_contract_shows(house: House) -> None:
    sleepy = task("a", "s:sleep", seconds=1)
    document: Any = (await house.run(sleepy, task("b", "s:fail", x="$OUTPUT[a].slept"))).document()
    assert document["tasks"][0] == {
        "id": "a", "tool": "s:sleep", "status": "success", "layer": 0, "start_ms": 0.0,
        "duration_ms": 1000.0,
        "attempts": 1, "cached": False,
    }  # fmt: skip
    assert document["metrics"] == {
        "execution_time_ms": 1000.0, "sequential_time_ms": 1000.0, "speedup": 1.0,
        "critical_path": ["a", "b"],
        "critical_path_ms": 1000.0, "overhead_ms": 0.0, "max_parallelism": 1,
        "average_parallelism": 1.0,
        "counts": {"success": 1, "failed": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tools", "status", "is_error"),
    [
        (["s:echo", "s:echo"], "success", False),
        (["s:echo", "s:fail"], "partial", False),
        (["s:fail", "s:fail"], "failed", True),
    ],
)
async def test_the_status_of_a_run_and_whether_it_is_an_error(
    house: House, tools: list[str], status: str, is_error: bool
) -> None:
    result = await house.run(*[task(f"t{number}", tool) for number, tool in enumerate(tools)])
    assert result.status == status
    assert result.status.is_error is is_error


async def test_skips_by_a_condition_and_what_hangs_on_them_are_no_failures(house: House) -> None:
    result = await house.run(
        task("a"), task("b") | {"when": "false"}, task("c", x="$OUTPUT[b]"), **{"return": ["*"]}
    )
    assert (result.status, result.errors, result.outputs) == ("success", (), {"a": {}})
    assert [one.status for one in result.tasks] == ["success", "skipped", "skipped"]


def test_cancelled_and_timeout_are_errors_and_running_is_none() -> None:
    assert RunStatus.CANCELLED.is_error
    assert RunStatus.TIMEOUT.is_error
    assert not RunStatus.RUNNING.is_error


async def test_when_all_succeeded_a_concise_answer_leaves_tasks_out_and_shortens_metrics(
    house: House,
) -> None:
    document: Any = (await house.run(task("a", "s:sleep", seconds=1), task("b"))).document()
    assert list(document["metrics"]) == [
        "execution_time_ms",
        "sequential_time_ms",
        "speedup",
        "layers",
    ]
    assert "tasks" not in document
    assert "layers" not in document


async def test_sequential_time_speedup_and_the_critical_path_that_ran(house: House) -> None:
    metrics = (
        await house.run(
            task("long", "s:sleep", seconds=4),
            task("a", "s:sleep", seconds=2),
            task("b", "s:sleep", seconds=3, x="$OUTPUT[a].slept"),
        )
    ).metrics
    assert (metrics.execution_time_ms, metrics.sequential_time_ms, metrics.speedup) == (
        5_000,
        9_000,
        1.8,
    )
    assert (metrics.critical_path, metrics.critical_path_ms) == (("a", "b"), 5_000)


async def test_in_full_the_result_explains_why_each_task_waited_and_what_would_be_faster(
    house: House,
) -> None:
    tasks = [
        task("a", "s:sleep", seconds=1),
        task("b", "s:sleep", seconds=1),
        task("c", x="$OUTPUT[b].slept"),
    ]
    result = await house.run(*tasks, max_concurrency=1, detail="full")
    document: Any = result.document("full")
    waits = {each["id"]: each.get("waited_for", []) for each in document["tasks"]}
    assert waits["a"][0]["why"] == "limit"
    assert waits["c"][0] == {"why": "dependency", "on": "b", "ms": 1_000}
    assert 0 < document["metrics"]["efficiency"] <= 1
    assert any(
        "max_concurrency of the DAG" in sentence for sentence in document["metrics"]["faster"]
    )


async def test_a_refused_dag_lists_errors_with_path_id_code_message_and_hint(house: House) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [task("c", x="$OUTPUT[nobody]")]})
    document = refused.value.problems[0].document()
    assert list(document) == ["path", "id", "code", "message", "hint"]
    assert (document["path"], document["code"]) == ("tasks[0].arguments.x", "unknown_task")


async def test_the_text_block_of_a_refusal_says_the_same_in_sentences_to_act_on(
    house: House,
) -> None:
    tasks = [task("a", "s:eco"), task("b", "s:say", txt="hi"), task("c", x="$OUTPUT[nobody]")]
    async with house.client() as client:
        answer: Any = await client.call_tool("execute_dag", {"tasks": tasks})
    errors = answer.structured_content["errors"]
    assert answer.is_error
    assert answer.structured_content["status"] == "invalid"
    assert [error["id"] for error in errors] == ["a", "b", "c"]
    said = answer.content[0].text
    first, *_, last = said.splitlines()
    assert first == "DAG not run: 3 problems, nothing was executed."
    assert last == "Fix these and call execute_dag again with the whole DAG."
    for number, error in enumerate(errors, 1):
        assert f'{number}. {error["path"]} "{error["id"]}": {error["message"]}' in said
        assert error.get("hint", "") in said


UNKNOWN = {"run_id": "r_nowhere"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("execute_dag", {}),
        ("execute_dag", {"tasks": 1}),
        ("execute_dag", {"tasks": "[{"}),
        ("execute_dag", {"tasks": [task("a")], "resume_from": "r_nowhere"}),
        ("get_run", {}),
        ("get_run", {"run": "r_nowhere"}),
        ("get_run", UNKNOWN),
        ("get_run", {**UNKNOWN, "select": "["}),
        ("cancel_run", {"run_id": 1}),
        ("cancel_run", UNKNOWN),
        ("describe_tools", {"names": 1}),
        ("describe_tools", {"names": ["s:nowhere"]}),
        ("search_tools", {"query": 1}),
    ],
)
async def test_what_a_model_can_mend_is_never_a_json_rpc_error(
    house: House, name: str, arguments: dict[str, Any]
) -> None:
    async with house.client() as client:
        answer = await client.call_tool(name, arguments)
    assert answer.is_error
    assert answer.content


async def test_a_dry_run_shows_layers_conflicts_writes_estimate_and_mermaid(house: House) -> None:
    async with house.gateway() as gateway:
        answer: Any = await gateway.plan(
            {"tasks": [task("w", "files:write", path="x"), task("r", "files:read", path="x")]}
        )
    assert answer["status"] == "planned"
    assert answer["layers"] == [["w", "r"]]
    assert answer["conflicts"] == [
        {"id": "r", "waits_for": "w", "resource": "file:x", "why": "read after write"}
    ]
    assert answer["writes"] == [{"id": "w", "tool": "files:write", "resources": ["file:x"]}]
    assert answer["estimate"]["max_parallelism"] == 1
    assert answer["mermaid"].startswith("flowchart LR")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProtocolError("no", rpc_code=-32601), "protocol_error"),
        (ConnectionLost("gone"), "connection_lost"),
        (ServerUnavailable("down"), "server_unavailable"),
        (CallTimeout("late"), "timeout"),
    ],
)
async def test_the_code_of_a_failed_call(house: House, error: CallError, code: str) -> None:
    def fail() -> None:
        raise error

    house.servers.add("s:broken", fail)
    told = (await house.run(task("a", "s:broken"))).errors[0]
    assert told.code == code
    assert told.rpc_code == error.rpc_code


async def test_a_tool_error_passes_its_text_on_cut_to_2000_characters(house: House) -> None:
    house.servers.add(
        "s:wordy", lambda: {"isError": True, "content": [{"type": "text", "text": "w" * 5_000}]}
    )
    told = (await house.run(task("a", "s:wordy"))).errors[0]
    assert (told.code, len(told.message)) == ("tool_error", 2_000)


async def test_resolved_arguments_that_do_not_fit_are_invalid_arguments_and_not_sent(
    house: House,
) -> None:
    result = await house.run(task("a", n=1), task("b", "s:say", text="$OUTPUT[a].n"))
    assert result.errors[0].code == "invalid_arguments"
    assert house.called == ["s:echo"]


async def test_an_output_that_breaks_its_own_schema_fails_and_is_kept_for_get_run(
    house: House,
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    house.servers.add(tool("s:liar", output=schema), lambda: structured({"n": "x"}))
    async with house.gateway() as gateway:
        result = await gateway.execute({"tasks": [task("a", "s:liar")]})
        assert result.errors[0].code == "invalid_output"
        assert gateway.output(result.run_id, "a").value == {"n": "x"}


async def test_skipped_tasks_say_why(house: House) -> None:
    tasks = [task("a", "s:fail"), task("b", x="$OUTPUT[a]")]
    assert [error.code for error in (await house.run(*tasks)).errors] == [
        "tool_error",
        "dependency_failed",
    ]
    slow = task("c", "s:sleep", seconds=9)
    fast = await house.run(*tasks[:1], slow, task("d", x="$OUTPUT[c]"), fail_fast=True)
    assert {error.id: error.code for error in fast.errors} == {
        "a": "tool_error",
        "c": "fail_fast",
        "d": "fail_fast",
    }


async def test_what_ran_when_its_run_was_cancelled_is_cancelled(house: House) -> None:
    async with house.gateway() as gateway:
        run = await gateway.submit({"tasks": [task("a", "s:sleep"), task("b", x="$OUTPUT[a]")]})
        result = await gateway.cancel(run.run_id)
    assert {error.id: error.code for error in result.errors} == {"a": "cancelled", "b": "cancelled"}


async def test_what_the_policy_denies_is_policy_denied_before_anything_runs(house: House) -> None:
    async with house.gateway(Rule("s:*"), deny=["s:say"]) as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [task("a", "s:say", text="x")]})
    assert [problem.code for problem in refused.value.problems] == ["policy_denied"]


async def test_a_fault_of_ours_is_internal_with_an_id_for_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    def crash() -> None:
        raise ZeroDivisionError

    house.servers.add("s:crash", crash)
    told = (await house.run(task("a", "s:crash"))).errors[0]
    assert told.code == "internal"
    assert told.message.rsplit(" ", 1)[-1] in {
        str(getattr(record, "id", "")) for record in caplog.records
    }


async def test_an_unknown_run_is_refused_as_such(house: House) -> None:
    assert await house.refused(task("a"), resume_from="r_nobody") == {"resume_from": "unknown_run"}


async def test_with_resume_from_outputs_holds_the_leaves_of_what_was_sent(house: House) -> None:
    async with house.gateway() as gateway:
        first = await gateway.execute({"tasks": [task("a", x=1), task("old", x="$OUTPUT[a].x")]})
        result = await gateway.execute(
            {"tasks": [task("new", x="$OUTPUT[a].x")], "resume_from": first.run_id}
        )
    assert first.outputs.keys() == {"old"}
    assert result.outputs == {"new": {"x": 1}}


async def test_structured_content_is_the_same_as_the_json_of_the_first_text_block(
    house: House,
) -> None:
    answered: Any = run_answer(await house.run(task("a", x=1)), 24_000, detail="concise")
    assert json.loads(answered.content[0].text) == answered.structured_content
    assert "\n" not in answered.content[0].text


async def test_images_of_returned_outputs_follow_as_content_blocks(house: House) -> None:
    image = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
    house.servers.add("s:draw", lambda: {"content": [image], "isError": False})
    answered: Any = run_answer(await house.run(task("a", "s:draw")), 24_000, detail="concise")
    [_, block] = answered.content
    assert (block.type, block.data, block.mime_type) == ("image", "aGk=", "image/png")
    assert "aGk=" not in answered.content[0].text


async def test_omitted_says_how_many_errors_or_tasks_did_not_fit(house: House) -> None:
    result = await house.run(*[task(f"t{n}", "s:fail") for n in range(400)])
    answered: Any = run_answer(result, 10_000, detail="concise")
    shown = answered.structured_content
    assert len(dumps(shown)) <= 10_000
    for member in ("errors", "tasks"):
        assert len(shown[member]) + shown["omitted"][member] == 400


async def test_start_ms_counts_from_the_start_of_the_run(house: House) -> None:
    result = await house.run(
        task("a", "s:sleep", seconds=2), task("b", x="$OUTPUT[a].slept"), detail="full"
    )
    assert [one.start_ms for one in result.tasks] == [0, 2_000]


async def test_a_skip_names_what_caused_it_in_errors_and_a_condition_in_tasks_alone(
    house: House,
) -> None:
    result = await house.run(task("a", "s:fail"), task("b", x="$OUTPUT[a]"))
    document: Any = result.document()
    assert document["errors"][1] == {
        "id": "b", "code": "dependency_failed", "message": "skipped: a failed", "caused_by": "a"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "document"),
    [
        ("invalid_json", "{"),
        ("unknown_field", {"tasks": [task("a") | {"colour": 1}]}),
        ("missing_field", {"tasks": [{"tool": "s:echo"}]}),
        ("wrong_type", {"tasks": [task("a") | {"priority": "high"}]}),
        ("duplicate_id", {"tasks": [task("a"), task("a")]}),
        ("invalid_id", {"tasks": [task("-")]}),
        ("unknown_task", {"tasks": [task("a", x="$OUTPUT[b]")]}),
        ("self_reference", {"tasks": [task("a", x="$OUTPUT[a]")]}),
        ("cycle", {"tasks": [task("a", x="$OUTPUT[b]"), task("b", x="$OUTPUT[a]")]}),
        ("unknown_tool", {"tasks": [task("a", "s:gone")]}),
        ("unknown_server", {"tasks": [task("a", "gone:echo")]}),
        ("invalid_reference", {"tasks": [task("a", x="$OUTPUT[b")]}),
        ("invalid_arguments", {"tasks": [task("a", "s:say")]}),
        ("invalid_expression", {"tasks": [task("a") | {"select": "["}]}),
        ("type_mismatch", {"tasks": [{"id": "v", "value": {"n": 1}},
                                     task("a", "s:say", text="$OUTPUT[v].n")]}),
        ("not_repeatable", {"tasks": [task("a", "s:say", text="x") | {"retries": 1}]}),
        ("unknown_run", {"tasks": [task("a")], "resume_from": "r_nobody"}),
        ("limit_exceeded", {"tasks": []}),
    ],
)  # fmt: skip
async def test_each_refusal_has_its_code_and_a_message(
    house: House, code: str, document: Any
) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute(document)
    [problem] = refused.value.problems
    assert problem.code == code
    assert problem.message
    assert house.called == []
