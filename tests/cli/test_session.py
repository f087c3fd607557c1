"""One start of the program."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import pytest

from plait.cli.exits import Exit
from plait.cli.session import Session
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_what_the_command_does(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    async def verb(gateway: object) -> int:
        signal.raise_signal(number)
        await anyio.sleep_forever()
        raise AssertionError

    (tmp_path / "servers.toml").write_text("")
    servers, before = FakeServers(), signal.getsignal(number)
    session = Session(
        lambda config: Gateway(servers, servers, InMemoryRuns()), tmp_path / "servers.toml"
    )
    assert session.perform(verb) == Exit.INTERRUPTED
    assert "Interrupted" in capsys.readouterr().err
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("debug", [False, True])
def test_an_error_of_the_program_itself_shows_no_secret(
    debug: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    async def verb(gateway: object) -> int:
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
