"""`plait trust`, and what becomes of a file that was found: on a terminal, elsewhere, and for a
client."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ..warm import warm
from .conftest import Plait

SETTINGS = '[servers.workspace]\nbuiltin = "workspace"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings that were found there, and a state folder of its own."""
    (tmp_path / "servers.toml").write_text(SETTINGS)
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def test_a_command_without_a_terminal_says_what_to_type_and_ends_with_4(plait: Plait, folder: Path):
    result = plait("tools")
    assert (result.exit_code, result.stdout) == (4, "")
    assert f"plait trust {folder / 'servers.toml'}" in result.stderr


def test_plait_trust_shows_the_file_and_from_then_on_it_is_used(plait: Plait, folder: Path):
    result = plait("trust", "servers.toml")
    assert result.exit_code == 0
    assert "workspace: the bundled workspace server" in result.stdout
    assert plait("tools").exit_code == 0
    (folder / "servers.toml").write_text(f"{SETTINGS}# changed\n")
    assert plait("tools").exit_code == 4


def test_trust_is_a_row_of_the_audit(plait: Plait, folder: Path):
    file = folder / "servers.toml"
    assert plait("trust", "servers.toml").exit_code == 0
    [row] = map(json.loads, plait("history", "audit", "--json").stdout.splitlines())
    assert (row["what"], row["principal"], row["file"]) == ("trusted", "user", str(file))
    assert row["settings"] == hashlib.sha256(file.read_bytes()).hexdigest()
    shown = plait("history", "audit").stdout.split()
    assert (shown[2], shown[-1]) == ("trusted", str(file))


def test_trust_is_in_the_audit_as_the_settings_say_also_if_these_are_wrong(
    plait: Plait, folder: Path
):
    file, lines = folder / "servers.toml", folder / "audit.jsonl"
    file.write_text(f'{SETTINGS}[history]\nenabled = false\n[audit]\nfile = "{lines}"\n')
    assert plait("trust", "servers.toml").exit_code == 0
    assert json.loads(lines.read_text())["what"] == "trusted"
    file.write_text(f"{SETTINGS}[policy]\nunknown = 1\n")
    assert plait("trust", "servers.toml").exit_code == 0
    file.write_text(SETTINGS)
    result = plait("history", "audit", "--json", PLAIT_CONFIG="servers.toml")
    [row] = map(json.loads, result.stdout.splitlines())
    assert row["what"] == "trusted"


def test_a_file_that_is_named_is_used_without_a_word(plait: Plait, folder: Path):
    assert plait("tools", "--config", "servers.toml").exit_code == 0
    assert plait("tools", PLAIT_CONFIG="servers.toml").exit_code == 0


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (None, 0o644, "cannot be read: No such file"),
        ("[servers", 0o644, "is not TOML"),
        ("", 0o666, "others may write it"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_4(
    plait: Plait, folder: Path, text: str | None, mode: int, said: str
):
    file = folder / "servers.toml"
    file.unlink()
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    result = plait("trust", str(file))
    assert result.exit_code == 4
    assert said in " ".join(result.stderr.split())
    assert not (folder / "state").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("mcp.json", '{"a": 1}', "it has no servers: one of mcpServers, servers"),
        ("mcp.json", '{"mcpServers": 5}', "mcpServers: must map names to servers"),
        ("config.toml", "mcp_servers = 1", "mcp_servers: must map names to servers"),
    ],
)
def test_a_file_of_a_client_without_servers_is_nothing_to_trust(
    plait: Plait, folder: Path, name: str, text: str, said: str
):
    (folder / name).write_text(text)
    result = plait("trust", name)
    assert (result.exit_code, result.stdout) == (4, "")
    assert said in " ".join(result.stderr.split())
    assert not (folder / "state").exists()


