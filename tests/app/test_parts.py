"""What every call passes and every observer gets, in a gateway made from settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plait.app import parts
from plait.app.gateway import Gateway
from plait.config import load_config
from plait.config.models import ToolSettings
from plait.core.ports import ToolCall
from plait.core.scheduling.events import Notice
from plait.core.tools.catalog import ServerState
from plait.core.tools.circuit import IN_A_ROW, CircuitState
from plait.core.tools.server_notices import CircuitChanged, ServerChanged, SettingsReloaded
from plait.core.values.strict import JsonObject

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
    assert states[0] == ("numbers", ServerState.CONNECTING, ServerState.READY)
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
