"""One start of the program."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from plait.cli.exits import Exit
from plait.cli.session import Session
from plait.config import Config
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers
from .conftest import Plait, task


@pytest.fixture(params=["alone", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    """Carried out in this process, and by a gateway that runs."""
    return str(request.param)


@pytest.fixture
def hang_up_ends() -> Iterator[None]:
    """SIGHUP ends this process, also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_up_ends")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, Exit.INTERRUPTED),
        (signal.SIGTERM, Exit.TERMINATED),
        (signal.SIGHUP, Exit.HUNG_UP),
    ],
)
def test_a_signal_ends_what_the_command_does(
    number: signal.Signals, code: Exit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    async def verb(*given: object) -> int:
        os.kill(os.getpid(), number)
        await anyio.sleep_forever()
        raise AssertionError

    (tmp_path / "servers.toml").write_text("")
    servers, before = FakeServers(), signal.getsignal(number)
    session = Session(
        lambda config: Gateway(servers, servers, InMemoryRuns()), tmp_path / "servers.toml"
    )
    assert session.perform(verb) == code
    assert "Interrupted" in capsys.readouterr().err
    assert signal.getsignal(number) == before


def test_a_closed_terminal_ends_no_command_that_is_to_ignore_it(tmp_path: Path):
    async def verb(*given: object) -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        await anyio.sleep(0.01)
        return Exit.SUCCESS

    (tmp_path / "servers.toml").write_text("")
    servers, before = FakeServers(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        session = Session(
            lambda config: Gateway(servers, servers, InMemoryRuns()), tmp_path / "servers.toml"
        )
        assert session.perform(verb) == Exit.SUCCESS
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_folder_that_is_gone_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert Session().settle(lambda: 0) == Exit.CONFIG
    assert capsys.readouterr().err == (
        "error: the current folder cannot be used: No such file or directory. Go to another one.\n"
    )


@pytest.mark.parametrize("debug", [False, True])
def test_an_error_of_the_program_itself_shows_no_secret(
    debug: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    async def verb(*given: object) -> int:
        raise ValueError("of a library: b's3cr3t key\\n'")

    monkeypatch.setenv("KEY", "s3cr3t key\n")
    (tmp_path / "servers.toml").write_text('[servers.a]\ncommand = "x"\nenv = { A = "${KEY}" }\n')
    servers = FakeServers()
    session = Session(
        lambda config: Gateway(servers, servers, InMemoryRuns()),
        tmp_path / "servers.toml",
        debug=debug,
    )
    assert session.perform(verb) == Exit.TASK_FAILED
    said = capsys.readouterr().err
    assert "ValueError: of a library: b'***" in said
    assert ("Traceback" in said) is debug
    assert "s3cr3t" not in said


PROFILES = """
[servers.a]
command = "x"
[servers.b]
command = "x"
[profiles.one]
servers = ["b"]
"""


@pytest.mark.parametrize("by_variable", [False, True])
@pytest.mark.parametrize(
    "words", ["tools", "servers", "run -", "plan -", "explain -", "call s:echo"]
)
def test_a_profile_narrows_the_settings_of_every_command(
    plait: Plait, tmp_path: Path, words: str, by_variable: bool
):
    (tmp_path / "some.toml").write_text(PROFILES)
    seen: list[Config] = []

    def opened(config: Config) -> Gateway:
        seen.append(config)
        return Gateway(FakeServers(), FakeServers(), InMemoryRuns())

    line = [*words.split(), "--config", "some.toml"]
    line += [] if by_variable else ["--profile", "one"]
    environ = {"PLAIT_PROFILE": "one"} if by_variable else {}
    plait.opened = opened
    plait(*line, input="{}", **environ)
    assert [list(config.servers) for config in seen] == [["b"]]


def test_an_unknown_profile_is_an_error_of_the_settings(plait: Plait, tmp_path: Path):
    (tmp_path / "some.toml").write_text(PROFILES)
    result = plait("tools", "--config", "some.toml", "--profile", "onee")
    assert result.exit_code == 4
    assert 'unknown profile "onee"' in result.stderr
    assert 'Did you mean "one"?' in result.stderr


def test_a_refused_dag_is_one_document_too(plait: Plait):
    result = plait.run([task("a", "s:ekko")], "--json")
    assert (result.exit_code, result.stderr) == (3, "")
    document = json.loads(result.stdout)
    assert document["status"] == "invalid"
    assert document["errors"][0]["path"] == "tasks[0].tool"
    assert document["errors"][0]["code"] == "unknown_tool"
    assert "s:echo" in document["errors"][0]["hint"]


def test_a_refused_dag_is_explained_on_standard_error(plait: Plait):
    result = plait.run([task("a", "s:ekko"), task("b", depends_on=["c"])])
    assert result.stdout == ""
    assert "refused: 2 problems in standard input, nothing has run" in result.stderr
    assert '1. tasks[0].tool "a"' in result.stderr
    assert "2. tasks[1].depends_on" in result.stderr


def test_a_signal_before_anything_runs_leaves_nothing_to_print_but_one_document(
    plait: Plait, monkeypatch: pytest.MonkeyPatch
):
    async def never(self: FakeServers, names: object = None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await anyio.sleep_forever()

    monkeypatch.setattr(FakeServers, "settled", never)
    result = plait.run([task("a", "s:not_listed")])
    assert (result.exit_code, result.stdout) == (143, "")
    for words in (["run", "-", "--json"], ["call", "s:not_listed", "x=1", "--json"]):
        result = plait(*words, input='[{"id": "a", "tool": "s:not_listed"}]')
        assert result.exit_code == 143
        assert json.loads(result.stdout) == {
            "status": "cancelled",
            "errors": [],
            "outputs": {},
            "notes": ["interrupted before anything was sent"],
        }


def test_a_fault_of_the_program_is_one_line_unless_debug_is_on(
    plait: Plait, monkeypatch: pytest.MonkeyPatch
):
    def broken(self: FakeServers) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(FakeServers, "catalog", broken)
    quiet, loud = plait.run([task("a")]), plait.run([task("a")], "--debug")
    assert quiet.exit_code == loud.exit_code == 1
    assert "error: RuntimeError: a bug" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr
    assert "Traceback" in plait.run([task("a")], PLAIT_DEBUG="1").stderr


@pytest.mark.parametrize(
    ("environ", "is_json"), [({}, True), ({"PLAIT_LOG_FORMAT": "text"}, False)]
)
def test_the_log_is_json_unless_a_person_reads_it(
    plait: Plait, environ: dict[str, str], is_json: bool
):
    lines = plait.run([task("a")], "--json", "--log-level", "info", **environ).stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("{") for line in lines) is is_json
    assert all("run.started" in line or "finished" in line for line in lines)
