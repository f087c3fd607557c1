"""A small gateway behind the socket of a place, for tests of the door: enough MCP to see what
reaches it, a journal in the place of a history, and instants in which it kills itself.

It is started as `plait.machine` would be. `script.json` in the state folder says how it behaves:

    die       the instant in which the first gateway kills itself
    hang      never answer a hello that is not from an isolated door
    broken    end at once, with a line in the log
    refuse    a code and a text, in the place of the hello's answer
    protocol  the only protocol version
    names     the variables that the settings name
    notice    what the user should know about the settings
    max_line  the longest line that is taken
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from plait.door import frames
from plait.door.frames import Frames, frame, read_record, record

WINDOW = 2**20


def dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Gateway:
    """All that doors share."""

    def __init__(self, state: Path, *, is_isolated: bool) -> None:
        self.state = state
        self.is_isolated = is_isolated
        self.script: dict[str, Any] = {}
        if (state / "script.json").exists():
            self.script = json.loads((state / "script.json").read_text())
        self.instance = os.urandom(4).hex()
        self.links: set[Link] = set()
        self.ended = asyncio.Event()
        self.released = asyncio.Event()

    def append(self, name: str, value: object) -> None:
        fd = os.open(self.state / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, dumps(value) + b"\n")
        os.close(fd)

    def rows(self, door: str, number: int) -> dict[str, Any]:
        file = self.state / "journal"
        rows = map(json.loads, file.read_text().splitlines()) if file.exists() else ()
        return {row[2]: row[3] for row in rows if row[:2] == [door, number]}

    def die(self, instant: str) -> None:
        if self.script.get("die") != instant:
            return
        try:
            os.close(os.open(self.state / "died", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    async def end(self, word: bytes) -> None:
        """Answer what is open, and say goodbye."""
        self.released.set()
        for link in list(self.links):
            await asyncio.gather(*link.calls.values(), return_exceptions=True)
            link.report(frames.BYE, 0, word)
            await link.flushed()
            link.transport.close()
        self.ended.set()


class Link(asyncio.Protocol):
    """One door."""

    transport: asyncio.Transport

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.calls: dict[int, asyncio.Task[None]] = {}
        self.values: dict[str, str] = {}
        self.hello: list[tuple[str, str]] = []
        self._frames = Frames()
        self._ids: dict[Any, int] = {}
        self._questions: dict[Any, asyncio.Future[Any]] = {}
        self._waiting: list[tuple[int, bytes]] = []
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._has_ended = False

    @property
    def door(self) -> str:
        return dict(self.hello)["door"]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)
        self.gateway.links.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gateway.links.discard(self)
        self._has_room.set()
        for call in self.calls.values():
            call.cancel()
        self.gateway.append("closed", [self.door, self._has_ended])
        if self.gateway.is_isolated:
            self.gateway.ended.set()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()
        self._work()

    def eof_received(self) -> bool:
        return self._has_ended

    async def flushed(self) -> None:
        await self._has_room.wait()

    def report(self, kind: bytes, number: int = 0, payload: bytes = b"") -> None:
        if not self.transport.is_closing():
            self.transport.write(frame(kind, payload, number))

    def send(self, message: object, number: int = 0) -> None:
        self.report(frames.MESSAGE, number, dumps({"jsonrpc": "2.0", **dict(message)}))  # type: ignore[call-overload]

    def data_received(self, data: bytes) -> None:
        for kind, number, payload in self._frames.feed(data):
            self._take(kind, number, payload)

    def _take(self, kind: bytes, number: int, payload: bytes) -> None:
        script = self.gateway.script
        if kind == frames.HELLO:
            self.hello = read_record(payload)
            is_isolated = dict(self.hello)["isolated"] == "1"
            if script.get("hang") and not is_isolated:
                return
            if (refusal := script.get("refuse")) and not (refusal[0] == "version" and is_isolated):
                self.report(frames.REFUSED, 0, "\0".join(refusal).encode())
                self.transport.close()
                return
            names = [("name", name) for name in script.get("names", [])]
            limit = ("max_line", str(script.get("max_line", 16 * 2**20)))
            fields = [("instance", self.gateway.instance), ("version", "1"), limit]
            self.report(frames.NAMES, 0, record([*fields, *names]))
        elif kind == frames.VALUES:
            self.values = dict(read_record(payload))
            if notice := script.get("notice"):
                self.report(frames.ERR, 0, str(notice).encode())
        elif kind == frames.REPLAY:
            key, note, line = payload.split(b"\0", 2)
            if key == b"initialize" and self._version(json.loads(line)) != note.decode():
                text = b"protocol\0the new gateway has another protocol version"
                self.report(frames.REFUSED, 0, text)
                self.transport.close()
            elif key == b"initialized":
                self.send({"method": "notifications/tools/list_changed"})
            self.gateway.append("replayed", key.decode())
        elif kind == frames.LOST:
            self._answer_lost(number, payload)
        elif kind == frames.TOO_LONG:
            self.send({"id": None, "error": {"code": -32600, "message": "too long"}}, number)
        elif kind == frames.END:
            self._has_ended = True
        elif kind == frames.MESSAGE:
            self._waiting.append((number, payload))
            self._work()
        self._close_if_done()

    def _work(self) -> None:
        """Answer what waits, but start nothing for a client that does not read."""
        while self._waiting and self.transport.get_write_buffer_size() < WINDOW:
            number, line = self._waiting.pop(0)
            self._read(number, json.loads(line))

    def _close_if_done(self) -> None:
        if self._has_ended and not self.calls and not self._waiting:
            self.transport.close()

    def _version(self, message: dict[str, Any]) -> str:
        return str(self.gateway.script.get("protocol", message["params"]["protocolVersion"]))

    def _read(self, number: int, message: dict[str, Any]) -> None:
        match message:
            case {"method": "initialize", "id": request_id}:
                version = self._version(message)
                self.report(frames.KEEP, number, f"initialize\0{version}".encode())
                self.send({"id": request_id, "result": {"protocolVersion": version}}, number)
            case {"method": "logging/setLevel", "id": request_id}:
                self.report(frames.KEEP, number, b"level\0")
                self.send({"id": request_id, "result": {}}, number)
            case {"method": "tools/call", "id": request_id, "params": params}:
                self._ids[request_id] = number
                call = self._call(number, request_id, params["name"], params["arguments"])
                self.calls[number] = asyncio.get_running_loop().create_task(call)
            case {"method": method, "id": request_id}:
                self.send({"id": request_id, "result": {"method": method}}, number)
            case {"method": "notifications/cancelled", "params": params}:
                if (number_of := self._ids.get(params["requestId"])) in self.calls:
                    self.calls[number_of].cancel()
                self.report(frames.DONE, number)
            case {"method": "notifications/initialized"}:
                self.report(frames.KEEP, number, b"initialized\0")
                self.report(frames.DONE, number)
            case {"id": question} if question in self._questions:
                self.report(frames.SETTLED, 0, dumps(question))
                self._questions.pop(question).set_result(message["result"])
                self.report(frames.DONE, number)
            case _:
                self.report(frames.DONE, number)

    async def _call(self, number: int, request_id: Any, name: str, arguments: Any) -> None:
        try:
            result = await getattr(self, f"_{name}")(number, request_id, **arguments)
        except asyncio.CancelledError:
            self.report(frames.DONE, number)
        else:
            self.send({"id": request_id, "result": {"value": result}}, number)
            self.gateway.die("after-answer")
        finally:
            del self.calls[number]
            self._close_if_done()

    async def _echo(self, number: int, request_id: Any, value: Any) -> Any:
        return value

    async def _write(
        self, number: int, request_id: Any, value: Any, is_held: bool = False
    ) -> object:
        """Change something: report, journal, effect, journal, answer."""
        gateway, key = self.gateway, [self.door, number]
        gateway.die("before-report")
        self.report(frames.TAKEN, number, dumps(request_id) + b"\0write")
        await self.flushed()
        gateway.die("after-report")
        gateway.append("journal", [*key, "taken", None])
        gateway.append("journal", [*key, "sent", None])
        gateway.die("after-sent")
        gateway.append("effects", value)
        gateway.die("after-effect")
        self.send({"method": "notifications/message", "params": {"data": f"wrote {value}"}})
        if is_held:
            await gateway.released.wait()
        gateway.append("journal", [*key, "done", value])
        gateway.die("after-done")
        return value

    async def _read_only(self, number: int, request_id: Any, is_held: bool = False) -> str:
        """Read, as long as this gateway is the one that has to be waited for."""
        self.report(frames.SAFE, number, dumps(request_id))
        self.send({"method": "notifications/message", "params": {"data": "reading"}})
        if is_held and not (self.gateway.state / "read on").exists():
            await self.gateway.released.wait()
        return self.gateway.instance

    async def _release(self, number: int, request_id: Any) -> str:
        self.gateway.released.set()
        return self.gateway.instance

    async def _look(self, number: int, request_id: Any) -> Any:
        return {"hello": self.hello, "values": self.values, "instance": self.gateway.instance}

    async def _big(self, number: int, request_id: Any, size: int) -> str:
        return "x" * size

    async def _ask(self, number: int, request_id: Any) -> Any:
        question = f"{self.gateway.instance}-{number}"
        waiting = self._questions[question] = asyncio.get_running_loop().create_future()
        self.report(frames.ASKED, 0, dumps(question))
        self.send({"id": question, "method": "elicitation/create", "params": {}})
        return await waiting

    async def _stop(self, number: int, request_id: Any, word: str) -> str:
        ending = self.gateway.end(word.encode())
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, ending)
        return word

    def _answer_lost(self, number: int, payload: bytes) -> None:
        request_id = json.loads(payload.partition(b"\0")[0])
        rows = self.gateway.rows(self.door, number)
        result = {"value": rows["done"]} if "done" in rows else {}
        sent = "unknown" if "sent" in rows else "no"
        self.send({"id": request_id, "result": result or {"sent": sent}}, number)


def listen(options: dict[str, str], lock: int) -> socket.socket:
    """Listen in the runtime folder, or in a short one, and write the path into the lock file."""
    folder = Path(options["--runtime"])
    sock = socket.socket(socket.AF_UNIX)
    path = folder / "g"
    path.unlink(missing_ok=True)
    sock.bind(str(path))
    sock.listen(100)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{path}\n".encode(), 0)
    return sock


async def serve(options: dict[str, str]) -> None:
    state = Path(options["--state"])
    gateway = Gateway(state, is_isolated="--serve-fd" in options)
    loop = asyncio.get_running_loop()
    gateway.append("starts", [os.getpid(), gateway.is_isolated])
    if gateway.script.get("broken"):
        sys.exit("the scripted gateway is broken")
    if gateway.is_isolated:
        sock = socket.socket(fileno=int(options["--serve-fd"]))
        await loop.create_connection(lambda: Link(gateway), sock=sock)
        await gateway.ended.wait()
        return
    lock = int(options["--lock-fd"])
    os.set_inheritable(lock, False)
    server = await loop.create_unix_server(lambda: Link(gateway), sock=listen(options, lock))
    await gateway.ended.wait()
    os.ftruncate(lock, 0)
    server.close()


if __name__ == "__main__":
    words = sys.argv[sys.argv.index("plait.machine") + 1 :]
    asyncio.run(serve(dict(zip(words[::2], words[1::2], strict=True))))
