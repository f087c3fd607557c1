"""A server that asks for roots as soon as it is connected to gets those of the one client of the
gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from .places import PLAIT, node, npm_server
from .raw_client import LONGEST_S, Message, RawClient, connected
from .servers import Process, write_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server is at work, with two folders in it."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    return tmp_path.resolve()


def serving(folder: Path) -> Process:
    """A gateway over stdio."""
    command = [*PLAIT, "serve", "--isolated", "--config", str(settings(folder))]
    return Process(command, folder, {"PLAIT_STATE_DIR": str(folder / "state")})


def settings(folder: Path) -> Path:
    """Of a gateway over server-filesystem, which may read *folder* as long as it knows no roots."""
    files = Process([node(), npm_server("filesystem"), str(folder)], folder)
    return write_settings(folder / "servers.toml", {"files": files}, {"expose": "all"})


async def is_allowed(peer: RawClient, folder: Path) -> None:
    """Wait until the server may read *folder*, and no other."""
    said = f"Allowed directories:\n{folder}"
    async with asyncio.timeout(LONGEST_S):
        while (await peer.call("files__list_allowed_directories", {}))["content"][0][
            "text"
        ] != said:
            await asyncio.sleep(0.05)


async def test_the_filesystem_server_may_read_the_roots_of_the_client(folder: Path):
    roots = [folder / "first"]

    def answer(params: Message) -> Message:
        return {"roots": [{"uri": root.as_uri(), "name": root.name} for root in roots]}

    async with connected(
        serving(folder).transport(), {"roots": {"listChanged": True}}, {"roots/list": answer}
    ) as peer:
        await is_allowed(peer, folder / "first")
        roots[:] = [folder / "second"]
        await peer.notify("notifications/roots/list_changed", {})
        await is_allowed(peer, folder / "second")


async def test_it_keeps_to_its_own_folders_for_a_client_without_roots(folder: Path):
    async with connected(serving(folder).transport()) as peer:
        await is_allowed(peer, folder)
        assert peer.asked == []
