"""`plait try` on a terminal as a person has it, and without one: real processes, and nothing is
left."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from plait.cli.session import Session
from plait.cli.tour_processes import TourFailed
from plait.cli.tour_steps import STEPS, Step, Tour
from plait.cli.trying import take
from plait.tour.service import ALIVE

SCREENS = Path(__file__).with_name("screens")
GO_ON = "[q] end\r\n"
LEAVE = "[q] leave it waiting\r\n"


class Screen:
    """`plait try` on a terminal of its own, *columns* wide, in an empty home."""

    def __init__(self, home: Path, temporary: Path, columns: int, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plait", "try", *words],
            cwd=home,
            env=environment(home, temporary) | {"TERM": "xterm", "NO_COLOR": "1"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, words: str) -> None:
        """Read on until *words* are there, after all that was read before."""
        start = len(self.text)
        while words not in self.text[start:]:
            self.text += os.read(self._ours, 65_536).decode()

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Read to the end, and return the exit code."""
        try:
            while more := os.read(self._ours, 65_536):
                self.text += more.decode()
        except OSError:  # the end of a terminal
            pass
        return self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def environment(home: Path, temporary: Path) -> dict[str, str]:
    ours = ("PLAIT_", "XDG_", "FORCE_COLOR", "NO_COLOR", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"HOME": str(home), "TMPDIR": str(temporary), "LANG": "C.UTF-8"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    (tmp_path / "t").mkdir()
    return tmp_path / "t"


@pytest.fixture
def screen(home: Path, temporary: Path) -> Iterator[Callable[..., Screen]]:
    """Starts the tour. At the end, nothing is left of it: no file, also where it was
    interrupted."""
    opened: list[Screen] = []

    def begin(columns: int, *words: str) -> Screen:
        opened.append(Screen(home, temporary, columns, *words))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()
    assert [*home.iterdir(), *temporary.iterdir()] == []


def left_on(text: str) -> str:
    """The lines that stay on the terminal, without what differs from run to run: ids of
    processes, times, bars, and the order in which tasks ended."""
    left: list[str] = []
    first, *others = re.split(r"\x1b\[(\d+)F\x1b\[J", text.replace("\r\n", "\n"))
    left += first.splitlines()
    for erased, more in zip(others[::2], others[1::2], strict=True):
        del left[-int(erased) :]
        left += more.splitlines()
    shown = "\n".join([*left, ""])
    for name, number in zip("AB", dict.fromkeys(re.findall(r"from (\d+):", shown)), strict=False):
        shown = re.sub(rf"\b{number}\b", name, shown)
    shown = re.sub(r"r_\w{6}", "r_RUN", shown)
    shown = re.sub(r"(?<=  )\d,\d{3}\b", "N", shown)
    shown = re.sub(r"\n[^\n]* wall .*?\ncritical path[^\n]*", "\nTOTALS", shown, flags=re.DOTALL)
    shown = re.sub(r"(?: +━+| +\d[\d.]* m?s\b)+", " TIME", shown)
    return re.sub(
        r"(?:✓ \w+  \w+:.*\n(?:  calls\n)?)+",
        lambda ended: "".join(sorted(re.findall(r"✓.*\n", ended[0]))),
        re.sub(r" +$", "", shown, flags=re.MULTILINE),
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("step", range(1, len(STEPS) + 1))
def test_a_step_shows_what_its_processes_do(screen: Callable[..., Screen], step: int, columns: int):
    shown = screen(columns, "--step", str(step))
    if step == 2:
        shown.read_until("[q] leave it waiting")
        shown.press("y\n")
    assert shown.end() == 0, shown.text
    golden = SCREENS / f"try-{step}-{columns}.txt"
    if os.environ.get("PLAIT_DRAW_SCREENS"):
        golden.write_text(left_on(shown.text), encoding="utf-8")
    assert left_on(shown.text) == golden.read_text(encoding="utf-8"), (
        "if that is meant, draw the screens again with PLAIT_DRAW_SCREENS=1, and docs/tour.svg"
    )
    if columns == 80:
        assert all(len(line) <= 80 for line in shown.text.splitlines() if '"text":' not in line)


@pytest.mark.timeout(240)
def test_a_no_changes_nothing(screen: Callable[..., Screen]):
    shown = screen(80, "--step", "2")
    shown.read_until(LEAVE)
    shown.press("n\n")
    assert shown.end() == 0
    assert "The logs of the services: nothing was changed." in shown.text


@pytest.mark.timeout(240)
def test_a_question_that_is_left_open_is_no_failure(screen: Callable[..., Screen]):
    shown = screen(80, "--step", "2")
    shown.read_until(LEAVE)
    shown.press("q\n")
    assert shown.end() == 0
    assert "nothing was changed" in shown.text
    assert "A run that waits can be answered later: plait approve RUN." in shown.text


@pytest.mark.timeout(240)
def test_enter_goes_on_and_q_ends_the_tour(screen: Callable[..., Screen]):
    shown = screen(80)
    shown.read_until(GO_ON)
    shown.press("\n")
    shown.read_until(LEAVE)
    shown.press("n\n")
    shown.read_until(GO_ON)
    shown.press("q\n")
    assert shown.end() == 0
    assert "2 of 4" in shown.text
    assert "3 of 4" not in shown.text


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_in_the_middle_ends_all_processes(
    screen: Callable[..., Screen], temporary: Path, number: signal.Signals
):
    shown = screen(80, "--step", "4")
    shown.read_until("any news?")
    gateway = int(re.findall(r"from (\d+):", shown.text)[0])
    [alive] = temporary.glob(f"*/{ALIVE}")
    with alive.open("a") as lock, (alive.parent / "issues.log").open() as log:
        if number is signal.SIGINT:
            shown.press("\x03")
        else:
            shown.process.send_signal(number)
        assert shown.end() == 128 + number
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # no service holds it any more
        assert log.read().count("add_comment") < 8  # it has not waited for the end of the run
    with pytest.raises(ProcessLookupError):
        os.kill(gateway, 0)


@pytest.mark.timeout(240)
def test_an_interrupt_at_a_question_sends_nothing(screen: Callable[..., Screen], temporary: Path):
    shown = screen(80, "--step", "2")
    shown.read_until(LEAVE)
    [alive] = temporary.glob(f"*/{ALIVE}")
    with alive.open("a") as lock, (alive.parent / "chat.log").open() as log:
        shown.press("\x03")
        assert shown.end() == 130
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert "post_message" not in log.read()


def test_a_step_that_fails_says_why_and_leaves_nothing(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    seen: list[Path] = []

    async def fail(tour: Tour) -> None:
        seen.append(tour.place.folder)
        raise TourFailed("plait run job.json ended with 5.")

    steps = [(1, Step("One", fail, ())), (2, Step("Two", fail, ()))]
    assert anyio.run(take, Session(), steps, True) == 1
    out, err = capsys.readouterr()
    assert err == "error: plait run job.json ended with 5.\n"
    assert "Two" not in out
    assert [folder.parent for folder in seen] == [temporary]
    assert [*temporary.iterdir()] == []


def run(home: Path, temporary: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "plait", "try", *words],
        cwd=home,
        env=environment(home, temporary),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )


def test_without_a_terminal_it_says_what_to_type(home: Path, temporary: Path):
    ran = run(home, temporary)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "say --yes: without a terminal there are no keys to press." in ran.stderr
    assert [*home.iterdir(), *temporary.iterdir()] == []


def test_a_step_that_there_is_not_is_a_wrong_command_line(home: Path, temporary: Path):
    ran = run(home, temporary, "--yes", "--step", str(len(STEPS) + 1))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"less than or equal to {len(STEPS)}" in ran.stderr


@pytest.mark.timeout(240)
def test_with_yes_all_steps_need_no_keys(home: Path, temporary: Path):
    ran = run(home, temporary, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert [title for step in STEPS if (title := step.title) not in ran.stdout] == []
    assert "$ plait run release.json --approve" in ran.stdout
    assert "[q]" not in ran.stdout + ran.stderr
    assert "8 comments by 2 gateways, none sent twice." in ran.stdout
    assert [*home.iterdir(), *temporary.iterdir()] == []
