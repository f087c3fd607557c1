"""The search for a gateway, over real places. Where one is started, it ends at once."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from plait.door import gateways as module
from plait.door.gateways import MAX_STARTS, Gateways
from plait.door.place import Place


class Client:
    def __init__(self) -> None:
        self.pauses = self.starts = 0
        self.patience = 10**6

    def pause(self, seconds: float) -> None:
        self.pauses += 1
        if self.pauses > self.patience:
            raise TimeoutError

    def starting(self) -> None:
        self.starts += 1

    def gateways(self, place: Place, startup_s: float = 60.0) -> Gateways:
        return Gateways(place, startup_s, self.pause, self.starting)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    return Client()


@pytest.fixture
def place(short_path: Path) -> Place:
    return Place(str(short_path / "state"))


@pytest.fixture
def lock(place: Place) -> Iterator[int]:
    """The lock, as a gateway holds it."""
    lock = place.take_lock()
    assert lock is not None
    yield lock
    os.close(lock)


@pytest.fixture
def listening(short_path: Path, lock: int) -> Iterator[socket.socket]:
    (short_path / "run").mkdir(mode=0o700)
    path = short_path / "run" / "g"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        os.pwrite(lock, f"{path}\n".encode(), 0)
        yield sock


def connect(gateways: Gateways) -> bool:
    """Whether a connection was found."""
    if (found := gateways.find()) is None:
        return False
    found.close()
    return True


def test_a_gateway_that_runs_is_found_at_once(client: Client, place: Place, listening: object):
    assert connect(client.gateways(place))
    assert (client.starts, client.pauses) == (0, 0)


def test_one_that_cannot_start_is_started_three_times(client: Client, place: Place):
    assert not connect(client.gateways(place))
    assert client.starts == MAX_STARTS


def test_starts_count_until_a_hello_was_answered(client: Client, place: Place):
    gateways = client.gateways(place)
    assert not connect(gateways)
    assert not connect(gateways)
    assert client.starts == MAX_STARTS
    gateways.answered()
    assert not connect(gateways)
    assert client.starts == 2 * MAX_STARTS


def test_a_connection_does_not_end_the_search(
    client: Client, place: Place, listening: socket.socket
):
    """The system may close the connections of a dying gateway before its listening socket."""
    gateways = client.gateways(place)
    assert [connect(gateways) for _ in range(3)] == [True] * 3
    assert client.pauses == 2
    gateways.answered()
    assert connect(gateways)
    assert client.pauses == 2


def test_the_time_of_a_search_is_over_all_connections_without_an_answer(
    client: Client, place: Place, listening: object, monkeypatch: pytest.MonkeyPatch
):
    clock = SimpleNamespace(monotonic=iter([0.0, 0.0, 29.0, 31.0]).__next__)
    monkeypatch.setattr(module, "time", clock)
    gateways = client.gateways(place, startup_s=30.0)
    assert [connect(gateways) for _ in range(3)] == [True, True, False]


def test_a_client_that_has_gone_ends_the_search(client: Client, place: Place, lock: int):
    client.patience = 5
    with pytest.raises(TimeoutError):
        client.gateways(place).find()
    assert client.starts == 0


def test_the_last_of_three_deaths_in_a_minute_is_one_too_many(
    client: Client, place: Place, monkeypatch: pytest.MonkeyPatch
):
    clock = SimpleNamespace(monotonic=iter([0.0, 30.0, 61.0, 62.0, 63.0, 64.0, 65.0]).__next__)
    monkeypatch.setattr(module, "time", clock)
    gateways = client.gateways(place)
    answers = [gateways.died() for _ in range(7)]
    assert answers == [False, False, False, True, False, False, True]
