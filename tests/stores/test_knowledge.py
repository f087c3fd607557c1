"""What callers have seen is kept in one private file, until their last client leaves."""

from __future__ import annotations

import logging
import stat
from pathlib import Path
from typing import Any

import pytest

from plait.core.flows.knowledge import Knowledge, Owner
from plait.core.values.principal import USER
from plait.stores.knowledge import FILE_NAME, MAX_AGE_S, KnowledgeFile

ADA, BOB = Owner(USER, "/ada"), Owner(USER, "/bob")
X = ("file:", "x")


class Gateway:
    """The knowledge of one process, and its file."""

    alive: set[int]

    def __init__(self, folder: Path, holder: int, alive: set[int], now: float = 1e9) -> None:
        alive.add(holder)
        self.knowledge = Knowledge()
        self.file = KnowledgeFile(
            self.knowledge, folder, holder=holder, is_alive=alive.__contains__, now=lambda: now
        )
        self.file.is_keeping = True

    async def saw(self, owner: Owner, *tools: str) -> None:
        self.knowledge.see(owner, tools)
        await self.file.save()


async def known_in(folder: Path, alive: set[int], **options: Any) -> Knowledge:
    gateway = Gateway(folder, 99, alive, **options)
    await gateway.file.load()
    alive.discard(99)
    return gateway.knowledge


async def test_the_next_gateway_knows_what_the_clients_of_a_dead_one_have_seen(tmp_path: Path):
    alive: set[int] = set()
    first = Gateway(tmp_path, 1, alive)
    first.knowledge.write(ADA, X, ["files:read"], "r1")
    await first.saw(ADA, "files:read", "web:get")
    alive.discard(1)
    second = Gateway(tmp_path, 2, alive)
    await second.file.load()
    assert second.knowledge.seen_by(ADA) == {"files:read", "web:get"}
    assert second.knowledge.held == {X: {"files:read"}}


async def test_what_was_taken_over_is_kept_and_forgotten_like_our_own(tmp_path: Path):
    alive: set[int] = set()
    await Gateway(tmp_path, 1, alive).saw(ADA, "files:read")
    alive.discard(1)
    second = Gateway(tmp_path, 2, alive)
    await second.file.load()
    await second.saw(ADA, "web:get")
    alive.discard(2)
    assert (await known_in(tmp_path, alive)).seen_by(ADA) == {"files:read", "web:get"}
    second.knowledge.forget("/ada")
    await second.file.save()
    assert not (await known_in(tmp_path, alive)).owners


async def test_living_gateways_leave_each_other_their_entries(tmp_path: Path):
    alive: set[int] = set()
    one, other = Gateway(tmp_path, 1, alive), Gateway(tmp_path, 2, alive)
    await one.saw(ADA, "files:read")
    await other.file.load()
    await other.saw(BOB, "web:get")
    assert other.knowledge.seen_by(ADA) == {"files:read"}  # it may serve that folder too
    one.knowledge.forget("/ada")
    await one.file.save()
    found = await known_in(tmp_path, alive)
    assert found.owners.keys() == {BOB}


async def test_entries_that_are_too_old_are_not_taken_over(tmp_path: Path):
    alive: set[int] = set()
    await Gateway(tmp_path, 1, alive).saw(ADA, "files:read")
    alive.discard(1)
    assert (await known_in(tmp_path, alive, now=1e9 + MAX_AGE_S - 1)).owners
    assert not (await known_in(tmp_path, alive, now=1e9 + MAX_AGE_S + 1)).owners


async def test_a_command_that_works_alone_writes_nothing(tmp_path: Path):
    alone = Gateway(tmp_path, 1, set())
    alone.file.is_keeping = False
    await alone.saw(ADA, "files:read")
    assert not (tmp_path / FILE_NAME).exists()


async def test_the_file_is_private_and_holds_no_more_than_names(tmp_path: Path):
    await Gateway(tmp_path, 1, set()).saw(ADA, "files:read")
    file = tmp_path / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == (
        '{"version":1,"entries":[{"holder":1,"at":1000000000.0,"principal":"user",'
        '"place":"/ada","seen":["files:read"],"written":[]}]}'
    )


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1, "entries": [{}]}', "\x00"])
async def test_a_damaged_file_is_logged_once_and_replaced(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, "plait")
    (tmp_path / FILE_NAME).write_text(text)
    gateway = Gateway(tmp_path, 1, set())
    await gateway.file.load()
    await gateway.file.load()
    await gateway.saw(ADA, "files:read")
    assert [record.message for record in caplog.records] == ["seen.not_read"]
    assert (await known_in(tmp_path, set())).seen_by(ADA) == {"files:read"}


async def test_a_file_of_another_version_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, "plait")
    (tmp_path / FILE_NAME).write_text('{"version": 2}')
    gateway = Gateway(tmp_path, 1, set())
    await gateway.file.load()
    await gateway.saw(ADA, "files:read")
    assert (tmp_path / FILE_NAME).read_text() == '{"version": 2}'
    assert len(caplog.records) == 1
    assert gateway.knowledge.seen_by(ADA) == {"files:read"}
