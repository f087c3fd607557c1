"""Many clients at one shared gateway while processes are killed at random: `scripts/soak deaths`.

    python -m tests.door.deaths [--clients 40] [--deaths 20] [--every 31] [--seed N]

Every client writes without a pause. Every half minute the gateway is killed (a third death within a
minute would isolate its doors), and all the time doors and the server. At the end each call of a
door that lived has one answer, what an answer says of its effect is true, no effect was had twice,
and no process is left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from .clients import LONGEST_S, Client, Machine, Message

AT_ONCE = 4
SERVER = """
import json, os, sys, time
tool = {"name": "write", "inputSchema": {"type": "object"}}
effects = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
for line in sys.stdin:
    message = json.loads(line)
    match message.get("method"):
        case "initialize":
            result = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "effects", "version": "1"},
            }
        case "tools/list":
            result = {"tools": [tool]}
        case "tools/call":
            value = message["params"]["arguments"]["value"]
            os.write(effects, f"{value}\\n".encode())
            time.sleep(0.001)
            result = {"content": [], "structuredContent": {"wrote": value}}
        case _:
            result = {}
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
SETTINGS = """\
[gateway]
expose = "all"
learn = false

[servers.s]
command = {command}
args = ["effects.py"]
cwd = {folder}
protocol = "legacy"
"""


@dataclass
class Story:
    """What was sent, and what came back."""

    machine: Machine
    random: Random
    every_s: float = 31.0
    """Time between two deaths of the gateway. After a third in a minute doors go on alone."""
    doors: list[Client] = field(default_factory=list)
    is_over: bool = False
    sent: Counter[str] = field(default_factory=Counter)
    """How each call of a door that lived was answered: `wrote`, `unknown`, `no` or `failed`."""
    answers: dict[str, str] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    problems: list[str] = field(default_factory=list)

    async def client(self, number: int) -> None:
        """Write through one door after another, each until it is killed."""
        started = 0
        while not self.is_over:
            started += 1
            door = await self.machine.door("--config", "servers.toml")
            self.doors.append(door)
            with suppress(Killed):
                await self._write(door, f"{number}-{started}")
                door.close_input()
                if (code := await door.ended()) != 0:
                    self.problems.append(f"a door ended with {code}: {door.notes[-500:]}")
            if door in self.doors:
                self.doors.remove(door)
            self.machine.clients.remove(door)
            await door.end()

    async def _write(self, door: Client, name: str) -> None:
        count, seen = 0, Counter[int]()
        while not self.is_over:
            values = [f"{name}-{count + each}" for each in range(AT_ONCE)]
            count += AT_ONCE
            begun = time.monotonic()
            with suppress(BrokenPipeError, ConnectionResetError):
                calls = {await door.call("s__write", value=value): value for value in values}
            for call, value in calls.items():
                self.answers[value] = how_answered(await self._answer(door, call))
            self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            seen.update(m["id"] for m in door.messages if "id" in m and "method" not in m)
            door.messages.clear()
        self.problems += [f"{name} has {n} answers to {id}" for id, n in seen.items() if n != 1]

    async def _answer(self, door: Client, call: int) -> Message:
        def is_answer(message: Message) -> bool:
            return message.get("id") == call and "method" not in message

        await door.until(lambda: any(map(is_answer, door.messages)) or is_dead(door))
        found = [message for message in door.messages if is_answer(message)]
        if not found:
            raise Killed
        return found[0]

    async def kill_gateways(self, deaths: int) -> None:
        while self.killed["gateways"] < deaths:
            await asyncio.sleep(self.every_s)
            gateway = self.machine.find_gateway()
            if gateway is not None and self.answers:
                self._kill("gateways", gateway)

    async def kill_others(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(0, self.every_s / 8))
            if self.random.random() < 0.5:
                if self.doors:
                    door = self.doors.pop(self.random.randrange(len(self.doors)))
                    self.killed["doors"] += 1
                    await door.kill()
            else:
                for process, command in processes_in(self.machine.folder).items():
                    if "effects.py" in command:
                        self._kill("servers", process)

    def _kill(self, kind: str, process: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
            self.killed[kind] += 1

    def judge(self) -> None:
        """Compare the answers with the effects that were had."""
        effects = Counter((self.machine.folder / "effects").read_text().split())
        self.problems += [f"{value} was written {n} times" for value, n in effects.items() if n > 1]
        allowed = {"wrote": {1}, "no": {0}, "unknown": {0, 1}, "failed": {0, 1}}
        for value, how in self.answers.items():
            self.sent[how] += 1
            if effects[value] not in allowed[how]:
                self.problems.append(f"{value}: {how}, but written {effects[value]} times")


class Killed(Exception):
    """The door was killed: its calls have no answers."""


def is_dead(door: Client) -> bool:
    return door.process.returncode is not None


def how_answered(answer: Message) -> str:
    """Whether a call wrote, as its answer says."""
    result: Any = answer.get("result", {})
    content = result.get("structuredContent") or {}
    if "wrote" in content:
        return "wrote"
    return str(content.get("sent", "failed"))


def processes_in(folder: Path) -> dict[int, str]:
    """Return the command line of each process whose folder is in *folder*, or that names it."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (each / "cmdline").read_text(errors="replace").replace("\0", " ")
            place = os.readlink(each / "cwd")
            if str(folder) in command or place.startswith(str(folder)):
                found[int(each.name)] = command
    return found


async def run(clients: int, deaths: int, every_s: float, seed: int) -> int:
    with tempfile.TemporaryDirectory(prefix="pd", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "effects.py").write_text(SERVER)
        command, place = json.dumps(sys.executable), json.dumps(str(folder))
        (folder / "servers.toml").write_text(SETTINGS.format(command=command, folder=place))
        story = Story(Machine(folder), Random(seed), every_s)
        print(f"{clients} clients, {deaths} deaths, seed {seed}", flush=True)
        writing = [asyncio.create_task(story.client(number)) for number in range(clients)]
        killing = asyncio.create_task(story.kill_others())
        dying = asyncio.create_task(story.kill_gateways(deaths))
        await asyncio.wait([dying, *writing], return_when=asyncio.FIRST_COMPLETED)
        killing.cancel()
        story.is_over = True
        try:
            async with asyncio.timeout(2 * LONGEST_S):
                await asyncio.gather(*writing)
            stop = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "plait", "stop"),
                env=story.machine.environ,
                stdout=asyncio.subprocess.DEVNULL,
            )
            await stop.wait()
            left = await left_in(folder)
            story.problems += [
                f"process {process} is left: {words}" for process, words in left.items()
            ]
        finally:
            await story.machine.end()
        story.judge()
        print(f"killed: {dict(story.killed)}; calls: {dict(story.sent)}")
        print(f"the slowest {AT_ONCE} calls of a client took {story.slowest_s:.1f} s")
        for problem in story.problems[:20]:
            print(f"PROBLEM: {problem}")
        return 1 if story.problems else 0


async def left_in(folder: Path) -> dict[int, str]:
    """Return the command lines of the processes that are left ten seconds after the end."""
    for _ in range(100):
        if not processes_in(folder):
            break
        await asyncio.sleep(0.1)
    return processes_in(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--deaths", type=int, default=20, help="of gateways")
    parser.add_argument("--every", type=float, default=31, help="seconds between two gateways")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    return asyncio.run(run(options.clients, options.deaths, options.every, options.seed))


if __name__ == "__main__":
    sys.exit(main())
