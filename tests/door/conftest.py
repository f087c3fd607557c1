from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .clients import Machine


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    """A machine with a scripted gateway, in a folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="pd", dir="/tmp") as folder:
        machine = Machine(Path(folder))
        yield machine
        await machine.end()
