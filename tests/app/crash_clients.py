"""Clients of gateways that are killed: what each knows of its run, and what it does."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from ..door.clients import Client, Machine, Message
from ..engine.stories import Broken

SERVER = Path(__file__).with_name("crash_server.py")
SETTINGS = """\
[gateway]
learn = false
"""
OF_SERVER = """
[servers.{name}]
command = {command}
args = ["-I", "-S", {server}, {folder}, "${{KILL:-never}}", "${{LINGER:-0}}"]
protocol = "legacy"
"""
SERVERS = "su"
LATER = ("server_unavailable", "history_unavailable")


@dataclass
class Story:
    """One document, and what its client knows of its run."""

    number: int
    document: dict[str, Any]
    run_id: str | None = None
    """The id of one of its runs; None if no client got one."""
    answer: Message | None = None
    """The last answer, of a run that has ended."""
    word: str | None = None
    """What the client says next about calls in doubt."""
    said: set[int] = field(default_factory=set)
    """The gateways that heard `retry`."""
    lives: int = 0
    servers_died: bool = False
    is_told: bool = False
    """Whether a client got an answer about its run."""
    owed: frozenset[str] = frozenset()
    """The ids of which its document has to be answered with one: it changed something, and ended,
    and no client got an answer about it."""
    is_interrupted: bool = False
    """Whether the last of its runs was, when its client looked."""
    is_unsettled: bool = False
    """Whether it has ended, and its client will say `retry` all the same."""
    lost: str | None = None
    """Why no run can go on from it."""

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def is_open(self) -> bool:
        return self.lost is None and (self.answer is None or self.is_unsettled)

    def begin_life(self, number: int, random: Random) -> None:
        """Choose what the client says to the next gateway."""
        self.lives += 1
        if self.answer is None:
            may_say = self.run_id is not None and self.number % 3 == 1
            is_said = may_say and random.random() < 0.5
            self.word = random.choice(["retry", "retry", "skip"]) if is_said else None
        elif self.is_unsettled:
            self.word = "retry"
        if self.word == "retry":
            self.said |= {number, number + 1}  # it is said to another one too

    def note(self, seen: Message) -> None:
        """Note an answer about the run. Raises `Broken`."""
        if seen["status"] == "invalid":
            [self.lost] = {error["code"] for error in seen["errors"]}
            may_be = {"history_lost", *(["plan_changed"] if self.servers_died else [])}
            if self.lost not in may_be:
                raise Broken(f"{self.name} was refused: {seen}\n{self.document}")
            return
        self.run_id, self.is_told = seen["run_id"], True
        if seen["status"] in ("running", "interrupted"):
            return
        is_in_doubt = any(error["code"] == "in_doubt" for error in seen["errors"])
        if is_in_doubt and self.word == "retry":
            raise Broken(f"{self.name}: retry was not heard: {seen}\n{self.document}")
        self.answer, self.word, self.is_unsettled = seen, None, False
        if is_in_doubt and not self.said and self.number % 3 == 0:
            self.is_unsettled = True


class Died(Exception):
    """The gateway has died. A call of it may have been answered all the same, by what it had
    written before."""

    def __init__(self, *, has_answered: bool = False) -> None:
        super().__init__()
        self.has_answered = has_answered


class Life:
    """One gateway, as a process, and its client."""

    def __init__(self, number: int, client: Client, process: int) -> None:
        self.number = number
        self.client = client
        self.process = process

    @property
    def is_dead(self) -> bool:
        return self.client.process.returncode is not None

    async def ask(self, tool: str, **arguments: Any) -> Message:
        """Call one of the gateway's own tools; returns the structured content. Raises `Died`."""
        client = self.client
        try:
            call = await client.call(tool, **arguments)
        except (BrokenPipeError, ConnectionResetError):
            raise Died from None
        await client.until(lambda: client.answers_to(call) > 0 or self.is_dead)
        if not client.answers_to(call):
            raise Died(has_answered=await self.has_answered(call))
        message = await client.answer(call)
        if "result" not in message:
            raise Broken(f"{tool} with {arguments}: {message}")
        return dict(message["result"]["structuredContent"])

    async def has_answered(self, call: int) -> bool:
        """Whether the gateway, which has died, has answered a call."""
        return False

    async def killed(self) -> None:
        """Take note that the gateway was killed."""

    async def ended(self) -> int:
        """Wait for the end of the gateway, and return its code."""
        await self.client.process.wait()
        return await self.client.ended()

    def leave(self) -> None:
        self.client.close_input()


