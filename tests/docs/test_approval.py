"""The page on approval: its settings are those of the program, and its preview can be applied."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from plait.config import Config, load_config
from plait.core.language.reader import read_dag
from plait.core.scheduling.holding import ASK_S

from ..cli.test_trusting import on_a_terminal, read_to_the_end, read_until
from ..core.results.test_approval import asked_in
from ..core.scheduling.test_holding import write
from .blocks import BLOCKS, ROOT, Block

PAGE = ROOT / "docs" / "approval.md"


def of_the_page(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.page == PAGE and block.language == language]


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 3)])
def test_its_two_minutes_lead_to_the_screen_and_to_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
):
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    _, settings = of_the_page("toml")
    document, _ = of_the_page("json")
    [command], [screen, again] = of_the_page("sh"), of_the_page("text")
    (tmp_path / "servers.toml").write_text(settings.text)
    (tmp_path / "notes.json").write_text(document.text)
    program, *words = shlex.split(command.text)
    assert program == "plait"
    with on_a_terminal(*words, cwd=tmp_path) as (process, terminal):
        said = read_until(terminal, "leave it waiting")
        assert screen.text.strip() in said.replace("\r\n", "\n")
        files = {"servers.toml", "notes.json"}
        assert {path.name for path in tmp_path.iterdir() if path.is_file()} == files
        os.write(terminal, f"{answer}\n".encode())
        read_to_the_end(terminal)
        process.communicate()
    assert process.returncode == code
    new = {"copy.toml", "list.txt"} if answer == "y" else set()
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == files | new
    if answer == "y":
        (tmp_path / "servers.toml").write_text(f'{settings.text.rstrip()}\nlater = "cover"\n')
        with on_a_terminal(*words, cwd=tmp_path) as (process, terminal):
            said = read_until(terminal, "leave it waiting").replace("\r\n", "\n")
            assert again.text.strip() in "\n".join(map(str.rstrip, said.splitlines()))
            os.write(terminal, b"n\n")
            read_to_the_end(terminal)
            process.communicate()


def test_its_settings_are_read_and_those_of_asking_are_the_defaults(tmp_path: Path):
    block, _ = of_the_page("toml")
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
    _, block = of_the_page("json")
    assert read_dag(block.text).dag.apply is not None
    assert not read_dag(block.text).problems
