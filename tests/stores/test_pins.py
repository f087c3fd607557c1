"""The definitions of tools as they were first used, in files that several processes share."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.core.tools.definitions import hash_of
from plait.stores import pins
from plait.stores.pins import Pins, ServerPins, file_of

FIRST: dict[str, Any] = {"description": "Look.", "inputSchema": {"type": "object"}}
SECOND: dict[str, Any] = {**FIRST, "description": "Send all."}


async def settle(of: ServerPins, definition: dict[str, Any], tool: str = "look") -> bool:
    return await of.settle(tool, hash_of(definition), definition)


async def test_the_first_definition_is_pinned_and_another_one_is_not_it():
    of = Pins(None).of("s")
    assert not of.has("look", hash_of(FIRST))
    assert await settle(of, FIRST)
    assert of.has("look", hash_of(FIRST))
    assert not await settle(of, SECOND)
    assert await settle(of, FIRST)


async def test_it_stays_pinned_over_a_restart(tmp_path: Path):
    first = Pins(tmp_path)
    assert await settle(first.of("s"), FIRST)
    await first.save()
    again = Pins(tmp_path).of("s")
    assert not await settle(again, SECOND)
    assert await settle(again, FIRST)
    file = file_of(tmp_path, "s")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert pins.read(file) == {"look": FIRST}


async def test_only_what_describes_the_tool_is_kept(tmp_path: Path):
    made = Pins(tmp_path)
    definition = {"name": "look", **FIRST, "_meta": {"token": "s3cret"}}
    assert await settle(made.of("s"), definition)
    await made.save()
    assert pins.read(file_of(tmp_path, "s")) == {"look": FIRST}


async def test_of_two_processes_the_first_to_write_decides(tmp_path: Path):
    one, other = Pins(tmp_path), Pins(tmp_path)
    assert await settle(one.of("s"), FIRST)
    assert await settle(other.of("s"), SECOND)
    assert await settle(other.of("s"), SECOND, "more")
    await one.save()
    await other.save()
    assert pins.read(file_of(tmp_path, "s")) == {"look": FIRST, "more": SECOND}
    assert not await settle(Pins(tmp_path).of("s"), SECOND)


async def test_what_a_person_accepts_meanwhile_counts_at_once(tmp_path: Path):
    made = Pins(tmp_path)
    of = made.of("s")
    assert await settle(of, FIRST)
    await made.save()
    assert not await settle(of, SECOND)
    pins.accept(file_of(tmp_path, "s"), {"look": SECOND})
    assert await settle(of, SECOND)
    assert not await settle(of, FIRST)


async def test_changed_tools_are_those_that_are_listed_otherwise(tmp_path: Path):
    of = Pins(None).of("s")
    for tool in ("look", "same", "gone"):
        assert await settle(of, FIRST, tool)
    now = {"look": hash_of(SECOND), "same": hash_of(FIRST), "new": hash_of(SECOND)}
    assert of.changed(now.get) == ("look",)


async def test_new_pins_are_written_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pins, "PAUSE_S", 0)
    made = Pins(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.keep)
        assert await settle(made.of("s"), FIRST)
        with anyio.fail_after(10):
            while not file_of(tmp_path, "s").exists():
                await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2, "tools": {}}', "\0"])
async def test_a_file_that_cannot_be_read_is_logged_once_and_stops_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
):
    file = file_of(tmp_path, "s")
    file.parent.mkdir()
    file.write_text(text)
    of = Pins(tmp_path).of("s")
    with caplog.at_level(logging.WARNING):
        assert await settle(of, FIRST)
        assert not await settle(of, SECOND)
    assert [record.message for record in caplog.records] == ["pins.not_read"]


async def test_a_folder_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "pins").write_text("in the way")
    made = Pins(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert await settle(made.of("s"), FIRST)
        await made.save()
        assert await settle(made.of("s"), FIRST, "more")
        await made.save()
    assert len(caplog.records) == 1


async def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(tmp_path: Path):
    file = file_of(tmp_path, "s")
    file.parent.mkdir()
    os.mkfifo(file)
    of = Pins(tmp_path).of("s")
    assert await settle(of, FIRST)


async def test_pins_of_servers_are_apart(tmp_path: Path):
    made = Pins(tmp_path)
    assert await settle(made.of("a"), FIRST)
    assert await settle(made.of("b"), SECOND)
    assert made.of("a") is made.of("a")
