"""Faults that are planted in a home: each is named with its fix, and none holds up the rest."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from plait.doctor.examination import examine
from plait.doctor.findings import Finding, Mark, documents
from plait.errors import ConfigError

from .homes import GOOD, Home, server

SOON = 45.0
WRONG, LOOK = Mark.WRONG, Mark.LOOK


async def examined(home: Home) -> list[Finding]:
    with anyio.fail_after(SOON):
        return await examine(home.case)


async def test_in_a_home_without_faults_there_is_nothing_to_do(home: Home):
    home.answers()
    found = await examined(home)
    assert [(one.about, one.says) for one in found if one.mark is not Mark.WELL] == []
    assert {one.about for one in found} == {
        "settings", "commands", "files", "Cursor", "gateway", "state folder", "history"
    }  # fmt: skip


class Fault(NamedTuple):
    """A fault that *plant* makes, and the row that names it."""

    plant: Callable[[Home], object]
    mark: Mark
    about: str
    says: str
    fix: str


def untrusted(home: Home) -> None:
    (home.folder / "servers.toml").write_text('[servers.x]\ncommand = "x"\n')


def hidden(home: Home) -> None:
    untrusted(home)
    from plait.config.trust import Decisions, SettingsFile

    Decisions(home.state).trust(SettingsFile.read(home.folder / "servers.toml"))


def missing_interpreter(home: Home) -> None:
    home.script("tool", "", interpreter="/usr/bin/env frobnode")
    home.set(files=server(), js={"command": "tool"})


def only_in_a_shell(home: Home) -> None:
    home.script("frobnicate", "exit 1")
    home.set(frob={"command": "frobnicate"})


def docker_is_down(home: Home) -> None:
    home.script("docker", "echo Cannot connect to the daemon >&2; exit 1")
    home.set(box={"command": "docker", "args": ["run", "-i", "x"]})


def another_version(home: Home) -> None:
    old = home.root / "old" / "plait"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho plait 0.0.1\n")
    old.chmod(0o755)
    home.cursor({"plait": {"command": str(old), "args": ["serve"]}})


def in_a_cache(home: Home) -> None:
    program = home.root / "cache" / "uv" / "archive-v0" / "abc" / "bin" / "plait"
    program.parent.mkdir(parents=True)
    program.write_bytes(home.plait.read_bytes())
    program.chmod(0o755)
    home.cursor({"plait": {"command": str(program), "args": ["serve"]}})


def registered(*args: str, **more: Any) -> Callable[[Home], None]:
    def plant(home: Home) -> None:
        home.cursor({"plait": {"command": str(home.plait), "args": ["serve", *args]}, **more})

    return plant


def registration(home: Home) -> str:
    return f'[mcp_servers.plait]\ncommand = "{home.plait}"\nargs = ["serve"]\n'


def locked(home: Home) -> None:
    fd = os.open(home.state / f"gateway-{os.uname().nodename}.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)


def not_ours(home: Home) -> None:
    def refuse() -> None:
        raise ConfigError(
            "/run/x: others may use it; take that from them with: chmod go-rwx /run/x"
        )

    home.case = replace(home.case, ask_gateway=refuse)


def damaged(home: Home) -> None:
    file = home.state / "history.db"
    file.write_bytes(b"this is not a database, whatever its name says" * 100)


def newer_history(home: Home) -> None:
    import apsw

    db = apsw.Connection(str(home.state / "history.db"))
    db.pragma("user_version", 99_000)
    db.close()


def clock_is_behind(home: Home) -> None:
    later = time.time() + 3 * 86_400
    os.utime(home.state / "history.db", (later, later))


def plait_itself(home: Home) -> None:
    env = {"PLAIT_ISOLATED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    args = ["-m", "plait", "serve", "--config", str(home.file)]
    home.set(me={"command": sys.executable, "args": args, "env": env})


FAULTS = {
    "a key that is unknown": Fault(
        lambda home: home.set("[gatway]\n"), WRONG, "settings", "gatway: unknown", "correct it in /"
    ),
    "a file that was found and is not trusted": Fault(
        untrusted, WRONG, "settings", "was found here and is not trusted", "plait trust /"
    ),
    "settings that others may write": Fault(
        lambda home: home.file.chmod(0o666), WRONG, "settings", "others may write it", "chmod go-w"
    ),
    "a secret that is written out": Fault(
        lambda home: home.set(a=server(env={"A_TOKEN": "hunter2hunter2"})),
        LOOK,
        "settings",
        "[servers.a] has what looks like a secret, written out: env.A_TOKEN",
        "move it to secrets.env, and write ${NAME} in its place",
    ),
    "settings of the user that a project hides": Fault(
        hidden, LOOK, "settings", "is not used here: ", "servers that you need here belong into"
    ),
    "no settings": Fault(
        lambda home: home.file.unlink(), LOOK, "settings", "no servers.toml was", "plait install"
    ),
    "secrets that others may read": Fault(
        lambda home: home.secrets("A=1\n", 0o644), WRONG, "secrets.env", "is not used", "chmod 600"
    ),
    "a line of the secrets that means nothing": Fault(
        lambda home: home.secrets("A=1\nB\n"), WRONG, "secrets.env", "line 2 is not", "write NAME="
    ),
    "a variable that is not set": Fault(
        lambda home: home.set(gh={"url": "https://${GH_TOKEN}.example"}),
        WRONG,
        "GH_TOKEN",
        "not set; [servers.gh] is off",
        "set it in /",
    ),
    "a file of a secret that is missing": Fault(
        lambda home: home.set(gh=server(env={"T": "${file:/run/none}"})),
        WRONG,
        "/run/none",
        "cannot be read: No such file or directory; [servers.gh] is off",
        "make it, or correct its path",
    ),
    "a command that is not on the PATH": Fault(
        lambda home: home.set(db={"command": "uvxx"}),
        WRONG,
        "uvxx",
        "not on your PATH; [servers.db] cannot start",
        "install it, or name its folder in [gateway] path",
    ),
    "a command that is gone": Fault(
        lambda home: home.set(db={"command": "/opt/none/db"}),
        WRONG,
        "db",
        "/opt/none/db is not there; [servers.db] cannot start",
        "correct the command",
    ),
    "a command without what it is written for": Fault(
        missing_interpreter, WRONG, "frobnode", "not on your PATH; [servers.js]", "install it"
    ),
    "a command that only a shell finds": Fault(
        only_in_a_shell, LOOK, "frobnicate", "but not on that of Cursor", "[gateway] path = ["
    ),
    "a daemon that does not answer": Fault(
        docker_is_down, WRONG, "docker", "Cannot connect to the daemon", "start Docker"
    ),
    "a server that ends at once": Fault(
        lambda home: home.set(db=server(flags=("--die",))),
        WRONG,
        "db",
        "I cannot find my database",
        "run it in a shell",
    ),
    "a server that does not answer": Fault(
        lambda home: home.set(db=server(flags=("--hang",), startup_timeout_s=0.5)),
        WRONG,
        "db",
        "within 0.5 s",
        "startup_timeout_s = 1",
    ),
    "a server that cannot be reached": Fault(
        lambda home: home.set(far={"url": "http://127.0.0.1:1/mcp", "transport": "http"}),
        WRONG,
        "far",
        "cannot be reached",
        "check url and headers",
    ),
    "a server that is this gateway": Fault(
        plait_itself, WRONG, "me", "it is this gateway", "remove [servers.me]"
    ),
    "a tool whose schema is broken": Fault(
        lambda home: home.set(db=server(GOOD, {"name": "bad", "inputSchema": 7})),
        LOOK,
        "db",
        "tool bad was left out: its inputSchema is not an object",
        "tell its makers",
    ),
    "a tool that is not described": Fault(
        lambda home: home.set(db=server({"name": "mute", "inputSchema": {"type": "object"}})),
        LOOK,
        "db",
        "no description, so models cannot choose them: mute",
        "tell its makers",
    ),
    "a server none of whose tools is chosen": Fault(
        lambda home: home.set(db=server(include=["write_*"])),
        LOOK,
        "db",
        "with no tools, 1 more left out by include and exclude",
        "change include and exclude",
    ),
    "a rule that matches no tool": Fault(
        lambda home: home.set('[policy]\ndeny = ["files:wirte"]\n'),
        LOOK,
        "rules",
        'policy.deny[0]: "files:wirte" matches no tool',
        "correct it in /",
    ),
    "a client that starts what is gone": Fault(
        lambda home: home.plait.unlink(), WRONG, "Cursor", "plait, which is gone", "plait install c"
    ),
    "a client that starts another version": Fault(
        another_version, LOOK, "Cursor", "plait: 0.0.1; this is ", "plait install cursor"
    ),
    "a client that starts what is in a cache": Fault(
        in_a_cache, LOOK, "Cursor", "which will not last", "uv tool install plait"
    ),
    "a client that names settings that are gone": Fault(
        registered("--config", "/none/servers.toml"),
        WRONG,
        "Cursor",
        "names the settings /none/servers.toml, which are gone",
        "plait install cursor",
    ),
    "a client that names an unknown profile": Fault(
        registered("--profile", "work"), WRONG, "Cursor", "names the profile work", "plait install"
    ),
    "a server that runs twice": Fault(
        registered(Files={"command": "x"}),
        LOOK,
        "Cursor",
        "starts Files itself, and [servers.files] is the same",
        "plait install cursor",
    ),
    "a client that waits for too short a time": Fault(
        lambda home: home.codex(registration(home) + "tool_timeout_sec = 9\n"),
        LOOK,
        "Codex",
        "waits 9 s for an answer, which may take 50 s",
        "tool_timeout_sec = 600 in /",
    ),
    "a client's file that is broken": Fault(
        lambda home: (home.home / ".cursor" / "mcp.json").write_text('{"mcpServers": {'),
        WRONG,
        "Cursor",
        "mcp.json: it is not JSON",
        "correct that file",
    ),
    "a client that reaches an address where nothing answers": Fault(
        lambda home: home.cursor({"plait": {"url": "http://127.0.0.1:8420/mcp"}}),
        WRONG,
        "Cursor",
        "where nothing answers",
        "plait serve --http 8420",
    ),
    "no client that starts Plait": Fault(
        lambda home: home.cursor({}), LOOK, "clients", "none of them starts Plait", "plait install"
    ),
    "an old gateway": Fault(
        lambda home: home.answers(version="0.0.1"), LOOK, "gateway", "0.0.1 runs", "plait restart"
    ),
    "a gateway that does not answer": Fault(
        locked, WRONG, "gateway", "holds its lock and does not answer", "plait stop, or end it"
    ),
    "a socket that others may use": Fault(
        not_ours, WRONG, "socket", "others may use it", "chmod go-rwx /run/x"
    ),
    "a state folder to which others may write": Fault(
        lambda home: home.state.chmod(0o777), WRONG, "state folder", "others may", "chmod go-w"
    ),
    "a history that is damaged": Fault(
        damaged, WRONG, "history", "history.db cannot be read", "end all gateways"
    ),
    "a history of a newer version": Fault(
        newer_history, WRONG, "history", "written by a newer Plait", "upgrade this Plait"
    ),
    "a history that was set aside": Fault(
        lambda home: (home.state / "history.db.damaged-20260101-000000").touch(),
        LOOK,
        "history",
        "was damaged and set aside",
        "delete it",
    ),
    "a clock that is behind": Fault(
        clock_is_behind, LOOK, "clock", "and files were written at", "set the clock"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
async def test_a_planted_fault_is_named_with_its_fix(home: Home, name: str):
    fault = FAULTS[name]
    fault.plant(home)
    found = await examined(home)
    named = [
        one
        for one in found
        if (one.mark, one.about) == (fault.mark, fault.about) and fault.says in one.says
    ]
    assert len(named) == 1, [*documents(found)]
    assert fault.fix in named[0].fix
    assert all(one.fix for one in found if one.mark is not Mark.WELL)


async def test_no_secret_is_shown(home: Home):
    home.secrets("A_TOKEN=hunter2hunter2\n")
    home.set(far={"url": "http://127.0.0.1:1/${A_TOKEN}", "transport": "http"})
    assert "hunter2" not in str(await examined(home))


async def test_what_hangs_is_named_and_holds_up_nothing_else(home: Home, tmp_path: Path):
    done = anyio.Event()

    def never() -> None:
        while not done.is_set():
            time.sleep(0.01)

    home.script("plait", "exec sleep 600")
    home.set(db=server(flags=("--hang",), startup_timeout_s=3_600))
    home.case = replace(home.case, ask_gateway=never, check_s=1, server_s=3, program=tmp_path)
    try:
        found = await examined(home)
    finally:
        done.set()
    rows = {one.about: one.says for one in found}
    assert rows["gateway"] == "the check did not end within 1 s"
    assert "within 3 s" in rows["db"]
    assert rows["files"].startswith("ready in ")
    assert rows["clients"] == "the check did not end within 1 s"


async def test_a_check_that_fails_is_named_and_stops_no_other(home: Home):
    def fail() -> None:
        raise RuntimeError("out of luck")

    home.case = replace(home.case, ask_gateway=fail)
    rows = {one.about: one for one in await examined(home)}
    assert (rows["gateway"].mark, rows["gateway"].says) == (
        WRONG,
        "could not be checked: out of luck",
    )
    assert rows["files"].mark is Mark.WELL
