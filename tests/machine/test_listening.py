"""The socket that the lock names."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from plait.door.place import NoPlace, Place
from plait.machine.listening import Listening

from .gateways import Home, home


class Held(NamedTuple):
    home: Home
    place: Place
    lock: int
    listening: Listening


@pytest.fixture
def held() -> Iterator[Held]:
    with home() as made:
        lock = made.place.take_lock()
        assert lock is not None
        yield Held(made, made.place, lock, Listening(made.place, lock, str(made.runtime)))
        os.close(lock)


def test_doors_find_the_socket_by_the_lock(held: Held):
    with socket.socket(fileno=held.listening.open().detach()) as sock:
        found = held.place.connect()
        assert found is not None
        accepted, _ = sock.accept()
        accepted.close()
        found.close()
    assert held.listening.is_there
    assert held.listening.is_ours
    assert Path(held.listening.path).parent == held.home.runtime / "plait"


def test_on_a_full_disk_no_socket_is_left(held: Held, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(NoPlace, match=f"{held.place.lock_path}: No space left on device"):
        held.listening.open()
    assert os.listdir(held.home.runtime / "plait") == []


def test_a_removed_socket_is_made_anew(held: Held):
    held.listening.open().close()
    os.unlink(held.listening.path)
    assert not held.listening.is_there
    held.listening.open().close()
    assert held.listening.is_there


def test_a_socket_of_another_at_its_path_is_not_taken_for_its_own(held: Held):
    held.listening.open().close()
    os.unlink(held.listening.path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(held.listening.path)
        assert not held.listening.is_there
        held.listening.remove()
        assert os.path.exists(held.listening.path)


def test_a_lock_that_was_replaced_is_not_its_own(held: Held):
    held.listening.open().close()
    os.unlink(held.place.lock_path)
    assert not held.listening.is_ours
    os.close(held.place.open_lock())
    assert not held.listening.is_ours


def test_removing_lets_no_door_find_it(held: Held):
    held.listening.open().close()
    held.listening.remove()
    assert not os.path.exists(held.listening.path)
    assert held.place.connect() is None
    assert Path(held.place.lock_path).read_bytes() == b""


def test_what_an_earlier_holder_left_is_removed(held: Held):
    held.listening.open().close()
    left = Path(f"{held.listening.path}.12345")
    left.touch()
    held.listening.open().close()
    assert not left.exists()
    assert os.listdir(os.path.dirname(held.listening.path)) == [
        os.path.basename(held.listening.path)
    ]


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_a_folder_that_others_may_use_is_not_used(held: Held, mode: int):
    folder = held.home.runtime / "plait"
    folder.mkdir()
    folder.chmod(mode)
    held.listening.open().close()
    assert Path(held.listening.path).parent != folder
    held.listening.remove()


def test_a_path_that_is_too_long_for_a_socket_is_not_used(held: Held):
    deep = held.home.folder / ("x" * 90)
    deep.mkdir(mode=0o700)
    listening = Listening(held.place, held.lock, str(deep))
    listening.open().close()
    assert not listening.path.startswith(str(deep))
    listening.remove()


def test_without_any_folder_it_says_what_is_wrong_with_each(
    held: Held, monkeypatch: pytest.MonkeyPatch
):
    def refuse(path: str, mode: int, exist_ok: bool) -> None:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(os, "makedirs", refuse)
    with pytest.raises(NoPlace, match="No space left on device"):
        held.listening.open()
