"""The state that `plait ps` shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plait.cli.machine import _status_lines
from plait.machine.status import status_of

from .gateways import home
from .test_desks import desks, hello, write


def test_a_gateway_shows_its_desks_servers_runs_and_clients():
    with home() as made:
        pid = made.start()
        door, person = made.door(), made.door()
        door.open(made)
        made.wait_ready()
        status = person.command("ps")
        assert status["pid"] == pid
        assert status["log"] == made.place.log_path
        assert status["socket"].startswith(str(made.runtime))
        [desk] = status["desks"]
        assert (desk["settings"], desk["clients"]) == (str(made.settings), 1)
        [server] = desk["servers"]
        assert (server["name"], server["state"]) == ("w", "ready")
        assert server["pid"] > 0
        assert desk["runs"] == []
        [client] = status["clients"]
        assert (client["name"], client["version"]) == ("test", "7")
        assert client["folder"] == str(made.folder)
        assert client["settings"] == desk["settings"]
        assert client["since"] >= status["since"]


async def test_a_server_that_nobody_has_needed_is_not_started(tmp_path: Path):
    write(file := tmp_path / "servers.toml")
    async with desks() as made, made.open(hello(file), {}) as desk:
        status = status_of([desk], [], since=0, where={}, is_retiring=False)
    listed: Any = status["desks"]
    assert [server["state"] for server in listed[0]["servers"]] == ["not started"]
    pieces = [piece for line in _status_lines(status) for piece in line]
    shown = "".join(piece if isinstance(piece, str) else piece.text for piece in pieces)
    assert "○ one               not started" in shown
