"""What a `CallTool` and its `Servers` promise, held for connections of every kind and for the fake
in their stead."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import anyio
import pytest

from plait.core.tools.catalog import ServerState, Tool
from plait.core.values.strict import JsonObject
from plait.errors import CallError, InvalidArguments, ToolError

from ..fakes import a_call
from .contract import SOON, Port


async def test_a_result_is_returned_as_it_came(port: Port):
    async with port.reached() as reached:
        result = await reached.result("echo", text="ä€🙂\u2028", number=2**60)
    assert result["structuredContent"] == {"text": "ä€🙂\u2028", "number": 2**60}
    assert [block["type"] for block in result["content"]] == ["text"]
    assert not result.get("isError")


async def test_the_catalog_lists_the_tools_with_their_arguments(port: Port):
    async with port.reached() as reached:
        catalog = reached.servers.catalog()
    assert {
        f"contract:{name}" for name in ("echo", "fail", "hang", "steps")
    } <= catalog.tools.keys()
    schema = catalog.tools["contract:echo"].definition["inputSchema"]
    assert isinstance(schema, dict)
    assert (set(schema["properties"]), schema["required"]) == ({"text", "number"}, ["text"])
    assert (catalog.servers["contract"].state, catalog.servers["contract"].error) == (
        ServerState.READY,
        None,
    )


async def test_each_of_many_calls_gets_its_own_answer(port: Port):
    answers: dict[int, Any] = {}
    async with port.reached() as reached:

        async def ask(number: int) -> None:
            answers[number] = await reached.call("echo", text="x", number=number)

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(ask, number)
    assert {number: value["number"] for number, value in answers.items()} == {
        number: number for number in range(40)
    }


async def test_progress_is_passed_on_in_order(port: Port):
    heard: list[JsonObject] = []
    async with port.reached() as reached:
        assert await reached.call("steps", heard.append) == {"result": "done"}
        with anyio.fail_after(SOON):
            while len(heard) < 5:
                await anyio.sleep(0.01)
    told = [(one["progress"], one["total"], one["message"]) for one in heard]
    assert told == [(done, 5, f"step {done}") for done in range(1, 6)]


async def test_a_cancelled_call_is_cancelled_at_its_server(
    port: Port, request: pytest.FixtureRequest
):
    tag = request.node.name
    async with port.reached() as reached:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(reached.call, "hang", tag=tag))
            await port.journal.noted(f"{tag} started")
            tasks.cancel_scope.cancel()
        await port.journal.noted(f"{tag} cancelled")
        assert (await reached.call("echo", text="x"))["text"] == "x"


async def test_a_call_that_times_out_affects_no_other(port: Port, request: pytest.FixtureRequest):
    late, other = f"{request.node.name} late", f"{request.node.name} other"
    async with port.reached() as reached, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(reached.call, "hang", tag=other))
        await port.journal.noted(f"{other} started")
        async with anyio.create_task_group() as timed:
            timed.start_soon(partial(reached.call, "hang", tag=late))
            await port.journal.noted(f"{late} started")
            timed.cancel_scope.deadline = anyio.current_time()
        assert timed.cancel_scope.cancelled_caught
        await port.journal.noted(f"{late} cancelled")
        assert (await reached.call("echo", text="x"))["text"] == "x"
        assert f"{other} cancelled" not in port.journal.events()
        tasks.cancel_scope.cancel()


async def test_the_failure_of_a_tool_is_a_result_and_affects_no_other_call(port: Port):
    async with port.reached() as reached:
        result = await reached.result("fail")
        assert result["isError"] is True
        with pytest.raises(ToolError, match="Error executing tool fail"):
            await reached.call("fail")
        assert (await reached.call("echo", text="x"))["text"] == "x"


async def test_calling_an_unknown_tool_is_an_error_of_the_call(port: Port):
    async with port.reached() as reached:
        with pytest.raises(CallError, match="nothing_of_that_name"):
            await reached.call("nothing_of_that_name")
        with pytest.raises(CallError, match="text"):
            await reached.call("echo", number=3)
        assert (await reached.call("echo", text="x"))["text"] == "x"


async def test_arguments_that_are_not_strict_json_are_not_sent(port: Port):
    async with port.reached() as reached:
        with pytest.raises(InvalidArguments, match="arguments"):
            await reached.call_tool(a_call(Tool("contract", "hang"), {"tag": math.nan}))
        assert (await reached.call("echo", text="x"))["text"] == "x"
    assert "nan started" not in port.journal.events()
