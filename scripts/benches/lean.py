"""An MCP client for benchmarks, over pipes: JSON lines and nothing else, so that only the other
side is timed."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

VERSION = "2025-11-25"
GREETING = {
    "protocolVersion": VERSION,
    "capabilities": {},
    "clientInfo": {"name": "lean", "version": "1"},
}
END_S = 10.0


class LeanClient(asyncio.SubprocessProtocol):
    """The client of a process. Raises `RuntimeError` for an answer that is an error, and when the
    process ends."""

    def __init__(self) -> None:
        self.pid = 0
        self._stdin: asyncio.WriteTransport | None = None
        self._rest = b""
        self._id = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.exited = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        stdin = transport.get_pipe_transport(0)
        assert isinstance(stdin, asyncio.WriteTransport)
        self.pid, self._stdin = transport.get_pid(), stdin

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            message = orjson.loads(line)
            if (waiting := self._waiting.pop(message.get("id"), None)) is not None:
                waiting.set_result(message)

    def process_exited(self) -> None:
        self.exited.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(RuntimeError("the process has ended"))

    def ask(self, method: str, params: Mapping[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Return the whole answer to one request."""
        assert self._stdin is not None
        self._id += 1
        answer = self._waiting[self._id] = asyncio.get_running_loop().create_future()
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self._stdin.write(orjson.dumps(message) + b"\n")
        return answer

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of one `tools/call`."""
        answer = await self.ask("tools/call", {"name": tool, "arguments": arguments})
        if "result" not in answer or answer["result"].get("isError"):
            raise RuntimeError(f"{tool}: {answer}"[:2_000])
        result: dict[str, Any] = answer["result"]
        return result

    async def tools(self) -> list[str]:
        """Return the names of all tools."""
        names: list[str] = []
        params: dict[str, Any] = {}
        while True:
            result = (await self.ask("tools/list", params))["result"]
            names += [tool["name"] for tool in result["tools"]]
            if not result.get("nextCursor"):
                return names
            params = {"cursor": result["nextCursor"]}

    async def initialize(self) -> None:
        assert self._stdin is not None
        answer = await self.ask("initialize", GREETING)
        assert answer["result"]["protocolVersion"] == VERSION
        self._stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def leave(self) -> None:
        assert self._stdin is not None
        self._stdin.close()


@asynccontextmanager
async def lean_client(
    command: Sequence[str], env: Mapping[str, str] | None = None
) -> AsyncIterator[LeanClient]:
    """Start and initialize *command*, yield a client of it, and end it. Its stderr is shown if it
    fails."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as output:
        transport, client = await loop.subprocess_exec(
            LeanClient,
            *command,
            stderr=output,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            await asyncio.wait_for(client.initialize(), 60)
            yield client
        except BaseException:
            output.seek(0)
            print(output.read()[-4_000:].decode("utf-8", "replace"))
            raise
        finally:
            client.leave()
            await end(transport, client.exited)


async def end(transport: asyncio.SubprocessTransport, exited: asyncio.Event) -> None:
    """Let the process exit now that its input has ended, or end it with its group."""
    try:
        await asyncio.wait_for(exited.wait(), END_S)
    except TimeoutError:
        os.killpg(transport.get_pid(), signal.SIGKILL)
        await exited.wait()
    transport.close()
