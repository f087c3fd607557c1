"""What was learned is kept in one private file, beside what others write, and nothing depends on
it."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.app.gateway import Gateway
from plait.config import Config, load_config
from plait.core.scheduling.events import Key, Status
from plait.core.scheduling.notices import Changed, Finished, Notice
from plait.core.tools.tool_stats import ToolStats
from plait.stores.tool_stats import FILE_NAME, MAX_FILE_BYTES, StatsFile
from tests.fakes import tool

LIST = tool("s:list", {"q": {"type": "string"}})
SECRETS = (
    "hunter2",
    "ada@example.com",
    "/home/ada/.ssh/id_rsa",
    "AKIAIOSFODNN7EXAMPLE",
    "4111111111111111",
    "Lovelace",
)


def learned(seconds: float = 1.0, value: Any = None) -> ToolStats:
    made = ToolStats()
    made.saw(LIST, seconds, value)
    return made


async def kept_in(folder: Path) -> ToolStats:
    found = ToolStats()
    await StatsFile(found, folder).load()
    return found


async def _until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not is_so():
            await anyio.sleep(0.01)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, "plait")
    return lambda: [record.message for record in caplog.records]


async def test_what_was_learned_is_known_at_the_next_start(tmp_path: Path):
    await StatsFile(learned(2.0, {"id": 1}), tmp_path).save()
    found = await kept_in(tmp_path)
    shape = found.shape(LIST)
    assert found.seconds(LIST) == 2.0
    assert shape is not None
    assert shape.shape() == "{id}"


async def test_the_file_and_its_folder_are_for_their_owner_alone(tmp_path: Path):
    folder = tmp_path / "state" / "plait"
    await StatsFile(learned(), folder).save()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600


async def test_nothing_but_the_file_is_left_in_the_folder(tmp_path: Path):
    memory_of = learned()
    memory = StatsFile(memory_of, tmp_path)
    for _ in range(3):
        memory_of.saw(LIST, 1.0, None)
        await memory.save()
    assert os.listdir(tmp_path) == [FILE_NAME]


async def test_no_value_is_written_whatever_the_outputs_hold(tmp_path: Path):
    made = ToolStats()
    for secret in SECRETS:
        record: Any = {
            "id": 1,
            "title": secret,
            "state": "open",
            secret: secret,
            "tags": [secret, {secret: 1}],
        }
        values: list[Any] = [
            secret,
            [secret],
            {secret: 1},
            record,
            [record] * 5,
            {"items": [{"user": {secret: secret}}]},
        ]
        for value in values:
            made.saw(tool(f"s:{made.tools}"), 1.0, value)
            for _ in range(10):
                made.saw(LIST, 1.0, value)
    await StatsFile(made, tmp_path).save()
    text = (tmp_path / FILE_NAME).read_text()
    assert '"title"' in text
    assert [secret for secret in SECRETS if secret.lower() in text.lower()] == []


async def test_what_others_wrote_meanwhile_stays(tmp_path: Path):
    one, other = learned(1.0, {"id": 1}), learned(3.0, {"title": "x"})
    other.saw(tool("s:more"), 5.0, None)
    first, second = StatsFile(one, tmp_path), StatsFile(other, tmp_path)
    await first.save()
    await second.save()
    one.saw(tool("s:third"), 7.0, None)
    await first.save()
    found = await kept_in(tmp_path)
    shape = found.shape(LIST)
    assert [found.seconds(each) for each in (LIST, tool("s:more"), tool("s:third"))] == [
        2.0,
        5.0,
        7.0,
    ]
    assert one.seconds(tool("s:more")) == 5.0
    assert shape is not None
    assert set(shape.properties) == {"id", "title"}


async def test_nothing_is_written_when_nothing_is_new(tmp_path: Path):
    memory = StatsFile(learned(), tmp_path)
    await memory.save()
    (tmp_path / FILE_NAME).unlink()
    await memory.save()
    assert os.listdir(tmp_path) == []


CALLED = Changed(Key("", "s:list", 1), "s:list", Status.RUNNING, Status.SUCCESS, 1, 1.0)


@pytest.mark.parametrize("notice", [Finished("r_1", "success", 1.0, 1.0, None, {}), CALLED])
async def test_after_a_run_or_a_call_it_is_written_and_then_not_for_a_while(
    tmp_path: Path, notice: Notice
):
    made, file = learned(), tmp_path / FILE_NAME
    memory = StatsFile(made, tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(memory.keep)
        memory.observe(notice)
        await _until(file.exists)
        before = file.read_text()
        made.saw(LIST, 50.0, None)
        memory.observe(Finished("r_2", "success", 2.0, 1.0, None, {}))
        await anyio.wait_all_tasks_blocked()
        assert file.read_text() == before
        tasks.cancel_scope.cancel()


BROKEN = {
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "too deep": b"[" * 10_000 + b"]" * 10_000,
    "twice": b'{"version": 1, "version": 1}',
    "too large": b" " * (MAX_FILE_BYTES + 1),
    "NaN": b'{"version": 1, "tools": {"s:list": {"seconds": [NaN]}}}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
async def test_a_broken_file_is_told_once_and_replaced(
    tmp_path: Path, content: bytes, warnings: Callable[[], list[str]]
):
    (tmp_path / FILE_NAME).write_bytes(content)
    made = ToolStats()
    memory = StatsFile(made, tmp_path)
    await memory.load()
    await memory.load()
    assert warnings() == ["tool_stats.not_read"]
    assert made.tools == 0
    made.saw(LIST, 1.0, None)
    await memory.save()
    assert (await kept_in(tmp_path)).seconds(LIST) == 1.0


async def test_a_named_pipe_in_the_place_of_the_file_makes_nobody_wait(
    tmp_path: Path, warnings: Callable[[], list[str]]
):
    os.mkfifo(tmp_path / FILE_NAME)
    await StatsFile(learned(), tmp_path).load()
    assert warnings() == ["tool_stats.not_read"]


async def test_a_folder_that_cannot_be_written_is_told_once(
    tmp_path: Path, warnings: Callable[[], list[str]]
):
    (tmp_path / "file").write_text("no folder")
    made = learned()
    memory = StatsFile(made, tmp_path / "file")
    for _ in range(3):
        made.saw(LIST, 1.0, None)
        await memory.save()
    assert len(warnings()) == 1


async def test_what_could_not_be_written_is_written_later(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.write_text("no folder yet")
    memory = StatsFile(learned(4.0), folder)
    await memory.save()
    folder.unlink()
    await memory.save()
    assert (await kept_in(folder)).seconds(LIST) == 4.0


def settings(tmp_path: Path, *, learn: bool = True) -> Config:
    """The bundled server alone, with a state folder of its own."""
    (tmp_path / "note.txt").write_text("words")
    file = tmp_path / "servers.toml"
    file.write_text(
        f'gateway.learn = {str(learn).lower()}\nservers.workspace.builtin = "workspace"\n'
    )
    return load_config(file, {"PLAIT_STATE_DIR": "state"}, tmp_path)


async def run_once(config: Config) -> float | None:
    """What a call was expected to take before the run."""
    async with Gateway.from_config(config) as gateway:
        await gateway.settled()
        known = gateway.catalog().find("workspace:read_file")
        assert known is not None
        expected = gateway.learned.seconds(known)
        task = {"id": "a", "tool": "workspace:read_file", "arguments": {"path": "note.txt"}}
        assert (await gateway.execute({"tasks": [task]})).status == "success"
    return expected


async def test_a_gateway_learns_from_its_runs_and_knows_it_at_the_next_start(tmp_path: Path):
    config = settings(tmp_path)
    assert await run_once(config) is None
    assert await run_once(config) is not None
    assert (await kept_in(tmp_path / "state")).tools == 1


async def test_with_learn_switched_off_nothing_is_learned_or_read(tmp_path: Path):
    assert await run_once(settings(tmp_path, learn=False)) is None
    assert not (tmp_path / "state" / FILE_NAME).exists()
    await run_once(settings(tmp_path))
    assert await run_once(settings(tmp_path, learn=False)) is None


async def test_settings_made_in_python_keep_nothing(tmp_path: Path, state_folder: Path):
    async with Gateway.from_config(Config()) as gateway:
        gateway.learned.saw(LIST, 1.0, None)
    assert (
        not (state_folder / FILE_NAME).exists()
        or (await kept_in(state_folder)).seconds(LIST) is None
    )
