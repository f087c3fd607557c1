"""What every call passes and every observer gets, in a gateway made from settings."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plait.app import parts
from plait.app.gateway import Gateway
from plait.config import load_config
from plait.config.models import AuditSettings, GatewaySettings, HistorySettings, ToolSettings
from plait.core.audit import ChainCheck, digest
from plait.core.history import RunQuery
from plait.core.ports import Caller, ToolCall
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.notices import Notice
from plait.core.tools.catalog import ServerState
from plait.core.tools.circuit import IN_A_ROW, CircuitState
from plait.core.tools.server_notices import CircuitChanged, ServerChanged, SettingsReloaded
from plait.core.values.strict import Json, JsonObject
from plait.downstream.resources import Resources
from plait.engine.gateway import GatewayLimits
from plait.errors import CallError
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.opening import open_history, runtime_folder
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeCaller, FakeServers, structured, text, tool
from .conftest import install_the_missing_one, until, with_a_missing_one


async def test_what_wraps_the_calls_sees_those_of_tasks_and_those_by_name_with_their_policy(
    config: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[ToolCall] = []
    stack = parts.stack

    def with_one_more(*given: Any) -> parts.Stack:
        stacked = stack(*given)

        async def outermost(call: ToolCall) -> JsonObject:
            seen.append(call)
            return await stacked.call_tool(call)

        return stacked._replace(call_tool=outermost)

    monkeypatch.setattr(parts, "stack", with_one_more)
    settings = load_config(config)
    settings.tools["numbers:*"] = ToolSettings(weight=3)
    async with Gateway.from_config(settings) as gateway:
        await gateway.execute(
            {"tasks": [{"id": "a", "tool": "numbers:double", "arguments": {"n": 1}}]}
        )
        result: Any = await gateway.call(
            "numbers", "double", {"name": "double", "arguments": {"n": 2}}
        )
    assert result["structuredContent"] == {"n": 4}
    assert [call.policy.weight for call in seen] == [3, 3]
    assert [(call.id.run != "", call.id.task, call.arguments) for call in seen] == [
        (True, "a", {"n": 1}),
        (False, "numbers:double", {"n": 2}),
    ]


async def test_observers_get_notices_of_runs_servers_and_settings_in_one_stream(
    config: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[Notice] = []
    monkeypatch.setattr("plait.observers.logs.log_notices", seen.append)
    async with Gateway.from_config(load_config(config)) as gateway:
        await gateway.execute(
            {"tasks": [{"id": "a", "tool": "numbers:double", "arguments": {"n": 1}}]}
        )
        await gateway.reload(load_config(with_a_missing_one(config)))
        await gateway.settled()
    states = [
        (notice.info.name, notice.before, notice.info.state)
        for notice in seen
        if isinstance(notice, ServerChanged)
    ]
    assert states[:2] == [
        ("numbers", ServerState.NOT_STARTED, ServerState.CONNECTING),
        ("numbers", ServerState.CONNECTING, ServerState.READY),
    ]
    assert ("absent", ServerState.CONNECTING, ServerState.RETRYING) in states
    lost = next(
        notice
        for notice in seen
        if isinstance(notice, ServerChanged) and notice.info.state is ServerState.RETRYING
    )
    assert lost.info.error is not None
    assert "missing" in lost.info.error
    assert lost.retry_in_s is not None
    assert {(name, after) for name, _, after in states[-2:]} == {
        ("numbers", ServerState.STOPPED),
        ("absent", ServerState.STOPPED),
    }
    (reloaded,) = (notice for notice in seen if isinstance(notice, SettingsReloaded))
    assert reloaded[:3] == (str(config), ("absent",), ())
    kinds = [type(notice).__name__ for notice in seen]
    assert kinds.index("ServerChanged") < kinds.index("Started") < kinds.index("Finished")
    assert kinds.index("Finished") < kinds.index("SettingsReloaded")
    assert [notice.at for notice in seen] == sorted(notice.at for notice in seen)


async def test_a_server_that_comes_back_is_called_again_at_once_though_its_circuit_is_open(
    config: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[Notice] = []
    monkeypatch.setattr("plait.observers.logs.log_notices", seen.append)
    dag = {"tasks": [{"id": "a", "tool": "absent:double", "arguments": {"n": 1}}]}
    async with Gateway.from_config(load_config(with_a_missing_one(config))) as gateway:
        for _ in range(IN_A_ROW + 1):
            refused: Any = (await gateway.execute(dag)).document()
        [error] = refused["errors"]
        assert (error["code"], 0 < error["retry_after_s"] <= 6) == ("server_unavailable", True)
        assert gateway.catalog().servers["absent"].open_until is not None
        assert gateway.catalog().servers["numbers"].open_until is None
        install_the_missing_one(config)
        await until(lambda: gateway.catalog().servers["absent"].state is ServerState.READY)
        assert (await gateway.execute(dag)).outputs == {"a": {"n": 2}}
        assert gateway.catalog().servers["absent"].open_until is None
    changes = [notice for notice in seen if isinstance(notice, CircuitChanged)]
    assert [(change.server, change.state) for change in changes] == [
        ("absent", CircuitState.OPEN),
        ("absent", CircuitState.HALF_OPEN),
        ("absent", CircuitState.HALF_OPEN),
        ("absent", CircuitState.CLOSED),
    ]


TASKS: list[Json] = [
    {"id": "list", "tool": "s:read", "arguments": {"n": 1}},
    {"id": "one", "tool": "s:write", "arguments": {"path": "/a", "n": "$OUTPUT[list].n"}},
    {"id": "two", "tool": "s:write", "arguments": {"path": "/a", "n": 2}},
    {"id": "each", "tool": "s:read", "for_each": [1, 2, 3], "arguments": {"n": "$ITEM"}},
    {"id": "ask", "tool": "s:ask", "depends_on": ["list"]},
    {"id": "last", "tool": "s:read", "depends_on": ["one"], "trigger_rule": "always"},
]
AGAIN = {"id": "again", "tool": "s:fail", "retries": {"max": 1, "on": ["tool_error"]}}
PARAMS: JsonObject = {"name": "ask", "arguments": {"path": "/a"}}
WAYS: dict[str, Callable[[Gateway, Caller], Awaitable[object]]] = {
    "run": lambda gateway, caller: gateway.execute({"tasks": TASKS}, caller),
    "run with a retry": lambda gateway, caller: gateway.execute({"tasks": [*TASKS, AGAIN]}, caller),
    "name": lambda gateway, caller: gateway.call("s", "ask", PARAMS, caller),
}


class Steps:
    """Tools whose calls, and a client whose answers, take three steps, each as long as *step*."""

    def __init__(self, step: Callable[[], Awaitable[None]]) -> None:
        self._step = step
        self.servers = FakeServers()
        self.client = FakeCaller(self._answer)
        path = {"path": {"type": "string"}, "n": {}}
        self.servers.add(tool("s:read", closed=False, readOnlyHint=True), self._called)
        self.servers.add(tool("s:write", path), self._called)
        self.servers.add(tool("s:ask", path), self._asking)
        self.servers.add(tool("s:fail", readOnlyHint=True), self._failing)

    async def _wait(self) -> None:
        for _ in range(3):
            await self._step()

    async def _called(self, n: Any = None, path: str = "") -> Any:
        await self._wait()
        return {"n": n}

    async def _failing(self) -> Any:
        await self._wait()
        return text("no", is_error=True)

    async def _asking(self, caller: Caller, path: str = "") -> Any:
        with caller.waiting():
            await self._wait()
        return await caller.ask("elicitation/create", {})

    async def _answer(self, method: str, params: JsonObject) -> JsonObject:
        await self._wait()
        return structured({"action": "accept"})

    async def ended_by(self, work: Awaitable[object], steps: int) -> bool:
        """Whether *work* has ended after so many *steps*; else it is cancelled then."""
        ended = False

        async def run() -> None:
            nonlocal ended
            await work
            ended = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            for _ in range(steps):
                await self._step()
            is_over = ended
            tasks.cancel_scope.cancel()
        return is_over


def tasks_now() -> int:
    """The number of tasks, without the one that takes what other processes post: it begins with the
    first run, and this history lets it wait until there is something."""
    return sum("Engine._listen" not in task.get_name() for task in asyncio.all_tasks())


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("way", "step"),
    [
        ("run", anyio.lowlevel.checkpoint),
        ("run with a retry", partial(anyio.sleep, 0.125)),
        ("name", anyio.lowlevel.checkpoint),
        ("name", partial(anyio.sleep, 0.125)),
    ],
)
async def test_a_caller_that_is_cancelled_at_any_moment_leaves_nothing_behind(
    way: str, step: Callable[[], Awaitable[None]]
):
    world, history, count = Steps(step), MemoryHistory(), 0
    stacked = parts.stack(world.servers, Resources(), 2**20, lambda change: None)
    limits = GatewayLimits(Limits(gateway=3))
    async with Gateway(
        world.servers, stacked.call_tool, InMemoryRuns(), history=history, limits=limits
    ) as gateway:
        await anyio.wait_all_tasks_blocked()
        tasks, scheduler = tasks_now(), gateway.engine.scheduler
        is_over = False
        while not is_over:
            is_over = await world.ended_by(WAYS[way](gateway, world.client), count)
            count += 1
            with anyio.fail_after(10):  # the tasks that clean up, and the pauses of retries
                while scheduler.runs or scheduler.in_flight:
                    await anyio.sleep(0.1)
            await anyio.wait_all_tasks_blocked()
            assert (scheduler.direct, scheduler.claims.is_free) == ({}, True)
            assert scheduler.locating.is_free
            assert [limit.taken for limit in scheduler.limits.gateways.values()] == [0]
            lanes = [lane for lanes in scheduler.limits.lanes.values() for lane in lanes.values()]
            assert not any(lane.calls for lane in lanes)
            assert scheduler.limits.runs == {}
            assert tasks_now() == tasks
            assert "running" not in {run.status for run in await history.runs(RunQuery())}
    assert count > 6


async def test_the_guard_of_the_servers_keeps_the_lease_of_the_history(tmp_path: Path):
    async with parts.Parts(GatewaySettings(), tmp_path) as made:
        assert made.engine.history is not None
        lease = made.engine.history.lease
        assert lease is not None
        assert made.connections.guard.kept_open == (lease,)
        assert "history.db" in os.listdir(tmp_path)


async def test_runs_of_settings_without_history_are_not_on_the_disk(config: Path, tmp_path: Path):
    off = {"history": HistorySettings(enabled=False), "state_folder": tmp_path / "state"}
    loaded = load_config(config).model_copy(update=off)
    async with Gateway.from_config(loaded) as gateway:
        await gateway.execute(
            {"tasks": [{"id": "a", "tool": "numbers:double", "arguments": {"n": 1}}]}
        )
    assert "history.db" not in os.listdir(tmp_path / "state")


async def test_the_audit_is_in_the_history_and_in_its_file(config: Path, tmp_path: Path):
    file, state = tmp_path / "logs" / "audit.jsonl", tmp_path / "state"
    given = {"audit": AuditSettings(file=file), "state_folder": state}
    loaded = load_config(config).model_copy(update=given)
    async with Gateway.from_config(loaded) as gateway:
        await gateway.settled()
        with suppress(CallError):  # what is unknown is not known to be read-only
            await gateway.call("numbers", "unknown", {"arguments": {"n": 1}})
    check, rows = ChainCheck(), list[JsonObject]()
    history = await open_history(state, runtime_folder(state))
    end = await history.audited(lambda *line: rows.append(check.add(*line)))
    await history.close()
    assert check.fault(end) is None
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["what"] for line in lines] == ["sent", "ended"]
    assert [{**row, "number": 0, "before": ""} for row in rows] == [
        {**line, "number": 0, "before": ""} for line in lines
    ]


async def test_settings_without_history_write_the_audit_to_its_file_alone(
    config: Path, tmp_path: Path
):
    file, state = tmp_path / "audit.jsonl", tmp_path / "state"
    off, to = HistorySettings(enabled=False), AuditSettings(file=file)
    given = {"audit": to, "history": off, "state_folder": state}
    loaded = load_config(config).model_copy(update=given)
    async with Gateway.from_config(loaded) as gateway:
        await gateway.settled()
        await gateway.apply(loaded.model_copy(update={"audit": AuditSettings()}))
        with suppress(CallError):
            await gateway.call("numbers", "unknown", {"arguments": {"n": 1}})
        await gateway.apply(loaded)
        with suppress(CallError):
            await gateway.call("numbers", "unknown", {"arguments": {"n": 2}})
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["what"] for line in lines] == ["sent", "ended"]
    assert lines[0]["arguments"] == digest({"n": 2})
    assert "history.db" not in os.listdir(state)
