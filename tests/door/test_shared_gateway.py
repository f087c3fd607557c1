"""`plait serve` as clients start it: doors and the real gateway. Each test is a promise of the
contract, section 10."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from plait.door.frames import CONTROL, frame

from ..downstream.changing import ChangingServer, described, until
from .clients import Client, Machine, memory_kb

READ_ONLY = {"readOnlyHint": True}
pytestmark = pytest.mark.timeout(180)  # a gateway takes seconds to start, or many on a busy machine


class Desk:
    """Doors whose settings name one server. Its tools are `look` and `wait`: `wait` answers once
    it may."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.server = ChangingServer(machine.folder / "changing")
        self.put_wait()
        lead = self.server.settings()
        text = '[gateway]\nexpose = "all"\n[servers.s]\nprotocol = "legacy"\n'
        text += f"command = {json.dumps(lead.command)}\nargs = {json.dumps(list(lead.args))}\n"
        (machine.folder / "servers.toml").write_text(text)

    def put_wait(self, *, is_read_only: bool = False) -> None:
        wait = described("wait", annotations={"readOnlyHint": is_read_only})
        self.server.put([wait, described("look", annotations=READ_ONLY)])

    async def door(self) -> Client:
        """Start a door, and wait until its tools are known."""
        door = await self.machine.door("--config", "servers.toml")
        search = await door.call("search_tools", query="wait")
        assert "s:wait" in json.dumps(await door.answer(search))
        return door

    async def waiting(self, door: Client) -> int:
        """Call `wait`, and return the request once the server has it."""
        before = self.calls
        request = await door.call("s__wait")
        await until(lambda: self.calls > before)
        return request

    async def person(self, *words: str) -> asyncio.subprocess.Process:
        """Start a command of a person. The modules that it imports are on its standard error."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "importtime", "-m", "plait", *words),
            stdout=pipe,
            stderr=pipe,
            env={**self.machine.environ, "PLAIT_CONFIG": "servers.toml"},
            cwd=self.machine.folder,
        )

    @property
    def calls(self) -> int:
        return self.server.asked.count("tools/call")


RIGHT = "[gateway]\nlearn = false\n"


@pytest.fixture
def desk(machine: Machine) -> Desk:
    return Desk(machine)


async def until_it_ended(machine: Machine) -> None:
    """Wait until the lock is free: the gateway has ended."""
    lock = os.open(machine.place.lock_path, os.O_RDWR)
    await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
    os.close(lock)


async def test_twenty_doors_at_once_start_one_gateway(machine: Machine):
    doors = await asyncio.gather(*(machine.door() for _ in range(20)))
    assert sum("starting the gateway" in door.notes for door in doors) == 1
    assert machine.gateways() == [machine.gateway()]
    assert machine.log.count('"event": "serving"') == 1


async def test_plait_serve_is_a_small_process_that_imports_next_to_nothing(machine: Machine):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", "-m", "plait", "serve"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=machine.environ,
    )
    _, notes = await process.communicate()
    assert process.returncode == 0
    imported = {line.rpartition(b"|")[2].strip().decode() for line in notes.splitlines()}
    assert "plait.door.door" in imported
    assert imported & {"mcp", "pydantic", "asyncio", "json", "socket", "dataclasses"} == set()
    door = await machine.door()
    assert memory_kb(door, "VmRSS") <= 12 * 1024


@pytest.mark.parametrize(("words", "variable"), [(["--isolated"], ""), ([], "1")])
async def test_isolated_there_is_no_gateway(machine: Machine, words: list[str], variable: str):
    door = await machine.door(*words, PLAIT_ISOLATED=variable)
    assert "result" in await door.request("ping")
    assert not machine.has_lock


async def test_what_the_door_does_not_know_is_explained(machine: Machine):
    door = await machine.door("--confg", "x.toml", introduced=False)
    assert await door.ended() == 2
    assert "--confg" in door.notes


async def test_settings_that_are_wrong_end_their_door_alone(machine: Machine):
    (machine.folder / "wrong.toml").write_text('[gateway]\nexpose = "al"\n[servers.A]\nurl = "x"\n')
    fine = await machine.door()
    wrong = await machine.door("--config", "wrong.toml", introduced=False)
    assert await wrong.ended() == 4
    assert "gateway.expose" in wrong.notes
    assert "servers.A" in wrong.notes
    assert "result" in await fine.request("ping")


async def test_settings_that_become_wrong_end_no_session(machine: Machine):
    file = machine.folder / "mine.toml"
    file.write_text(RIGHT)
    door = await machine.door("--config", "mine.toml")
    file.write_text(f"{RIGHT}[oops")
    machine.kill_gateway()
    await door.noted("is not TOML")
    refused = await door.request("tools/list")
    assert "is not TOML" in refused["error"]["message"]
    file.write_text(RIGHT)
    assert "result" in await door.request("tools/list")


# Death.


async def test_a_call_that_may_have_had_effects_is_answered_once_and_sent_once(desk: Desk):
    door = await desk.door()
    call = await desk.waiting(door)
    desk.machine.kill_gateway()
    result = (await door.answer(call))["result"]
    assert result["isError"] is True
    assert result["structuredContent"]["sent"] == "unknown"
    assert "result" in await door.answer(await door.call("s__look"))
    assert (desk.calls, door.answers_to(call)) == (2, 1)


async def test_a_call_that_changes_nothing_is_answered_by_the_next_gateway(desk: Desk):
    desk.put_wait(is_read_only=True)
    doors = [await desk.door() for _ in range(3)]
    calls = [await door.call("s__wait") for door in doors]
    await until(lambda: desk.calls == 1)  # the others wait for their turn at the server
    desk.machine.kill_gateway()
    desk.server.answer_wait()
    for door, call in zip(doors, calls, strict=True):
        assert "pid" in (await door.answer(call))["result"]["structuredContent"]
        assert door.answers_to(call) == 1


async def test_a_dag_that_only_reads_is_run_again_by_the_next_gateway(desk: Desk):
    desk.put_wait(is_read_only=True)
    door = await desk.door()
    call = await door.call("query_dag", tasks=[{"id": "a", "tool": "s:wait"}])
    await until(lambda: desk.calls == 1)
    desk.machine.kill_gateway()
    desk.server.answer_wait()
    answer = (await door.answer(call))["result"]["structuredContent"]
    assert (answer["status"], [*answer["outputs"]["a"]]) == ("success", ["pid"])
    assert (desk.calls, door.answers_to(call)) == (2, 1)


async def test_a_session_goes_on_with_the_next_gateway(desk: Desk):
    machine, doors = desk.machine, [await desk.door() for _ in range(5)]
    old = machine.kill_gateway()
    for door in doors:
        await door.notified("notifications/tools/list_changed")
        assert "tools" in (await door.request("tools/list"))["result"]
    assert machine.gateways() == [machine.gateway()]
    assert machine.gateway() != old
    assert all("died" in door.notes for door in doors)


async def test_what_clients_have_seen_is_known_by_the_next_gateway(desk: Desk):
    rules = '[policy]\nremember_flows = "deny"\n'
    rules += 'labels = { private = ["s:look"], outbound = ["s:wait"] }\n'
    rules += 'flows = [{ from = ["private"], to = "outbound" }]\n'
    settings = desk.machine.folder / "servers.toml"
    settings.write_text(settings.read_text() + rules)
    door, other = await desk.door(), await desk.door()
    assert "result" in await door.answer(await door.call("s__look"))
    desk.machine.kill_gateway()
    await other.notified("notifications/tools/list_changed")
    refused = await other.answer(await other.call("s__wait"))
    assert "what you have seen (s:look) → s:wait" in json.dumps(refused, ensure_ascii=False)
    assert desk.calls == 1


async def test_after_three_deaths_a_door_goes_on_isolated(machine: Machine):
    door = await machine.door()
    for _ in range(3):
        machine.kill_gateway()
        assert "result" in await door.request("ping")
    assert "the gateway died 3 times in a minute" in door.notes
    assert machine.place.connect() is None
    assert "tools" in (await door.request("tools/list"))["result"]


async def test_a_gateway_that_hangs_is_left_and_its_log_is_shown(machine: Machine):
    first = await machine.door()
    os.kill(machine.gateway(), signal.SIGSTOP)
    door = await machine.door(startup_s=1.5)
    assert "the gateway has not answered in 1.5 s; its log ends:\n" in door.notes
    assert '"event": "serving"' in door.notes
    assert "result" in await door.request("ping")
    os.kill(machine.gateway(), signal.SIGCONT)
    assert "result" in await first.request("ping")


# Stopping.


async def test_a_stopped_gateway_is_started_with_the_next_message(desk: Desk):
    door, other = await desk.door(), await desk.door()
    call = await desk.waiting(door)
    os.kill(desk.machine.gateway(), signal.SIGTERM)
    desk.server.answer_wait()
    assert "pid" in (await door.answer(call))["result"]["structuredContent"]
    await until_it_ended(desk.machine)
    assert desk.machine.gateways() == []
    assert "result" in await other.request("ping")
    assert "result" in await door.answer(await door.call("s__look"))
    assert "died" not in door.notes + other.notes


async def test_a_restarted_gateway_is_started_at_once(desk: Desk):
    machine, door = desk.machine, await desk.door()
    old = machine.gateway()
    sock = machine.place.connect()
    assert sock is not None
    sock.settimeout(20)
    sock.send(frame(CONTROL, b"restart", 1))
    assert sock.recv(4096)
    sock.close()
    await until(lambda: machine.find_gateway() not in {None, old})
    assert "result" in await door.request("ping")
    assert "died" not in door.notes


# The client leaves.


async def test_what_was_asked_before_the_client_closed_its_end_is_answered(desk: Desk):
    door = await desk.door()
    call = await desk.waiting(door)
    door.close_input()
    desk.server.answer_wait()
    assert "pid" in (await door.answer(call))["result"]["structuredContent"]
    assert await door.ended() == 0
    assert "died" not in door.notes


async def test_a_killed_door_cancels_its_calls_and_no_others(desk: Desk):
    door, other = await desk.door(), await desk.door()
    await desk.waiting(door)
    kept = await other.call("s__wait")
    door.process.kill()
    await door.ended()
    desk.server.answer_wait()
    assert "pid" in (await other.answer(kept))["result"]["structuredContent"]
    await until(lambda: "notifications/cancelled" in desk.server.asked)


# The place.


async def test_a_folder_that_others_may_enter_is_not_used(machine: Machine):
    await machine.door()
    (machine.runtime / "plait").chmod(0o755)
    door = await machine.door()
    assert "others may use it" in door.notes
    assert "going on isolated" in door.notes
    assert "result" in await door.request("ping")


async def test_a_state_folder_that_others_may_write_is_not_used(machine: Machine):
    machine.state.chmod(0o777)
    door = await machine.door()
    assert "others may write there" in door.notes
    assert machine.place.connect() is None
    assert "result" in await door.request("ping")


async def test_a_runtime_folder_whose_path_is_too_long_is_passed_over(machine: Machine):
    deep = machine.folder / ("x" * 100)
    deep.mkdir(mode=0o700)
    door = await machine.door(XDG_RUNTIME_DIR=str(deep))
    other = await machine.door()
    assert "isolated" not in door.notes + other.notes
    assert machine.gateways() == [machine.gateway()]
    os.kill(machine.gateway(), signal.SIGTERM)  # it removes its socket from the other folder
    await until_it_ended(machine)


# Messages.


async def test_a_message_above_the_limit_is_refused_and_the_session_goes_on(machine: Machine):
    door = await machine.door()
    assert "result" in await door.request("ping", _meta={"text": "x" * (16 * 2**20 - 200)})
    await door.send("ping", _meta={"text": "x" * (17 * 2**20)})
    assert "error" in await door.message(lambda message: "error" in message)
    assert "result" in await door.request("ping")


async def test_a_client_that_does_not_read_harms_no_other(machine: Machine):
    lazy, other = await machine.door(reads=False), await machine.door()
    writing = asyncio.create_task(pings(lazy, 2000))
    for _ in range(200):
        assert "result" in await other.request("ping")
    lazy.read()
    for ping in await writing:
        assert "result" in await lazy.answer(ping)


async def test_a_call_of_a_person_is_made_cancelled_and_reported_by_the_gateway(desk: Desk):
    door = await desk.door()
    look = await desk.person("call", "s:look", "--json")
    out, notes = await look.communicate()
    assert (look.returncode, json.loads(out)["status"]) == (0, "success"), notes
    imported = {line.rpartition(b"|")[2].strip().decode() for line in notes.splitlines()}
    assert "plait.door.call" in imported
    assert imported & {"asyncio", "json", "socket", "typing", "re", "enum", "typer"} == set()

    interrupted = await desk.person("call", "s:wait")
    await until(lambda: desk.calls == 2)
    interrupted.send_signal(signal.SIGINT)
    assert await interrupted.wait() == 130
    desk.server.answer_wait()
    await until(lambda: "notifications/cancelled" in desk.server.asked)

    door.process.kill()  # else it would start the next gateway
    desk.server.close()
    lost = await desk.person("call", "s:look")
    await until(lambda: desk.calls == 3)
    desk.machine.kill_gateway()
    out, notes = await lost.communicate()
    assert (lost.returncode, out) == (1, b"")
    assert b"Whether its calls took effect is unknown" in notes


async def pings(client: Client, count: int) -> list[int]:
    await client.introduce_unread()
    return [await client.send("tools/list") for _ in range(count)]


PLANTED = Path(__file__).parents[1] / "doctor" / "planted_server.py"


def shows(name: str) -> str:
    """The lines that start a server whose tool `shown` answers with that variable."""
    tool = {"name": "shown", "inputSchema": {"type": "object"}}
    args = [str(PLANTED), json.dumps([tool]), "--show", name]
    return f"command = {json.dumps(sys.executable)}\nargs = {json.dumps(args)}\n"


async def shown(door: Client) -> Any:
    """The result of a run that calls `shown`, next to a task that needs no server."""
    tasks = [{"id": "a", "tool": "s:shown"}, {"id": "b", "value": 1}]
    answer = await door.answer(await door.call("execute_dag", tasks=tasks))
    return answer["result"]["structuredContent"]


async def test_variables_of_each_client_go_on_to_its_own_server(machine: Machine):
    text = f'[servers.s]\nprotocol = "legacy"\nenv_pass = ["AWS_*"]\n{shows("AWS_PROFILE")}'
    (machine.folder / "servers.toml").write_text(text)
    words = ("--config", "servers.toml")
    work = await machine.door(*words, AWS_PROFILE="work", OTHER="x")
    home = await machine.door(*words, AWS_PROFILE="home")
    none = await machine.door(*words, AWS_PROFILE="")
    outputs = [(await shown(door))["outputs"]["a"] for door in (work, home, none)]
    assert outputs == ["work", "home", "nothing"]
    assert machine.gateways() == [machine.gateway()]


async def test_a_server_starts_once_the_users_secret_is_there(machine: Machine):
    text = '[servers.s]\nprotocol = "legacy"\nenv = { SHOWN = "${A_TOKEN}" }\n' + shows("SHOWN")
    (machine.folder / "servers.toml").write_text(text)
    door = await machine.door("--config", "servers.toml", "--watch")
    result = await shown(door)
    assert result["outputs"] == {"b": 1}
    [error] = result["errors"]
    secrets = machine.folder / ".config" / "plait" / "secrets.env"
    assert error["code"] == "server_unavailable"
    where = f"set it in the environment or in {secrets}"
    assert error["message"].startswith(f"s is off: the variable A_TOKEN is not set; {where}")
    assert (
        f"s is off, so its tasks fail: the variable A_TOKEN is not set; {where}" in result["notes"]
    )
    secrets.parent.mkdir(parents=True)
    secrets.touch(0o600)
    secrets.write_text("A_TOKEN=of-the-file\n")
    async with asyncio.timeout(60):
        while "a" not in (result := await shown(door))["outputs"]:
            await asyncio.sleep(0.05)
    assert result["outputs"]["a"] == "of-the-file"
