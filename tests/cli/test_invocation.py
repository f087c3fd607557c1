"""What a command and the program around it share."""

from __future__ import annotations

import io
import json
import os
import pty
from pathlib import Path

import anyio
import pytest

from plait.cli.binary import Unsaved
from plait.cli.console import Console
from plait.cli.exits import Exit
from plait.cli.invocation import Invocation
from plait.core.values.problems import Problem
from plait.door import terminal
from plait.errors import ConfigError, InvalidDag
from plait.redaction import Secrets

REFUSED = InvalidDag([Problem("tasks[0].tool", "unknown_tool", "Unknown tool.", "Use s:echo.")])


def typed(
    *, as_json: bool = False, debug: bool = False
) -> tuple[Invocation, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    secrets = Secrets()
    secrets.add(["s3cr3t-value"])
    console = Console(out, err, {})
    return Invocation(console, as_json=as_json, debug=debug, secrets=secrets), out, err


def test_a_refusal_is_reported_with_the_name_of_its_document_or_as_one():
    invocation, out, err = typed()
    invocation.document = "a.json"
    assert invocation.report(REFUSED) == Exit.REFUSED
    assert "refused: 1 problem in a.json" in err.getvalue()
    invocation, out, err = typed(as_json=True)
    assert invocation.report(REFUSED) == Exit.REFUSED
    assert (json.loads(out.getvalue())["status"], err.getvalue()) == ("invalid", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("s3cr3t-value"), Exit.CONFIG), (OSError("s3cr3t-value"), Exit.TASK_FAILED)],
)
@pytest.mark.parametrize("debug", [False, True])
def test_an_error_shows_its_place_only_if_asked_and_never_a_secret(
    error: Exception, code: Exit, debug: bool
):
    invocation, _, err = typed(debug=debug)
    with pytest.raises(type(error)):
        raise error  # so that it has a place
    assert invocation.report(error) == code
    assert ("Traceback" in err.getvalue()) is debug
    assert "s3cr3t" not in err.getvalue()


def test_a_document_is_left_only_where_one_is_wanted_and_missing():
    for as_json, written, expected in ((False, "", ""), (True, "", "cancelled"), (True, "x", "x")):
        invocation, out, _ = typed(as_json=as_json)
        if written:
            invocation.console.out.line(written)
        invocation.leave_a_document()
        assert expected in out.getvalue()
        assert ("cancelled" in out.getvalue()) is (expected == "cancelled")


def test_files_are_written_here(tmp_path: Path):
    invocation, _, _ = typed()
    invocation.save([(tmp_path / "a", b"a"), (tmp_path / "b", b"b")])
    assert [(tmp_path / name).read_bytes() for name in "ab"] == [b"a", b"b"]
    with pytest.raises(Unsaved, match="Is a directory"):
        invocation.save([(tmp_path, b"")])


def test_what_could_not_be_saved_is_a_failure_in_words():
    invocation, out, err = typed()
    assert invocation.report(Unsaved("x cannot be written: full.")) == Exit.TASK_FAILED
    assert (out.getvalue(), err.getvalue()) == ("", "error: x cannot be written: full.\n")


async def test_without_a_terminal_no_line_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(terminal, "PATH", str(tmp_path / "tty"))
    invocation, _, _ = typed()
    assert await invocation.read_line(lambda: pytest.fail("it is asked for")) is None


async def test_a_line_is_read_after_its_question_and_waiting_for_it_can_be_cancelled(
    monkeypatch: pytest.MonkeyPatch,
):
    person, theirs = pty.openpty()
    monkeypatch.setattr(terminal, "PATH", os.ttyname(theirs))
    invocation, _, _ = typed()
    assert await invocation.read_line(lambda: write(person, b"Yes \n")) == "Yes"
    assert await invocation.read_line(lambda: write(person, b"\n")) == ""
    assert await invocation.read_line(lambda: write(person, b"\x04")) is None
    with anyio.move_on_after(0.1) as scope:
        await invocation.read_line(lambda: None)
    assert scope.cancelled_caught
    for end in (person, theirs):
        os.close(end)


def write(end: int, text: bytes) -> None:
    os.write(end, text)
