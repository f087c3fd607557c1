"""The process: found by its lock, ended in order, and only for as long as it is used."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import socket
import time

import pytest

from plait.door import frames
from plait.door.place import start_isolated
from plait.machine.serving import MOST_FILES

from .gateways import LONGEST_S, Door, home

pytestmark = pytest.mark.timeout(120)


def test_all_doors_are_served_by_one_process():
    with home() as made:
        pid = made.start()
        one, other = made.door(), made.door()
        first, second = one.open(made), other.open(made)
        assert first["instance"] == second["instance"]
        assert made.pid() == pid


def test_sigterm_lets_calls_end_and_then_sends_doors_away():
    with home() as made:
        made.start()
        door = made.door()
        door.open(made)
        made.wait_ready()
        task = {"id": "a", "tool": "w:find_files", "arguments": {"pattern": "*"}}
        slow = door.send("tools/call", name="execute_dag", arguments={"tasks": [task]})
        door.until(frames.TAKEN, slow)
        os.kill(made.pid(), signal.SIGTERM)
        assert "result" in door.answer(slow)
        assert door.until(frames.BYE) == b"stop"
        assert door.next() is None
        made.wait_end()
        assert made.place.connect() is None


def test_a_restart_lets_doors_come_back_at_once():
    with home() as made:
        made.start()
        door, person = made.door(), made.door()
        door.open(made)
        assert person.command("restart")["ends"] is True
        assert door.until(frames.BYE) == b"restart"
        made.wait_end()


def test_a_second_signal_ends_it_at_once():
    with home() as made:
        pid = made.start()
        door = made.door()
        door.open(made)
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGTERM)
        made.wait_end()


def test_it_may_have_as_many_open_files_as_the_system_allows():
    with home() as made:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        try:
            pid = made.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        door = made.door()
        door.open(made)  # by now everything has been done that comes first
        if hasattr(resource, "prlimit"):
            assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == min(hard, MOST_FILES)


def test_a_newer_door_goes_its_own_way_and_the_gateway_ends_after_its_clients():
    with home() as made:
        made.start()
        client, newer = made.door(), made.door()
        client.open(made)
        kind, _, payload = newer.hello(made.folder, version="999.0")
        assert (kind, payload.partition(b"\0")[0]) == (frames.REFUSED, b"version")
        assert "result" in client.request("ping")
        client.close()
        made.wait_end()


def test_settings_are_read_anew_on_sighup():
    with home() as made:
        os.kill(made.start(), signal.SIGHUP)
        door, person = made.door(), made.door()
        door.open(made)
        made.write('[servers.added]\nurl = "http://127.0.0.1:9/mcp"')
        os.kill(made.pid(), signal.SIGHUP)
        deadline = time.monotonic() + LONGEST_S
        names: set[str] = set()
        while "added" not in names:
            assert time.monotonic() < deadline
            [desk] = person.command("ps")["desks"]
            names = {server["name"] for server in desk["servers"]}


def test_it_ends_after_its_last_client_when_its_settings_say_so():
    with home() as made:
        made.write("idle_exit_s = 0")
        made.start()
        door = made.door()
        door.open(made)
        door.close()
        made.wait_end()


def test_a_socket_that_was_removed_is_made_anew():
    with home() as made:
        pid = made.start()
        [name] = os.listdir(made.runtime / "plait")
        os.unlink(made.runtime / "plait" / name)
        assert made.pid() == pid


def test_it_ends_where_its_state_folder_was_removed():
    with home() as made:
        pid = made.start()
        descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        os.rename(made.place.state, made.folder / "gone")
        if descriptor is not None:
            ready, _, _ = select.select([descriptor], [], [], LONGEST_S)
            assert ready
            os.close(descriptor)
        shutil.rmtree(made.place.state, ignore_errors=True)  # what it kept at its end
        os.rename(made.folder / "gone", made.place.state)
        made.wait_end()


def test_an_isolated_gateway_serves_one_door_and_ends_with_it():
    with home() as made:
        os.makedirs(made.place.state, 0o700)
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        theirs.set_inheritable(True)
        pid = start_isolated(made.place, theirs)
        theirs.close()
        ours.settimeout(LONGEST_S)
        door = Door(ours)
        door.open(made)
        assert made.place.connect() is None
        door.close()
        deadline = time.monotonic() + LONGEST_S
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            assert time.monotonic() < deadline
            select.select([], [], [], 0.02)


def test_wrong_settings_are_refused_to_their_client_alone():
    with home() as made:
        made.start()
        good, bad = made.door(), made.door()
        good.open(made)
        wrong = made.folder / "wrong.toml"
        wrong.write_text("[gateway]\nwait = 3\n")
        kind, _, _ = bad.hello(made.folder, "--config", str(wrong))
        assert kind == frames.NAMES
        bad.put(frames.VALUES)
        assert b"gateway.wait" in bad.until(frames.REFUSED)
        assert "result" in good.request("ping")
