"""Guards around HTTP requests: bodies are bounded and strict JSON, and a stop ends every open
request."""

from __future__ import annotations

import asyncio

import anyio
import mcp_types as types
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.values.strict import encode
from ..calls import SHUTTING_DOWN
from .messages import Unreadable, id_at_an_end, is_flawed, read_json

MAX_BODY_BYTES = 4 * 2**20
MAX_DRAINED_BYTES = 64 * 2**20
DRAIN_S = 5.0
"""Most of a body that is too large that is read and dropped, and the time for it."""
EDGE_BYTES = 256
_BODY = "plait.body"


def body_of(scope: Scope) -> object:
    """Return the posted value, as `StrictBodies` read it."""
    return scope[_BODY]


class StrictBodies:
    """Reads every posted body whole before the app does: at most *limit* bytes of strict JSON."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
            if body is None:
                return
            scope[_BODY] = read_json(body)
            if is_flawed(scope[_BODY]):
                body = encode(scope[_BODY])
        except _TooLarge as error:
            id = await self._drained(error, scope, receive)
            message = f"The message has more than {self._limit:,} bytes."
            refusal = Unreadable(types.INVALID_REQUEST, message, id)
            await Response(
                refusal.as_json(), 413, {"connection": "close"}, media_type="application/json"
            )(scope, receive, send)
        except Unreadable as error:
            await Response(error.as_json(), 400, media_type="application/json")(
                scope, receive, send
            )
        else:
            await self._app(scope, _again(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Read the body; None if the client left before its end."""
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._limit:
                raise _TooLarge(b"")
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise _TooLarge(bytes(body), is_whole=not message.get("more_body", False))
            if not message.get("more_body", False):
                return bytes(body)

    async def _drained(self, error: _TooLarge, scope: Scope, receive: Receive) -> str | int | None:
        """Read the rest of a body that is too large, within bounds: a client that still sends reads
        no answer, and the connection would be reset under it. Returns the id of its message, None
        if unknown."""
        if any(name == b"expect" for name, _ in scope["headers"]):
            return None  # it sends nothing before we ask for it
        size, is_whole = len(error.start), error.is_whole
        edges = _edges(error.start)
        with anyio.move_on_after(DRAIN_S):
            while not is_whole and size <= MAX_DRAINED_BYTES:
                message = await receive()
                part = message.get("body", b"")
                size += len(part)
                edges = _edges(edges + part)
                is_whole = not message.get("more_body", False)
        return id_at_an_end(edges)


class OpenRequests:
    """The open requests. They are ended by reporting to the app that the client has left, so that
    streams are closed in order."""

    def __init__(self) -> None:
        self._ending = anyio.Event()
        self._receiving: set[asyncio.Task[Message]] = set()

    def end_all(self) -> None:
        """End the open requests, and refuse new ones."""
        self._ending.set()
        for receiving in self._receiving:
            receiving.cancel()

    async def wait_ending(self) -> None:
        """Wait until `end_all` is called."""
        await self._ending.wait()

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if self._ending.is_set():
            await _stopping(scope, receive, send)
            return
        started = completed = False

        async def watched(message: Message) -> None:
            nonlocal started, completed
            started = True
            completed = message["type"] == "http.response.body" and not message.get(
                "more_body", False
            )
            await send(message)

        await app(scope, self._until_ended(receive), watched)
        if self._ending.is_set() and not started:
            await _stopping(scope, receive, send)
        elif self._ending.is_set() and not completed:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _until_ended(self, receive: Receive) -> Receive:
        async def received() -> Message:
            if self._ending.is_set():
                return {"type": "http.disconnect"}
            receiving = asyncio.ensure_future(receive())
            self._receiving.add(receiving)
            try:
                return await receiving
            except asyncio.CancelledError:
                if self._ending.is_set() and receiving.cancelled():
                    return {"type": "http.disconnect"}
                raise
            finally:
                self._receiving.discard(receiving)
                receiving.cancel()

        return received


class Stoppable:
    """Serves every request through *requests*."""

    def __init__(self, app: ASGIApp, requests: OpenRequests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._requests.serve(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _TooLarge(Exception):
    """The body is above its limit. `start` is what was read of it."""

    def __init__(self, start: bytes, *, is_whole: bool = False) -> None:
        super().__init__()
        self.start = start
        self.is_whole = is_whole


def _edges(text: bytes) -> bytes:
    """Return the two ends of *text*, where clients write the id of a message."""
    return text if len(text) <= 2 * EDGE_BYTES else text[:EDGE_BYTES] + text[-EDGE_BYTES:]


async def _stopping(scope: Scope, receive: Receive, send: Send) -> None:
    error = {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": SHUTTING_DOWN, "message": "The gateway is shutting down."},
    }
    await JSONResponse(error, 503, {"connection": "close", "retry-after": "5"})(
        scope, receive, send
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """Make a `receive` that gives *body*, and then what comes after it: the disconnect."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given
