"""A command of a person over the shared gateway: what is sent, what is shown, and how it ends."""

from __future__ import annotations

import os
import pty
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait import __version__
from plait.cli.orders import StreamForm, read_order
from plait.door import commands, terminal
from plait.door.commands import Lost, Misused, carry_out, order
from plait.door.place import Place
from plait.door.terminal import Terminal

from .person import gateway

pytestmark = pytest.mark.usefixtures("person")


@pytest.fixture(autouse=True)
def short_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "GREETING_S", 20.0)


def test_without_a_gateway_nothing_is_done(person: Path):
    assert carry_out("call", b"{}") is None
    assert not (person / "state").exists()  # nobody looks for one there


def test_the_bytes_of_the_gateway_are_shown_and_its_exit_code_is_ours(
    capsysbinary: pytest.CaptureFixture[bytes],
):
    with gateway(("1", "out\n"), ("2", "err\n"), ("1", "\x00\u00e9"), ("z", "5")):
        assert carry_out("call", b"{}") == 5
    assert capsysbinary.readouterr() == (b"out\n\x00\xc3\xa9", b"err\n")


def test_a_gateway_gets_what_finds_the_settings_and_then_only_what_they_name(
    person: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("TOKEN", "OTHER", "PLAIT_CONFIG", "LC_ALL"):
        monkeypatch.setenv(name, f"of {name}")
    with gateway(("z", "0")) as serving:
        carry_out("run", b"an order", ["--config=a.toml"])
    hello = dict(serving.hello)
    assert hello["version"] == __version__
    assert (hello["client"], hello["folder"]) == ("run", str(person))
    assert ("arg", "--config=a.toml") in serving.hello
    assert ("env", "PLAIT_CONFIG=of PLAIT_CONFIG") in serving.hello
    assert not [value for name, value in serving.hello if "TOKEN" in value or "OTHER" in value]
    assert (serving.values["TOKEN"], serving.values["LC_ALL"]) == ("of TOKEN", "of LC_ALL")
    assert "OTHER" not in serving.values
    assert serving.order == b"an order"


def test_the_order_says_how_the_streams_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", 'a"b')
    monkeypatch.setenv("COLUMNS", "77")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    read = read_order(order('{"name":"servers"}', as_json=True, debug=True))
    assert (read.as_json, read.debug, read.columns) == (True, True, 77)
    assert read.environ == {"TERM": 'a"b'}
    assert read.out == StreamForm(sys.stdout.encoding, sys.stdout.isatty())
    monkeypatch.setenv("COLUMNS", "none")
    assert read_order(order('{"name":"servers"}', as_json=False)).columns > 0


@pytest.mark.parametrize("answers", [(), (("x", "settings\0they are wrong"),), (("2", "rows"),)])
def test_a_gateway_that_refuses_or_dies_at_once_has_done_nothing(
    answers: tuple[tuple[str, str], ...],
):
    with gateway(*answers):
        assert carry_out("call", b"{}") is None


@pytest.mark.parametrize(
    ("answers", "taken", "shown"),
    [((("t", ""),), True, False), ((("1", "half"),), False, True)],
)
def test_a_gateway_that_dies_later_is_reported_with_what_is_known(
    answers: tuple[tuple[str, str], ...], taken: bool, shown: bool
):
    with gateway(*answers), pytest.raises(Lost) as lost:
        carry_out("call", b"{}")
    assert (lost.value.is_taken, lost.value.has_shown, lost.value.signal) == (taken, shown, 0)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A person who types `y` once a line is waited for."""
    person, theirs = pty.openpty()
    monkeypatch.setattr(terminal, "PATH", os.ttyname(theirs))

    def read(self: Terminal, other: int) -> bytes | None:
        os.write(person, b"y\n")
        return original(self, other)

    original = Terminal.read
    monkeypatch.setattr(Terminal, "read", read)
    yield
    for end in (person, theirs):
        os.close(end)


@pytest.mark.usefixtures("answering")
def test_a_question_is_answered_at_the_terminal():
    with gateway(("?", ""), ("answered", ""), ("z", "0")) as serving:
        assert carry_out("run", b"{}") == 0
    assert serving.lines == [b"y\n"]


def test_a_withdrawn_question_is_not_answered_any_more(monkeypatch: pytest.MonkeyPatch):
    person, theirs = pty.openpty()
    monkeypatch.setattr(terminal, "PATH", os.ttyname(theirs))
    with gateway(("?", ""), (".", ""), ("t", ""), ("z", "0")) as serving:
        assert carry_out("run", b"{}") == 0
    assert serving.lines == []
    for end in (person, theirs):
        os.close(end)


def test_without_a_terminal_a_question_has_an_empty_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(terminal, "PATH", str(tmp_path / "tty"))
    with gateway(("?", ""), ("answered", ""), ("z", "6")) as serving:
        assert carry_out("run", b"{}") == 6
    assert serving.lines == [b""]


def test_a_wrong_command_line_and_files_are_passed_on():
    with gateway(("y", "-o\0too long")), pytest.raises(Misused, match="too long") as misused:
        carry_out("call", b"{}")
    assert misused.value.hint == "-o"
    saved: list[tuple[str, bytes]] = []
    with gateway(("f", "a/b\0c\0d"), ("z", "0")):
        carry_out("call", b"{}", (), lambda path, content: saved.append((path, content)))
    assert saved == [("a/b", b"c\0d")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on_until_the_command_has_ended(number: signal.Signals):
    before = signal.getsignal(number)
    with gateway(("interrupted", str(int(number))), ("z", "130")) as serving:
        assert carry_out("call", b"{}") == 130
    assert serving.signals == [str(int(number)).encode()]
    assert signal.getsignal(number) is before
    with gateway(("interrupted", str(int(number)))), pytest.raises(Lost) as lost:
        carry_out("call", b"{}")
    assert lost.value.signal == number


def test_a_gateway_that_does_not_end_an_interrupted_command_is_left(
    monkeypatch: pytest.MonkeyPatch,
):
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", ends.append)
    monkeypatch.setattr(commands, "LAST_S", 1)
    interrupt = ("interrupted", str(int(signal.SIGINT)))
    with gateway(interrupt, interrupt, interrupt, ("z", "130")):
        assert carry_out("call", b"{}") == 130
    assert ends == [130]


def test_a_place_that_others_could_have_made_is_not_used(person: Path):
    place = Place(str(person / "state"))
    os.close(place.open_lock())
    os.chmod(person, 0o755)
    Path(place.lock_path).write_text(f"{person}/socket\n")
    assert carry_out("call", b"{}") is None
