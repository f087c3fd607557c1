"""plait ps, stop and restart, against a gateway that runs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.cli.exits import Exit

from ..machine.gateways import Home, home
from .conftest import Plait

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with home() as made:
        monkeypatch.setenv("PLAIT_STATE_DIR", made.place.state)
        made.start()
        yield made


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))


@pytest.mark.parametrize("command", ["ps", "stop", "restart", "servers --all"])
@pytest.mark.usefixtures("nothing")
def test_without_a_gateway_there_is_nothing_to_do(plait: Plait, command: str):
    result = plait(*command.split())
    assert (result.exit_code, result.stdout) == (0, "No shared gateway runs.\n")
    assert json.loads(plait(*command.split(), "--json").stdout) == {"running": False}


def test_the_gateway_is_shown_with_its_servers_and_clients(plait: Plait, running: Home):
    door = running.door()
    door.open(running)
    running.wait_ready()
    shown = plait("ps").stdout
    document = json.loads(plait("ps", "--json").stdout)
    assert document["running"] is True
    assert f"process {document['pid']}, for " in shown
    assert f"{running.settings}  1 client" in shown
    [server] = document["desks"][0]["servers"]
    assert f"w                 ready  process {server['pid']}" in shown
    assert f"test 7                    process {os.getpid()}  {running.folder}" in shown

    listed = plait("servers", "--all").stdout
    assert listed.startswith(f"{running.settings}\n✓ w                 ready        stdio")
    desks = json.loads(plait("servers", "--all", "--json").stdout)["desks"]
    assert desks == [{"config": str(running.settings), "servers": [server]}]
    assert server["tools"] > 5


def test_a_gateway_is_stopped_and_its_end_waited_for(plait: Plait, running: Home):
    pid = running.pid()
    result = plait("stop")
    assert result.exit_code == 0
    assert f"(process {pid}) has ended. A client starts a new one" in result.stdout
    running.wait_end()


def test_a_restart_says_that_clients_start_a_new_one(plait: Plait, running: Home):
    pid = running.pid()
    document = json.loads(plait("restart", "--json").stdout)
    assert document == {"running": False, "pid": pid, "killed": False}


def test_a_gateway_that_does_not_answer_is_killed(
    plait: Plait, running: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("plait.cli.machine.ANSWER_S", 1.0)
    os.kill(running.pid(), signal.SIGSTOP)
    silent = plait("ps")
    assert silent.exit_code == Exit.UNREACHABLE
    assert "does not answer" in silent.stderr
    result = plait("stop")
    assert result.exit_code == 0
    assert "was killed" in result.stdout
    running.wait_end()


def test_a_place_that_is_not_ours_is_refused(plait: Plait, running: Home):
    folder = running.runtime / "plait"
    running.pid()
    folder.chmod(0o755)
    try:
        result = plait("ps")
    finally:
        folder.chmod(0o700)
    assert result.exit_code == Exit.CONFIG
    assert "chmod go-rwx" in result.stderr
