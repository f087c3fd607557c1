"""A server that asks for roots as soon as it is connected to gets those of its one client, behind
doors to a gateway that others share."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from .places import node, npm_server
from .raw_client import LONGEST_S, Message, RawClient, connected
from .servers import Process, SharedGateway, write_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server is at work, with two folders in it."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    return tmp_path.resolve()


def door(folder: Path, shared: SharedGateway, scope: str) -> Any:
    """A door to a gateway over server-filesystem, which may read *folder* as long as it knows no
    roots."""
    files = Process([node(), npm_server("filesystem"), str(folder)], folder)
    settings = write_settings(
        folder / "servers.toml", {"files": files}, {"expose": "all"}, scope=scope
    )
    return Process(shared.door(settings), folder).transport()


async def is_allowed(peer: RawClient, folder: Path) -> None:
    """Wait until the server may read *folder*, and no other."""
    said = f"Allowed directories:\n{folder}"
    async with asyncio.timeout(LONGEST_S):
        while (await peer.call("files__list_allowed_directories", {}))["content"][0][
            "text"
        ] != said:
            await asyncio.sleep(0.05)


async def test_a_server_of_one_client_may_read_the_roots_of_that_client(
    folder: Path, shared: SharedGateway
):
    roots = [folder / "first"]

    def answer(params: Message) -> Message:
        return {"roots": [{"uri": root.as_uri(), "name": root.name} for root in roots]}

    can, replies = {"roots": {"listChanged": True}}, {"roots/list": answer}
    async with connected(door(folder, shared, "client"), can, replies) as peer:
        await is_allowed(peer, folder / "first")
        roots[:] = [folder / "second"]
        await peer.notify("notifications/roots/list_changed", {})
        await is_allowed(peer, folder / "second")


@pytest.mark.parametrize(
    ("scope", "can"), [("client", {}), ("machine", {"roots": {"listChanged": True}})]
)
async def test_it_keeps_to_its_own_folders_for_a_client_without_roots_or_for_several(
    scope: str, can: Message, folder: Path, shared: SharedGateway
):
    async with connected(door(folder, shared, scope), can) as peer:
        await is_allowed(peer, folder)
        assert peer.asked == []
