"""Bodies are bounded and strict JSON, and a stop ends every open request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plait.upstream.transports import bodies
from plait.upstream.transports.bodies import OpenRequests, Stoppable, StrictBodies, body_of

from ...fakes import FakeServers
from .http_gateway import ACCEPT, in_session, modern, served


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"x":"\\ud800"}}',
            "lone surrogate",
        ),
        (b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"x":NaN}}', "NaN"),
        (b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"x":1e999}}', "1e999"),
        (b'{"jsonrpc":"2.0","id":5,"method":"ping","params":{"x":1,"x":2}}', "twice"),
        (
            b'{"jsonrpc":"2.0","id":5,"method":"ping","params":{"x":'
            + b"[" * 200
            + b"]" * 200
            + b"}}",
            "levels",
        ),
    ],
)
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_bodies_that_are_not_strict_json_are_refused_with_their_id_in_both_eras(
    servers: FakeServers, body: bytes, said: str, version: str
):
    headers = {**ACCEPT, "content-type": "application/json", "mcp-protocol-version": version}
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = await http.post(gateway.url, content=body, headers=headers)
        alive = await http.get(f"{gateway.base}/healthz")
    assert answer.status_code == 400
    assert answer.json()["id"] == 5
    assert answer.json()["error"]["code"] == types.PARSE_ERROR
    assert said in answer.json()["error"]["message"]
    assert alive.status_code == 200


FLAWED = (
    ('{"tasks":[{"id":"a","id":"b"}]}', "tasks[0].id", "twice"),
    ('{"tasks":' + "[" * 3_000 + "]" * 3_000 + "}", "$", "nested too deeply"),
)


@pytest.mark.parametrize(("arguments", "path", "said"), FLAWED)
@pytest.mark.parametrize("era", ["session", "2026-07-28"])
async def test_a_flaw_in_the_arguments_of_our_own_tools_is_an_answer_in_both_eras(
    servers: FakeServers, arguments: str, path: str, said: str, era: str
):
    message, headers = modern("tools/call", {"name": "execute_dag", "arguments": "HERE"})
    content = json.dumps(message).replace('"HERE"', arguments)
    async with served(servers) as gateway, in_session(gateway) as client:
        headers = client.headers if era == "session" else headers
        headers = {**headers, "content-type": "application/json"}
        answer = await client.http.post(gateway.url, content=content, headers=headers)
    assert answer.status_code == 200
    result = json.loads(answer.text.partition("data: ")[2] or answer.text)["result"]
    assert result["isError"] is True
    [problem] = result["structuredContent"]["errors"]
    assert (problem["path"], problem["code"]) == (path, "invalid_json")
    assert said in problem["message"]
    assert servers.calls == []


async def test_a_hundred_thousand_nested_lists_are_refused(servers: FakeServers):
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = await http.post(gateway.url, content=b"[" * 100_000, headers=ACCEPT)
    assert answer.status_code == 400


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("is_declared", [True, False])
async def test_a_body_above_the_limit_is_read_to_its_end_and_answered_with_its_id(
    servers: FakeServers, is_declared: bool, version: str
):
    padding = "x" * 12 * 2**20
    params = {"name": "s:tool", "arguments": {"x": padding}}
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})

    async def parts() -> AsyncIterator[bytes]:
        yield body.encode()

    headers = {**ACCEPT, "content-type": "application/json", "mcp-protocol-version": version}
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        content = body.encode() if is_declared else parts()
        answer = await http.post(gateway.url, content=content, headers=headers)
    assert answer.status_code == 413
    assert (answer.json()["jsonrpc"], answer.json()["id"]) == ("2.0", 7)
    assert answer.json()["error"] == {
        "code": types.INVALID_REQUEST,
        "message": "The message has more than 4,194,304 bytes.",
    }


async def test_a_body_that_never_ends_is_read_within_bounds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "MAX_DRAINED_BYTES", 4_000)
    reads = 0

    async def endless() -> Message:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": b" " * 1_000, "more_body": True}

    sent = Sent()
    await StrictBodies(app_that_begins(), limit=1_500)(SCOPE, endless, sent)
    assert (sent[0]["status"], reads) == (413, 5)


@pytest.mark.parametrize("headers", [[], [(b"expect", b"100-continue")]])
async def test_a_client_that_sends_nothing_of_a_body_too_large_is_answered(
    monkeypatch: pytest.MonkeyPatch, headers: list[tuple[bytes, bytes]]
):
    monkeypatch.setattr(bodies, "DRAIN_S", 5.0 if headers else 0.0)
    sent = Sent()
    declared = {**SCOPE, "headers": [(b"content-length", b"2000"), *headers]}
    await StrictBodies(app_that_begins(), limit=1_500)(declared, never, sent)
    assert sent[0]["status"] == 413


async def test_bodies_above_the_limit_are_refused_whether_they_say_so_or_not(
    servers: FakeServers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bodies, "DRAIN_S", 0.0)
    head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    async with served(servers) as gateway:
        declared = await gateway.raw(head + b"Content-Length: 4194305\r\n\r\n")
        chunk = b"%x\r\n" % 2**20 + b" " * 2**20 + b"\r\n"
        chunked = await gateway.raw(
            head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 4 + b"1\r\n \r\n"
        )
    assert declared.startswith(b"HTTP/1.1 413 ")
    assert chunked.startswith(b"HTTP/1.1 413 ")


# A stop, seen by an app alone.

SCOPE: Scope = {"type": "http", "method": "POST", "headers": []}


async def never() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


class Sent(list[Any]):
    async def __call__(self, event: Message) -> None:
        self.append(event)


def app_that_begins(*events: Message) -> ASGIApp:
    """Return an app that sends *events*, and then waits until its client has left."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)
        while (await receive())["type"] != "http.disconnect":
            pass

    return app


