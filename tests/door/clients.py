"""Clients of doors, and the machine that the doors run on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from plait.door.place import Place, peer

Message: TypeAlias = dict[str, Any]

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "tests", "version": "1"},
}
SCRIPTED = Path(__file__).with_name("scripted_gateway.py")
RUN = """
import sys
sys.executable = {interpreter!r}
from plait.door.door import main
code = main(sys.argv[1:], startup_s={startup_s})
"""
NOTE_MODULES = """
with open({file!r}, "w") as file:
    print(*sys.modules, file=file)
sys.exit(code)
"""
LONGEST_S = 60.0


class Client:
    """Speaks MCP to a process. Everything that it reads is kept."""

    def __init__(self, process: asyncio.subprocess.Process, out: int) -> None:
        self.process = process
        self.messages: list[Message] = []
        self.notes = ""
        self._out = out
        self._news = asyncio.Condition()
        self._count = 0
        self._tasks = [asyncio.create_task(self._read_notes())]

    @classmethod
    async def start(
        cls, argv: list[str], env: dict[str, str], folder: Path, *, reads: bool = True
    ) -> Client:
        pipe = asyncio.subprocess.PIPE
        reading, writing = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=pipe, stdout=writing, stderr=pipe, env=env, cwd=folder
        )
        os.close(writing)
        client = cls(process, reading)
        if reads:
            client.read()
        return client

    def read(self) -> None:
        """Begin to read what the process writes."""
        self._tasks.append(asyncio.create_task(self._read_messages()))

    async def send(self, method: str, **params: Any) -> int:
        """Send a request, and return its id."""
        self._count += 1
        await self.write(id=self._count, method=method, params=params)
        return self._count

    async def write(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        await self.process.stdin.drain()

    async def call(self, tool: str, **arguments: Any) -> int:
        return await self.send("tools/call", name=tool, arguments=arguments)

    async def answer(self, request: int) -> Message:
        return await self.message(lambda m: m.get("id") == request and "method" not in m)

    async def request(self, method: str, **params: Any) -> Message:
        return await self.answer(await self.send(method, **params))

    async def value(self, tool: str, **arguments: Any) -> Any:
        """Call *tool* of a scripted gateway, and return the value in its answer."""
        return (await self.answer(await self.call(tool, **arguments)))["result"]["value"]

    async def introduce(self) -> Message:
        answer = await self.request("initialize", **INITIALIZE)
        await self.write(method="notifications/initialized")
        return answer

    async def introduce_unread(self) -> None:
        """Open the session without a look at the answer."""
        await self.send("initialize", **INITIALIZE)
        await self.write(method="notifications/initialized")

    async def message(self, fits: Callable[[Message], bool]) -> Message:
        await self.until(lambda: any(map(fits, self.messages)))
        return next(message for message in self.messages if fits(message))

    async def notified(self, method: str, **params: Any) -> Message:
        return await self.message(
            lambda m: (
                m.get("method") == method
                and all(m["params"][name] == value for name, value in params.items())
            )
        )

    async def noted(self, text: str) -> None:
        """Wait until *text* is on the standard error of the process."""
        await self.until(lambda: text in self.notes)

    def answers_to(self, request: int) -> int:
        return sum(m.get("id") == request and "method" not in m for m in self.messages)

    def close_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def ended(self) -> int:
        """Wait for the end of the process and of what it has written; return its code."""
        async with asyncio.timeout(LONGEST_S):
            code = await self.process.wait()
            await asyncio.gather(*self._tasks)
            await self.look_again()
        return code

    async def stop_reading(self) -> None:
        """Close our end of its standard output."""
        os.close(self._out)
        self._out = -1

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if len(self._tasks) == 1 and self._out >= 0:  # else the reader has closed it
            os.close(self._out)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds. It is looked at with each message."""
        async with asyncio.timeout(LONGEST_S), self._news:
            await self._news.wait_for(holds)

    async def kill(self) -> None:
        """Kill the process, and let what waits look again."""
        self.process.kill()
        await self.process.wait()
        await self.look_again()

    async def look_again(self) -> None:
        """Let what waits look whether it still has to."""
        async with self._news:
            self._news.notify_all()

    async def _read_messages(self) -> None:
        reader = asyncio.StreamReader(limit=2**26)
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(self._out, "rb"))
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                self.messages.append(json.loads(line))
                async with self._news:
                    self._news.notify_all()
            if line and await self.process.wait() != -signal.SIGKILL:
                raise AssertionError(f"it ended within a message: {line[-200:]!r}")
        finally:
            transport.close()

    async def _read_notes(self) -> None:
        assert self.process.stderr is not None
        while data := await self.process.stderr.read(2**16):
            self.notes += data.decode()
            async with self._news:
                self._news.notify_all()


