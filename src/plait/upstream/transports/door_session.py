"""The lines of one client behind a door, each answered under its number.

*The idea.* A door forwards lines that it does not read, each with a number. The answers are frames
(`door/frames.py`) that report what has become of which line, so that the door can go on with
another gateway if this one is killed: a line without a report was not read, and is sent again; one
that is `SAFE` is sent again, too; one that is `TAKEN` never is; those that `KEEP` names are
replayed.

*The invariants.*

1. `TAKEN` is in the hands of the system before a call begins, so that no call is made twice.
2. The answer to a line carries its number, so that an answer cannot be sent without the report that
   it was.
3. Every line gets exactly one frame that settles it, an answer or `DONE`, unless the gateway ends.
4. For a client that does not read, or of which `MOST_BEGUN` are open, no request is begun. Its
   replies and cancellations are taken, or calls that wait for them would never end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import anyio
import mcp_types as types

from ...core.values.strict import JsonObject, encode, loads
from ...door import frames
from ...waiting import Signal, rest_after
from ..lost_calls import lost_result
from ..mcp_sdk import cancelled_request_id_from_params, coerce_request_id
from .conversation import Conversation
from .descriptors import too_long
from .frame_stream import Frame, FrameStream
from .messages import (
    Notice,
    Reply,
    Request,
    Unreadable,
    as_message,
    id_at_start,
    read_json,
    written,
)
from .raw_session import Inbound, Params
from .reports import INITIALIZED, dropped_by, effects_of, kept_by
from .served import Served

log = logging.getLogger(__name__)

MOST_NOTE_CHARS = 200
SAFE_S = 0.02
"""Seconds after which a request that is not answered yet is reported as `SAFE`. An answer reports
it as well, and a frame of its own would cost half as much as the rest of a relayed call."""
MOST_BEGUN = 128
"""Most requests of one client that are begun and not answered: the next ones wait at its door, so
that a client which does not read its answers fills no memory with them."""
HANDLING_S = 0.0002
"""About the time that a notification takes once it was read."""
_CLIENT = "io.modelcontextprotocol/clientInfo"


class Client(NamedTuple):
    """A client as it names itself; empty until it has."""

    name: str = ""
    version: str = ""


class _Line(NamedTuple):
    """A line that is being dealt with."""

    number: int
    method: str
    params: Params
    kept_note: bytes | None = None
    """The note of a line that is replayed, None for others: it is not answered again."""


class DoorSession:
    """The client of *stream*, which *served* answers once `conversation` is set."""

    conversation: Conversation

    def __init__(self, stream: FrameStream, served: Served) -> None:
        self.client = Client()
        self.has_ended = False
        """Whether the client has closed its end."""
        self._stream = stream
        self._served = served
        self._lines: dict[asyncio.Task[None], _Line] = {}
        self._waiting: deque[tuple[int, Request]] = deque()
        """Requests that are not begun yet. The door takes them for unread."""
        self._unreported: dict[int, types.RequestId | None] = {}
        """The ids of the requests that are to be reported as `SAFE`, by line."""
        self._reporting: asyncio.TimerHandle | None = None
        self._spent_s = 0.0
        """Time since the last rest for lines that are not requests."""
        self._is_held = False
        self._settled = Signal()
        self._listens: tuple[str, ...] = ()
        """The notifications about changed lists that this server may send to a client of an earlier
        gateway."""

    def __repr__(self) -> str:
        name = self.client.name or "a client"
        return f"<DoorSession of {name}: {len(self._lines)} open, {len(self._waiting)} waiting>"

    def hold(self) -> None:
        """Begin no more requests: the next gateway gets them."""
        self._is_held = True
        self._settled.notify()

    def begin_waiting(self) -> None:
        """Begin the requests that wait, as long as the client reads what it is sent."""
        while (
            self._waiting
            and len(self._lines) < MOST_BEGUN
            and not (self._is_held or self._stream.is_crowded)
        ):
            number, request = self._waiting.popleft()
            self._begin(_Line(number, request.method, request.params), request)

    async def wait_begun(self) -> None:
        """Wait until all requests are begun: until the client has read enough, or has gone."""
        with suppress(anyio.BrokenResourceError):
            while self._waiting and not self._is_held:
                if self._stream.is_crowded or not self._stream.is_open:
                    await self._stream.flushed()
                else:
                    await self._settled.wait()

    # From the door.

    def take(self, frame: Frame) -> None:
        kind, number, payload = frame
        match kind:
            case frames.MESSAGE:
                began = time.perf_counter()
                if not self._take_line(number, payload):
                    self._charge(time.perf_counter() - began + HANDLING_S)
            case frames.REPLAY:
                self._replay(number, payload)
            case frames.LOST:
                self._answer_lost(number, payload)
            case frames.TOO_LONG:
                limit = self._served.max_message_bytes
                self._refuse(number, too_long(limit, id_at_start(payload)))
            case frames.END:
                self.has_ended = True
                self._stream.end()
            case _:
                log.debug("frame.unknown", extra={"kind": kind.decode("latin-1")})

    def _charge(self, spent_s: float) -> None:
        """Count *spent_s* for a line that is not a request, and let the client wait after many: of
        requests at most `MOST_BEGUN` are open, all else comes as fast as it likes."""
        self._spent_s += spent_s
        if (seconds := rest_after(self._spent_s)) > 0:
            self._spent_s = 0.0
            self._stream.rest(seconds)

    def _take_line(self, number: int, line: bytes) -> bool:
        """Take a line; returns whether it was a request."""
        try:
            if len(line) > (limit := self._served.max_message_bytes):
                raise too_long(limit, id_at_start(line))
            message = as_message(read_json(line))
        except Unreadable as unreadable:
            self._refuse(number, unreadable)
            return False
        match message:
            case Request():
                self._waiting.append((number, message))
                self.begin_waiting()
                return True
            case Notice():
                if message.method == "notifications/cancelled":
                    self._forget_waiting(message)
                if (kept := kept_by(message.method, message.params, {})) is not None:
                    self._stream.put(frames.KEEP, b"\0".join(kept), number)
                self._begin(_Line(number, message.method, message.params), message)
            case Reply(id=id):
                self.conversation.take(message)
                if id is not None:
                    self._stream.put(frames.SETTLED, encode(id))
                self._stream.put(frames.DONE, number=number)
        return False

    def _forget_waiting(self, cancelled: Notice) -> None:
        """Forget the request that is cancelled, if it waits."""
        id = cancelled_request_id_from_params(cancelled.params)
        if id is None:
            return
        for each in list(self._waiting):
            if coerce_request_id(each[1].id) == coerce_request_id(id):
                self._waiting.remove(each)
                self._stream.put(frames.DONE, number=each[0])

    def _begin(self, line: _Line, message: Request | Notice) -> None:
        if isinstance(message, Request) and not self.client.name:
            self.client = _client_in(line.params)
        task = self.conversation.take(message, _Reported(self, line))
        assert task is not None  # only replies have none
        self._lines[task] = line
        task.add_done_callback(self._settle)

    def _settle(self, task: asyncio.Task[None]) -> None:
        """Report a line that will not be answered: a notification, or a request that was
        cancelled."""
        line = self._lines.pop(task, None)
        if line is not None and line.kept_note is None:
            self._unreported.pop(line.number, None)
            self._stream.put(frames.DONE, number=line.number)
        self.begin_waiting()
        self._settled.notify()

    def _refuse(self, number: int, why: Unreadable) -> None:
        self._stream.put(frames.MESSAGE, why.as_json(), number)

    # After the death of another gateway.

    def _replay(self, number: int, payload: bytes) -> None:
        """Take a line that an earlier gateway kept."""
        _, note, line = payload.split(b"\0", 2)
        message = as_message(read_json(line))  # the earlier gateway has read it
        if isinstance(message, Reply):
            return
        self._begin(_Line(number, message.method, message.params, note), message)
        if message.method == INITIALIZED:
            for method in self._listens:  # the lists may be others than those of that gateway
                self._put({"jsonrpc": "2.0", "method": method})

    def _answer_replayed(self, line: _Line, answer: JsonObject) -> None:
        """Take the answer to a replayed line, which the client had from the earlier gateway."""
        if line.method != "initialize":
            return
        match answer:
            case {"result": {"protocolVersion": str(version), **rest}}:
                capabilities = rest.get("capabilities")
            case _:
                version, capabilities = "none", None
        if version.encode() != line.kept_note:
            text = (
                f"the new gateway speaks {version} with this client, not as before; connect again"
            )
            self._stream.put(frames.REFUSED, f"protocol\0{text}".encode())
            self._stream.close()
        if isinstance(capabilities, dict):
            self._listens = tuple(
                f"notifications/{name}/list_changed"
                for name, offered in capabilities.items()
                if isinstance(offered, dict) and offered.get("listChanged") is True
            )

    def _answer_lost(self, number: int, payload: bytes) -> None:
        id, _, note = payload.partition(b"\0")
        is_modern = not self.conversation.era.is_handshake
        result = lost_result(note.decode(errors="replace"), is_modern=is_modern)
        self._put({"jsonrpc": "2.0", "id": loads(id), "result": result}, number)

    # To the client.

    async def report(self, line: _Line, id: types.RequestId | None) -> None:
        """Report what a request may do before it does anything. Raises `BrokenResourceError` if the
        door has gone."""
        if line.kept_note is not None:
            return
        tool = effects_of(line.method, line.params, self._served.is_read_only)
        if tool is None:
            self._unreported[line.number] = id
            if self._reporting is None:
                loop = asyncio.get_running_loop()
                self._reporting = loop.call_later(SAFE_S, self._report_safe)
            return
        # A name without what would end the note; the client chose it.
        note = tool[:MOST_NOTE_CHARS].replace("\0", "").encode(errors="replace")
        self._stream.put(frames.TAKEN, encode(id) + b"\0" + note, line.number)
        await self._stream.flushed()

    def _report_safe(self) -> None:
        self._reporting = None
        for number, id in self._unreported.items():
            self._stream.put(frames.SAFE, encode(id), number)
        self._unreported.clear()

    async def send(self, message: JsonObject, related: types.RequestId | None) -> None:
        """Send a message of the conversation. Raises `BrokenResourceError` if the door has gone."""
        if not self._stream.is_open:
            raise anyio.BrokenResourceError
        number = 0
        match message:
            case {"method": "notifications/cancelled", "params": {"requestId": withdrawn}}:
                self._stream.put(frames.SETTLED, encode(withdrawn))
            case {"method": str(), "id": id}:
                self._stream.put(frames.ASKED, encode(id))
            case {"method": str()}:
                pass
            case _:  # the task of a request writes its answer
                task = asyncio.current_task()
                line = self._lines.pop(task, None) if task is not None else None
                if line is not None and line.kept_note is not None:
                    self._answer_replayed(line, message)
                    return
                if line is not None:
                    number = line.number
                    self._unreported.pop(number, None)
                    self._keep(line, message)
        self._put(message, number)
        await self._stream.wait_room()

    def _keep(self, line: _Line, answer: JsonObject) -> None:
        """Report a line that its *answer* made a part of the state of the session."""
        result = answer.get("result")
        if not isinstance(result, dict):
            return
        if (kept := kept_by(line.method, line.params, result)) is not None:
            self._stream.put(frames.KEEP, b"\0".join(kept), line.number)
        if (key := dropped_by(line.method, line.params)) is not None:
            self._stream.put(frames.DROP, key)

    def _put(self, message: JsonObject, number: int = 0) -> None:
        self._stream.put(frames.MESSAGE, written(message), number)
        self._served.on_written()


@dataclass(frozen=True, slots=True)
class _Reported:
    """The handler of one line: the door gets a report before the line has an effect."""

    session: DoorSession
    line: _Line

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        await self.session.report(self.line, inbound.request_id)
        return await self.session.conversation.era.on_request(inbound, method, params)

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        await self.session.conversation.era.on_notice(inbound, method, params)


def _client_in(params: Params) -> Client:
    """Return the client that a handshake or an envelope names."""
    found = (params or {}).get("clientInfo")
    if found is None and isinstance(meta := (params or {}).get("_meta"), dict):
        found = meta.get(_CLIENT)
    match found:
        case {"name": str(name), "version": str(version)}:
            return Client(name[:100], version[:50])
    return Client()
