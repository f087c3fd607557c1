"""The upstream side of a relayed request: whom it is for, and what is heard of it before its answer.

Progress and log messages go out on the request's own stream, in their order, and before its result. A client that does
not read delays nothing but them, and what it does not read in time is dropped.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast, get_args

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from pydantic import BaseModel

from ...core.ports import OnLog
from ...core.tools.naming import Entry
from ...core.values.strict import JsonObject
from ..principals import client_of
from ..run_progress import RequestContext, telling
from .eras import is_modern, meta_of
from .outbox import MOST_WAITING, SEND_S, Outbox

log = logging.getLogger(__name__)

LEVELS: Final = {level: rank for rank, level in enumerate(get_args(types.LoggingLevel))}
LOG_MESSAGE: Final = "notifications/message"
PROGRESS: Final = "notifications/progress"
LAST_WORD_S = 1.0
"""How long an answer that is ready waits for what was heard before it."""

_Message: TypeAlias = Callable[[RequestContext], Awaitable[None]]


def level_of(params: JsonObject) -> str | None:
    """The level of a log message; None where there is no such."""
    level = params.get("level")
    return level if isinstance(level, str) and level in LEVELS else None


class RawNotice(BaseModel):
    """A notification as a server sent it; the SDK's own models would drop what they do not know."""

    method: str
    params: dict[str, Any] | None = None


def as_notification(method: str, params: JsonObject | None) -> types.ServerNotification:
    return cast(types.ServerNotification, RawNotice(method=method, params=params or None))


@dataclass(frozen=True, slots=True)
class ProgressTo:
    """An `OnLog` that tells *who* by *tell*. All those that tell the same are equal."""

    who: object
    tell: OnLog = field(compare=False)

    def __call__(self, params: JsonObject) -> None:
        self.tell(params)


class LegacySession:
    """A client of the handshake era, and what it has asked for, for as long as its connection lasts."""

    def __init__(self, ctx: RequestContext, tasks: TaskGroup) -> None:
        session = ctx.session
        self._outbox = Outbox(tasks, lambda method, params: session.send_notification(as_notification(method, params)))
        self.put = self._outbox.put
        self.level: str | None = None
        self.has_left = False
        self.watched: dict[Entry, str] = {}
        """The resources that it watches, and what it calls each."""

    def hears(self, level: str) -> bool:
        return self.level is None or LEVELS[level] >= LEVELS[self.level]

    def log(self, params: JsonObject) -> None:
        """Pass on a log message, if it wants such and is still there."""
        if not self.has_left and (level := level_of(params)) is not None and self.hears(level):
            self.put(LOG_MESSAGE, params)

    def names_of(self, server: str, uri: str) -> list[str]:
        """What the client calls the resource *uri*, for each that it watches and that this is, or is a part of."""
        return [
            name + uri.removeprefix(watched)
            for (owner, watched), name in self.watched.items()
            if owner == server and (uri == watched or uri.startswith(watched.rstrip("/") + "/"))
        ]


class RequestScope:
    """Whom one relayed request is for. Its client may come back with another request for the same, and is silent in
    between (`parking.py`)."""

    def __init__(self, ctx: RequestContext, tasks: TaskGroup, session: LegacySession | None) -> None:
        self.session = session
        self.client = client_of(ctx)
        """As `client_of`."""
        self._ctx: RequestContext | None = ctx
        self._tasks = tasks
        self._outbox: deque[_Message] = deque(maxlen=MOST_WAITING)
        self._sent: anyio.Event | None = None

    def turn_to(self, ctx: RequestContext | None) -> None:
        """From now on *ctx* is the request that waits for it; none, for None."""
        self._ctx = ctx

    @property
    def capabilities(self) -> types.ClientCapabilities | None:
        return self._ctx.session.client_capabilities if self._ctx is not None else None

    def progress(self, told: JsonObject) -> None:
        """Pass on how far it is, under the client's own token. What the server says is not judged: values that do not
        rise are passed on as they would come without us."""

        async def send(ctx: RequestContext) -> None:
            token = meta_of(ctx).get("progressToken")
            if isinstance(token, int | str) and not isinstance(token, bool):
                notice = as_notification(PROGRESS, {**told, "progressToken": token})
                await ctx.session.send_notification(notice, related_request_id=ctx.request_id)

        self._put(send)

    async def report(self, told: JsonObject) -> None:
        """Tell it how far work of ours is, if the request that waits for it at the time asked to hear of that."""
        if self._ctx is not None and (tell := telling(self._ctx)) is not None:
            await tell(told)

    def hears(self, level: str) -> bool:
        """Whether it wants log messages of that level: clients of 2026-07-28 say so with each request."""
        if self.session is not None:
            return self.session.hears(level)
        if self._ctx is None or not is_modern(self._ctx):
            return False
        asked = meta_of(self._ctx).get(types.LOG_LEVEL_META_KEY)
        return isinstance(asked, str) and asked in LEVELS and LEVELS[level] >= LEVELS[asked]

    @property
    def on_log(self) -> OnLog:
        """Tells it of log messages, those of its other requests included."""
        return ProgressTo(self.session or self, self.log)

    def log(self, params: JsonObject) -> None:
        """Pass on a log message on the request's own stream, if it wants such."""
        if (level := level_of(params)) is not None and self.hears(level):
            notice = as_notification(LOG_MESSAGE, params)
            self._put(lambda ctx: ctx.session.send_notification(notice, related_request_id=ctx.request_id))

    async def told(self) -> None:
        """Wait until what was to be told has been sent; not for long."""
        if self._sent is not None:
            with anyio.move_on_after(LAST_WORD_S):
                await self._sent.wait()

    def _put(self, message: _Message) -> None:
        if self._ctx is None:
            return
        self._outbox.append(message)
        if self._sent is None:
            self._sent = anyio.Event()
            self._tasks.start_soon(self._send, self._sent)

    async def _send(self, sent: anyio.Event) -> None:
        try:
            while self._outbox:
                message = self._outbox.popleft()
                if (ctx := self._ctx) is not None:
                    with anyio.move_on_after(SEND_S):
                        await message(ctx)
        except Exception:  # the client's stream has ended, in whatever way its transport tells
            log.debug("message.unsent", exc_info=True)
            self._outbox.clear()
        finally:
            self._sent = None
            sent.set()
