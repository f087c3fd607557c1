"""What is kept of servers is in private files, holds no secrets, and nothing depends on it."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from plait.config import ServerSettings
from plait.core.values.strict import Json
from plait.downstream.listings import listing_cache as remembered
from plait.downstream.listings.listing_cache import ListingCache, file_key

HTTP = ServerSettings(url="https://example.com/mcp")


async def put(folder: Path, **members: Json) -> Path:
    """The file of one server of which *members* are kept."""
    changing = ListingCache(folder)
    for member, value in members.items():
        changing.of("s", HTTP).put(member, value)
    await changing.save()
    return folder / "servers" / f"{file_key('s', HTTP)}.json"


async def kept(folder: Path) -> dict[str, Json]:
    changing = ListingCache(folder)
    found = changing.of("s", HTTP)
    await changing.load()
    return found.document


async def test_what_was_put_is_there_at_the_next_start(tmp_path: Path):
    await put(tmp_path, tools=[{"name": "x"}], era="modern", gone=1)
    assert await kept(tmp_path) == {"tools": [{"name": "x"}], "era": "modern", "gone": 1}
    changing = ListingCache(tmp_path)
    found = changing.of("s", HTTP)
    await changing.load()
    found.put("gone", None)
    await changing.save()
    assert await kept(tmp_path) == {"tools": [{"name": "x"}], "era": "modern"}


async def test_what_is_known_already_is_not_replaced_by_what_a_file_holds(tmp_path: Path):
    await put(tmp_path, era="legacy", title="old")
    changing = ListingCache(tmp_path)
    changing.of("s", HTTP).put("era", "modern")
    await changing.load()
    assert changing.of("s", HTTP).document == {"era": "modern", "title": "old"}


async def test_only_its_owner_can_read_it(tmp_path: Path):
    file = await put(tmp_path / "new", era="modern")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_what_a_file_holds_already_is_not_written_again(tmp_path: Path):
    file = await put(tmp_path, era="modern")
    before = file.stat().st_mtime_ns, file.stat().st_ino
    changing = ListingCache(tmp_path)
    found = changing.of("s", HTTP)
    await changing.load()
    found.put("era", "legacy")
    found.put("era", "modern")
    await changing.save()
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    found.put("era", "legacy")
    await changing.save()
    assert (file.stat().st_mtime_ns, file.stat().st_ino) != before


async def test_without_a_folder_everything_works_and_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    changing = ListingCache(None)
    changing.of("s", HTTP).put("era", "modern")
    await changing.load()
    await changing.save()
    assert changing.of("s", HTTP).get("era") == "modern"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', '{"version": 1, "x": NaN}', "\xff"])
async def test_a_broken_file_is_nothing_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str):
    file = await put(tmp_path, era="modern")
    file.write_bytes(text.encode("latin-1"))
    assert await kept(tmp_path) == {}
    assert [record.message for record in caplog.records] == ["remembered.not_read"]


async def test_what_is_no_file_or_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = await put(tmp_path, era="modern", x="x" * 1_000)
    monkeypatch.setattr(remembered, "MAX_FILE_BYTES", 1_000)
    assert await kept(tmp_path) == {}
    file.unlink()
    os.mkfifo(file)
    assert await kept(tmp_path) == {}


async def test_what_is_too_large_is_not_written_and_the_rest_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(remembered, "MAX_FILE_BYTES", 1_000)
    changing = ListingCache(tmp_path)
    changing.of("large", HTTP).put("x", "x" * 1_000)
    changing.of("s", HTTP).put("era", "modern")
    await changing.save()
    assert await kept(tmp_path) == {"era": "modern"}
    assert [record.message for record in caplog.records] == ["remembered.not_written"]


async def test_a_folder_that_cannot_be_made_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    (tmp_path / "servers").write_text("in the way")
    changing = ListingCache(tmp_path)
    for number in range(3):
        changing.of("s", HTTP).put("x", number)
        await changing.save()
    assert [record.message for record in caplog.records] == ["remembered.not_written"]


async def test_files_of_servers_that_are_long_gone_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remembered, "MAX_FILES", 3)
    for number in range(5):
        changing = ListingCache(tmp_path)
        changing.of(f"s{number}", HTTP).put("x", number)
        await changing.save()
        for file in (tmp_path / "servers").iterdir():
            os.utime(file, (number, number) if file.name.startswith(f"s{number}") else None)
    names = {file.name.partition("-")[0] for file in (tmp_path / "servers").iterdir()}
    assert len(names) == 3
    assert "s4" in names


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"url": "https://x/mcp", "headers": {"A": "1"}}, {"url": "https://x/mcp", "headers": {"A": "2"}}),
    ({"url": "https://u:1@x/mcp?key=1"}, {"url": "https://u:2@x/mcp?key=2"}),
    ({"command": "c", "env": {"A": "1"}}, {"command": "c", "env": {"A": "2"}}),
    ({"command": "c", "timeout_s": 1, "include": ["a"]}, {"command": "c", "lazy": True}),
]
OTHER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"url": "https://x/mcp"}, {"url": "https://y/mcp"}),
    ({"url": "https://x/mcp"}, {"url": "https://x/mcp", "transport": "sse"}),
    ({"url": "https://x/mcp?key=1"}, {"url": "https://x/mcp?user=1"}),
    ({"url": "https://x/mcp", "headers": {"A": "1"}}, {"url": "https://x/mcp", "headers": {"B": "1"}}),
    ({"command": "c", "env": {"A": "1"}}, {"command": "c"}),
    ({"command": "c", "args": ["a b"]}, {"command": "c", "args": ["a", "b"]}),
    ({"command": "c"}, {"command": "c", "cwd": "/"}),
    ({"command": "c"}, {"command": "c", "protocol": "legacy"}),
    ({"builtin": "workspace", "root": "/a"}, {"builtin": "workspace", "root": "/b"}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_secrets_and_rules_do_not_make_another_server(one: dict[str, Any], other: dict[str, Any]):
    assert file_key("s", ServerSettings(**one)) == file_key("s", ServerSettings(**other))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_leads_to_a_server_does(one: dict[str, Any], other: dict[str, Any]):
    assert file_key("s", ServerSettings(**one)) != file_key("s", ServerSettings(**other))
    assert file_key("s", ServerSettings(**one)) != file_key("t", ServerSettings(**one))