def memory_kb(client: Client, field: str) -> int:
    """A line of the status of the client's door: `VmRSS`, or `VmHWM` for its peak."""
    status = Path(f"/proc/{client.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(field)]
    return int(line.split()[1])


def state_of(client: Client) -> str:
    """The state of the client's door as the system sees it: `S` if it sleeps."""
    return Path(f"/proc/{client.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


class Machine:
    """A machine of its own: a state folder, a runtime folder, and the processes that use them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state, self.runtime = folder, folder / "state", folder / "run"
        for made in (self.state, self.runtime):
            made.mkdir(mode=0o700)
        self.place = Place(str(self.state))
        self.clients: list[Client] = []

    async def door(
        self,
        *arguments: str,
        startup_s: float = LONGEST_S,
        reads: bool = True,
        introduced: bool = True,
        **variables: str,
    ) -> Client:
        """Start a door and, unless *introduced* is false, open a session through it."""
        argv = [*self.command(startup_s), *arguments]
        client = await Client.start(argv, self.environ | variables, self.folder, reads=reads)
        self.clients.append(client)
        if reads and introduced:
            await client.introduce()
        return client

    def command(self, startup_s: float = LONGEST_S) -> list[str]:
        """The words that start a door."""
        if startup_s == LONGEST_S:
            return [sys.executable, "-m", "plait", "serve"]
        run = RUN.format(interpreter=sys.executable, startup_s=startup_s)
        return [sys.executable, "-c", f"{run}sys.exit(code)"]

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PLAIT_STATE_DIR": str(self.state),
            "XDG_RUNTIME_DIR": str(self.runtime),
        }

    @property
    def has_lock(self) -> bool:
        """Whether a gateway was ever looked for."""
        return os.path.exists(self.place.lock_path)

    @property
    def log(self) -> str:
        return Path(self.place.log_path).read_text()

    def gateway(self) -> int:
        """The process of the gateway that answers."""
        found = self.find_gateway()
        assert found is not None
        return found

    def find_gateway(self) -> int | None:
        sock = self.place.connect()
        if sock is None:
            return None
        process, _ = peer(sock)
        sock.close()
        return process

    def kill_gateway(self) -> int:
        process = self.gateway()
        os.kill(process, signal.SIGKILL)
        return process

    def gateways(self) -> list[int]:
        """The processes of all gateways of this machine, also isolated ones."""
        listed = subprocess.run(
            ["ps", "-axwwo", "pid=,command="], capture_output=True, text=True, check=True
        )
        lines = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
        words = f"-m plait.machine --state {self.state} "
        return [int(process) for process, command in lines if words in command]

    async def end(self) -> None:
        for client in self.clients:
            await client.end()
        for process in self.gateways():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


class ScriptedMachine(Machine):
    """A machine with a scripted gateway in the place of the real one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.modules = folder / "modules"
        self.interpreter = folder / "python"
        program = f'#!/bin/sh\nexec {sys.executable} -S -P {SCRIPTED} "$@"\n'
        self.interpreter.write_text(program)
        self.interpreter.chmod(0o700)

    def command(self, startup_s: float = LONGEST_S) -> list[str]:
        run = RUN.format(interpreter=str(self.interpreter), startup_s=startup_s)
        return [sys.executable, "-c", run + NOTE_MODULES.format(file=str(self.modules))]

    def script(self, **script: Any) -> None:
        (self.state / "script.json").write_text(json.dumps(script))

    def rows(self, name: str) -> list[Any]:
        """What gateways have written into a file of the state folder."""
        file = self.state / name
        return [*map(json.loads, file.read_text().splitlines())] if file.exists() else []

    @property
    def starts(self) -> int:
        """How often a shared gateway has started."""
        return sum(not is_isolated for _, is_isolated in self.rows("starts"))
