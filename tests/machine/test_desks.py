"""One desk for all clients with the same settings, open for as long as it is used."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plait.app.parts import Parts
from plait.config import GatewaySettings
from plait.core.flows.knowledge import Owner
from plait.core.tools.catalog import ServerState
from plait.core.values.principal import USER
from plait.machine.desks import Desk, Desks, server_keys, variables_of
from plait.redaction import Secrets
from plait.upstream.transports.served import Hello, Refused

from ..downstream.changing import SERVER, ChangingServer, until

VALUES = {"PATH": os.environ["PATH"]}
SETTINGS = """\
[gateway]
learn = false
idle_exit_s = 60

[servers.{name}]
command = "server-of-{number}"
args = ["${{NAME:-none}}", "${{TOKEN:-none}}"]
cwd = "/"
scope = "{scope}"
lazy = true
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "servers.toml"
    write(file)
    return file


def write(file: Path, *, number: int = 1, name: str = "one", scope: str = "machine") -> None:
    file.write_text(SETTINGS.format(number=number, name=name, scope=scope))


def write_text(file: Path, text: str) -> None:
    file.write_text(text)


def hello(
    settings: Path,
    *,
    environ: dict[str, str] | None = None,
    folder: str = "/",
    door: str = "d",
    client: str = "serve",
) -> Hello:
    state = {"PLAIT_STATE_DIR": str(settings.parent / "state")}
    arguments = ("--config", str(settings))
    return Hello(
        "1", "1", door, Path(folder), arguments, {**state, **(environ or {})}, False, client
    )


@asynccontextmanager
async def desks() -> AsyncIterator[Desks]:
    async with (
        Parts(GatewaySettings(learn=False), None, keys=server_keys) as parts,
        anyio.create_task_group() as tasks,
    ):
        made = Desks(tasks, parts, Secrets())
        with anyio.fail_after(30):
            yield made
            made.close_all()


async def test_clients_of_the_same_settings_share_a_desk(settings: Path):
    values = {"PATH": "/bin", "TOKEN": "t"}
    async with desks() as made:
        async with (
            made.open(hello(settings), values) as one,
            made.open(hello(settings, folder="/tmp"), {**values, "OTHER": "x"}) as other,
        ):
            assert one is other
            assert one.clients == 2
        assert one.clients == 0
        assert len(made.open_ones) == 1


@pytest.mark.parametrize(
    ("values", "environ"),
    [({"TOKEN": "other"}, {}), ({"TOKEN": "t"}, {"PLAIT_MAX_CONCURRENCY": "3"})],
)
async def test_another_value_of_a_variable_that_matters_is_another_desk(
    settings: Path, values: dict[str, str], environ: dict[str, str]
):
    async with (
        desks() as made,
        made.open(hello(settings), {"TOKEN": "t"}) as one,
        made.open(hello(settings, environ=environ), values) as other,
    ):
        assert one is not other


async def test_changed_settings_without_a_reload_are_still_the_same_desk(settings: Path):
    async with desks() as made, made.open(hello(settings), {}) as one:
        write(settings, number=2)
        async with made.open(hello(settings), {}) as other:
            assert one is other


async def test_wrong_settings_are_refused_with_every_mistake_and_harm_no_other_desk(
    settings: Path, tmp_path: Path
):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[gateway]\nwait = 3\n[servers.x]\n")
    async with desks() as made, made.open(hello(settings), {}):
        with pytest.raises(Refused) as refused:
            async with made.open(hello(wrong), {}):
                raise AssertionError
        assert refused.value.code == "settings"
        assert "gateway.wait" in str(refused.value)
        assert "servers.x" in str(refused.value)
        assert len(made.open_ones) == 1


async def test_a_desk_is_closed_once_it_was_unused_for_its_time(
    settings: Path, monkeypatch: pytest.MonkeyPatch
):
    async with desks() as made:
        async with made.open(hello(settings), {}) as desk:
            pass
        made.close_unused()
        assert list(made.open_ones.values()) == [desk]
        later = anyio.current_time() + 61
        monkeypatch.setattr("plait.machine.desks.anyio.current_time", lambda: later)
        made.close_unused()
        assert desk.is_closing
        async with made.open(hello(settings), {}) as fresh:
            assert fresh is not desk
            while len(made.open_ones) > 1:
                await anyio.lowlevel.checkpoint()
        assert list(made.open_ones.values()) == [fresh]


