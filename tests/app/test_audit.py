"""What a person decides in a command is a row where the settings keep the audit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plait.app.audit import write_down
from plait.config import Config
from plait.config.models import AuditSettings, HistorySettings
from plait.core.audit import ChainCheck
from plait.stores.history.opening import open_history, runtime_folder


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_row_is_in_the_history_and_in_the_file_as_the_settings_say(
    tmp_path: Path, is_kept: bool
):
    file, folder = tmp_path / "audit.jsonl", tmp_path / "state"
    config = Config().model_copy(
        update={
            "state_folder": folder,
            "audit": AuditSettings(file=file),
            "history": HistorySettings(enabled=is_kept),
        }
    )
    await write_down(config, lambda trail: trail.trusted("servers.toml", "d"))
    [line] = file.read_text().splitlines()
    assert json.loads(line)["what"] == "trusted"
    history = await open_history(folder, runtime_folder(folder))
    check = ChainCheck()
    await history.audited(check.add)
    assert check.count == is_kept
    await history.close()
