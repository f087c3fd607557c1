"""The state that `plait ps` shows."""

from __future__ import annotations

from .gateways import home


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
