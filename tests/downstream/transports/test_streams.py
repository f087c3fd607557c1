"""Event streams from servers: what cannot be read on one ends its own call at once, and nothing
else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from plait.config import ServerSettings
from plait.core.values.strict import JsonObject
from plait.downstream.connection import Connection
from plait.downstream.timings import ConnectTimings
from plait.errors import CallError, InvalidOutput, OutputTooLarge

from ..faulty_http import SOON, FaultyHttp, call, reached, serving
from .test_sse import FaultySse

LIMIT = 3_000_000
QUICK = ConnectTimings(first_backoff_s=0.05, longest_backoff_s=0.2, refresh_pause_s=0.01)

EVENTS: list[tuple[str, type[CallError], str]] = [
    ("nan", InvalidOutput, "NaN"),
    ("twice", InvalidOutput, "twice"),
    ("not_utf8", InvalidOutput, "UTF-8"),
    ("surrogate_pair", InvalidOutput, "cannot be read"),
    ("no_object", InvalidOutput, "cannot be read"),
    ("lone_surrogate", InvalidOutput, "not UTF-8|surrogate"),
    ("code_is_text", InvalidOutput, "not a JSON-RPC message"),
    ("deep", InvalidOutput, "nested"),
    ("too_long", OutputTooLarge, "exceeded 3,000,000 bytes"),
]


def event_of(name: str, id: int) -> bytes:
    """An event that answers the request of that id, with something wrong."""
    start = b'{"jsonrpc":"2.0","id":%d,"result":' % id
    match name:
        case "nan":
            return start + b'{"x":NaN}}'
        case "twice":
            return start + b'{"x":1,"x":2}}'
        case "not_utf8":
            return start + b'{"x":"\xff"}}'
        case "surrogate_pair":
            return start + b'{"x":"\\ud83'
        case "no_object":
            return start + b"[]}"
        case "lone_surrogate":
            return start + b'{"x":"a secret \\ud800"}}'
        case "code_is_text":
            return b'{"jsonrpc":"2.0","id":%d,"error":{"code":"a secret","message":"x"}}' % id
        case "deep":
            return start + b'{"x":' * 300 + b"1" + b"}" * 301
        case "too_long":
            return start + b'{"x":"' + b"x" * (LIMIT + 1) + b'"}}'
    return (
        start
        + json.dumps({"content": [], "structuredContent": {"x": "x" * 2_000_000}}).encode()
        + b"}"
    )


JUNK = (
    b": comment\n\ndata: \n\nevent: strange\ndata: 1\n\nevent: ping\ndata: 2\n\n"
    b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"x":NaN}}\n\n'
    b'data: {"jsonrpc":"2.0","id":1,"method":"roots/list","params":{"x":1,"x":2}}\n\n'
)


class Streaming(FaultyHttp):
    """Answers each call on a stream that stays open, after what is nobody's answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Any] = []
        self.asks = 0

    async def _answer(
        self, verb: str, headers: dict[str, str], message: Any, writer: asyncio.StreamWriter
    ) -> None:
        if verb == "POST" and "method" not in message:
            self.answers.append(message)
            await asyncio.sleep(3600)  # it takes no answers
        await super()._answer(verb, headers, message, writer)

    async def _call(self, name: str, message: Any, writer: asyncio.StreamWriter) -> None:
        events = JUNK + b"data: " + event_of(name, message["id"]) + b"\n\n"
        if name == "asks":
            asked = {"jsonrpc": "2.0", "id": 1, "method": "roots/list"}
            events = b"data: " + json.dumps(asked).encode() + b"\n\n" + events
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: "
            b"chunked\r\n\r\n"
        )
        writer.write(b"%x\r\n%s\r\n" % (len(events), events))


class StreamingSse(FaultySse):
    async def _post(self, name: str, message: Any, writer: asyncio.StreamWriter) -> None:
        assert self._stream is not None
        self._stream.write(JUNK + b"data: " + event_of(name, message["id"]) + b"\n\n")
        self._status(writer, "202 Accepted")


@asynccontextmanager
async def connected(transport: Any) -> AsyncIterator[tuple[Any, Connection]]:
    async with serving(Streaming() if transport == "http" else StreamingSse()) as served:
        settings = ServerSettings(
            url=served.url, transport=transport, protocol="legacy", startup_timeout_s=5
        )
        connection = Connection("web", settings, max_message_bytes=LIMIT, timings=QUICK)
        async with reached(connection):
            yield served, connection


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize(("fault", "kind", "said"), EVENTS)
async def test_an_unreadable_answer_fails_its_own_call(
    transport: str,
    fault: str,
    kind: type[CallError],
    said: str,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level("INFO", "mcp")
    async with connected(transport) as (served, connection):
        caplog.clear()
        with pytest.raises(kind, match=said):
            await call(connection, fault)
        large: Any = await call(connection, "large")
        assert len(large["structuredContent"]["x"]) == 2_000_000
        assert served.calls in ([fault, "large"], [])
        assert connection.info.error is None
        assert [record.message for record in caplog.records if record.levelname != "DEBUG"] == []


async def test_a_server_that_takes_no_answers_delays_no_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("plait.downstream.transports.http.CANCEL_TIMEOUT_S", 0.1)

    async def ask(method: str, params: JsonObject) -> JsonObject:
        return {"roots": []}

    async with connected("http") as (served, connection):
        await call(connection, "asks", ask=ask)
        await call(connection, "large")
        with anyio.fail_after(SOON):
            while not served.answers:
                await anyio.sleep(0.01)
        assert served.answers[0]["id"] == 1
