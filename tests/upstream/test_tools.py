"""The five tools, called by a client of the SDK in memory, in both protocol eras."""

from __future__ import annotations

import itertools
import json
import warnings
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.shared.message import SessionMessage

from plait.core.scheduling.events import Finished, Notice
from plait.core.tools.catalog import ServerInfo, ServerState
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.calls import OpenCalls
from plait.upstream.server import build_server

from ..fakes import FakeServers, tool
from .conftest import PICTURE, Connect, first_text, in_memory, sleep, structured, task

pytestmark = pytest.mark.virtual_time


async def test_a_dag_is_run_and_its_outputs_come_back_as_structure_and_as_text(connect: Connect):
    document = {
        "tasks": [task("a", arguments={"n": 1}), task("b", arguments={"m": "$OUTPUT[a].n"})]
    }
    async with connect() as client:
        result = await client.call_tool("execute_dag", document)
    answer = structured(result)
    assert not result.is_error
    assert answer["status"] == "success"
    assert answer["outputs"] == {"b": {"m": 1}}
    assert json.loads(first_text(result)) == answer
    assert list(answer) == [
        "status",
        "run_id",
        "errors",
        "outputs",
        "truncated",
        "notes",
        "metrics",
    ]


async def test_every_problem_of_a_refused_dag_is_reported_in_sentences_and_as_data(
    connect: Connect, servers: FakeServers
):
    document = {
        "tasks": [
            task("a", "s:slepp"),
            task("b", "s:many"),
            task("c", arguments={"x": "$OUTPUT[nope]"}),
        ]
    }
    async with connect() as client:
        result = await client.call_tool("execute_dag", document)
    said = first_text(result)
    answer = structured(result)
    assert result.is_error
    assert said.startswith('DAG not run: 3 problems, nothing was executed.\n1. tasks[0].tool "a": ')
    assert said.endswith("\nFix these and call execute_dag again with the whole DAG.")
    assert "s:sleep" in said
    assert answer["status"] == "invalid"
    assert {error["id"] for error in answer["errors"]} == {"a", "b", "c"}
    assert {error["code"] for error in answer["errors"]} == {
        "unknown_tool",
        "invalid_arguments",
        "unknown_task",
    }
    assert not servers.calls


async def test_ten_thousand_problems_fit_into_the_answer_with_their_count(connect: Connect):
    document = {"tasks": [task(f"t{n}", "s:many") for n in range(5_000)]}
    async with connect(max_chars=3_000) as client:
        result = await client.call_tool("execute_dag", document)
    answer = structured(result)
    assert len(json.dumps(answer, ensure_ascii=False, separators=(",", ":"))) <= 3_000
    assert len(answer["errors"]) + answer["omitted"]["errors"] == 5_000
    assert len(first_text(result)) <= 3_000
    assert "5000 problems" in first_text(result)
    assert "more.\nFix these" in first_text(result)


async def test_a_dry_run_shows_the_layers_and_runs_nothing_however_it_is_spelt(
    connect: Connect, servers: FakeServers
):
    tasks = [task("a"), task("b", depends_on=["a"])]
    async with connect() as client:
        plain = await client.call_tool("execute_dag", {"tasks": tasks, "dry_run": True})
        camel = await client.call_tool("execute_dag", {"tasks": json.dumps(tasks), "dryRun": True})
    for result in (plain, camel):
        assert structured(result)["status"] == "planned"
        assert structured(result)["layers"] == [["a"], ["b"]]
    assert not servers.calls


async def test_a_run_that_failed_is_an_error_and_a_partial_one_is_not(connect: Connect):
    async with connect() as client:
        failed = await client.call_tool("execute_dag", {"tasks": [task("a", "s:fail")]})
        partial = await client.call_tool("execute_dag", {"tasks": [task("a", "s:fail"), task("b")]})
    assert (failed.is_error, structured(failed)["status"]) == (True, "failed")
    assert (partial.is_error, structured(partial)["status"]) == (False, "partial")
    assert structured(partial)["errors"][0]["message"] == "EACCES: /x"
    assert [one["status"] for one in structured(partial)["tasks"]] == ["failed", "success"]


