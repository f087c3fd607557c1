"""What held calls would change: it is shown before a yes, and read again before each is sent."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest

from plait.core.flows.rules import TRIFECTA, FlowPolicy
from plait.core.results.record import RunStatus
from plait.core.results.result import RunResult
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.engine.gateway import Gateway, GatewayLimits
from plait.errors import InvalidDag, StaleApproval
from plait.stores.history.memory import MemoryHistory
from plait.stores.in_memory import InMemoryRuns

from ..fakes import text, tool
from .dying import World

pytestmark = pytest.mark.virtual_time

PATH = {"path": {"type": "string"}}
ASK = Rules(ask=("write",))


class Files(World):
    """A server with files in memory. `calls` has each call, as the tool's name and the path."""

    def __init__(self, **files: str) -> None:
        super().__init__()
        self.policy = Policy(tables=(ASK,))
        self.files = {f"{name}.txt": text for name, text in files.items()}
        self.calls: list[tuple[str, str]] = []
        self.read_s = 0.0
        """The time that a reading takes."""
        reading = tool("s:read_file", PATH, ["path"], readOnlyHint=True)
        writing = tool("s:write_file", {**PATH, "content": {"type": "string"}}, ["path"])
        self.servers.add(reading, self._read)
        self.servers.add(writing, self._write)

    async def _read(self, path: str) -> Any:
        self.calls.append(("read", path))
        await anyio.sleep(self.read_s)
        if path not in self.files:
            return text(f"no such file: {path}", is_error=True)
        return text(self.files[path])

    def _write(self, path: str, content: str) -> Any:
        self.calls.append(("write", path))
        self.files[path] = content
        return {"path": path}

    @property
    def written(self) -> list[str]:
        return [path for name, path in self.calls if name == "write"]


def write(id: str, path: str, content: str, **more: Any) -> dict[str, Any]:
    arguments = {"path": f"{path}.txt", "content": content}
    return {"id": id, "tool": "s:write_file", "arguments": arguments, **more}


def differences(gateway: Gateway, run_id: str) -> dict[str, tuple[str, ...]]:
    """The lines of the differences in the open question of a run, by place."""
    approval = gateway.approval(run_id)
    assert approval is not None
    return {
        call.place: call.difference.lines for call in approval.calls if call.difference is not None
    }


async def approve(gateway: Gateway, run_id: str, seconds: float | None = 5) -> RunResult:
    approval = gateway.approval(run_id)
    assert approval is not None
    await gateway.approve(run_id, approval.digest)
    await anyio.sleep(1)
    return await gateway.wait(run_id, seconds)


async def test_a_person_sees_what_a_call_changes_in_the_file_that_it_overwrites():
    world = Files(a="one\ntwo\n")
    async with world.gateway() as (gateway, history):
        held = await gateway.execute({"tasks": [write("w", "a", "one\n2\n"), write("v", "b", "x")]})
        assert differences(gateway, held.run_id) == {"w": ("@@ -1,2 +1,2 @@", " one", "-two", "+2")}
        approval = gateway.approval(held.run_id)
        assert approval is not None
        assert approval.calls[0].arguments == {"path": "a.txt", "content": "one\n2\n"}
        assert approval.calls[0].difference is not None
        assert approval.calls[0].difference.counts == "+1 -1 lines"
        question: Any = await history.question(held.run_id)
        assert question["calls"][0]["difference"]["lines"][3] == "+2"
        answer: Any = held.document()
        assert (
            "difference" not in answer["approval"]["calls"][0]
        )  # its client has not read the file
        assert world.written == []
        result = await approve(gateway, held.run_id)
    assert (result.status, world.files["a.txt"]) == (RunStatus.SUCCESS, "one\n2\n")
    a = [name for name, path in world.calls if path == "a.txt"]
    assert a == ["read", "read", "write"]  # it is read again before it is overwritten


async def test_a_yes_does_not_cover_a_file_that_has_changed_since_it_was_shown():
    world = Files(a="one\n", b="b\n")
    async with world.gateway() as (gateway, _):
        tasks = [write("w", "a", "new\n"), write("v", "b", "B\n")]
        held = await gateway.execute({"tasks": tasks})
        world.files["a.txt"] = "changed\n"
        again = await approve(gateway, held.run_id)
        assert (again.status, world.written) == (RunStatus.WAITING, ["b.txt"])
        lines = differences(gateway, held.run_id)
        assert lines == {"w": ("@@ -1 +1 @@", "-changed", "+new")}
        result = await approve(gateway, held.run_id)
    assert (result.status, world.files["a.txt"]) == (RunStatus.SUCCESS, "new\n")
    assert result.record.tasks["w"].attempts == 1


