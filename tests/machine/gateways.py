"""A shared gateway as a process, and doors in front of it, in folders of their own."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plait import __version__
from plait.door import frames
from plait.door.frames import Frames, frame, read_record, record
from plait.door.place import Place, peer, start_gateway

LONGEST_S = 40.0
SETTINGS = """\
[gateway]
learn = false
{more}

[servers.w]
builtin = "workspace"
root = "."
"""


class Home:
    """A state folder, a folder for sockets, and a settings file, with a gateway that is started
    for them and killed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "servers.toml"
        self.runtime = folder / "r"
        self.runtime.mkdir(mode=0o700)
        self.place = Place(str(folder / "s"))
        self.pids: set[int] = set()
        self.doors: list[Door] = []
        self.write()

    def write(self, more: str = "") -> None:
        self.settings.write_text(SETTINGS.format(more=more))

    def start(self) -> int:
        """Start a gateway, and return its process."""
        lock = self.place.take_lock()
        assert lock is not None
        start_gateway(self.place, lock, str(self.runtime))
        return self.pid()

    def connect(self) -> socket.socket:
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            if (found := self.place.connect()) is not None:
                sock = socket.socket(fileno=found.detach())
                sock.settimeout(LONGEST_S)
                return sock
            select.select([], [], [], 0.01)
        raise TimeoutError(self.place.log_tail())

    def door(self) -> Door:
        """Return the door's end of a new connection."""
        self.doors.append(Door(self.connect()))
        return self.doors[-1]

    def pid(self) -> int:
        with self.connect() as sock:
            pid = peer(sock)[0]
        self.pids.add(pid)
        return pid

    def wait_ready(self) -> None:
        """Wait until the servers of all desks are ready."""
        deadline = time.monotonic() + LONGEST_S
        person = self.door()
        while True:
            desks = person.command("ps")["desks"]
            states = {server["state"] for desk in desks for server in desk["servers"]}
            if states == {"ready"}:
                return
            assert time.monotonic() < deadline, states
            select.select([], [], [], 0.05)

    def wait_end(self) -> None:
        """Wait until no gateway holds the lock."""
        deadline = time.monotonic() + LONGEST_S
        while (lock := self.place.take_lock()) is None:
            assert time.monotonic() < deadline, self.place.log_tail()
            select.select([], [], [], 0.02)
        os.close(lock)

    def close(self) -> None:
        for door in self.doors:
            door.close()
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.wait_end()
        shutil.rmtree(self.folder)


@contextmanager
def home() -> Iterator[Home]:
    made = Home(Path(tempfile.mkdtemp(prefix="plait-", dir="/tmp")))  # short, for a socket
    try:
        yield made
    finally:
        made.close()


class Door:
    """The door's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._cut = Frames()
        self._frames: list[tuple[bytes, int, bytes]] = []
        self._number = 0

    def put(self, kind: bytes, payload: bytes = b"", number: int = 0) -> None:
        self._sock.sendall(frame(kind, payload, number))

    def next(self) -> tuple[bytes, int, bytes] | None:
        """Return the next frame, None at the end."""
        while not self._frames:
            data = self._sock.recv(2**16)
            if not data:
                return None
            self._frames = self._cut.feed(data)
        return self._frames.pop(0)

    def until(self, kind: bytes, number: int = 0) -> bytes:
        while (found := self.next()) is not None:
            if found[:2] == (kind, number):
                return found[2]
        raise AssertionError(f"the connection ended before {kind!r} {number}")

    def hello(self, folder: Path, *arguments: str, **more: str) -> tuple[bytes, int, bytes]:
        """Send the hello, and return the first answer."""
        fields = {"hello": "1", "version": __version__, "door": "d", "folder": str(folder), **more}
        words = [("arg", argument) for argument in arguments]
        self.put(frames.HELLO, record([*fields.items(), *words]))
        found = self.next()
        assert found is not None
        return found

    def open(self, home: Home, **values: str) -> dict[str, str]:
        """Open a session. Returns the record of the answer to the hello."""
        kind, _, payload = self.hello(home.folder, "--config", str(home.settings))
        assert kind == frames.NAMES, payload
        values = {"PATH": os.environ["PATH"], "HOME": str(home.folder), **values}
        self.put(frames.VALUES, record(values.items()))
        opening = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "7"},
        }
        self.request("initialize", **opening)
        return dict(read_record(payload))

    def send(self, method: str, **params: Any) -> int:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.put(frames.MESSAGE, json.dumps(message).encode(), self._number)
        return self._number

    def answer(self, number: int) -> Any:
        return json.loads(self.until(frames.MESSAGE, number))

    def request(self, method: str, **params: Any) -> Any:
        return self.answer(self.send(method, **params))

    def command(self, word: str) -> Any:
        self.put(frames.CONTROL, word.encode())
        return json.loads(self.until(frames.CONTROL))

    def close(self) -> None:
        self._sock.close()
