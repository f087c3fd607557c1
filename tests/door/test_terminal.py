"""Lines of the controlling terminal: what counts as one, and how waiting for one ends."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator

import pytest

from plait.door.terminal import Terminal


class Pty:
    """A terminal, and the end at which a person types."""

    def __init__(self) -> None:
        self.person, self._theirs = pty.openpty()
        self.path = os.ttyname(self._theirs)

    def type(self, text: bytes) -> None:
        os.write(self.person, text)

    def close(self) -> None:
        for end in (self.person, self._theirs):
            os.close(end)


@pytest.fixture
def typed() -> Iterator[Pty]:
    made = Pty()
    yield made
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_line_is_read_and_what_was_typed_before_is_dropped(typed: Pty, pipe: tuple[int, int]):
    typed.type(b"y\n")
    assert os.read(typed.person, 100)  # its echo: it has arrived
    terminal = Terminal(typed.path)
    typed.type(b"n\n")
    assert terminal.read(pipe[0]) == b"n\n"
    terminal.close()


def test_waiting_ends_once_something_else_can_be_read(typed: Pty, pipe: tuple[int, int]):
    terminal = Terminal(typed.path)
    os.write(pipe[1], b"x")
    assert terminal.read(pipe[0]) is None
    terminal.close()


def test_the_end_of_the_terminal_is_an_empty_line(typed: Pty, pipe: tuple[int, int]):
    terminal = Terminal(typed.path)
    typed.type(b"\x04")
    assert terminal.read(pipe[0]) == b""
    terminal.close()


def test_a_terminal_that_is_hung_up_is_an_empty_line(pipe: tuple[int, int]):
    person, theirs = pty.openpty()
    terminal = Terminal(os.ttyname(theirs))
    os.close(theirs)
    os.close(person)
    assert terminal.read(pipe[0]) == b""
    terminal.close()


def test_without_a_terminal_there_is_an_error(tmp_path: os.PathLike[str]):
    with pytest.raises(OSError, match="No such file"):
        Terminal(os.path.join(tmp_path, "tty"))