async def test_of_two_approved_calls_on_one_file_the_second_is_asked_for_again():
    world = Files(a="one\n")
    async with world.gateway() as (gateway, _):
        tasks = [write("w", "a", "two\n"), write("v", "a", "three\n")]
        held = await gateway.execute({"tasks": tasks})
        assert len(differences(gateway, held.run_id)) == 1  # v comes after w, and is held then
        await approve(gateway, held.run_id)
        assert differences(gateway, held.run_id) == {"v": ("@@ -1 +1 @@", "-two", "+three")}
        await approve(gateway, held.run_id)
    assert world.files["a.txt"] == "three\n"


async def test_a_call_that_is_asked_for_again_is_still_before_those_that_come_after_it():
    world = Files(a="one\n")
    world.delays = {("read", "a.txt"): 5}
    later = {"id": "later", "tool": "s:read", "arguments": {"n": "a.txt"}}
    after = {"id": "r", "tool": "s:read_file", "arguments": {"path": "$OUTPUT[later].n"}}
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": [later, write("w", "a", "new\n"), after]})
        world.files["a.txt"] = "changed\n"
        again = await approve(gateway, held.run_id)
        assert again.status is RunStatus.WAITING
        assert again.record.tasks["r"].attempts == 0
        result = await approve(gateway, held.run_id)
    assert (result.status, result.outputs["r"]) == (RunStatus.SUCCESS, "new\n")


async def test_a_file_that_cannot_be_read_any_more_is_asked_for_again_without_a_difference():
    world = Files(a="one\n")
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": [write("w", "a", "new\n")]})
        del world.files["a.txt"]
        assert (await approve(gateway, held.run_id)).status is RunStatus.WAITING
        assert (differences(gateway, held.run_id), world.written) == ({}, [])
        assert (await approve(gateway, held.run_id)).status is RunStatus.SUCCESS


@pytest.mark.parametrize("is_changed", [True, False])
async def test_a_yes_from_before_a_crash_does_not_cover_a_file_that_has_changed(is_changed: bool):
    world = Files(a="one\n")
    world.hangs = {("write", 7)}
    world.limits = GatewayLimits()
    tasks = [
        {"id": "h", "tool": "s:write", "arguments": {"n": 7}},
        write("w", "a", "new\n", depends_on=["t"]),
        {"id": "t", "tool": "s:read", "arguments": {"n": 1}},
    ]
    async with world.gateway() as (gateway, history):
        held = await gateway.execute({"tasks": tasks})
        world.read_s = 1e6  # the gateway dies before it has looked again
        approval = gateway.approval(held.run_id)
        assert approval is not None
        await gateway.approve(held.run_id, approval.digest)
        await gateway.wait(held.run_id, 5)
        history.die()
    assert world.written == []
    world.read_s, world.hangs = 0, set()
    if is_changed:
        world.files["a.txt"] = "changed\n"
    async with world.gateway() as (gateway, _):
        again = {"tasks": [], "resume_from": held.run_id, "in_doubt": {"h": "done"}}
        result = await gateway.execute(again)
        if is_changed:
            assert (result.status, world.written) == (RunStatus.WAITING, [])
            assert differences(gateway, result.run_id)["w"][1:] == ("-changed", "+new")
            result = await approve(gateway, result.run_id)
    assert (result.status, world.files["a.txt"]) == (RunStatus.SUCCESS, "new\n")


@pytest.mark.parametrize("places", [None, []])
async def test_a_run_that_was_left_asks_again_for_a_file_that_has_changed(places: Any):
    """A yes does not cover it; a no needs no second look."""
    world = Files(a="one\n")
    run_id = await world.interrupted({"tasks": [write("w", "a", "new\n")]})
    world.files["a.txt"] = "changed\n"
    async with world.gateway() as (gateway, _):
        asked = (await gateway.recall(run_id)).approval
        assert asked is not None
        if places is None:
            with pytest.raises(StaleApproval) as stale:
                await gateway.approve(run_id, asked["digest"], places)
            later = stale.value.goes_on_as
            assert later is not None
            assert world.written == []
            assert differences(gateway, later)["w"][1:] == ("-changed", "+new")
            assert (await approve(gateway, later)).status is RunStatus.SUCCESS
        else:
            later = await gateway.approve(run_id, asked["digest"], places)
            result = await gateway.wait(later)
            assert [error.code for error in result.errors] == ["approval_denied"]
            assert world.written == []
        assert (await gateway.recall(run_id)).status is RunStatus.INTERRUPTED  # another has gone on


