"""Servers that others wrote give a run of the gateway what they give a client that is connected to
them directly."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .comparing import answers, as_object, as_text
from .conftest import SERVERS, World
from .exposing import listed
from .raw_client import Message, connected
from .samples import Call, restore, samples, steady


def output_of(result: Message) -> Any:
    """What docs/dag.md says is the output of a task."""
    if "structuredContent" in result:
        return result["structuredContent"]
    match result["content"]:
        case []:
            return None
        case [{"type": "text", "text": str(text)}]:
            return json.loads(text) if text.lstrip()[:1] in {"{", "["} else text
    return result["content"]


def images(result: Message) -> list[Message]:
    """Images and audio of a result: the answer of a run has them as content blocks of its own."""
    return [block for block in result["content"] if block["type"] in {"image", "audio"}]


def without_images(output: Any) -> Any:
    if isinstance(output, dict) and isinstance(output.get("content"), list):
        return {**output, "content": without_images(output["content"])}
    if not isinstance(output, list):
        return output
    return [
        {**block, "data": "apart"} if block["type"] in {"image", "audio"} else block
        for block in output
    ]


def chain(server: str, calls: list[Call]) -> Message:
    """A DAG that makes *calls* one after the other, whatever becomes of them."""
    tasks = [
        {
            "id": f"t{number}",
            "tool": f"{server}:{tool}",
            "arguments": arguments,
            "depends_on": [f"t{number - 1}"] if number else [],
            "trigger_rule": "all_done",
        }
        for number, (tool, arguments) in enumerate(calls)
    ]
    return {"tasks": tasks, "return": [task["id"] for task in tasks], "detail": "full"}


@pytest.mark.parametrize("server", SERVERS)
async def test_a_run_gets_what_a_direct_call_gets(server: str, world: World):
    calls = samples(server, world.pages)
    restore(world.folder)
    async with connected(world.servers[server].transport()) as direct:
        tools = await direct.list_all("tools")
        expected = await answers(direct, calls)
    assert {tool["name"] for tool in tools} == {tool for tool, _ in calls}
    restore(world.folder)
    async with connected(world.door(tuple(SERVERS), "dag").transport()) as peer:
        answer = await peer.call("execute_dag", chain(server, calls), progressToken=7)
    assert_equal(answer, calls, expected)
    last = peer.heard_of("notifications/progress")[-1]
    assert (last["progressToken"], last["progress"], last["total"]) == (7, len(calls), len(calls))


OF_SERVER = re.compile(r"plait://servers/[\w-]+/")
"""What is put before an address that leads to one server, where others may have it too."""
DESCRIBED = ["title", "description", "inputSchema", "outputSchema", "annotations"]


@pytest.mark.parametrize("server", SERVERS)
async def test_every_tool_is_found_and_described_as_its_server_lists_it(server: str, world: World):
    async with connected(world.door(tuple(SERVERS), "dag").transport()) as peer:
        for tool in await listed(world, server):
            name = f"{server}:{tool['name']}"
            answer = await peer.call("describe_tools", {"names": [name]})
            [described] = answer["structuredContent"]["tools"]
            described.pop("outputShape", None)
            shown = {key: tool[key] for key in DESCRIBED if key in tool}
            assert as_object(described) == as_object({"name": name, **shown})
            found = await peer.call("search_tools", {"query": tool["name"], "server": server})
            assert f"{name}(" in found["content"][0]["text"]


def assert_equal(answer: Message, calls: list[Call], expected: list[Message]) -> None:
    """The *answer* of `execute_dag` holds what the *calls* gave directly, and nothing else."""
    result = answer["structuredContent"]
    errors = {error["id"]: error for error in result["errors"]}
    for number, (call, direct) in enumerate(zip(calls, expected, strict=True)):
        task = f"t{number}"
        assert (task in errors) == is_failure(direct), (call, errors.get(task), direct)
        if task in errors:
            assert errors[task]["code"] == "tool_error", call
            assert steady(errors[task]["message"]) == steady(message_of(direct)), call
        else:
            got = as_text(without_images(result["outputs"][task]))
            assert OF_SERVER.sub("", got) == as_text(without_images(output_of(direct))), call
    assert answer["content"][1:] == [
        block for direct in expected if not is_failure(direct) for block in images(direct)
    ]
    assert json.loads(answer["content"][0]["text"]) == result
    assert result["truncated"] == []


def is_failure(result: Message) -> bool:
    return "refused" in result or result.get("isError", False)


def message_of(failure: Message) -> str:
    """What went wrong, in the words of the server."""
    if "refused" in failure:
        return str(failure["refused"]["message"])
    return "\n".join(block["text"] for block in failure["content"])
