"""The reports that a command was asked for, and how they are written."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import anyio
import junitparser
import pytest

from plait.cli.reporting import Format, Report, make, write
from plait.core.results.record import RunStatus
from plait.redaction import Secrets

from ..fakes import FakeServers, text, tool
from .conftest import Plait, task
from .past import Past
from .records import ended, record


@pytest.fixture(params=["alone", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    """Carried out in this process, and by a gateway that runs."""
    return str(request.param)


BROKEN = [task("a"), task("bad", "s:fail"), task("after", depends_on=["bad"])]


def said_by(write_to: Path) -> list[str]:
    said: list[str] = []
    is_written = write([(Report(Format.JUNIT, write_to), b"new")], said.append)
    assert is_written is not bool(said)
    return said


def test_a_run_can_have_all_reports(plait: Plait):
    words = ("--junit", "junit.xml", "--md", "run.md", "--html", "run.html")
    assert plait.run(BROKEN, *words).exit_code == 1
    assert all("s:fail" in Path(name).read_text() for name in words[1::2])


def test_a_run_is_reported_with_its_exit_code_and_result(plait: Plait):
    result = plait.run(BROKEN, "--junit", "out/junit.xml")
    assert result.exit_code == 1
    assert "1 succeeded · 1 failed · 1 skipped" in result.stdout
    [suite] = junitparser.JUnitXml.fromfile("out/junit.xml")
    assert (suite.tests, suite.failures, suite.skipped) == (3, 1, 1)
    assert os.listdir("out") == ["junit.xml"]


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_report_that_cannot_be_written_is_said_and_changes_nothing_else(
    plait: Plait, words: tuple[str, ...]
):
    Path("file").write_text("")
    plain = plait.run(BROKEN, *words)
    result = plait.run(BROKEN, *words, "--junit", "file/junit.xml")
    assert result.exit_code == plain.exit_code == 1
    assert len(result.stdout.splitlines()) == len(plain.stdout.splitlines())
    said = "error: file/junit.xml: the JUnit report cannot be written: Not a directory."
    assert said in result.stderr


def test_a_run_that_is_cancelled_is_reported(plait: Plait):
    result = plait.run([task("a", "s:hang")], "--timeout", "0.05", "--junit", "junit.xml")
    assert result.exit_code == 124
    [suite] = junitparser.JUnitXml.fromfile("junit.xml")
    assert suite.errors == 1


def test_a_run_that_is_interrupted_is_reported(plait: Plait, servers: FakeServers):
    async def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    servers.add(tool("s:interrupted", {}), interrupted)
    tasks = [task("a"), task("b", "s:interrupted", depends_on=["a"])]
    assert plait.run(tasks, "--junit", "junit.xml").exit_code == 130
    [suite] = junitparser.JUnitXml.fromfile("junit.xml")
    assert (suite.tests, suite.errors, suite.failures) == (2, 1, 0)


@pytest.mark.parametrize("format", ["--junit", "--md", "--html"])
def test_secrets_of_the_settings_are_in_no_report(plait: Plait, servers: FakeServers, format: str):
    Path("own.toml").write_text('[servers.s]\ncommand = "s"\nenv = { KEY = "swordfish-42" }\n')
    servers.add(tool("s:leak", {}), lambda: text("denied for swordfish-42 indeed", is_error=True))
    plait.run([task("a", "s:leak")], "--config", "own.toml", format, "report")
    report = Path("report").read_text()
    assert "indeed" in report
    assert "swordfish" not in report


def test_a_dag_that_is_refused_has_no_report(plait: Plait):
    assert plait.run([task("a", "s:nothing")], "--junit", "junit.xml").exit_code == 3
    assert not Path("junit.xml").exists()


@pytest.mark.parametrize("way", ["alone"], indirect=True)
def test_a_past_run_is_reported(plait: Plait, past: Past):
    assert plait("history", past.broken, "--junit", "junit.xml").exit_code == 0
    [suite] = junitparser.JUnitXml.fromfile("junit.xml")
    assert (suite.tests, suite.failures) == (2, 1)
    assert plait("history", past.broken, "--md", "run.md").exit_code == 0
    assert "`EACCES: /x`" in Path("run.md").read_text()
    assert plait("history", past.broken, "--html", "run.html").exit_code == 0
    assert "EACCES: /x</div>" in Path("run.html").read_text()
    failed = plait("history", past.broken, "--junit", ".")
    assert failed.exit_code == 1
    assert "the JUnit report cannot be written: Is a directory." in failed.stderr


@pytest.mark.parametrize("way", ["alone"], indirect=True)
def test_a_run_that_is_verified_has_no_report(plait: Plait, past: Past):
    result = plait("history", past.well, "--verify", "--html", "run.html")
    assert result.exit_code == 2
    assert "report a run that is shown, not one with --verify" in result.stderr
    assert not Path("run.html").exists()


@pytest.mark.parametrize("way", ["alone"], indirect=True)
def test_a_call_by_name_has_no_report(plait: Plait, past: Past):
    result = plait("history", past.call, "--junit", "junit.xml")
    assert result.exit_code == 2
    assert "is a call by name; there are reports of runs of DAGs alone" in result.stderr


def test_the_summary_of_a_step_on_github_is_appended(plait: Plait):
    Path("summary.md").write_text("before")
    environ = {"GITHUB_STEP_SUMMARY": "summary.md"}
    for words in ((), ("--md", "summary.md"), ("--md", "own.md")):
        assert plait.run(BROKEN, *words, **environ).exit_code == 1
    before, *rest = Path("summary.md").read_text().split("## ")
    assert before == "before\n"
    assert [part.splitlines()[0] for part in rest if part.startswith("⚠️")] == [
        "⚠️ `Run`: partial"
    ] * 3
    assert Path("own.md").read_text().startswith("## ⚠️ `Run`: partial\n")


def test_a_summary_that_cannot_be_written_is_said(plait: Plait):
    result = plait.run(BROKEN, GITHUB_STEP_SUMMARY="no/such/summary.md")
    assert result.exit_code == 1
    reason = "the Markdown report cannot be written: No such file or directory."
    assert f"no/such/summary.md: {reason}" in result.stderr
    assert "1 succeeded · 1 failed · 1 skipped" in result.stdout


def test_two_reports_in_one_file_are_refused(plait: Plait):
    result = plait.run(BROKEN, "--md", "out", "--html", "./out")
    assert result.exit_code == 2
    assert "Invalid value for --md: out is the file of --html, too." in result.stderr
    assert not Path("out").exists()


def test_each_format_has_its_maker():
    result = ended(RunStatus.SUCCESS, record("a"))
    for format in Format:
        [(_, content)] = make([Report(format, Path("x"))], result, Secrets())
        assert b"s:a" in content


def test_a_report_replaces_a_file_as_a_whole_and_keeps_its_mode(tmp_path: Path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    with open(file) as reader:
        assert said_by(link) == []
        assert reader.read() == "old"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", 0o640)
    assert link.is_symlink()


def test_a_draft_is_left_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    file = tmp_path / "file"
    assert said_by(file) == [
        f"{file}: the JUnit report cannot be written: No space left on device."
    ]
    assert list(tmp_path.iterdir()) == []


def device(folder: Path) -> Path:
    return Path("/dev/full")


def unread_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize(
    ("place", "why"),
    [(device, "No space left on device"), (unread_pipe, "No such device or address")],
)
def test_a_device_or_pipe_that_takes_nothing_is_said(
    tmp_path: Path, place: Callable[[Path], Path], why: str
):
    at = place(tmp_path)
    assert said_by(at) == [f"{at}: the JUnit report cannot be written: {why}."]


def test_a_pipe_gets_the_report(tmp_path: Path):
    reading, writing = os.pipe()
    assert said_by(Path(f"/dev/fd/{writing}")) == []
    os.close(writing)
    with open(reading, "rb") as read:
        assert read.read() == b"new"
