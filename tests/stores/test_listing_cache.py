"""What is kept of servers is in private files, holds no secrets, and nothing depends on it."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from plait.core.values.strict import Json
from plait.stores import listing_cache
from plait.stores.listing_cache import ListingCache


async def put(folder: Path, **members: Json) -> Path:
    """The file of one server of which *members* are kept."""
    changing = ListingCache(folder)
    for member, value in members.items():
        changing.of("s").put(member, value)
    await changing.save()
    return folder / "servers" / "s.json"


async def kept(folder: Path) -> dict[str, Json]:
    changing = ListingCache(folder)
    found = changing.of("s")
    await changing.load()
    return found.document


async def test_what_was_put_is_there_at_the_next_start(tmp_path: Path):
    await put(tmp_path, tools=[{"name": "x"}], era="modern", gone=1)
    assert await kept(tmp_path) == {"tools": [{"name": "x"}], "era": "modern", "gone": 1}
    changing = ListingCache(tmp_path)
    found = changing.of("s")
    await changing.load()
    found.put("gone", None)
    await changing.save()
    assert await kept(tmp_path) == {"tools": [{"name": "x"}], "era": "modern"}


async def test_what_is_known_already_is_not_replaced_by_what_a_file_holds(tmp_path: Path):
    await put(tmp_path, era="legacy", title="old")
    changing = ListingCache(tmp_path)
    changing.of("s").put("era", "modern")
    await changing.load()
    assert changing.of("s").document == {"era": "modern", "title": "old"}


async def test_only_its_owner_can_read_it(tmp_path: Path):
    file = await put(tmp_path / "new", era="modern")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_what_a_file_holds_already_is_not_written_again(tmp_path: Path):
    file = await put(tmp_path, era="modern")
    before = file.stat().st_mtime_ns, file.stat().st_ino
    changing = ListingCache(tmp_path)
    found = changing.of("s")
    await changing.load()
    found.put("era", "legacy")
    found.put("era", "modern")
    await changing.save()
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    found.put("era", "legacy")
    await changing.save()
    assert (file.stat().st_mtime_ns, file.stat().st_ino) != before


async def test_without_a_folder_everything_works_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    changing = ListingCache(None)
    changing.of("s").put("era", "modern")
    await changing.load()
    await changing.save()
    assert changing.of("s").get("era") == "modern"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 2}', '{"version": 1, "x": NaN}', "\xff"]
)
async def test_a_broken_file_is_nothing_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
):
    file = await put(tmp_path, era="modern")
    file.write_bytes(text.encode("latin-1"))
    assert await kept(tmp_path) == {}
    assert [record.message for record in caplog.records] == ["listing_cache.not_read"]


async def test_what_is_no_file_or_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = await put(tmp_path, era="modern", x="x" * 1_000)
    monkeypatch.setattr(listing_cache, "MAX_FILE_BYTES", 1_000)
    assert await kept(tmp_path) == {}
    file.unlink()
    os.mkfifo(file)
    assert await kept(tmp_path) == {}


async def test_what_is_too_large_is_not_written_and_the_rest_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(listing_cache, "MAX_FILE_BYTES", 1_000)
    changing = ListingCache(tmp_path)
    changing.of("large").put("x", "x" * 1_000)
    changing.of("s").put("era", "modern")
    await changing.save()
    assert await kept(tmp_path) == {"era": "modern"}
    assert [record.message for record in caplog.records] == ["listing_cache.not_written"]


async def test_a_folder_that_cannot_be_made_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    (tmp_path / "servers").write_text("in the way")
    changing = ListingCache(tmp_path)
    for number in range(3):
        changing.of("s").put("x", number)
        await changing.save()
    assert [record.message for record in caplog.records] == ["listing_cache.not_written"]


async def test_files_of_servers_that_are_long_gone_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listing_cache, "MAX_FILES", 3)
    for number in range(5):
        changing = ListingCache(tmp_path)
        changing.of(f"s{number}").put("x", number)
        await changing.save()
        for file in (tmp_path / "servers").iterdir():
            os.utime(file, (number, number) if file.name.startswith(f"s{number}.") else None)
    names = {file.name.removesuffix(".json") for file in (tmp_path / "servers").iterdir()}
    assert len(names) == 3
    assert "s4" in names
