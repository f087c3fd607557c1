"""From a made-up home to a first DAG: `plait install` at a terminal, one key, then the entry of
each client, started as that client starts it. Real processes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import termios
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from plait.install.clients import CLIENTS, Client, Scope
from plait.install.entries import servers_in, values_of, words_of
from plait.install.machine import Machine, System

from ..install.homes import write
from .homes import SERVER, environment, installed

QUOTED = json.dumps(SERVER)
PLAIN = json.dumps({"adder": {"command": SERVER[0], "args": SERVER[1:]}})
TEXTS = {
    "vscode": f'{{"servers": {PLAIN}}}',
    "codex": f"[mcp_servers.adder]\ncommand = {json.dumps(SERVER[0])}\n"
    f"args = {json.dumps(SERVER[1:])}\n",
    "zed": f'// mine\n{{"context_servers": {PLAIN},}}',
    "goose": "extensions:\n  adder:\n    type: stdio\n    enabled: true\n"
    f"    cmd: {SERVER[0]}\n    args: {json.dumps(SERVER[1:])}\n",
    "opencode": f'{{"mcp": {{"adder": {{"type": "local", "command": {QUOTED}}}}}}}',
    "continue": f"mcpServers:\n- name: adder\n  command: {SERVER[0]}\n"
    f"  args: {json.dumps(SERVER[1:])}\n",
}
"""The file of each client that holds one server; the others write `mcpServers`."""
DAG = {
    "tasks": [
        {"id": "a", "tool": "adder:add", "arguments": {"a": 1, "b": 2}},
        {"id": "b", "tool": "adder:add", "arguments": {"a": "$OUTPUT[a].sum", "b": 10}},
    ]
}


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, home: Path, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            words,
            cwd=home / "work",
            env=environment(home),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, words: str) -> None:
        while words not in self.text:
            self.text += os.read(self._ours, 65_536).decode()

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        try:
            while more := os.read(self._ours, 65_536):
                self.text += more.decode()
        except OSError:  # the end of a terminal
            pass
        os.close(self._ours)
        return self._process.wait()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    command = installed(home)
    yield home
    subprocess.run([command, "stop"], env=environment(home), capture_output=True, check=False)


def file_of(client: Client, home: Path) -> Any:
    machine = Machine(System.LINUX, home, home / "work", environment(home))
    return next(place for place in client.places(machine) if place.scope is Scope.USER)


def answers(
    words: list[str], home: Path, *requests: Mapping[str, Any], folder: Path | None = None
) -> list[Any]:
    """Start *words* in *folder*, *home* if it is None, as a client with a desktop does, and return
    the answers to *requests*."""
    client = {"protocolVersion": "2025-06-18", "capabilities": {}}
    hello = {**client, "clientInfo": {"name": "walker", "version": "1"}}
    found = []
    with subprocess.Popen(
        words,
        cwd=folder or home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number, one in enumerate([{"method": "initialize", "params": hello}, *requests]):
            line = json.dumps({"jsonrpc": "2.0", "id": number, **one})
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            while (message := json.loads(process.stdout.readline())).get("id") != number:
                pass
            found.append(message["result"])
            if number == 0:
                process.stdin.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        process.stdin.close()
        process.stdout.read()
    assert process.returncode == 0
    return found[1:]


def run(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def test_every_client_gets_from_its_servers_to_a_first_dag(home: Path):
    for client in CLIENTS:
        text = TEXTS.get(client.name, f'{{"mcpServers": {PLAIN}}}')
        write(file_of(client, home).path, text)
    terminal = Terminal(home, "plait", "install")
    terminal.read_until("[y/N]")
    assert "Found 13 clients with 13 servers." in terminal.text
    terminal.type("y\n")
    assert terminal.end() == 0, terminal.text
    for client in CLIENTS:
        place = file_of(client, home)
        entries = servers_in(place, values_of(place.path.read_bytes(), place.format))
        assert [*entries] == ["plait"], client
        words = words_of(entries["plait"])
        [result] = answers(words, home, run("execute_dag", **DAG))
        assert result["structuredContent"]["outputs"] == {"b": {"sum": 13}}, client


def with_logins_and_rules(home: Path) -> str:
    linear = {"type": "http", "url": "https://linear.example/mcp", "oauth": {"clientId": "c"}}
    held = {"mcpServers": {**json.loads(PLAIN), "linear": linear}, "numStartups": 3}
    write(home / ".claude.json", held)
    write(home / ".claude/settings.json", {"permissions": {"deny": ["mcp__adder__drop"]}})
    return "claude-code"


def with_marks(home: Path) -> str:
    text = f'{{\r\n  // mine\r\n  "mcpServers": {PLAIN},\r\n}}\r\n'
    write(home / ".cursor/mcp.json", b"\xef\xbb\xbf" + text.encode())
    return "cursor"


def with_dotted_keys(home: Path) -> str:
    text = f'mcp_servers.adder.command = "{SERVER[0]}"\nmcp_servers.adder.args = {SERVER[1:]!r}\n'
    write(home / ".codex/config.toml", f'{text}model = "x"\n[tui]\ntheme = "dark"\n')
    return "codex"


def with_parts_of_the_client(home: Path) -> str:
    text = TEXTS["goose"].replace("extensions:\n", "extensions:\n  dev:\n    type: builtin\n")
    write(home / ".config/goose/config.yaml", text)
    return "goose"


def with_questions_of_the_client(home: Path) -> str:
    asks = {"command": "x", "env": {"KEY": "${input:key}"}}
    held = {"servers": {"asks": asks, **json.loads(PLAIN)}}
    write(home / ".config/Code/User/mcp.json", held)
    return "vscode"


def with_links(home: Path) -> str:
    target = write(home / "dotfiles/mcp.json", f'{{"mcpServers": {PLAIN}}}')
    (home / ".lmstudio").mkdir()
    (home / ".lmstudio/mcp.json").symlink_to(target)
    return "lm-studio"


def with_settings_of_before(home: Path) -> str:
    write(home / ".config/zed/settings.json", TEXTS["zed"])
    write(home / ".config/plait/servers.toml", '[servers.other]\ncommand = "true"\nlazy = true\n')
    return "zed"


def with_another_server_of_the_name(home: Path) -> str:
    other = {"adder": {"command": SERVER[0], "args": [*SERVER[1:], "--other"]}}
    write(home / ".cursor/mcp.json", {"mcpServers": other})
    write(home / ".claude.json", f'{{"mcpServers": {PLAIN}}}')
    return "claude-code"


def with_secrets(home: Path) -> str:
    needing = {"command": SERVER[0], "args": [*SERVER[1:], "--needs", "API_KEY"]}
    held = {"mcpServers": {"adder": {**needing, "env": {"API_KEY": "sk-it's 1 # secret"}}}}
    write(home / ".gemini/settings.json", held)
    return "gemini"


def with_one_that_does_not_start(home: Path) -> str:
    gone = {"type": "local", "command": ["no-such-command"]}
    text = TEXTS["opencode"].replace('{"adder"', f'{{"gone": {json.dumps(gone)}, "adder"')
    write(home / ".config/opencode/opencode.json", text)
    return "opencode"


HOMES = [
    with_logins_and_rules,
    with_marks,
    with_dotted_keys,
    with_parts_of_the_client,
    with_questions_of_the_client,
    with_links,
    with_settings_of_before,
    with_another_server_of_the_name,
    with_secrets,
    with_one_that_does_not_start,
]


@pytest.mark.parametrize("furnish", HOMES, ids=lambda one: one.__name__)
def test_one_key_leads_from_a_made_up_home_to_a_first_dag(
    furnish: Callable[[Path], str], home: Path
):
    name = furnish(home)
    terminal = Terminal(home, "plait", "install")
    terminal.read_until("[y/N]")
    terminal.type("y\n")
    assert terminal.end() == 0, terminal.text
    assert terminal.text.count("[y/N]") == 1
    assert "sk-it" not in terminal.text
    place = file_of(next(one for one in CLIENTS if one.name == name), home)
    entries = servers_in(place, values_of(place.path.read_bytes(), place.format))
    [result] = answers(words_of(entries["plait"]), home, run("execute_dag", **DAG))
    assert result["structuredContent"]["outputs"] == {"b": {"sum": 13}}


def test_a_fresh_machine_gets_to_a_first_dag_over_its_files(home: Path):
    (home / ".cursor").mkdir()
    write(home / "work/notes.txt", "one\ntwo\n")
    terminal = Terminal(home, "plait", "install")
    terminal.read_until("[y/N]")
    terminal.type("yes\n")
    assert terminal.end() == 0, terminal.text
    entry = json.loads((home / ".cursor/mcp.json").read_text())["mcpServers"]["plait"]
    reading = {"id": "r", "tool": "workspace:read_file", "arguments": {"path": "notes.txt"}}
    words = [entry["command"], *entry["args"]]
    [result] = answers(words, home, run("execute_dag", tasks=[reading]), folder=home / "work")
    assert result["structuredContent"]["status"] == "success"
    assert "two" in json.dumps(result["structuredContent"]["outputs"])


@pytest.mark.parametrize("keys", ["n\n", "\n", "\x04"])
def test_without_a_yes_nothing_is_written(keys: str, home: Path):
    file = write(home / ".cursor/mcp.json", f'{{"mcpServers": {PLAIN}}}')
    before = file.read_bytes()
    terminal = Terminal(home, "plait", "install")
    terminal.read_until("[y/N]")
    terminal.type(keys)
    assert terminal.end() == 1
    assert file.read_bytes() == before
    assert not (home / ".config").exists()
    assert not (home / ".local/state/plait/backups").exists()


def test_two_at_once_write_every_file_once(home: Path):
    file = write(home / ".cursor/mcp.json", f'{{"mcpServers": {PLAIN}}}')
    both = [
        subprocess.Popen(
            ["plait", "install", "--yes"],
            cwd=home / "work",
            env=environment(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(2)
    ]
    said = [process.communicate()[0].decode() for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 1]), said
    entries = json.loads(file.read_text())["mcpServers"]
    assert [*entries] == ["plait"]
    folders = [*(home / ".local/state/plait/backups").iterdir()]
    assert len(folders) == 1
    undone = subprocess.run(
        ["plait", "install", "--undo", "--yes"],
        cwd=home,
        env=environment(home),
        capture_output=True,
        check=False,
    )
    assert undone.returncode == 0
    assert [*json.loads(file.read_text())["mcpServers"]] == ["adder"]
