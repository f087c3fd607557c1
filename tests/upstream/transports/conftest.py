"""A tool that hangs."""

from __future__ import annotations

import anyio
import pytest

from ...fakes import FakeServers


@pytest.fixture
def hanging(servers: FakeServers) -> anyio.Event:
    """Set when `s:hang` was called."""
    called = anyio.Event()

    async def hang() -> None:
        called.set()
        await anyio.sleep_forever()

    servers.add("s:hang", hang)
    return called
