"""The upstream side of one request: its client, and what the client hears of it before the answer.

Progress and log messages go out on the request's own stream, in their order, and before its result.
A client that does not read delays nothing but them, and what it does not read in time is dropped.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias, cast, get_args

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from pydantic import BaseModel

from ...core.ports import Ask, Caller
from ...core.tools.naming import Entry
from ...core.values.principal import Principal
from ...core.values.strict import JsonObject
from ..principals import client_of
from ..run_progress import RequestContext, telling
from .eras import declared_by, is_modern, meta_of
from .input_requests import ask_directly, can_be_asked, checked_question
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


class LegacySession:
    """A client of the handshake era, and what it has asked for, for as long as its connection
    lasts."""

    def __init__(self, ctx: RequestContext, tasks: TaskGroup) -> None:
        session = ctx.session
        self._outbox = Outbox(
            tasks, lambda method, params: session.send_notification(as_notification(method, params))
        )
        self.put = self._outbox.put
        self.level: str | None = None
        self.has_left = False
        self.watched: dict[Entry, str] = {}
        """The resources that it watches, and what it calls each."""

    def hears(self, level: str) -> bool:
        return self.level is None or LEVELS[level] >= LEVELS[self.level]

    def log(self, params: JsonObject) -> bool:
        """Pass on a log message, if the client wants such and is still there; returns whether it
        does."""
        if self.has_left or (level := level_of(params)) is None or not self.hears(level):
            return False
        self.put(LOG_MESSAGE, params)
        return True

    def names_of(self, server: str, uri: str) -> list[str]:
        """What the client calls the resource *uri*, for each that it watches and that this is, or
        is a part of."""
        return [
            name + uri.removeprefix(watched)
            for (owner, watched), name in self.watched.items()
            if owner == server and (uri == watched or uri.startswith(watched.rstrip("/") + "/"))
        ]


class RequestScope(Caller):
    """The caller of what one request of a client leads to. The client may come back with another
    request for the same, and hears nothing in between (`pending.py`)."""

    def __init__(
        self,
        ctx: RequestContext,
        principal: Principal,
        tasks: TaskGroup,
        session: LegacySession | None,
    ) -> None:
        self._principal = principal
        self.session = session
        self._client = session or client_of(ctx)
        self._ctx: RequestContext | None = ctx
        self._first = ctx
        self._tasks = tasks
        self._asks: Ask = partial(ask_directly, ctx)
        self._outbox: deque[_Message] = deque(maxlen=MOST_WAITING)
        self._sent: anyio.Event | None = None

    def turn_to(self, ctx: RequestContext | None) -> None:
        """From now on *ctx* is the request that waits for the answer; None if none does."""
        self._ctx = ctx

    def ask_by(self, ask: Ask) -> None:
        """From now on questions go to the client by *ask*."""
        self._asks = ask

    @property
    def client_capabilities(self) -> types.ClientCapabilities | None:
        return self._ctx.session.client_capabilities if self._ctx is not None else None

    # As a `Caller`.

    @property
    def principal(self) -> Principal:
        return self._principal

    @property
    def client(self) -> object:
        """Its session, or as `client_of`."""
        return self._client

    @property
    def capabilities(self) -> JsonObject:
        return declared_by(self._first)

    @property
    def can_be_asked(self) -> bool:
        return can_be_asked(self._first.session.client_capabilities)

    @property
    def takes_input_requests(self) -> bool:
        return is_modern(self._first)

    @property
    def wants_progress(self) -> bool:
        return "progressToken" in meta_of(self._first)

    def check_question(self, method: str, params: JsonObject, /) -> None:
        checked_question(method, params, self._first.session.client_capabilities)

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        return await self._asks(method, params)

    def progress(self, params: JsonObject, /) -> None:
        """Pass on the progress, under the client's own token. What the server says is not judged:
        values that do not rise are passed on as they would come without us."""

        async def send(ctx: RequestContext) -> None:
            token = meta_of(ctx).get("progressToken")
            if isinstance(token, int | str) and not isinstance(token, bool):
                notice = as_notification(PROGRESS, {**params, "progressToken": token})
                await ctx.session.send_notification(notice, related_request_id=ctx.request_id)

        self._put(send)

    def log(self, params: JsonObject, /) -> bool:
        """Pass on a log message on the request's own stream, if the client wants such."""
        if (level := level_of(params)) is None or not self.hears(level):
            return False
        notice = as_notification(LOG_MESSAGE, params)
        self._put(
            lambda ctx: ctx.session.send_notification(notice, related_request_id=ctx.request_id)
        )
        return True

    async def report(self, told: JsonObject) -> None:
        """Tell it how far work of ours is, if the request that waits for it at the time asked to
        hear of that."""
        if self._ctx is not None and (tell := telling(self._ctx)) is not None:
            await tell(told)

    def hears(self, level: str) -> bool:
        """Whether it wants log messages of that level: clients of 2026-07-28 say so with each
        request."""
        if self.session is not None:
            return self.session.hears(level)
        if self._ctx is None or not is_modern(self._ctx):
            return False
        asked = meta_of(self._ctx).get(types.LOG_LEVEL_META_KEY)
        return isinstance(asked, str) and asked in LEVELS and LEVELS[level] >= LEVELS[asked]

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
