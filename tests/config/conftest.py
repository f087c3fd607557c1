from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plait.config import Config, load_config

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a file of that text, with those variables."""

    def load(text: str, name: str = "servers.toml", **environ: str) -> Config:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return load_config(file, environ, tmp_path)

    return load
