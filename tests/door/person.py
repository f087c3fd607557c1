"""A gateway for a person's commands that answers by a script, in a thread of this process."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plait.door import frames
from plait.door.frames import Frames, frame, read_record, record
from plait.door.place import Place


class Gateway:
    """Answers one command with frames, each a kind and a payload, and hangs up. What it is sent is
    kept."""

    def __init__(self, answers: tuple[tuple[str, str], ...], sock: socket.socket) -> None:
        self.hello: list[tuple[str, str]] = []
        self.values: dict[str, str] = {}
        self.order = b""
        self.signals: list[bytes] = []
        self.lines: list[bytes] = []
        """What the person typed at questions."""
        self._answers = answers
        self._sock = sock
        self._cut = Frames()
        self._unread: list[tuple[bytes, int, bytes]] = []

    def serve(self) -> None:
        try:
            self._conn, _ = self._sock.accept()
        except OSError:  # nobody came
            return
        with self._conn:
            self.hello = read_record(self._next(frames.HELLO))
            self._conn.sendall(frame(frames.NAMES, record([("name", "TOKEN")])))
            self.values = dict(read_record(self._next(frames.VALUES)))
            self.order = self._next(frames.COMMAND)
            for kind, payload in self._answers:
                if kind == "interrupted":  # a signal has to come
                    os.kill(os.getpid(), int(payload))
                    self.signals.append(self._next(frames.INTERRUPT))
                elif kind == "answered":
                    self.lines.append(self._next(frames.ANSWER))
                else:
                    self._conn.sendall(frame(kind.encode(), payload.encode()))

    def _next(self, kind: bytes) -> bytes:
        while not self._unread:
            self._unread = self._cut.feed(self._conn.recv(2**16))
        found, _, payload = self._unread.pop(0)
        assert found == kind
        return payload


@contextmanager
def gateway(*answers: tuple[str, str]) -> Iterator[Gateway]:
    """Serve one command in the place of this environment's gateway."""
    place = Place(os.environ["PLAIT_STATE_DIR"])
    os.close(place.open_lock())
    with (
        tempfile.TemporaryDirectory(prefix="pp", dir="/tmp") as folder,  # short, for a socket
        socket.socket(socket.AF_UNIX) as sock,
    ):
        sock.bind(f"{folder}/g")
        sock.listen()
        sock.settimeout(30)
        Path(place.lock_path).write_text(f"{folder}/g\n")
        made = Gateway(answers, sock)
        thread = threading.Thread(target=made.serve)
        thread.start()
        try:
            yield made
        finally:
            thread.join()