async def test_an_output_that_is_cut_displaces_no_error_and_no_task(connect: Connect):
    tasks = [
        task("b", "s:text"),
        task("f", "s:fail"),
        task("e", depends_on=["f"]),
        *[task(f"r{n}", "s:fail") for n in range(3)],
    ]
    async with connect() as client:
        answer = structured(await client.call_tool("execute_dag", {"tasks": tasks}))
    assert [entry["id"] for entry in answer["truncated"]] == ["b"]
    assert "omitted" not in answer
    assert [error["id"] for error in answer["errors"]] == ["f", "e", "r0", "r1", "r2"]
    assert {error["message"] for error in answer["errors"] if error["id"] != "e"} == {"EACCES: /x"}
    assert [one["id"] for one in answer["tasks"]] == [one["id"] for one in tasks]
    assert sorted(id for layer in answer["layers"] for id in layer) == sorted(
        one["id"] for one in tasks
    )


async def test_a_single_error_is_whole_even_if_an_output_is_cut(connect: Connect):
    async with connect() as client:
        document = {"tasks": [task("b", "s:text"), task("f", "s:fail")]}
        answer = structured(await client.call_tool("execute_dag", document))
        again = structured(await client.call_tool("get_run", {"run_id": answer["run_id"]}))
    failed = {"id": "f", "code": "tool_error", "message": "EACCES: /x", "retryable": False}
    assert answer["errors"] == again["errors"] == [failed]


async def test_after_wait_s_the_run_continues_and_get_run_waits_for_it(connect: Connect):
    async with connect() as client:
        early = structured(
            await client.call_tool("execute_dag", {"tasks": [sleep("a", 9)], "wait_s": 1})
        )
        still = structured(
            await client.call_tool("get_run", {"run_id": early["run_id"], "wait_s": 1})
        )
        done = structured(await client.call_tool("get_run", {"run_id": early["run_id"]}))
    assert early["status"] == "running"
    assert f'get_run(run_id="{early["run_id"]}")' in early["notes"][0]
    assert (still["status"], still["tasks"][0]["status"]) == ("running", "running")
    assert done["status"] == "success"
    assert done["outputs"] == {"a": {"slept": 9}}
    assert "tasks" not in done


@pytest.mark.parametrize(
    ("name", "setting", "waited"),
    [
        ("claude-code", None, 1500), ("gemini-cli", None, 540), ("Claude-Code", None, 1500),
        ("codex", None, 50),
        ("claude-code", 7.0, 7),
    ],
)  # fmt: skip
async def test_a_client_is_kept_waiting_as_long_as_it_is_known_to_wait(
    connect: Connect, name: str, setting: float | None, waited: float
):
    async with connect(name, wait_s=setting) as client:
        start = anyio.current_time()
        await client.call_tool(
            "execute_dag", {"tasks": [sleep("a", 5_000, timeout_s=6_000)]}, read_timeout_seconds=9e4
        )
        assert anyio.current_time() - start == pytest.approx(waited, abs=1)


