"""The state folder, beyond what `test_examination.py` plants."""

from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import pytest

from plait.doctor import state
from plait.doctor.findings import Finding, Mark
from plait.doctor.mending import TakeAway

from .homes import Home


async def rows(home: Home) -> dict[str, Finding]:
    return {one.about: one for one in await state.check(home.case)}


async def test_a_folder_that_is_not_there_yet_is_well(home: Home):
    shutil.rmtree(home.state)
    found = await rows(home)
    assert found["state folder"].says == f"{home.state} is made at the first start"
    assert not home.state.exists()


async def test_a_file_in_its_place_is_wrong(home: Home):
    shutil.rmtree(home.state)
    home.state.touch()
    assert (await rows(home))["state folder"].says == f"{home.state} is not a folder"


async def test_a_folder_of_another_user_is_wrong(home: Home, monkeypatch: pytest.MonkeyPatch):
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    assert "belongs to another user" in (await rows(home))["state folder"].says


async def test_a_folder_that_others_may_write_to_is_mended(home: Home):
    home.state.chmod(0o770)
    row = next(one for one in await state.check(home.case) if one.mend)
    assert row.mend == TakeAway(home.state, 0o020)


async def test_a_disk_that_is_nearly_full_is_wrong(home: Home, monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 5 * 2**20))
    row = (await rows(home))["state folder"]
    assert (row.mark, row.says) == (Mark.WRONG, f"the disk of {home.state} has 5 MB left")


async def test_a_large_folder_is_looked_at(home: Home):
    (home.state / "sparse").touch()
    os.truncate(home.state / "sparse", 7 * 2**30)
    row = (await rows(home))["state folder"]
    assert (row.mark, row.says) == (Mark.LOOK, f"{home.state} has 7.0 GB")


async def test_a_clock_before_the_installation_is_wrong(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    row = (await rows(home))["clock"]
    assert (row.mark, row.says.partition(",")[0]) == (Mark.WRONG, "it says 2001-09-09 01:46 UTC")
