"""Answers have all that fits: errors first, then outputs, with images as blocks of their own."""

from __future__ import annotations

import json

import mcp_types as types
import pytest

from plait.core.values.problems import MAX_PROBLEMS

from ..fakes import FakeServers, tool
from .conftest import PICTURE, Connect, first_text, sleep, structured, task

pytestmark = pytest.mark.virtual_time


async def test_many_problems_fit_into_the_answer_with_their_count(connect: Connect):
    document = {"tasks": [task(f"t{n}", "s:many") for n in range(5_000)]}
    async with connect(max_chars=3_000) as client:
        result = await client.call_tool("execute_dag", document)
    answer = structured(result)
    assert len(json.dumps(answer, ensure_ascii=False, separators=(",", ":"))) <= 3_000
    assert len(answer["errors"]) + answer["omitted"]["errors"] == MAX_PROBLEMS + 1
    assert answer["errors"][0]["message"].startswith("There are more than 300 problems")
    assert len(first_text(result)) <= 3_000
    assert f"{MAX_PROBLEMS + 1} problems" in first_text(result)
    assert "more.\nFix these" in first_text(result)


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
    odd = {**PICTURE, "data": "no base64!"}
    servers.add("s:odd", lambda: {"content": [odd, PICTURE], "isError": False})
    tasks = [
        *[task(f"l{n}", "s:large") for n in range(30)],
        task("odd", "s:odd"),
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
    notes += [f"{id}: image content is left out; read {address}/{id}" for id in ("odd", "s2")]
    assert answer["notes"] == notes
    assert [answer["outputs"][id][0]["data"] for id in ("l0", "odd", "s2")] == [
        f"48 characters of base64, left out; read {address}/l0",
        f"10 characters of base64, left out; read {address}/odd",
        f"12 characters of base64, left out; read {address}/s2",
    ]
    apart = "12 characters of base64, in a content block of its own"
    assert [answer["outputs"]["odd"][1]["data"], answer["outputs"]["s1"][0]["data"]] == [apart] * 2


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