async def test_a_reload_reads_the_settings_of_all_desks_anew(settings: Path):
    async with desks() as made, made.open(hello(settings), {}) as desk:
        write(settings, name="two")
        await anyio.wait_all_tasks_blocked()
        made.reload()
        while "two" not in desk.gateway.catalog().servers:
            await anyio.sleep(0.01)


async def test_what_serves_a_client_knows_its_limits_and_read_only_tools(settings: Path):
    async with anyio.create_task_group() as tasks, desks() as made:
        async with made.open(hello(settings), {}) as desk:
            served = desk.serve_client(tasks, "d")
        assert served.max_message_bytes == 16 * 2**20
        assert served.is_read_only("search_tools")
        assert not served.is_read_only("execute_dag")
        assert not served.is_read_only("one__unknown")


@pytest.mark.parametrize(("scope", "count"), [("machine", 1), ("client", 2)])
async def test_equal_servers_of_two_desks_are_one_unless_each_client_has_its_own(
    tmp_path: Path, scope: str, count: int
):
    file = tmp_path / "servers.toml"
    server = f'builtin = "workspace"\nroot = "/"\nscope = "{scope}"\n'
    write_text(file, f"[gateway]\nlearn = false\n[servers.w]\n{server}")
    one_at_a_time = {"PLAIT_MAX_CONCURRENCY": "1"}
    values = {"PATH": "/bin", "HOME": str(tmp_path)}
    async with (
        desks() as made,
        made.open(hello(file, door="d1"), values) as one,
        made.open(hello(file, door="d2", environ=one_at_a_time), values) as other,
    ):
        assert one is not other
        pids = set()
        for desk in (one, other):
            await desk.gateway.settled()
            pids.add(desk.gateway.catalog().servers["w"].pid)
        assert None not in pids
        assert len(pids) == count


SHARED = """\
[gateway]
learn = false

[servers.s]
command = "{command}"
args = {args}
cwd = "/"
protocol = "legacy"
{more}
"""


def two_settings(folder: Path, command: str, args: list[str], *more: str) -> list[Path]:
    """Settings files of one server, each with *more* settings of it."""
    files = [folder / "one.toml", folder / "other.toml"]
    for file, own in zip(files, more, strict=True):
        write_text(file, SHARED.format(command=command, args=args, more=own))
    return files


def state_at(desk: Desk) -> ServerState:
    return desk.gateway.catalog().servers["s"].state


async def test_a_server_that_one_desk_keeps_running_is_stopped_once_only_lazy_ones_are_left(
    tmp_path: Path,
):
    changing = ChangingServer(tmp_path / "server")
    args = [SERVER, str(changing.folder)]
    lazy, eager = two_settings(
        tmp_path, sys.executable, args, "lazy = true\nidle_timeout_s = 0.05", "lazy = false"
    )
    async with desks() as made, made.open(hello(lazy), VALUES) as one:
        assert state_at(one) is ServerState.NOT_STARTED
        await one.gateway.settled()
        await until(lambda: state_at(one) is ServerState.IDLE)
        async with made.open(hello(eager), VALUES) as other:
            assert state_at(other) is ServerState.IDLE
            other.start_servers()
            await until(lambda: state_at(one) is ServerState.READY)
        other.close()
        await until(lambda: state_at(one) is ServerState.IDLE)
    assert changing.asked.count("initialize") == 2


async def test_each_desk_waits_for_a_start_as_long_as_its_own_settings_say(tmp_path: Path):
    short, long = two_settings(
        tmp_path, "sleep", ["1000"], "startup_timeout_s = 0.2", "startup_timeout_s = 60"
    )
    async with (
        desks() as made,
        made.open(hello(short), VALUES) as one,
        made.open(hello(long), VALUES) as other,
    ):
        other.start_servers()
        ended = await one.gateway.execute({"tasks": [{"id": "a", "tool": "s:look"}]})
        [error] = ended.errors
        assert error.code == "server_unavailable"
        assert state_at(other) is ServerState.CONNECTING


