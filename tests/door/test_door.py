"""Doors as real processes, in front of a scripted gateway. Each test is a promise of the contract,
section 10."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import shutil
import signal
from collections import Counter
from random import Random

import pytest

from .clients import LONGEST_S, Client, ScriptedMachine, memory_kb, state_of

pytestmark = pytest.mark.timeout(180)  # processes start slowly on a busy machine


@pytest.fixture
def machine(scripted: ScriptedMachine) -> ScriptedMachine:
    return scripted


# One gateway.


async def test_twenty_doors_at_once_start_one_gateway(machine: ScriptedMachine):
    doors = await asyncio.gather(*(machine.door() for _ in range(20)))
    assert len({await door.value("release") for door in doors}) == 1
    assert machine.starts == 1
    assert sum("starting the gateway" in door.notes for door in doors) == 1


async def test_a_door_with_another_runtime_folder_finds_the_gateway(machine: ScriptedMachine):
    first = await machine.door()
    other = await machine.door(XDG_RUNTIME_DIR="/nowhere")
    assert await first.value("release") == await other.value("release")


async def test_the_hello_names_the_client_and_the_gateway_gets_what_it_asks_for_alone(
    machine: ScriptedMachine,
):
    machine.script(names=["TOKEN", "MISSING"])
    door = await machine.door(
        "--config", "x.toml", TOKEN="t", OTHER="o", LC_ALL="C.UTF-8", PLAIT_DEBUG="1"
    )
    seen = await door.value("look")
    hello = dict(seen["hello"])
    assert hello["pid"] == str(door.process.pid)
    assert (hello["folder"], hello["client"]) == (str(machine.folder), "serve")
    assert hello["isolated"] == "0"
    assert [value for name, value in seen["hello"] if name == "arg"] == ["--config", "x.toml"]
    variables = [value for name, value in seen["hello"] if name == "env"]
    home = f"HOME={machine.folder}"
    assert sorted(variables) == [home, "PLAIT_DEBUG=1", f"PLAIT_STATE_DIR={machine.state}"]
    values = seen["values"]
    assert (values["TOKEN"], values["LC_ALL"]) == ("t", "C.UTF-8")
    assert values.keys() <= {"TOKEN", "LC_ALL", "PATH", "HOME", "XDG_RUNTIME_DIR"}


async def test_a_door_imports_next_to_nothing(machine: ScriptedMachine):
    door = await machine.door()
    door.close_input()
    assert await door.ended() == 0
    imported = set(machine.modules.read_text().split())
    heavy = {"mcp", "pydantic", "asyncio", "json", "socket", "dataclasses", "typing", "ctypes"}
    assert imported & {*heavy, "subprocess", "selectors", "signal", "enum", "re", "typer"} == set()
    assert [name for name in imported if name.startswith("plait.")] == [
        name for name in imported if name.startswith("plait.door") or name == "plait.privacy"
    ]


async def test_a_door_at_rest_is_small(machine: ScriptedMachine):
    door = await machine.door()
    assert memory_kb(door, "VmRSS") <= 12 * 1024


# Death of the gateway.


@pytest.mark.parametrize(
    ("instant", "outcome", "effects"),
    [
        ("before-report", {"value": 7}, 1),
        ("after-report", {"sent": "no"}, 0),
        ("after-sent", {"sent": "unknown"}, 0),
        ("after-effect", {"sent": "unknown"}, 1),
        ("after-done", {"value": 7}, 1),
        ("after-answer", {"value": 7}, 1),
    ],
)
async def test_whenever_the_gateway_dies_a_call_is_answered_once_and_sent_at_most_once(
    machine: ScriptedMachine, instant: str, outcome: dict[str, object], effects: int
):
    machine.script(die=instant)
    door = await machine.door()
    call = await door.call("write", value=7)
    assert (await door.answer(call))["result"] == outcome
    assert await door.value("echo", value="on") == "on"
    assert (machine.state / "died").exists()
    assert (len(machine.rows("effects")), door.answers_to(call)) == (effects, 1)


async def test_deaths_at_any_instant_lose_nothing_and_send_nothing_twice(machine: ScriptedMachine):
    """Doors call without a pause, and the gateway is killed after some more answers. A third death
    would isolate a door, so each two have doors of their own."""
    random = Random(7)
    for _ in range(4):
        doors = await asyncio.gather(*(machine.door() for _ in range(4)))
        calls: list[tuple[Client, int, str]] = []
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for door in doors:
                tasks.create_task(write_without_pause(door, calls, done))
            for _ in range(2):
                await kill_after(random.randrange(2, 60), doors[0], machine)
            done.set()
        effects = Counter(machine.rows("effects"))
        for door, call, value in calls:
            sent = (await door.answer(call))["result"].get("sent")
            assert effects[value] in {"no": {0}, "unknown": {0, 1}, None: {1}}[sent]
            assert door.answers_to(call) == 1
        for door in doors:
            door.close_input()
            assert await door.ended() == 0


async def kill_after(count: int, door: Client, machine: ScriptedMachine) -> None:
    """Kill the gateway when *count* more messages have come through *door*."""
    enough = len(door.messages) + count
    await door.until(lambda: len(door.messages) >= enough)
    while (gateway := machine.find_gateway()) is None:
        await door.value("echo", value="there is one again")
    os.kill(gateway, signal.SIGKILL)


async def write_without_pause(
    door: Client, calls: list[tuple[Client, int, str]], done: asyncio.Event
) -> None:
    while not done.is_set():
        values = [f"{door.process.pid}-{len(door.messages)}-{number}" for number in range(4)]
        sent = [await door.call("write", value=value) for value in values]
        calls += [(door, call, value) for call, value in zip(sent, values, strict=True)]
        for call in sent:
            await door.answer(call)


async def test_reads_in_flight_are_answered_by_the_next_gateway(machine: ScriptedMachine):
    doors = await asyncio.gather(*(machine.door() for _ in range(5)))
    old = await doors[0].value("release")
    machine.kill_gateway()
    await doors[0].notified("notifications/tools/list_changed")
    reads = [await door.call("read_only", is_held=True) for door in doors]
    for door in doors:
        await door.notified("notifications/message", data="reading")
    (machine.state / "read on").touch()
    machine.kill_gateway()
    answers = [await door.answer(read) for door, read in zip(doors, reads, strict=True)]
    assert len({answer["result"]["value"] for answer in answers} - {old}) == 1
    assert all(door.answers_to(read) == 1 for door, read in zip(doors, reads, strict=True))
    assert machine.starts == 3


async def test_writes_in_flight_are_answered_from_the_history_and_not_sent_again(
    machine: ScriptedMachine,
):
    doors = await asyncio.gather(*(machine.door() for _ in range(5)))
    writes = [
        await door.call("write", value=number, is_held=True) for number, door in enumerate(doors)
    ]
    for number, door in enumerate(doors):
        await door.notified("notifications/message", data=f"wrote {number}")
    machine.kill_gateway()
    for door, write in zip(doors, writes, strict=True):
        assert (await door.answer(write))["result"] == {"sent": "unknown"}
    assert sorted(machine.rows("effects")) == [0, 1, 2, 3, 4]


async def test_the_session_is_opened_anew_as_it_was(machine: ScriptedMachine):
    door = await machine.door()
    await door.request("logging/setLevel", level="error")
    machine.kill_gateway()
    await door.notified("notifications/tools/list_changed")
    assert await door.value("echo", value=1) == 1
    assert machine.rows("replayed") == ["initialize", "initialized", "level"]
    assert [m["id"] for m in door.messages if "id" in m] == [1, 2, 3]


async def test_a_gateway_with_another_protocol_version_ends_the_door(machine: ScriptedMachine):
    door = await machine.door()
    machine.script(protocol="2025-06-18")
    machine.kill_gateway()
    assert await door.ended() == 1
    assert "another protocol version" in door.notes


async def test_questions_of_a_dead_gateway_are_cancelled(machine: ScriptedMachine):
    door = await machine.door()
    await door.call("ask")
    question = (await door.notified("elicitation/create"))["id"]
    machine.kill_gateway()
    await door.notified("notifications/cancelled", requestId=question)
    await door.write(id=question, result={})
    assert await door.value("echo", value=1) == 1


async def test_an_answered_question_is_not_cancelled(machine: ScriptedMachine):
    door = await machine.door()
    call = await door.call("ask")
    question = (await door.notified("elicitation/create"))["id"]
    await door.write(id=question, result="yes")
    assert (await door.answer(call))["result"] == {"value": "yes"}
    machine.kill_gateway()
    await door.notified("notifications/tools/list_changed")
    assert not [m for m in door.messages if m.get("method") == "notifications/cancelled"]


async def test_after_three_deaths_in_a_minute_the_door_goes_on_isolated(machine: ScriptedMachine):
    door = await machine.door()
    for count in range(1, 4):
        machine.kill_gateway()
        assert await door.value("echo", value=count) == count
    assert "the gateway died 3 times in a minute" in door.notes
    assert "going on isolated" in door.notes
    assert dict((await door.value("look"))["hello"])["isolated"] == "1"
    assert machine.rows("replayed").count("initialize") == 3


async def test_after_three_deaths_of_isolated_gateways_each_request_is_answered(
    machine: ScriptedMachine,
):
    machine.script(refuse=["version", "the gateway is older"])
    door = await machine.door()
    for count in range(3):
        call = await door.call("write", value=count, is_held=True)
        await door.notified("notifications/message", data=f"wrote {count}")
        os.kill(machine.rows("starts")[-1][0], signal.SIGKILL)
        if count < 2:
            assert (await door.answer(call))["result"] == {"sent": "unknown"}
    result = (await door.answer(call))["result"]
    assert result["structuredContent"] == {"status": "interrupted", "sent": "unknown"}
    assert await door.ended() == 1


async def test_a_gateway_that_hangs_is_left_after_the_startup_time(machine: ScriptedMachine):
    machine.script(hang=True)
    (machine.state / "gateway.log").write_text("waiting for nothing\n")
    door = await machine.door(startup_s=1)
    assert door.notes.startswith(
        "plait: starting the gateway\nplait: the gateway does not answer yet"
    )
    assert "the gateway has not answered in 1 s" in door.notes
    assert "its log ends:\nwaiting for nothing" in door.notes
    assert "going on isolated" in door.notes
    assert await door.value("echo", value=1) == 1


async def test_a_gateway_that_cannot_start_is_tried_three_times_and_explained(
    machine: ScriptedMachine,
):
    machine.script(broken=True)
    door = await machine.door(introduced=False)
    ping = await door.send("ping")
    assert await door.ended() == 1
    assert machine.starts == 3
    assert "no gateway could be started" in door.notes
    assert "the scripted gateway is broken" in door.notes
    assert door.answers_to(ping) <= 1


async def test_an_interpreter_that_is_gone_is_explained(machine: ScriptedMachine):
    machine.interpreter.unlink()
    door = await machine.door(introduced=False)
    assert await door.ended() == 1
    assert "no gateway could be started" in door.notes


# Refusals, versions, stopping.


async def test_settings_that_are_wrong_end_the_door_with_4(machine: ScriptedMachine):
    machine.script(refuse=["settings", "servers.toml: gateway.expose: not one of dag, all, tools"])
    door = await machine.door(introduced=False)
    assert await door.ended() == 4
    assert "plait: servers.toml: gateway.expose: not one of" in door.notes


async def test_a_newer_door_goes_on_isolated(machine: ScriptedMachine):
    refusal = ["version", "the gateway is older: it ends when no client uses it"]
    machine.script(refuse=refusal, notice="servers.toml is not trusted")
    door = await machine.door()
    assert "it ends when no client uses it" in door.notes
    assert "plait: servers.toml is not trusted\n" in door.notes
    assert dict((await door.value("look"))["hello"])["isolated"] == "1"
    assert machine.starts == 1


async def test_a_stopped_gateway_is_started_with_the_next_message(machine: ScriptedMachine):
    door, other = await machine.door(), await machine.door()
    assert await other.value("echo", value=0) == 0  # what it sent before has been read
    await door.value("stop", word="stop")
    await wait_until_it_ended(machine)
    assert machine.starts == 1
    assert await other.value("echo", value=1) == 1
    assert await door.value("echo", value=2) == 2
    assert machine.starts == 2
    assert "died" not in door.notes + other.notes


async def test_a_restarted_gateway_is_started_at_once(machine: ScriptedMachine):
    door = await machine.door()
    old = (await door.value("look"))["instance"]
    await door.value("stop", word="restart")
    await door.notified("notifications/tools/list_changed")
    assert (await door.value("look"))["instance"] != old


async def test_a_client_that_leaves_a_stopped_gateway_starts_none(machine: ScriptedMachine):
    door = await machine.door()
    await door.value("stop", word="stop")
    await wait_until_it_ended(machine)
    door.close_input()
    assert await door.ended() == 0
    assert machine.starts == 1


async def wait_until_it_ended(machine: ScriptedMachine) -> None:
    """Wait until the lock is free: the gateway has ended."""
    lock = machine.place.open_lock()
    await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
    os.close(lock)


# The place.


@pytest.mark.parametrize("fault", ["link", "mode", "state"])
async def test_a_folder_that_is_not_ours_alone_is_not_used(machine: ScriptedMachine, fault: str):
    await machine.door()
    match fault:
        case "link":
            machine.runtime.rename(machine.folder / "elsewhere")
            machine.runtime.symlink_to(machine.folder / "elsewhere")
        case "mode":
            machine.runtime.chmod(0o755)
        case "state":
            machine.kill_gateway()
            shutil.rmtree(machine.runtime)
            machine.state.chmod(0o777)
    door = await machine.door()
    assert "going on isolated" in door.notes
    assert "others may" in door.notes or "is a link" in door.notes
    assert dict((await door.value("look"))["hello"])["isolated"] == "1"


async def test_without_a_state_folder_the_door_goes_on_isolated(machine: ScriptedMachine):
    blocked = machine.folder / "file"
    blocked.write_text("")
    door = await machine.door(introduced=False, PLAIT_STATE_DIR=str(blocked / "state"))
    assert await door.ended() == 1  # the scripted gateway needs the folder as well
    assert f"{blocked}/state: Not a directory; going on isolated" in door.notes


# Messages.


async def test_a_message_of_sixteen_mebibytes_goes_both_ways(machine: ScriptedMachine):
    door, size = await machine.door(), 16 * 2**20 - 200
    assert await door.value("echo", value="x" * size) == "x" * size
    assert await door.value("echo", value="on") == "on"


async def test_a_longer_message_is_refused_and_the_session_goes_on(machine: ScriptedMachine):
    machine.script(max_line=10_000)
    door = await machine.door()
    await door.call("echo", value="x" * 20_000)
    assert (await door.message(lambda m: "error" in m))["error"]["message"] == "too long"
    assert await door.value("echo", value="on") == "on"


async def test_a_client_that_does_not_read_is_not_read_from(machine: ScriptedMachine):
    """What waits stays bounded, and nothing is lost once the client reads again."""
    lazy, other = await machine.door(reads=False), await machine.door()
    writing = asyncio.create_task(write_calls(lazy, 100))
    for count in range(200):
        assert await other.value("echo", value=count) == count
    assert memory_kb(lazy, "VmHWM") < 40 * 1024
    lazy.read()
    for call in await writing:
        assert len((await lazy.answer(call))["result"]["value"]) == 200_000


async def write_calls(client: Client, count: int) -> list[int]:
    return [await client.call("big", size=200_000) for _ in range(count)]


async def test_a_gateway_that_does_not_read_is_not_written_to_without_bound(
    machine: ScriptedMachine,
):
    door = await machine.door()
    os.kill(machine.gateway(), signal.SIGSTOP)
    text = "x" * 100_000
    writing = asyncio.create_task(write_echoes(door, text, 100))
    await door_is_full(door)
    os.kill(machine.gateway(), signal.SIGCONT)
    for call in await writing:
        assert (await door.answer(call))["result"]["value"] == text
    assert memory_kb(door, "VmHWM") < 40 * 1024


async def write_echoes(client: Client, text: str, count: int) -> list[int]:
    return [await client.call("echo", value=text) for _ in range(count)]


async def door_is_full(door: Client) -> None:
    """Wait until the door sleeps although its pipe is full: it does not read."""
    assert door.process.stdin is not None
    pipe = select.poll()
    pipe.register(door.process.stdin.get_extra_info("pipe").fileno(), select.POLLOUT)
    async with asyncio.timeout(LONGEST_S):
        while pipe.poll(0) or state_of(door) != "S":
            await asyncio.sleep(0.01)


# The client leaves.


async def test_what_was_asked_before_the_client_closed_its_end_is_answered(
    machine: ScriptedMachine,
):
    door, other = await machine.door(), await machine.door()
    read = await door.call("read_only", is_held=True)
    door.close_input()
    await door.notified("notifications/message", data="reading")
    await other.value("release")
    assert "result" in await door.answer(read)
    assert await door.ended() == 0
    assert [has_ended for _, has_ended in machine.rows("closed")] == [True]


async def test_a_client_that_has_closed_its_end_is_answered_by_the_next_gateway(
    machine: ScriptedMachine,
):
    door, other = await machine.door(), await machine.door()
    write = await door.call("write", value="a", is_held=True)
    await door.notified("notifications/message", data="wrote a")
    door.close_input()
    assert await other.value("echo", value=1) == 1
    machine.kill_gateway()
    assert (await door.answer(write))["result"] == {"sent": "unknown"}
    assert await door.ended() == 0


async def test_a_killed_door_has_not_ended_its_session(machine: ScriptedMachine):
    door, other = await machine.door(), await machine.door()
    await door.call("write", value="a", is_held=True)
    await door.notified("notifications/message", data="wrote a")
    kept = await other.call("write", value="b", is_held=True)
    await other.notified("notifications/message", data="wrote b")
    door.process.kill()
    await door.ended()
    await other.value("release")
    assert (await other.answer(kept))["result"] == {"value": "b"}
    assert [has_ended for _, has_ended in machine.rows("closed")] == [False]
    assert [row[3] for row in machine.rows("journal") if row[2] == "done"] == ["b"]


async def test_a_client_that_reads_no_more_ends_its_door(machine: ScriptedMachine):
    door = await machine.door(reads=False)
    await door.stop_reading()
    assert await door.process.wait() == 0


async def test_standard_output_that_is_full_is_reported(machine: ScriptedMachine):
    full, pipe = os.open("/dev/full", os.O_WRONLY), asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *machine.command(), stdin=pipe, stdout=full, stderr=pipe, env=machine.environ
    )
    os.close(full)
    _, notes = await process.communicate(
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode() + b"\n"
    )
    assert process.returncode == 1
    assert b"standard output cannot be written: No space left on device" in notes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_door_at_once_and_cancels_its_calls(
    machine: ScriptedMachine, number: signal.Signals
):
    door, other = await machine.door(), await machine.door()
    await door.call("write", value="a", is_held=True)
    await door.notified("notifications/message", data="wrote a")
    door.process.send_signal(number)
    assert await door.ended() == -number
    assert "Traceback" not in door.notes
    await other.value("release")
    assert [row[3] for row in machine.rows("journal") if row[2] == "done"] == []
