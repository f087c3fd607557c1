"""The page on the audit: its table has every kind of row, and its file is a setting."""

from __future__ import annotations

import re
from pathlib import Path

from plait.config import load_config
from plait.core.audit import What

from .blocks import BLOCKS, ROOT

PAGE = ROOT / "docs" / "audit.md"


def test_its_table_has_every_kind_of_row():
    rows = re.findall(r"^\| `(\w+)` \| ", PAGE.read_text(), re.MULTILINE)
    assert [row for row in rows if row != "what"] == [*What]


def test_its_setting_is_read(tmp_path: Path):
    [block] = [block for block in BLOCKS if block.page == PAGE and block.language == "toml"]
    (tmp_path / "servers.toml").write_text(block.text)
    config = load_config(tmp_path / "servers.toml", {})
    assert config.audit.file == Path("/var/log/plait/audit.jsonl")


def test_its_rows_are_shown_as_the_command_shows_them():
    shown = re.findall(r"^\| 2026-\S+ \S+ \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    assert shown == ["asked", "answered", "sent", "ended"]
