"""Calls that use the same resource as a held call of their run, and would come after it, wait for
it, also where the resource is known only once references are filled in."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from plait.core.results.record import RunStatus
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules

from ...engine.dying import World
from ...fakes import tool

pytestmark = pytest.mark.virtual_time

PATH = {"path": {"type": "string"}}


class Files(World):
    """A server with files, and one that gives texts after some time. `calls` has the calls of the
    first, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = Policy(tables=(Rules(ask=("f:write",)),))
        self.calls: list[str] = []
        reading = tool("f:read", PATH, ["path"], readOnlyHint=True)
        for one in (reading, tool("f:write", PATH, ["path"]), tool("f:add", PATH, ["path"])):
            self.servers.add(one, self._call(one.name))
        text = tool("s:text", {"text": {}, "seconds": {}}, readOnlyHint=True)
        self.servers.add(text, self._text)

    def _call(self, name: str) -> Any:
        def called(path: str) -> dict[str, Any]:
            self.calls.append(f"{name} {path}")
            return {"path": path}

        return called

    async def _text(self, text: str, seconds: float = 0) -> dict[str, Any]:
        await anyio.sleep(seconds)
        return {"text": text}


def text(id: str, text: str, seconds: float = 0) -> dict[str, Any]:
    return {"id": id, "tool": "s:text", "arguments": {"text": text, "seconds": seconds}}


def on(id: str, name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": f"f:{name}", "arguments": {"path": path}, **more}


NAME, LATER = text("name", "x"), text("later", "x", 5)
DYNAMIC = "$OUTPUT[name].text"


@pytest.mark.parametrize("answer", ["yes", "no"])
@pytest.mark.parametrize(
    ("tasks", "done_before", "after"),
    [
        pytest.param(  # the held call names its file only once it is held
            [NAME, LATER, on("w", "write", DYNAMIC), on("r", "read", "x", depends_on=["later"])],
            [],
            ["read x"],
            id="a held call with a reference",
        ),
        pytest.param(  # the other one does
            [LATER, on("w", "write", "x"), on("r", "read", "$OUTPUT[later].text")],
            [],
            ["read x"],
            id="a reading with a reference",
        ),
        pytest.param(  # of another file
            [NAME, LATER, on("w", "write", DYNAMIC), on("r", "read", "y", depends_on=["later"])],
            ["read y"],
            [],
            id="another file",
        ),
        pytest.param(  # it was ready before the held call was known
            [LATER, on("w", "write", "$OUTPUT[later].text"), on("r", "read", "${OUTPUT[n].text}"),
             text("n", "x")],
            ["read x"],
            [],
            id="a reading that was ready before",
        ),
        pytest.param(  # what comes after that one, too
            [NAME, LATER, on("w", "write", DYNAMIC), on("r", "read", "x", depends_on=["later"]),
             text("last", "x", 8), on("a", "add", "$OUTPUT[last].text")],
            [],
            ["read x", "add x"],
            id="a call behind that",
        ),
        pytest.param(  # a folder, and what is in it
            [NAME, LATER, on("w", "write", DYNAMIC), on("r", "read", "x/y", depends_on=["later"])],
            [],
            ["read x/y"],
            id="what is in a folder",
        ),
    ],
)  # fmt: skip
async def test_what_would_come_after_a_held_call_waits_for_it(
    tasks: list[Any], done_before: list[str], after: list[str], answer: str
):
    world = Files()
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": tasks})
        assert held.status is RunStatus.WAITING
        assert world.calls == done_before
        asked = gateway.approval(held.run_id)
        assert asked is not None
        assert [call.place for call in asked.calls] == ["w"]
        await gateway.approve(held.run_id, asked.digest, None if answer == "yes" else [])
        result = await gateway.wait(held.run_id)
    written = ["write x"] if answer == "yes" else []
    assert world.calls == [*done_before, *written, *after]
    assert result.status is (RunStatus.SUCCESS if answer == "yes" else RunStatus.PARTIAL)


async def test_another_run_does_not_wait_for_a_held_call():
    world = Files()
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": [NAME, on("w", "write", DYNAMIC)]})
        other = await gateway.execute({"tasks": [on("r", "read", "x")]})
        assert (held.status, other.status) == (RunStatus.WAITING, RunStatus.SUCCESS)


async def test_many_items_behind_one_another_are_asked_for_and_go_in_order():
    world = Files()
    world.policy = Policy(tables=(Rules(ask_each=("f:write",)),))
    each = on("w", "write", "$ITEM", for_each="$OUTPUT[names].names")
    names = {"id": "names", "value": {"names": ["x", "y", "x"]}}
    reads = on("r", "read", "$OUTPUT[later].text", depends_on=["later"])
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": [names, LATER, each, reads]})
        asked = gateway.approval(held.run_id)
        assert asked is not None
        assert [call.place for call in asked.calls] == ["w[0]", "w[1]", "w[2]"]
        await gateway.approve(held.run_id, asked.digest, ["w[0]", "w[2]"])
        await gateway.wait(held.run_id)
    assert world.calls == ["write x", "write x", "read x"]


async def test_a_run_with_calls_behind_held_ones_is_cancelled():
    world = Files()
    tasks = [NAME, LATER, on("w", "write", DYNAMIC), on("r", "read", "x", depends_on=["later"])]
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": tasks})
        result = await gateway.cancel(held.run_id)
        assert (result.status, world.calls) == (RunStatus.CANCELLED, [])
        again = await gateway.execute({"tasks": [on("r", "read", "x")]})
        assert again.status is RunStatus.SUCCESS