async def test_progress_rises_with_every_message_and_is_sent_every_five_seconds(connect: Connect):
    heard: list[tuple[float, float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((anyio.current_time(), progress, total, message))

    tasks = [sleep("a", 1), sleep("b", 2), sleep("c", 20, depends_on=["b"])]
    async with connect() as client:
        await client.call_tool("execute_dag", {"tasks": tasks}, progress_callback=note)
    times, values, totals, messages = zip(*heard, strict=True)
    assert all(later > earlier for earlier, later in itertools.pairwise(values))
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 5.2
    assert set(totals) == {3}
    assert values[-1] == 3
    assert "1/3 done; running b" in messages
    assert values[0] >= 0


async def test_progress_comes_at_most_ten_times_a_second(connect: Connect, servers: FakeServers):
    heard: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(anyio.current_time())

    async with connect() as client:
        tasks = [sleep(f"t{n}", 0.01 * n) for n in range(100)]
        await client.call_tool("execute_dag", {"tasks": tasks}, progress_callback=note)
    assert heard[-1] - heard[0] > 0.5
    assert len(heard) <= (heard[-1] - heard[0]) * 10 + 3


async def test_a_client_that_does_not_read_its_progress_delays_no_run(servers: FakeServers):
    ended: list[str] = []

    def note(notice: Notice) -> None:
        if isinstance(notice, Finished):
            ended.append(notice.status)

    async with (
        Gateway(servers, servers, InMemoryRuns(), observers=[note]) as gateway,
        in_memory(build_server(gateway)) as (read, write),
    ):

        async def send(method: str, params: dict[str, Any], id: int | None = None) -> None:
            members = {"jsonrpc": "2.0", "method": method, "params": params} | (
                {"id": id} if id else {}
            )
            await write.send(SessionMessage(types.jsonrpc_message_adapter.validate_python(members)))

        info = {"name": "test", "version": "1"}
        await send(
            "initialize",
            {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info},
            1,
        )
        await read.receive()
        await send("notifications/initialized", {})
        tasks = [sleep("a", 1), sleep("b", 1, depends_on=["a"]), sleep("c", 1, depends_on=["b"])]
        call = {"name": "execute_dag", "arguments": {"tasks": tasks}, "_meta": {"progressToken": 7}}
        await send("tools/call", call, 2)
        await anyio.sleep(10)
        assert len(servers.calls) == 3
        assert ended == ["success"]
        heard = [(await read.receive()).message for _ in range(2)]
    assert isinstance(heard[0], types.JSONRPCNotification)
    assert isinstance(heard[1], types.JSONRPCResponse)


async def test_a_cancelled_call_cancels_its_run_and_the_calls_of_it(
    connect: Connect, servers: FakeServers
):
    async with connect() as client:
        with anyio.move_on_after(2):
            await client.call_tool("execute_dag", {"tasks": [sleep("a", 100), sleep("b", 100)]})
        await anyio.sleep(1)
        assert servers.aborted == ["s:sleep", "s:sleep"]


async def test_cancel_run_stops_a_run_and_counts_its_tasks(connect: Connect, servers: FakeServers):
    async with connect() as client:
        tasks = [sleep("a", 100), task("b")]
        run = structured(await client.call_tool("execute_dag", {"tasks": tasks, "wait_s": 1}))[
            "run_id"
        ]
        answer = structured(await client.call_tool("cancel_run", {"run_id": run}))
        after = await client.call_tool("get_run", {"run_id": run})
    assert answer == {
        "status": "cancelled",
        "run_id": run,
        "counts": {"cancelled": 1, "success": 1},
    }
    assert servers.aborted == ["s:sleep"]
    assert after.is_error


async def test_an_unknown_run_is_refused_and_no_other_one_is_named(connect: Connect):
    async with connect() as client:
        run = structured(await client.call_tool("execute_dag", {"tasks": [task("a")]}))["run_id"]
        for name in ("get_run", "cancel_run"):
            result = await client.call_tool(name, {"run_id": "r_nope"})
            assert result.is_error
            assert structured(result)["errors"][0]["code"] == "unknown_run"
            assert run not in str(result)


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
        assert answer["truncated"] == [
            {"id": "a", "chars": len(whole), "uri": f"plait://runs/{run}/tasks/a"}
        ]
        assert f'get_run(run_id="{run}"' in answer["notes"][0]

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
        result = await client.call_tool("get_run", {"run_id": run, "task": "a"})
    assert 1_900 < len(first_text(result)) <= 2_000
    assert structured(result)["next_offset"] == len(structured(result)["text"])


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


async def test_images_of_returned_outputs_follow_as_content_blocks_of_their_own(connect: Connect):
    async with connect() as client:
        result = await client.call_tool("execute_dag", {"tasks": [task("a", "s:image")]})
    image = result.content[1]
    assert isinstance(image, types.ImageContent)
    assert (image.data, image.mime_type) == (PICTURE["data"], "image/png")
    assert PICTURE["data"] not in first_text(result)


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("spread", [False, True])
async def test_base64_of_images_is_left_out_of_the_text(
    connect: Connect, servers: FakeServers, wraps: bool, spread: bool
):
    content = [PICTURE, {"type": "text", "text": "a dot"}]
    structured_too = {"structuredContent": {"content": content}} if wraps else {}
    servers.add(
        tool("s:pictures", {}, closed=False),
        lambda **_: {"content": content, **structured_too, "isError": False},
    )
    one = task("a", "s:pictures", **({"for_each": [1, 2]} if spread else {}))
    async with connect() as client:
        result = await client.call_tool("execute_dag", {"tasks": [one]})
    assert len(result.content) == (3 if spread else 2)
    assert PICTURE["data"] not in first_text(result)
    assert "in a content block of its own" in first_text(result)


async def test_images_that_do_not_fit_are_named_and_the_others_follow(
    connect: Connect, servers: FakeServers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("plait.upstream.answers.MAX_ATTACHMENT_CHARS", 40)
    large = {**PICTURE, "data": "iVBORw0KGgo=" * 4}
    servers.add(
        "s:large", lambda: {"content": [large, {"type": "text", "text": "x"}], "isError": False}
    )
    tasks = [
        *[task(f"l{n}", "s:large") for n in range(30)],
        *[task(f"s{n}", "s:image") for n in range(3)],
    ]
    async with connect() as client:
        result = await client.call_tool("execute_dag", {"tasks": tasks})
    answer = structured(result)
    assert [
        block.data for block in result.content[1:] if isinstance(block, types.ImageContent)
    ] == [PICTURE["data"]] * 3
    address = f"plait://runs/{answer['run_id']}/tasks"
    notes = [f"l{n}: image content is left out; read {address}/l{n}" for n in range(30)]
    assert answer["notes"] == notes


async def test_the_first_note_of_a_running_run_says_how_to_wait_for_it(
    connect: Connect, servers: FakeServers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("plait.upstream.answers.MAX_ATTACHMENT_CHARS", 0)
    tasks = [sleep("long", 90), *[task(f"s{n}", "s:image") for n in range(100)]]
    async with connect(max_chars=2_000) as client:
        document = {"tasks": tasks, "wait_s": 1}
        answer = structured(await client.call_tool("execute_dag", document))
    assert answer["status"] == "running"
    assert f'get_run(run_id="{answer["run_id"]}")' in answer["notes"][1]
    assert len(answer["notes"]) - 1 + answer["omitted"]["notes"] == 101


@pytest.mark.parametrize("problems", [1, 3, 300])
async def test_notes_that_do_not_fit_a_refusal_are_counted(connect: Connect, problems: int):
    tasks = [{"id": f"t{n}", "tool": "s:many", "args": {"n": "x" * 120}} for n in range(problems)]
    async with connect(max_chars=1_000) as client:
        result = await client.call_tool("execute_dag", {"tasks": tasks})
    said, told = first_text(result), structured(result)
    assert len(said) <= 1_000
    assert len(told["notes"]) + told.get("omitted", {}).get("notes", 0) >= problems
    assert ("Understood as: " in said) != (" left out." in said)


async def test_data_that_does_not_follow_as_a_block_stays_in_the_text(
    connect: Connect, servers: FakeServers
):
    other = {**PICTURE, "data": "T3RoZXI="}
    servers.add(
        "s:two",
        lambda: {"content": [PICTURE], "structuredContent": {"content": [other]}, "isError": False},
    )
    async with connect() as client:
        result = await client.call_tool("execute_dag", {"tasks": [task("a", "s:two")]})
    assert other["data"] in first_text(result)


@pytest.mark.parametrize("wraps", [False, True])
async def test_base64_of_a_resource_is_left_out_and_read_at_the_tasks_uri(
    connect: Connect, servers: FakeServers, wraps: bool
):
    blob, uri = "QUJD" * 9_000, "file:///data.bin"
    block = {
        "type": "resource",
        "resource": {"uri": uri, "mimeType": "application/zip", "blob": blob},
    }
    small = {"type": "resource", "resource": {"uri": uri, "blob": "QUJD"}}
    structured_too = {"structuredContent": {"content": [block, small]}} if wraps else {}
    servers.add("s:zip", lambda: {"content": [block, small], **structured_too, "isError": False})
    async with connect() as client:
        answer = structured(await client.call_tool("execute_dag", {"tasks": [task("a", "s:zip")]}))
        where = f"plait://runs/{answer['run_id']}/tasks/a"
        [content] = (await client.read_resource(where)).contents
        request = {"run_id": answer["run_id"], "task": "a", "offset": 0, "limit": 40_000}
        page = structured(await client.call_tool("get_run", request))
    shown = answer["outputs"]["a"]["content"] if wraps else answer["outputs"]["a"]
    said = f"36,000 characters of base64; read {where}"
    assert shown == [
        {**block, "resource": {"uri": uri, "mimeType": "application/zip", "blob": said}},
        small,
    ]
    assert answer["truncated"] == []
    assert isinstance(content, types.TextResourceContents)
    assert blob in content.text
    assert "QUJD" * 1_000 in page["text"]


async def test_get_run_gives_the_detail_that_the_document_asked_for(
    connect: Connect,
):
    async with connect() as client:
        for detail in ("concise", "full"):
            document = {"tasks": [task("a"), task("b")], "detail": detail}
            told = structured(await client.call_tool("execute_dag", document))
            assert structured(await client.call_tool("get_run", {"run_id": told["run_id"]})) == told
            assert ("tasks" in told) is (detail == "full")


async def test_search_gives_one_line_a_tool_and_marks_what_may_write(connect: Connect):
    async with connect() as client:
        result = await client.call_tool("search_tools", {"query": "wait; post message", "limit": 1})
    assert first_text(result).split("\n") == [
        "wait:",
        "s:sleep(seconds?: number) - Wait for some time",
        "post message:",
        "chat:post() [w]",
        "2 of 7 tools shown.",
    ]
    assert [(one["name"], one["need"], one["writes"]) for one in structured(result)["tools"]] == [
        ("s:sleep", "wait", False),
        ("chat:post", "post message", True),
    ]
    assert structured(result)["total"] == 7


async def test_a_tool_found_for_two_needs_is_described_once(connect: Connect):
    async with connect() as client:
        result = await client.call_tool("search_tools", {"query": "wait; sleep", "limit": 1})
    assert first_text(result).split("\n") == [
        "wait:",
        "s:sleep(seconds?: number) - Wait for some time",
        "sleep:",
        "s:sleep (above)",
        "1 of 7 tools shown.",
    ]


async def test_an_empty_query_lists_the_servers_with_their_state(
    connect: Connect, servers: FakeServers
):
    servers.add_server(ServerInfo("s", ServerState.READY, tools=6))
    servers.add_server(ServerInfo("far", ServerState.RETRYING, error="refused"))
    async with connect() as client:
        result = await client.call_tool("search_tools", {"query": ""})
        searched = await client.call_tool("search_tools", {"query": "wait"})
        unknown = await client.call_tool("search_tools", {"query": "wait", "server": "fra"})
    assert "s: ready, 6 tools\n" in first_text(result)
    assert "far: retrying, 0 tools (refused)\n" in first_text(result)
    assert {one["name"] for one in structured(result)["servers"]} == {"s", "chat", "far"}
    assert first_text(searched).endswith("Not searched, because not connected: far (retrying).")
    assert 'Did you mean "far"?' in first_text(unknown)


async def test_a_search_while_servers_start_names_only_those_whose_tools_are_unknown(
    connect: Connect, servers: FakeServers
):
    servers.add_server(ServerInfo("s", ServerState.CONNECTING, tools=6))
    servers.add_server(ServerInfo("chat", ServerState.RETRYING, tools=1, error="refused"))
    servers.add_server(ServerInfo("far", ServerState.RETRYING, error="refused"))
    async with connect() as client:
        failing = await client.call_tool("search_tools", {"query": "wait"})
        servers.add_server(ServerInfo("slow", ServerState.CONNECTING))
        starting = await client.call_tool("search_tools", {"query": "wait"})
    assert first_text(failing).endswith(
        "tools shown. Not searched, because not connected: far (retrying)."
    )
    notes = [
        "Not searched, because not connected: far (retrying), slow (connecting).",
        "Ask again in some seconds.",
    ]
    assert first_text(starting).endswith(" ".join(["tools shown.", *notes]))
    assert structured(starting)["notes"] == notes


async def test_describe_gives_whole_definitions_and_the_nearest_of_what_there_is_not(
    connect: Connect,
):
    async with connect() as client:
        result = await client.call_tool("describe_tools", {"names": ["s__many", "s:slep"]})
        none = await client.call_tool("describe_tools", {"names": "x:y"})
        many = await client.call_tool("describe_tools", {"names": ["s:many"] * 11})
    answer = structured(result)
    assert answer["tools"][0]["name"] == "s:many"
    assert answer["tools"][0]["inputSchema"]["required"] == ["n"]
    assert answer["unknown"][0]["name"] == "s:slep"
    assert "s:sleep" in answer["unknown"][0]["hint"]
    assert not result.is_error
    assert none.is_error
    assert structured(many)["errors"][0]["code"] == "limit_exceeded"


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("search_tools", {"query": 5}, "wrong_type"),
        ("search_tools", {"qurey": "x"}, "unknown_field"),
        ("describe_tools", {}, "missing_field"),
        ("describe_tools", {"names": {"a": 1}}, "wrong_type"),
        ("get_run", {"run_id": "r", "wait_s": "soon"}, "wrong_type"),
        ("get_run", {}, "missing_field"),
        ("cancel_run", {"run_id": "r", "force": True}, "unknown_field"),
        ("execute_dag", {}, "missing_field"),
        ("execute_dag", {"tasks": "[{"}, "invalid_json"),
        ("execute_dag", {"tasks": [], "frobnicate": 1}, "unknown_field"),
        (
            "execute_dag",
            {"tasks": [{"id": "a", "tool": "s:echo", "arguments": {"x": "\ud800"}}]},
            "invalid_json",
        ),
    ],
)
async def test_wrong_arguments_are_an_answer_with_fixes_never_a_protocol_error(
    connect: Connect, name: str, arguments: dict[str, Any], code: str
):
    async with connect() as client:
        result = await client.call_tool(name, arguments)
    assert result.is_error
    assert code in {error["code"] for error in structured(result)["errors"]}
    assert all(error["message"] for error in structured(result)["errors"])


async def test_a_document_nested_too_deeply_is_refused_with_its_place(connect: Connect):
    nested: Any = 1
    for _ in range(80):
        nested = [nested]
    async with connect() as client:
        result = await client.call_tool(
            "execute_dag", {"tasks": [task("a", arguments={"x": nested})]}
        )
    assert structured(result)["errors"][0]["code"] == "invalid_json"
    assert "64 levels" in first_text(result)


async def test_arguments_that_are_text_or_a_list_are_understood_if_they_can_be(connect: Connect):
    tasks = [task("a", arguments={"n": 1})]
    async with connect() as client:
        for arguments in (
            tasks,
            json.dumps(tasks),
            json.dumps({"tasks": tasks}),
            {"arguments": {"tasks": tasks}},
        ):
            result = await _call_raw(client, "execute_dag", arguments)
            assert structured(result)["outputs"] == {"a": {"n": 1}}
        for wrong, code in (('{"tasks": [', "invalid_json"), (5, "wrong_type")):
            result = await _call_raw(client, "execute_dag", wrong)
            assert result.is_error
            assert structured(result)["errors"][0]["code"] == code


async def test_an_unknown_tool_is_a_protocol_error(connect: Connect):
    async with connect() as client:
        with pytest.raises(MCPError, match="Unknown tool: frobnicate") as raised:
            await client.call_tool("frobnicate", {})
    assert raised.value.error.code == types.INVALID_PARAMS


async def test_an_unexpected_failure_is_logged_under_an_id_and_nothing_of_it_leaks(
    connect: Connect, servers: FakeServers, caplog: pytest.LogCaptureFixture
):
    async with connect() as client:
        servers.catalog = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
        result = await client.call_tool("execute_dag", {"tasks": [task("a")]})
    [error] = structured(result)["errors"]
    assert error["code"] == "internal"
    assert "division" not in first_text(result)
    logged = next(record for record in caplog.records if record.name == "plait.upstream.tools")
    assert logged.exc_info is not None
    assert vars(logged)["id"] in error["message"]


async def test_calls_are_refused_while_shutting_down(connect: Connect):
    calls = OpenCalls()
    async with connect(calls=calls) as client:
        await calls.drain(0)
        with pytest.raises(MCPError, match="shutting down"):
            await client.call_tool("execute_dag", {"tasks": [task("a")]})


async def _call_raw(client: Any, name: str, arguments: Any) -> types.CallToolResult:
    """A call whose arguments need not be an object."""
    params = types.CallToolRequestParams.model_construct(name=name, arguments=arguments)
    request = types.CallToolRequest.model_construct(method="tools/call", params=params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: types.CallToolResult = await client.session.send_request(
            request, types.CallToolResult
        )
    return result
