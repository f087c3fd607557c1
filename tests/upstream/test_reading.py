"""Outputs are read whole, narrowed by an expression, or page by page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from plait.core.values.strict import dumps

from .conftest import Connect, first_text, sleep, structured, task

pytestmark = pytest.mark.virtual_time


async def test_outputs_above_the_limit_are_cut_and_can_be_read_on(connect: Connect):
    async with connect(max_chars=4_000) as client:
        document = {
            "tasks": [task("a", "s:many", arguments={"n": 5_000}), task("b", arguments={"x": 1})]
        }
        result = await client.call_tool("execute_dag", document)
        answer = structured(result)
        assert len(first_text(result)) <= 4_000
        assert json.loads(first_text(result)) == answer
        assert answer["outputs"]["b"] == {"x": 1}
        run = answer["run_id"]
        whole = json.dumps({"items": list(range(5_000))}, separators=(",", ":"))
        call = {"run_id": run, "task": "a", "select": "items[-10:]"}
        assert answer["truncated"] == [
            {"id": "a", "chars": len(whole), "shape": "{items: [number] (5,000)}", "get_run": call}
        ]
        assert len(dumps(answer["outputs"]["a"])) <= 2_000
        last = structured(await client.call_tool("get_run", call))
        assert last["value"] == [*range(4_990, 5_000)]

        read = ""
        offset: int | None = 0
        while offset is not None:
            result = await client.call_tool(
                "get_run", {"run_id": run, "task": "a", "offset": offset}
            )
            page = structured(result)
            assert len(first_text(result)) <= 4_000
            assert (page["task"], page["status"], page["chars"], page["offset"]) == (
                "a",
                "success",
                len(whole),
                offset,
            )
            read += page["text"]
            offset = page["next_offset"]
        assert read == whole


async def test_a_text_output_is_paged_as_it_is_and_by_the_length_asked_for(connect: Connect):
    async with connect() as client:
        run = structured(await client.call_tool("execute_dag", {"tasks": [task("a", "s:text")]}))[
            "run_id"
        ]
        request = {"run_id": run, "task": "a", "offset": 3, "limit": 7}
        page = structured(await client.call_tool("get_run", request))
        last = structured(await client.call_tool("get_run", {**request, "offset": 10**8}))
    assert (page["text"], page["next_offset"], page["chars"]) == ("e\nline\n", 10, 100_000)
    assert (last["text"], last["next_offset"], last["offset"]) == ("", None, 100_000)


async def test_a_page_stays_within_the_limit_however_much_its_text_grows_as_json(connect: Connect):
    async with connect(max_chars=2_000) as client:
        run = structured(await client.call_tool("execute_dag", {"tasks": [task("a", "s:text")]}))[
            "run_id"
        ]
        result = await client.call_tool("get_run", {"run_id": run, "task": "a", "offset": 0})
    assert 1_900 < len(first_text(result)) <= 2_000
    assert structured(result)["next_offset"] == len(structured(result)["text"])


@pytest.mark.parametrize("select", [None, "@", "split(@, 'x')[0]"])
async def test_what_does_not_fit_and_is_not_paged_is_a_preview_with_a_call_that_reads_on(
    connect: Connect, select: str | None
):
    async with connect() as client:
        document = {"tasks": [task("a", "s:text")]}
        run = structured(await client.call_tool("execute_dag", document))["run_id"]
        request = {"run_id": run, "task": "a"} | ({"select": select} if select else {})
        preview = structured(await client.call_tool("get_run", request))
        page = structured(await client.call_tool("get_run", preview["get_run"]))
    assert (preview["chars"], preview["shape"]) == (100_000, "text of 20,000 lines")
    assert 1_990 < len(dumps(preview["value"])) <= 2_000
    assert preview["value"].startswith("line\nline")
    assert preview["value"].endswith("line\n")
    assert preview["get_run"] == {**request, "offset": 1_300, "limit": 8_000}
    assert (page["offset"], len(page["text"]), page["next_offset"]) == (1_300, 8_000, 9_300)


async def test_select_reads_a_part_of_an_output(connect: Connect):
    async with connect() as client:
        document = {"tasks": [task("a", "s:many", arguments={"n": 9_000})]}
        run = structured(await client.call_tool("execute_dag", document))["run_id"]
        request = {"run_id": run, "task": "a", "select": "items[-2:]"}
        answer = structured(await client.call_tool("get_run", request))
        wrong = await client.call_tool("get_run", {**request, "select": "items[0] ~ 1"})
    assert answer == {
        "run_id": run,
        "task": "a",
        "status": "success",
        "chars": 11,
        "value": [8998, 8999],
    }
    assert wrong.is_error
    assert structured(wrong)["errors"][0]["path"] == "select"
    assert structured(wrong)["errors"][0]["code"] == "invalid_expression"
    assert "at character 10" in first_text(wrong)


async def test_a_select_knows_when_the_run_began(connect: Connect):
    date = (datetime.now(UTC) - timedelta(days=3, hours=12)).isoformat()
    async with connect() as client:
        document = {"tasks": [task("a", arguments={"x": date})]}
        run = structured(await client.call_tool("execute_dag", document))["run_id"]
        request = {"run_id": run, "task": "a", "select": "age_days(x)"}
        assert structured(await client.call_tool("get_run", request))["value"] == 3


async def test_a_select_with_a_slip_comes_back_with_its_fix_as_in_a_dag(connect: Connect):
    async with connect() as client:
        document = {"tasks": [task("a", "s:many", arguments={"n": 3})]}
        run = structured(await client.call_tool("execute_dag", document))["run_id"]
        for select, fix in {
            "itms[0]": "items[0]",
            "a.items[0]": "items[0]",
            "items.length": "length(items)",
            "$OUTPUT[a].items[0]": "items[0]",
            "items[?@ === 2]": "items[?@ == 2]",
        }.items():
            request = {"run_id": run, "task": "a", "select": select}
            wrong = await client.call_tool("get_run", request)
            [error] = structured(wrong)["errors"]
            assert wrong.is_error
            assert (error["path"], error["code"]) == ("select", "invalid_expression")
            assert error["fix"] == {"op": "replace", "path": "select", "value": fix}
            right = await client.call_tool("get_run", {**request, "select": fix})
            assert not right.is_error
        absent = await client.call_tool("get_run", {**request, "select": "owner.login"})
    assert structured(absent)["value"] is None


async def test_an_output_can_be_read_while_the_rest_of_its_run_goes_on(connect: Connect):
    async with connect() as client:
        tasks = [sleep("slow", 1_000), task("quick"), sleep("soon", 10)]
        run = structured(await client.call_tool("execute_dag", {"tasks": tasks, "wait_s": 1}))[
            "run_id"
        ]
        start = anyio.current_time()
        quick = structured(await client.call_tool("get_run", {"run_id": run, "task": "quick"}))
        assert anyio.current_time() - start < 0.5
        soon = structured(await client.call_tool("get_run", {"run_id": run, "task": "soon"}))
        assert anyio.current_time() - start < 15
        slow = await client.call_tool("get_run", {"run_id": run, "task": "slow", "wait_s": 1})
    assert quick["value"] == {}
    assert soon["value"] == {"slept": 10}
    assert (structured(slow)["status"], slow.is_error) == ("running", False)


async def test_a_task_without_output_gives_the_reason_and_an_unknown_task_the_known_ones(
    connect: Connect,
):
    async with connect() as client:
        tasks = [task("bad", "s:fail"), task("after", depends_on=["bad"])]
        run = structured(await client.call_tool("execute_dag", {"tasks": tasks}))["run_id"]
        failed = await client.call_tool("get_run", {"run_id": run, "task": "bad"})
        skipped = await client.call_tool("get_run", {"run_id": run, "task": "after"})
        unknown = await client.call_tool("get_run", {"run_id": run, "task": "aftr"})
    assert structured(failed)["errors"][0]["code"] == "tool_error"
    assert structured(skipped)["errors"][0]["code"] == "dependency_failed"
    assert structured(unknown)["errors"][0]["code"] == "unknown_task"
    assert "Did you mean after" in first_text(unknown)
    assert all(result.is_error for result in (failed, skipped, unknown))