async def test_a_preview_shows_differences_and_is_shown_again_if_they_have_changed():
    world = Files(a="one\n")
    world.policy = Policy()
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": [write("w", "a", "new\n")], "preview": True})
        assert differences(gateway, held.run_id) == {"w": ("@@ -1 +1 @@", "-one", "+new")}
        world.files["a.txt"] = "changed\n"
        await gateway.submit({"tasks": [], "apply": held.run_id})
        await anyio.sleep(1)
        assert world.written == []
        assert differences(gateway, held.run_id) == {"w": ("@@ -1 +1 @@", "-changed", "+new")}
        await gateway.submit({"tasks": [], "apply": held.run_id})
        assert (await gateway.wait(held.run_id)).status is RunStatus.SUCCESS
    assert world.written == ["a.txt"]


@pytest.mark.parametrize("is_changed", [True, False])
async def test_a_preview_that_was_left_is_applied_only_as_it_was_shown(is_changed: bool):
    world = Files(a="one\n")
    world.policy = Policy()
    run_id = await world.interrupted({"tasks": [write("w", "a", "new\n")], "preview": True})
    if is_changed:
        world.files["a.txt"] = "changed\n"
    async with world.gateway() as (gateway, _):
        if is_changed:
            with pytest.raises(InvalidDag) as refused:
                await gateway.submit({"tasks": [], "apply": run_id})
            [problem] = refused.value.problems
            assert (problem.code, world.written) == ("plan_changed", [])
            found = re.search(r"r_\w+", problem.message)
            assert found is not None
            run_id = found[0]
            assert differences(gateway, run_id)["w"][1:] == ("-changed", "+new")
        submitted = await gateway.submit({"tasks": [], "apply": run_id})
        result = await gateway.wait(submitted.run_id)
    assert (result.status, world.written) == (RunStatus.SUCCESS, ["a.txt"])


async def test_a_run_is_cancelled_while_a_file_is_read_again():
    world = Files(a="one\n")
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": [write("w", "a", "new\n")]})
        approval = gateway.approval(held.run_id)
        assert approval is not None
        world.read_s = 20
        await gateway.approve(held.run_id, approval.digest)
        await anyio.sleep(1)
        result = await gateway.cancel(held.run_id)
        assert (result.status, world.written) == (RunStatus.CANCELLED, [])
        await anyio.sleep(1)
        assert gateway.engine.scheduler.in_flight == 0
        world.read_s = 0
        later = await gateway.execute({"tasks": [write("w", "a", "new\n")]})
        assert (await approve(gateway, later.run_id)).status is RunStatus.SUCCESS


async def test_a_reading_that_takes_long_delays_the_question_for_some_seconds_alone():
    world = Files(a="one\n")
    world.read_s = 1_000
    async with world.gateway() as (gateway, _):
        began = anyio.current_time()
        held = await gateway.execute({"tasks": [write("w", "a", "new\n")]})
        assert held.status is RunStatus.WAITING
        assert anyio.current_time() - began < 10
        assert differences(gateway, held.run_id) == {}


async def test_an_answer_to_the_question_before_counts_no_more():
    world = Files(a="one\n")
    async with world.gateway() as (gateway, _):
        held = await gateway.execute({"tasks": [write("w", "a", "new\n")]})
        first = gateway.approval(held.run_id)
        assert first is not None
        world.files["a.txt"] = "changed\n"
        await approve(gateway, held.run_id)
        with pytest.raises(StaleApproval):
            await gateway.approve(held.run_id, first.digest)
    assert world.written == []


@pytest.mark.parametrize(
    ("rules", "flows"),
    [
        (Rules(ask=("write", "s:read_file")), None),
        (Rules(ask=("write",), deny=("s:read_file",)), None),
        (ASK, FlowPolicy({"outbound": ("s:read_file",)}, (TRIFECTA,))),
    ],
)
async def test_nothing_is_read_with_a_tool_that_the_policy_does_not_simply_allow(
    rules: Rules, flows: FlowPolicy | None
):
    world = Files(a="one\n")
    parts = world.servers, world.servers, InMemoryRuns()
    settings: dict[str, Any] = {"policy": Policy(tables=(rules,)), "flows": flows}
    async with Gateway(*parts, **settings, history=MemoryHistory(world.shelf)) as gateway:
        held = await gateway.execute({"tasks": [write("w", "a", "new\n")]})
        assert (differences(gateway, held.run_id), world.calls) == ({}, [])