START: Message = {"type": "http.response.start", "status": 200, "headers": []}
PART: Message = {"type": "http.response.body", "body": b"1", "more_body": True}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("began", [[START], [START, PART], [START, PART, END]])
async def test_a_stop_completes_a_response_that_has_begun(began: list[Message]):
    requests, sent = OpenRequests(), Sent()
    async with anyio.create_task_group() as tasks:
        app = Stoppable(app_that_begins(*began), requests)
        tasks.start_soon(app, SCOPE, never, sent)
        await anyio.wait_all_tasks_blocked()
        assert sent == began
        requests.end_all()
    assert sent == [*began, *([] if END in began else [END])]


@pytest.mark.parametrize("is_open", [True, False], ids=["an open one", "a new one"])
async def test_a_stop_answers_a_request_without_response_with_503(is_open: bool):
    requests, sent = OpenRequests(), Sent()
    app = Stoppable(app_that_begins(), requests)
    async with anyio.create_task_group() as tasks:
        if is_open:
            tasks.start_soon(app, SCOPE, never, sent)
            await anyio.wait_all_tasks_blocked()
        requests.end_all()
        if not is_open:
            tasks.start_soon(app, SCOPE, never, sent)
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"5") in sent[0]["headers"]
    assert b"shutting down" in sent[1]["body"]


async def test_the_app_gets_the_value_of_a_body_and_its_bytes():
    got: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got.extend([body_of(scope), (await receive())["body"], (await receive())["type"]])

    parts: list[Message] = [
        {"type": "http.request", "body": b'{"x":', "more_body": True},
        {"type": "http.request", "body": b"1}"},
        {"type": "http.disconnect"},
    ]
    waiting = iter(parts)

    async def receive() -> Message:
        return next(waiting)

    await StrictBodies(app)(dict(SCOPE), receive, Sent())
    assert got == [{"x": 1}, b'{"x":1}', "http.disconnect"]


async def test_a_body_whose_client_leaves_before_its_end_reaches_no_app():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    sent = Sent()
    await StrictBodies(app)(dict(SCOPE), receive, sent)
    assert sent == []