class LifeBehindDoor(Life):
    """A gateway that clients share, and a client of it, whose door outlives it."""

    def __init__(self, number: int, client: Client, process: int) -> None:
        super().__init__(number, client, process)
        self._killed = asyncio.Event()

    @property
    def is_dead(self) -> bool:
        return self._killed.is_set()

    async def has_answered(self, call: int) -> bool:
        message = await self.client.answer(call)  # the door answers whatever happens
        return "sent" not in message.get("result", {}).get("structuredContent", {"sent": None})

    async def killed(self) -> None:
        self._killed.set()
        await self.client.look_again()

    async def ended(self) -> int:
        if self.is_dead or await self._first():
            return -signal.SIGKILL
        return await self.client.ended()

    async def _first(self) -> bool:
        """Wait for the end of the gateway or of the door; returns whether it was the former."""
        waits = [self._killed.wait(), self.client.process.wait()]
        tasks = [asyncio.create_task(wait) for wait in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        return self.is_dead


def dressed(document: dict[str, Any], number: int, random: Random) -> dict[str, Any]:
    """Make *document* that of one story among many, over two servers."""

    def dress(task: dict[str, Any]) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if "tool" in task:
            name = task["tool"].partition(":")[2]
            more["tool"] = f"{random.choice(SERVERS)}:{name}"
            more["arguments"] = {**task["arguments"], "story": number}
        if "tasks" in task:
            more["tasks"] = [dress(inner) for inner in task["tasks"]]
        return {**task, **more}

    durable = {"durable": "power"} if random.random() < 0.2 else {}
    tasks = [dress(task) for task in document["tasks"]]
    return {**document, "tasks": tasks, "name": f"story {number}", "detail": "full", **durable}


class Place(Machine):
    """A machine of its own, with the settings of two servers and their log."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "counts").mkdir()
        self.settings, self.calls = folder / "servers.toml", folder / "log"
        self.calls.touch()
        words = {"command": sys.executable, "server": str(SERVER), "folder": str(folder)}
        quoted = {name: json.dumps(word) for name, word in words.items()}
        servers = [OF_SERVER.format(name=name, **quoted) for name in SERVERS]
        self.settings.write_text(SETTINGS + "".join(servers))

    async def isolated(self, **variables: str) -> Client:
        """Start a gateway of its own."""
        words = ["serve", "--isolated", "--config", str(self.settings)]
        environ = self.environ | variables
        argv = [sys.executable, "-m", "plait", *words]
        client = await Client.start(argv, environ, self.folder)
        await client.introduce()
        return client

    async def resuming(self, run_id: str) -> asyncio.subprocess.Process:
        """Start a `plait resume`, which goes on with a run as a gateway of its own."""
        words = ["resume", run_id, "--json", "--isolated", "--config", str(self.settings)]
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "plait", *words),
            env=self.environ,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )


def says_later(seen: Message) -> str | None:
    """Return the reason for which a document can only be sent later: a server that was killed, or
    a disk that is slow; None if there is none."""
    codes = (
        {error["code"] for error in seen.get("errors", [])} if seen["status"] == "invalid" else {}
    )
    return next((code for code in LATER if codes == {code}), None)


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    with suppress(OSError):
        return [
            int(child)
            for each in Path(f"/proc/{process}/task").iterdir()
            for child in (each / "children").read_text().split()
        ]
    return []


def command_of(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text()
    return ""
