"""`plait serve --http` on the shared gateway, as the command sees it: real ones and scripted
ones."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from plait.cli import port as module
from plait.cli.port import NotShared, SharedPort, Taken
from plait.door import frames
from plait.door.frames import Frames, frame, record
from plait.door.place import Place, peer
from plait.door.port import PortOrder, read_port_order
from plait.errors import ConfigError

from .conftest import Plait

LONGEST_S = 40
NAMES = frame(frames.NAMES, record([("instance", "i")]))
OPENED = frame(frames.PORT, b"http://127.0.0.1:4711/mcp")
RESTART, STOP = frame(frames.BYE, b"restart"), frame(frames.BYE, b"stop")


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pp", dir="/tmp") as folder:  # short, for a socket
        monkeypatch.setenv("PLAIT_STATE_DIR", f"{folder}/s")
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder, "s")


class Scripted:
    """Gateways that live one after the other; each gives one answer to a hello, and one to the
    order of a port."""

    def __init__(self, listening: socket.socket, lives: Sequence[tuple[bytes, bytes]]) -> None:
        self.orders: list[PortOrder] = []
        self.signals: list[int] = []
        self.opened: Callable[[], None] = lambda: None
        """Called once an order has been answered."""
        self._listening = listening
        self._lives = lives

    def run(self) -> None:
        for greeting, answer in self._lives:
            sock, _ = self._listening.accept()
            with sock:
                self._serve(sock, greeting, answer)

    def _serve(self, sock: socket.socket, greeting: bytes, answer: bytes) -> None:
        cut = Frames()
        while data := sock.recv(2**16):
            for kind, _, payload in cut.feed(data):
                if kind == frames.HELLO:
                    sock.sendall(greeting)
                    if greeting != NAMES:
                        return
                elif kind == frames.COMMAND:
                    self.orders.append(read_port_order(payload))
                    sock.sendall(answer)
                    if answer != OPENED:
                        return
                    self.opened()
                elif kind == frames.INTERRUPT:
                    self.signals.append(int(payload))
                    if self.signals[-1] == signal.SIGTERM:
                        sock.sendall(frame(frames.EXIT, b"0"))
                        return
                    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def scripted(state: Path, *lives: tuple[bytes, bytes]) -> Iterator[Scripted]:
    place = Place(str(state))
    lock = place.take_lock()
    assert lock is not None
    folder = state.with_name("r")
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "g"))
        listening.listen()
        os.write(lock, f"{folder / 'g'}\n".encode())
        gateway = Scripted(listening, lives)
        thread = threading.Thread(target=gateway.run)
        thread.start()
        try:
            yield gateway
        finally:
            thread.join(LONGEST_S)
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)


def port(number: int = 0) -> SharedPort:
    return SharedPort(PortOrder("127.0.0.1", number, "t"), ["--profile=x"])


def test_the_next_gateway_opens_the_same_port_until_somebody_stops_it(state: Path):
    lives = [(NAMES, OPENED + RESTART)] * 4
    with scripted(state, *lives, (NAMES, OPENED + STOP)) as gateway:
        port().hold()
    assert [order.port for order in gateway.orders] == [0, 4711, 4711, 4711, 4711]
    assert {order.token for order in gateway.orders} == {"t"}


def test_settings_that_become_wrong_are_tried_until_they_are_right_again(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(module, "SETTINGS_S", 0.001)
    wrong = (frame(frames.REFUSED, b"settings\0bad file"), b"")
    lives = [(NAMES, OPENED + RESTART), wrong, wrong, (NAMES, OPENED + STOP)]
    with scripted(state, *lives) as gateway:
        port().hold()
    assert len(gateway.orders) == 2
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


def test_a_hang_up_is_passed_on_and_another_signal_has_the_port_closed(state: Path):
    before = signal.getsignal(signal.SIGTERM)
    with scripted(state, (NAMES, OPENED)) as gateway:
        gateway.opened = lambda: os.kill(os.getpid(), signal.SIGHUP)
        port().hold()
    assert gateway.signals == [signal.SIGHUP, signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("lives", "error", "said"),
    [
        ([(NAMES, frame(frames.MISUSED, b"--http\0Address in use"))], Taken, "^Address in use$"),
        ([(frame(frames.REFUSED, b"settings\0bad file"), b"")], ConfigError, "^bad file$"),
        ([(frame(frames.REFUSED, b"version\0too old"), b"")], NotShared, "^too old$"),
        (
            [(NAMES, OPENED + b"!"), (NAMES, b""), (NAMES, b"")],
            NotShared,
            "died 3 times in a minute",
        ),
    ],
)
def test_what_keeps_the_port_from_being_opened_is_told(
    state: Path, lives: list[tuple[bytes, bytes]], error: type[Exception], said: str
):
    with scripted(state, *lives), pytest.raises(error, match=said) as caught:
        port(4711).hold()
    if isinstance(caught.value, NotShared):
        assert caught.value.order.port == 4711


def test_gateways_that_end_before_they_answer_are_no_deaths(state: Path):
    """They were ending when the command came, or could not start."""
    with scripted(state, *[(b"", b"")] * 4, (NAMES, OPENED + STOP)) as gateway:
        port().hold()
    assert [order.port for order in gateway.orders] == [0]


def test_a_gateway_that_hangs_is_left_after_the_startup_time(state: Path):
    with scripted(state):
        Path(Place(str(state)).log_path).write_text("x")
        shared = SharedPort(PortOrder("127.0.0.1", 4711, "t"), [], startup_s=0.1)
        with pytest.raises(NotShared, match=r"not answered in 0\.1 s; its log ends:\nx"):
            shared.hold()


def test_a_signal_ends_the_wait_for_a_gateway(state: Path, monkeypatch: pytest.MonkeyPatch):
    """Another process has the lock, and no socket yet."""
    lock = Place(str(state)).take_lock()
    assert lock is not None

    def sleep(seconds: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep))
    port().hold()
    os.close(lock)


def test_without_a_place_for_a_gateway_the_command_serves_by_itself(state: Path):
    state.write_text("a file")
    with pytest.raises(NotShared, match=r"Not a directory|File exists"):
        port().hold()


def line_with(said: str, stream: IO[str]) -> str:
    for line in stream:
        if said in line:
            return line
    raise AssertionError(f"it ended without: {said}")


def health(url: str) -> str:
    with urllib.request.urlopen(url.replace("/mcp", "/healthz"), timeout=LONGEST_S) as answer:
        return str(answer.read())


def test_the_real_gateway_opens_the_port_and_outlives_the_command(plait: Plait, state: Path):
    """Also one that is killed meanwhile: the next one opens it again."""
    settings = state.with_name("servers.toml")
    settings.write_text("[gateway]\nlearn = false\n")
    command = [sys.executable, "-m", "plait", "serve", "--http", "0", "--config", str(settings)]
    env = {**os.environ, "PLAIT_ISOLATED": "0"}
    place = Place(str(state))
    pids: list[int] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stderr is not None
            for _ in range(2):
                found = re.search(r"http://127\.0\.0\.1:\d+/mcp", line_with("/mcp", process.stderr))
                assert found is not None
                url = found[0]
                assert '"ok"' in health(url)
                sock = place.connect()
                assert sock is not None
                with socket.socket(fileno=sock.detach()) as connection:
                    pids.append(peer(connection)[0])
                if len(pids) == 1:
                    first = url
                    os.kill(pids[0], signal.SIGKILL)
            assert url == first
            result = plait("ps")
            assert result.stdout.rstrip().endswith(url)
            assert "plait serve --http" in result.stdout
            process.terminate()
            assert process.wait(LONGEST_S) == 0
            alive = place.connect()
            assert alive is not None
            alive.close()
        finally:
            process.kill()
            for pid in pids[1:]:
                ended = os.pidfd_open(pid)
                os.kill(pid, signal.SIGTERM)
                select.select([ended], [], [], LONGEST_S)
                os.close(ended)


@pytest.mark.parametrize("address", ["4711", "localhost:4711"])
def test_a_port_that_the_gateway_cannot_open_is_a_wrong_option(
    plait: Plait, state: Path, monkeypatch: pytest.MonkeyPatch, address: str
):
    monkeypatch.setenv("PLAIT_ISOLATED", "0")
    settings = state.with_name("servers.toml")
    settings.write_text("")
    taken = frame(frames.MISUSED, b"--http\0Address already in use")
    with scripted(state, (NAMES, taken)) as gateway:
        words = ("--allow-host", "h.example", "--allow-origin", "https://o.example", "--no-auth")
        result = plait("serve", "--http", address, *words, "--config", str(settings))
    assert result.exit_code == 2
    assert f"{address}: Address already in use." in " ".join(result.stderr.split())
    host = "127.0.0.1" if address == "4711" else "localhost"
    expected = PortOrder(host, 4711, None, ("h.example",), ("https://o.example",))
    assert gateway.orders == [expected]


@pytest.mark.parametrize("words", [("--isolated",), ("--http", "0.0.0.0:{}"), ()])
def test_a_port_that_others_may_reach_and_one_without_a_gateway_are_opened_by_the_command_itself(
    plait: Plait, state: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
):
    """Where the port is taken, this shows who has tried to open it."""
    monkeypatch.setenv("PLAIT_ISOLATED", "0")
    settings = state.with_name("servers.toml")
    settings.write_text("")
    if not words:  # no gateway can be had
        state.mkdir(mode=0o777)
        state.chmod(0o777)
    with socket.create_server(("0.0.0.0", 0)) as other:
        number = other.getsockname()[1]
        given = [word.format(number) for word in words]
        address = [] if "--http" in words else ["--http", str(number)]
        result = plait("serve", "--no-auth", "--config", str(settings), *given, *address)
    assert result.exit_code == 2
    assert "Address already in use." in " ".join(result.stderr.split())
    assert ("serving.alone" in result.stderr) == (not words)