async def test_a_client_with_a_server_of_its_own_has_a_desk_that_is_closed_when_it_leaves(
    settings: Path,
):
    write(settings, scope="client")
    async with desks() as made:
        async with (
            made.open(hello(settings, door="d1"), {}) as one,
            made.open(hello(settings, door="d2"), {}) as other,
        ):
            assert one is not other
        assert one.is_closing
        assert other.is_closing


def test_the_variables_that_a_file_uses_are_found(settings: Path, tmp_path: Path):
    assert variables_of(hello(settings)) == {"NAME", "TOKEN"}
    other = tmp_path / "mcp.json"
    other.write_text('{"mcpServers": {"x": {"command": "$BARE", "args": ["${input:my-key}"]}}}')
    assert variables_of(hello(other)) == {"BARE", "MY_KEY"}


def test_variables_that_are_passed_on_are_asked_for_by_their_beginning(
    settings: Path, tmp_path: Path
):
    passing = tmp_path / "passing.toml"
    passing.write_text('[servers.a]\ncommand = "x"\nenv_pass = ["AWS_*"]\n')
    assert variables_of(hello(passing)) == {"AWS_*"}


def test_without_a_file_no_variables_are_used(tmp_path: Path):
    there: Any = hello(tmp_path / "missing.toml")
    assert variables_of(there) == set()


async def test_a_person_joins_the_desk_of_clients_unless_the_settings_have_changed(settings: Path):
    person = hello(settings, client="call")
    async with desks() as made, made.open(hello(settings), {}) as one:
        async with made.open(person, {}) as other:
            assert other is one
        write(settings, number=2)
        with pytest.raises(Refused, match="changed"):
            async with made.open(person, {}):
                raise AssertionError
        assert one.clients == 1


async def test_an_untrusted_file_is_refused_to_a_person_and_empty_for_a_client(tmp_path: Path):
    (tmp_path / "servers.toml").write_text(SETTINGS.format(name="x", number=1, scope="machine"))
    environ = {"PLAIT_STATE_DIR": str(tmp_path / "state"), "XDG_CONFIG_HOME": "/nowhere"}
    found = Hello("1", "1", "d", tmp_path, (), environ, False)
    async with desks() as made:
        async with made.open(found, {}) as desk, anyio.create_task_group() as tasks:
            assert desk.gateway.catalog().servers == {}
            assert "plait trust" in desk.serve_client(tasks, "d").notice
            tasks.cancel_scope.cancel()
        with pytest.raises(Refused, match="plait trust"):
            async with made.open(replace(found, client="call"), {}):
                raise AssertionError


async def test_servers_start_for_a_client_but_not_for_a_person_who_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "servers.toml"
    server = f'builtin = "workspace"\nroot = "{tmp_path}"\n'
    write_text(file, f"[gateway]\nlearn = false\n[servers.w]\n{server}")
    monkeypatch.setattr("plait.machine.desks.HELD_S", 0.0)
    values = {"PATH": "/bin", "HOME": str(tmp_path)}
    async with (
        desks() as made,
        anyio.create_task_group() as tasks,
        made.open(hello(file, client="call"), values) as desk,
    ):
        await anyio.wait_all_tasks_blocked()
        info = desk.gateway.catalog().servers
        assert info["w"].pid is None
        desk.serve_client(tasks, "d")
        while desk.gateway.catalog().servers["w"].pid is None:
            await anyio.sleep(0.01)


async def test_what_clients_of_a_place_have_seen_is_forgotten_when_the_last_leaves(settings: Path):
    values = {"PATH": "/bin", "TOKEN": "t"}
    async with desks() as made:
        async with made.open(hello(settings), values) as desk:
            async with made.open(hello(settings), {**values, "TOKEN": "other"}) as other:
                assert desk is not other
                assert desk.gateway.place == other.gateway.place
                knowledge = desk.gateway.engine.flows.knowledge
                owner = Owner(USER, desk.gateway.place)
                knowledge.see(owner, ["files:read"])
            assert knowledge.seen_by(owner)
        assert not knowledge.seen_by(owner)