def test_a_settings_file_without_an_end_is_refused(plait: Plait, folder: Path):
    for command in (("trust", "/dev/zero"), ("tools", "--config", "/dev/zero")):
        result = plait(*command)
        assert result.exit_code == 4
        assert "/dev/zero: cannot be read: it has more than 4,194,304 bytes" in result.stderr


@contextmanager
def on_a_terminal(*words: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command with a terminal as its standard error and controlling terminal; its other
    streams are pipes."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "plait", *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, words: str) -> str:
    said = ""
    while words not in said:
        said += os.read(terminal, 4096).decode()
    return said


def read_to_the_end(terminal: int) -> None:
    with suppress(OSError):  # which is how the end of a terminal reads
        while os.read(terminal, 4096):
            pass


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
def test_on_a_terminal_a_person_is_asked_once(folder: Path, answer: bytes, code: int):
    with on_a_terminal("tools", cwd=folder) as (process, terminal):
        said = read_until(terminal, "[y/N]")
        os.write(terminal, answer)
        read_to_the_end(terminal)
        out, _ = process.communicate()
    assert process.returncode == code
    assert "workspace: the bundled workspace server" in said
    assert (b"read_file" in out) is (code == 0)
    assert (folder / "state" / "trusted").exists() is (code == 0)  # or it is asked again


Ask = Callable[..., Any]


@contextmanager
def served(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], Ask]]:
    """`plait serve` for a client in *folder*, and what asks it."""
    process = subprocess.Popen(
        [*warm("-m", "plait"), "serve", *words],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    into, out = process.stdin, process.stdout

    def ask(method: str, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        into.write(json.dumps(message) + "\n")
        into.flush()
        while (answer := json.loads(out.readline())).get("id") != 1:
            pass
        return answer["result"]

    try:
        yield process, ask
    finally:
        process.kill()
        process.communicate()


def greet(ask: Ask) -> str:
    client = {"name": "test", "version": "1"}
    hello = ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
    return str(hello["instructions"])


def servers_of(ask: Ask) -> Any:
    answer = ask("tools/call", name="search_tools", arguments={"query": ""})
    return answer["structuredContent"]


@pytest.fixture
def runs_something(folder: Path) -> Path:
    """The mark that a server of the found file would leave."""
    text = f'[servers.x]\ncommand = "touch"\nargs = ["{folder / "mark"}"]\n'
    (folder / "servers.toml").write_text(text)
    return folder / "mark"


def test_a_client_gets_an_empty_desk_that_says_why_and_nothing_runs(
    folder: Path, runs_something: Path
):
    with served(folder) as (_, ask):
        instructions, found = greet(ask), servers_of(ask)
    command = f"plait trust {folder / 'servers.toml'}"
    assert command in instructions
    assert found["servers"] == []
    assert command in found["notes"][0]
    assert not runs_something.exists()


def test_with_watch_the_desk_fills_once_the_file_is_trusted(folder: Path, plait: Plait):
    with served(folder, "--watch") as (process, ask):
        greet(ask)
        assert servers_of(ask)["servers"] == []
        assert plait("trust", "servers.toml").exit_code == 0
        assert process.stderr is not None
        assert any("config.reloaded" in line for line in process.stderr)
        found = servers_of(ask)
    assert [server["name"] for server in found["servers"]] == ["workspace"]
    assert "notes" not in found


def test_a_change_under_a_running_gateway_waits_for_trust(
    folder: Path, plait: Plait, tmp_path: Path
):
    assert plait("trust", "servers.toml").exit_code == 0
    with served(folder, "--watch") as (process, ask):
        greet(ask)
        mark = tmp_path / "mark"
        changed = f'{SETTINGS}[servers.x]\ncommand = "touch"\nargs = ["{mark}"]\n'
        (folder / "servers.toml").write_text(changed)
        assert process.stderr is not None
        [line] = [next(line for line in process.stderr if "config.refused" in line)]
        found = servers_of(ask)
    assert "plait trust" in line
    assert [server["name"] for server in found["servers"]] == ["workspace"]
    assert not mark.exists()
