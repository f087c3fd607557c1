"""The page on approval: its settings are those of the program, and its preview can be applied."""

from __future__ import annotations

import re
from pathlib import Path

from plait.config import Config, load_config
from plait.core.language.reader import read_dag
from plait.core.scheduling.holding import ASK_S

from ..core.results.test_approval import asked_in
from ..core.scheduling.test_holding import write
from .blocks import BLOCKS, ROOT

PAGE = ROOT / "docs" / "approval.md"


def test_its_settings_are_read_and_those_of_asking_are_the_defaults(tmp_path: Path):
    [block] = [block for block in BLOCKS if block.page == PAGE and block.language == "toml"]
    (tmp_path / "servers.toml").write_text(block.text)
    config = load_config(tmp_path / "servers.toml", {})
    assert config.approving() == Config().approving()
    policy = config.policy
    assert (policy.ask, policy.ask_each) == (("write",), ("bank:*",))
    assert f"{ASK_S:g} s after the first call was held" in PAGE.read_text()


def test_its_table_has_every_member_of_a_question():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert rows == [*asked_in(write("w")).document()]


def test_its_document_applies_a_preview():
    [block] = [block for block in BLOCKS if block.page == PAGE and block.language == "json"]
    assert read_dag(block.text).dag.apply is not None
    assert not read_dag(block.text).problems
