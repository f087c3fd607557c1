"""The upstream pipe: in this process over real pipes, and as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server import Server

from plait.upstream.transports.stdio import open_pipe

from ...warm import warm
from ..conftest import structured, task

ROOT = Path(__file__).parents[3]
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def standalone() -> list[str]:
    """The command of a gateway."""
    return warm("-m", "tests.upstream.standalone")


class Process:
    """A gateway as a process; talks JSON-RPC of 2025 by hand."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._id = 0
        self._answers: dict[int | None, Any] = {}

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")

    async def read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(await self.process.stdout.readline())

    def request(self, method: str, **params: Any) -> int:
        self._id += 1
        self.send(
            json.dumps(
                {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
            ).encode()
        )
        return self._id

    async def answer(self, id: int | None) -> Any:
        """Return the answer with *id*; earlier ones are kept for later."""
        while id not in self._answers:
            message = await self.read()
            if "id" in message:
                self._answers[message["id"]] = message
        return self._answers.pop(id)

    def call(self, name: str, **arguments: Any) -> int:
        return self.request("tools/call", name=name, arguments=arguments)

    async def initialize(self) -> Any:
        info = {"name": "test", "version": "1"}
        answer = await self.answer(
            self.request(
                "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=info
            )
        )
        self.send(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        return answer

    async def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and the text of standard error."""
        assert self.process.stderr is not None
        said = await self.process.stderr.read()
        return await self.process.wait(), said.decode()

    async def said(self, word: str) -> None:
        """Wait until standard error says *word*."""
        assert self.process.stderr is not None
        await self.process.stderr.readuntil(word.encode())


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *standalone(), *arguments, cwd=ROOT, limit=2**25,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # asyncio closes its pipes only by itself


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_a_client_of_either_era_runs_a_dag_over_a_real_pipe(mode: str):
    parameters = StdioServerParameters(command=standalone()[0], args=standalone()[1:], cwd=ROOT)
    async with Client(stdio_client(parameters), mode=mode) as client:
        assert len((await client.list_tools()).tools) == 6
        result = await client.call_tool("execute_dag", {"tasks": [task("a", arguments={"n": 1})]})
    assert structured(result)["outputs"] == {"a": {"n": 1}}


async def test_a_message_that_is_not_strict_json_is_answered_with_its_id():
    async with started() as gateway:
        await gateway.initialize()
        gateway.send(b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"\\ud800"}}')
        surrogate = await gateway.answer(7)
        gateway.send(
            b'{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"arguments":{"x":NaN}}}'
        )
        nan = await gateway.answer(8)
        gateway.send(b'{"jsonrpc":"2.0","id":9,"id":9,"method":"ping"}')
        twice = await gateway.answer(9)
        gateway.send(
            b'{"jsonrpc":"2.0","id":10,"method":"ping","params":{"x":' + b"[" * 90_000 + b"}}"
        )
        deep = await gateway.answer(10)
        gateway.send(b'{"jsonrpc":"2.0","id":11,"method":5}')
        wrong = await gateway.answer(11)
        gateway.send(b"\xff\xfe")
        binary = await gateway.answer(None)
        gateway.send(
            b'{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"execute_dag",'
            b'"arguments":{"tasks":[{"id":"a","id":"b"}]}}}'
        )
        flawed = await gateway.answer(12)
        alive = await gateway.answer(gateway.call("execute_dag", tasks=[task("a")]))
    [problem] = flawed["result"]["structuredContent"]["errors"]
    assert (problem["path"], problem["code"]) == ("tasks[0].id", "invalid_json")
    assert surrogate["error"] == {
        "code": -32700,
        "message": "The message is not strict JSON: params.name holds a lone surrogate (\\ud800)",
    }
    assert "NaN" in nan["error"]["message"]
    assert "twice" in twice["error"]["message"]
    assert deep["error"]["code"] == -32700
    assert wrong["error"]["code"] == -32600
    assert "UTF-8" in binary["error"]["message"]
    assert alive["result"]["structuredContent"]["status"] == "success"


async def test_a_document_in_a_string_that_is_not_strict_json_is_refused_with_its_place():
    async with started() as gateway:
        await gateway.initialize()
        bad = (
            '[{"id":"a","tool":"s:echo","arguments":{"x":"\\ud800"}}]',
            '[{"id":NaN}]',
            '[{"id":"a","id":"b"}]',
        )
        for text in bad:
            result = (await gateway.answer(gateway.call("execute_dag", tasks=text)))["result"]
            assert result["isError"]
            assert result["structuredContent"]["errors"][0]["code"] == "invalid_json"
            assert result["structuredContent"]["errors"][0]["path"] == "tasks"


async def test_a_line_above_the_limit_is_refused_and_the_next_one_read():
    async with started("--max-line", "100000") as gateway:
        await gateway.initialize()
        gateway.send(
            b'{"jsonrpc":"2.0","id":50,"method":"ping","params":{"x":"' + b"x" * 3_000_000 + b'"}}'
        )
        refused = await gateway.answer(None)
        alive = await gateway.answer(gateway.request("ping"))
    assert "100,000 bytes" in refused["error"]["message"]
    assert alive["result"] == {}


async def test_printed_text_never_reaches_the_wire():
    async with started("--noisy") as gateway:
        await gateway.initialize()
        answer = await gateway.answer(gateway.call("execute_dag", tasks=[task("a", "s:print")]))
        assert answer["result"]["structuredContent"]["status"] == "success"
        assert gateway.process.stdin is not None
        gateway.process.stdin.close()
        status, said = await gateway.ended()
    assert status == 0
    assert "printed" in said
    assert "from a child" in said


async def test_the_end_of_input_drains_then_cancels_and_answers_with_the_outputs_so_far():
    async with started("--drain", "2") as gateway:
        await gateway.initialize()
        hung = gateway.call("execute_dag", tasks=[task("a", "s:hang"), task("b", "s:soon")])
        await gateway.said("s:hang called")
        assert gateway.process.stdin is not None
        gateway.process.stdin.close()
        cancelled = (await gateway.answer(hung))["result"]["structuredContent"]
        status, said = await gateway.ended()
    assert (cancelled["status"], cancelled["outputs"]) == ("cancelled", {"b": {}})
    assert status == 0
    assert "s:hang aborted" in said
    assert "Traceback" not in said


async def test_requests_before_the_end_of_input_are_still_answered():
    async with started() as gateway:
        await gateway.initialize()
        ids = [
            gateway.call("execute_dag", tasks=[task("a", "s:soon")]),
            gateway.request("tools/list"),
        ]
        assert gateway.process.stdin is not None
        gateway.process.stdin.close()
        answers = {
            message["id"]: message for message in [await gateway.read(), await gateway.read()]
        }
        assert (await gateway.ended())[0] == 0
    assert all("result" in answers[id] for id in ids)


async def test_a_call_may_go_on_while_it_drains_after_the_client_has_closed_its_end():
    draining, answered = anyio.Event(), anyio.Event()

    async def slow(ctx: Any, params: Any) -> types.ListToolsResult:
        await draining.wait()
        return types.ListToolsResult(tools=[])

    async def drain() -> None:
        draining.set()
        pipe.on_written = answered.set
        await answered.wait()

    reading, asking = os.pipe()
    answers, writing = os.pipe()
    with os.fdopen(asking, "w") as client:
        params = {"_meta": ENVELOPE}
        print(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}),
            file=client,
        )
    with anyio.fail_after(20):
        async with open_pipe(reading, writing, grace_s=0) as pipe:
            await pipe.serve(Server("slow", on_list_tools=slow), drain)
    with os.fdopen(answers) as answered_lines:
        assert ["result" in json.loads(line) for line in answered_lines] == [True]


async def test_draining_ends_when_the_client_has_closed_both_directions():
    left, reading = socket.socketpair()
    with left:
        left.sendall(
            json.dumps(
                {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": ENVELOPE}}
            ).encode()
        )
        left.shutdown(socket.SHUT_WR)
        fds = os.dup(reading.fileno()), reading.detach()

        async def drain() -> None:
            left.close()
            await anyio.sleep_forever()

        async def hang(ctx: Any, params: Any) -> types.ListToolsResult:
            await anyio.sleep_forever()
            raise AssertionError

        with anyio.fail_after(20):
            async with open_pipe(*fds, grace_s=0) as pipe:
                await pipe.serve(Server("hangs", on_list_tools=hang), drain)


async def test_a_signal_after_the_end_of_input_cancels_without_draining():
    async with started("--drain", "100") as gateway:
        await gateway.initialize()
        call = gateway.call("execute_dag", tasks=[task("a", "s:hang")])
        await gateway.said("s:hang called")
        assert gateway.process.stdin is not None
        gateway.process.stdin.close()
        await gateway.said("draining")
        gateway.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(20):
            answered = (await gateway.answer(call))["result"]["structuredContent"]
            assert (await gateway.ended())[0] == 0
    assert answered["status"] == "cancelled"


async def test_a_client_that_is_gone_ends_the_process_cleanly():
    async with started() as gateway:
        await gateway.initialize()
        gateway.process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # standard output
        gateway.call("execute_dag", tasks=[task("a", "s:hang")])
        with anyio.fail_after(20):
            status, said = await gateway.ended()
    assert status == 0
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_calls_then_cancels_the_rest_and_exits_with_0(
    number: signal.Signals,
):
    async with started("--drain", "2") as gateway:
        await gateway.initialize()
        soon = gateway.call("execute_dag", tasks=[task("a", "s:held")])
        hung = gateway.call("execute_dag", tasks=[task("a", "s:hang")])
        await gateway.said("s:hang called")
        gateway.process.send_signal(number)
        await gateway.said("s:held released")
        late = await gateway.answer(gateway.call("execute_dag", tasks=[task("a")]))
        assert late["error"]["message"] == "The gateway is shutting down."
        drained = await gateway.answer(soon)
        assert drained["result"]["structuredContent"]["status"] == "success"
        assert (await gateway.answer(hung))["result"]["structuredContent"]["status"] == "cancelled"
        with anyio.fail_after(20):
            status, said = await gateway.ended()
    assert status == 0
    assert "s:hang aborted" in said
    assert "Traceback" not in said


async def test_a_second_signal_ends_the_process_at_once():
    async with started("--drain", "100") as gateway:
        await gateway.initialize()
        gateway.call("execute_dag", tasks=[task("a", "s:hang")])
        await gateway.said("s:hang called")
        gateway.process.send_signal(signal.SIGTERM)
        await gateway.said("stopping")
        gateway.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(20):
            status, _ = await gateway.ended()
    assert status == 128 + signal.SIGTERM


async def test_the_first_request_decides_the_era_and_the_other_era_is_refused():
    async with started() as handshake:
        await handshake.initialize()
        refused = await handshake.answer(handshake.request("tools/list", _meta=ENVELOPE))
        assert refused["error"]["code"] == -32600
        assert "result" in await handshake.answer(handshake.request("tools/list"))
    async with started() as modern:
        modern.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        first = await modern.answer(modern.request("tools/list", _meta=ENVELOPE))
        assert first["result"]["resultType"] == "complete"
        refused = await modern.answer(modern.request("initialize", protocolVersion="2025-11-25"))
        assert refused["error"]["code"] == -32022
        assert refused["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2025-11-25"}
        bare = await modern.answer(modern.request("tools/list"))
        assert bare["error"]["code"] == -32602


async def test_a_request_in_the_same_write_as_the_handshake_waits_for_it():
    info = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    async with started() as gateway:
        lines = [
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info},
            {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        ]
        gateway.send("\n".join(map(json.dumps, lines)).encode())
        first, second = await gateway.read(), await gateway.read()
    assert (first["id"], first["result"]["protocolVersion"]) == (1, "2025-06-18")
    assert (second["id"], len(second["result"]["tools"])) == (2, 6)


async def test_the_event_loop_waits_for_the_pipes():
    (reading, asking), (answers, writing) = os.pipe(), os.pipe()
    async with open_pipe(reading, writing):
        assert os.get_blocking(reading) is os.get_blocking(writing) is False
    os.close(asking)
    os.close(answers)


async def test_a_request_after_a_slow_handshake_waits_for_it():
    async def slow(ctx: Any, call_next: Any) -> Any:
        if ctx.method == "initialize":
            await anyio.wait_all_tasks_blocked()
        return await call_next(ctx)

    server: Server[Any] = Server("slow", on_list_tools=_no_tools)
    server.middleware.append(slow)
    info = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    reading, asking = os.pipe()
    answers, writing = os.pipe()
    with os.fdopen(asking, "w") as client:
        print(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info}),
            file=client,
        )
        print(json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}), file=client, end="")
    with anyio.fail_after(20):
        async with open_pipe(reading, writing) as pipe:
            await pipe.serve(server, partial(anyio.sleep, 0))
    with os.fdopen(answers) as answered:
        assert ["result" in json.loads(line) for line in answered] == [True, True]


async def _no_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[])


async def test_a_request_before_the_handshake_is_refused():
    async with started() as gateway:
        answer = await gateway.answer(gateway.request("tools/list"))
        assert answer["error"]["code"] == -32602


async def test_a_cancelled_call_ends_its_run_and_is_not_answered():
    async with started() as gateway:
        await gateway.initialize()
        id = gateway.call("execute_dag", tasks=[task("a", "s:hang")])
        await gateway.said("s:hang called")
        cancel = {
            "jsonrpc": "2.0",
            "method": "notifications/cancelled",
            "params": {"requestId": id},
        }
        gateway.send(json.dumps(cancel).encode())
        await gateway.said("s:hang aborted")
        gateway.request("ping")
        assert (await gateway.read())["result"] == {}


async def test_files_serve_as_input_and_output(tmp_path: Path):
    info = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    messages: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    (tmp_path / "in").write_text("".join(json.dumps(message) + "\n" for message in messages))
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        process = await asyncio.create_subprocess_exec(
            *standalone(), cwd=ROOT, stdin=source, stdout=target
        )
        with anyio.fail_after(20):
            assert await process.wait() == 0
    answers = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [answer["id"] for answer in answers] == [1, 2]


async def test_a_terminal_serves_as_input_and_output():
    leader, follower = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *standalone(), cwd=ROOT, stdin=follower, stdout=follower
    )
    os.write(leader, b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    said = b""
    with anyio.fail_after(20):
        while b'"result"' not in said:
            await anyio.wait_readable(leader)
            said += os.read(leader, 4096)
        assert os.get_blocking(follower)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    os.close(leader)
    os.close(follower)


async def test_empty_input_ends_the_process_cleanly():
    process = await asyncio.create_subprocess_exec(
        *standalone(), cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
    )
    with anyio.fail_after(20):
        assert await process.wait() == 0
