"""Servers that answer with far more than the limit, and the memory of the gateway meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..door.clients import Client, Machine, memory_kb
from ..downstream.faulty_http import FaultyHttp, serving

LARGE = 100_000_000
CHUNK = 1_000_000
LIMIT_KB = 16 * 1024
"""The default of `max_message_bytes`."""
MOST_KB = 100 * 1024 + 3 * LIMIT_KB
LEFT_KB = 50 * 1024
LEFT_WITHIN_S = 30
FAULTY = Path(__file__).parents[1] / "downstream" / "faulty_server.py"


class LargeHttp(FaultyHttp):
    """Answers with 100 MB: as JSON, packed, or as one event of a stream."""

    async def _call(self, name: str, message: Any, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n"
        match name:
            case "too_large":
                writer.write(head % b"application/json" + b"content-length: %d\r\n\r\n" % LARGE)
                await self._fill(writer, b"%b")
            case "bomb":
                packed = gzip.compress(b"0" * LARGE, 1)
                writer.write(
                    head % b"application/json"
                    + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
                    + packed
                )
            case "stream_too_large":
                writer.write(head % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n")
                writer.write(b"6\r\ndata: \r\n")
                await self._fill(writer, b"%x\r\n%%b\r\n" % CHUNK)
            case _:
                await super()._call(name, message, writer)

    async def _fill(self, writer: asyncio.StreamWriter, form: bytes) -> None:
        """Write it in chunks of *form*, as fast as it is read."""
        for _ in range(LARGE // CHUNK):
            writer.write(form % (b" " * CHUNK))
            await writer.drain()


async def test_a_gigabyte_of_answers_above_the_limit_takes_the_memory_of_a_few():
    with TemporaryDirectory(prefix="pc", dir="/tmp", ignore_cleanup_errors=True) as folder:
        async with serving(LargeHttp()) as http:
            machine = Machine(Path(folder))
            settings = {
                "http": {"url": http.url, "protocol": "legacy"},
                "pipe": {"command": sys.executable, "args": [str(FAULTY)], "protocol": "legacy"},
            }
            file = machine.folder / "servers.json"
            file.write_text(json.dumps({"mcpServers": settings}))
            words = [*machine.command(), "--isolated", "--config", str(file)]
            client = await Client.start(words, machine.environ, machine.folder)
            try:
                await client.introduce()
                await _outgrow(client)
            finally:
                await client.end()


async def _outgrow(client: Client) -> None:
    small = await _run(client, ["http:echo", "pipe:echo"])
    assert small["status"] == "success"
    before_kb = memory_kb(client, "VmRSS")
    codes = {
        "http:too_large": "output_too_large",
        "http:stream_too_large": "output_too_large",
        "http:bomb": "invalid_output",  # it was not asked for
        "pipe:endless": "connection_lost",
    }
    answer = await _run(client, [tool for tool in codes for _ in range(3)])
    found = [(error["id"], error["code"]) for error in answer["errors"]]
    assert found == [
        (f"t{number}", code)
        for number, code in enumerate(code for code in codes.values() for _ in range(3))
    ]
    assert memory_kb(client, "VmHWM") - before_kb < MOST_KB
    async with asyncio.timeout(LEFT_WITHIN_S):
        while memory_kb(client, "VmRSS") - before_kb > LEFT_KB:
            await asyncio.sleep(0.1)


async def _run(client: Client, tools: list[str]) -> dict[str, Any]:
    tasks = [
        {"id": f"t{number}", "tool": tool, "arguments": {}} for number, tool in enumerate(tools)
    ]
    call = await client.call("execute_dag", tasks=tasks, max_concurrency=1)
    return dict((await client.answer(call))["result"]["structuredContent"])
