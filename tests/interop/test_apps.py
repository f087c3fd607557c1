"""Tools with a user interface (MCP apps) come through the gateway from a server that has them only
for clients that say they can show them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .comparing import as_text
from .exposing import reached
from .places import HERE
from .raw_client import Message, connected
from .servers import Process, SharedGateway, write_settings

UI: Message = {
    "extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}
}


@pytest.mark.parametrize("declared", [{}, UI])
async def test_an_app_is_served_as_it_is(declared: Message, tmp_path: Path, shared: SharedGateway):
    app = Process([sys.executable, str(HERE / "app_server.py"), "--picky"], tmp_path)
    settings = write_settings(tmp_path / "servers.toml", {"app": app}, {"expose": "all"})
    gateway = Process(shared.door(settings), tmp_path)
    async with (
        connected(app.transport()) as other,
        connected(app.transport(), UI) as direct,
        connected(gateway.transport(), declared) as peer,
    ):
        await reached(peer, "app")
        assert await other.list_all("tools") == []
        [tool] = await direct.list_all("tools")
        served = {tool["name"]: tool for tool in await peer.list_all("tools")}
        assert as_text(served["app__clock"]) == as_text({**tool, "name": "app__clock"})
        page = {"uri": tool["_meta"]["ui"]["resourceUri"]}
        assert await peer.request("resources/read", page) == await direct.request(
            "resources/read", page
        )
        assert await peer.call("app__clock", {}) == await direct.call("clock", {})
