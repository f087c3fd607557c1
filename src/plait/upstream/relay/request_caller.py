"""The upstream side of one request: its client, and the messages that it gets before the answer.

Progress and log messages go out on the request's own stream, in their order, and before its result.
A client that does not read delays only these, and what it does not read in time is dropped.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, cast, get_args

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from pydantic import BaseModel

from ...core.ports import Ask, Caller
from ...core.tools.naming import Entry
from ...core.values.principal import Principal
from ...core.values.strict import JsonObject
from ..mcp_sdk import RequestContext
from ..principals import client_of
from ..run_progress import progress_sender
from .eras import declared_by, meta_of
from .input_requests import ask_directly, checked_question
from .outbox import MOST_WAITING, SEND_S, Outbox

log = logging.getLogger(__name__)

LEVELS: Final = {level: rank for rank, level in enumerate(get_args(types.LoggingLevel))}
LOG_MESSAGE: Final = "notifications/message"
PROGRESS: Final = "notifications/progress"
FLUSH_S = 1.0
"""Longest delay of an answer for the messages that come before it."""

_Message: TypeAlias = Callable[[RequestContext], Awaitable[None]]


def level_of(params: JsonObject) -> str | None:
    """Return the level of a log message; None if it is missing or unknown."""
    level = params.get("level")
    return level if isinstance(level, str) and level in LEVELS else None


class RawNotice(BaseModel):
    """A notification as a server sent it. The SDK's own models would drop unknown members."""

    method: str
    params: dict[str, Any] | None = None


def as_notification(method: str, params: JsonObject | None) -> types.ServerNotification:
    return cast(types.ServerNotification, RawNotice(method=method, params=params or None))


class Watched(NamedTuple):
    """A resource that a client watches: its URI for the client, and the function that ends the
    watch."""

    uri: str
    end: Callable[[], None]


class LegacySession:
    """A client of the handshake era, as long as its connection lasts."""

    def __init__(self, ctx: RequestContext, tasks: TaskGroup) -> None:
        session = ctx.session
        self._outbox = Outbox(
            tasks, lambda method, params: session.send_notification(as_notification(method, params))
        )
        self.put = self._outbox.put
        self.level: str | None = None
        """The log level that it asked for."""
        self.has_left = False
        self.watched: dict[Entry, Watched] = {}

    def wants_level(self, level: str) -> bool:
        return self.level is None or LEVELS[level] >= LEVELS[self.level]

    def log(self, params: JsonObject) -> bool:
        """Send a log message, if the client is still connected and wants it; return whether it
        does."""
        if self.has_left or (level := level_of(params)) is None or not self.wants_level(level):
            return False
        self.put(LOG_MESSAGE, params)
        return True

    def names_of(self, server: str, uri: str) -> list[str]:
        """Return the client's own URIs for the resource *uri* of *server*, one for each resource
        that the client watches and that is *uri* or contains it."""
        return [
            client.uri + uri.removeprefix(watched)
            for (owner, watched), client in self.watched.items()
            if owner == server and (uri == watched or uri.startswith(watched.rstrip("/") + "/"))
        ]


class RequestCaller(Caller):
    """The caller of everything that one request of a client leads to. A client of the handshake era
    has a *session*. A client of 2026-07-28 has none, and may continue with another request; in
    between it is sent nothing (`pending.py`)."""

    def __init__(
        self,
        ctx: RequestContext,
        principal: Principal,
        tasks: TaskGroup,
        session: LegacySession | None,
        connection: str | None = None,
    ) -> None:
        self._principal = principal
        self._connection = connection
        self.session = session
        self._client = session or client_of(ctx)
        self._ctx: RequestContext | None = ctx
        self._first = ctx
        self._tasks = tasks
        self._ask: Ask = partial(ask_directly, ctx)
        self._outbox: deque[_Message] = deque(maxlen=MOST_WAITING)
        self._sent: anyio.Event | None = None
        self.suspensions = 0
        """The number of times that it ended with questions, and its client was to come back."""

    def continue_in(self, ctx: RequestContext | None) -> None:
        """Make *ctx* the request that waits for the answer; None if there is none now."""
        self._ctx = ctx
        self.suspensions += ctx is None

    @property
    def is_suspended(self) -> bool:
        """Whether no request of the client waits for the answer now."""
        return self._ctx is None

    def ask_through(self, ask: Ask) -> None:
        """Put questions to the client with *ask* from now on."""
        self._ask = ask

    @property
    def client_capabilities(self) -> types.ClientCapabilities | None:
        return self._ctx.session.client_capabilities if self._ctx is not None else None

    # As a `Caller`.

    @property
    def principal(self) -> Principal:
        return self._principal

    @property
    def connection(self) -> str | None:
        return self._connection

    @property
    def client(self) -> object:
        """Its session, or else as `client_of`."""
        return self._client

    @property
    def capabilities(self) -> JsonObject:
        return declared_by(self._first, modern=self.takes_input_requests)

    @property
    def can_be_asked(self) -> bool:
        has = self._first.session.client_capabilities
        return has is not None and not (
            has.elicitation is None and has.sampling is None and has.roots is None
        )

    @property
    def takes_input_requests(self) -> bool:
        return self.session is None

    @property
    def wants_progress(self) -> bool:
        return "progressToken" in meta_of(self._first)

    def check_question(self, method: str, params: JsonObject, /) -> None:
        checked_question(method, params, self._first.session.client_capabilities)

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        return await self._ask(method, params)

    def progress(self, params: JsonObject, /) -> None:
        """Pass on progress with the client's own token. Values that do not rise are passed on
        too."""

        async def send(ctx: RequestContext) -> None:
            token = meta_of(ctx).get("progressToken")
            if isinstance(token, int | str) and not isinstance(token, bool):
                notice = as_notification(PROGRESS, {**params, "progressToken": token})
                await ctx.session.send_notification(notice, related_request_id=ctx.request_id)

        self._put(send)

    def log(self, params: JsonObject, /) -> bool:
        """Pass on a log message on the request's own stream, if the client wants it."""
        if (level := level_of(params)) is None or not self.wants_level(level):
            return False
        notice = as_notification(LOG_MESSAGE, params)
        self._put(
            lambda ctx: ctx.session.send_notification(notice, related_request_id=ctx.request_id)
        )
        return True

    async def report(self, progress: JsonObject) -> None:
        """Send the progress of our own work to the request that waits now, if it asked for it."""
        if self._ctx is not None and (send := progress_sender(self._ctx)) is not None:
            await send(progress)

    def wants_level(self, level: str) -> bool:
        """Return whether the client wants log messages of *level*. Clients of 2026-07-28 set the
        level with each request."""
        if self.session is not None:
            return self.session.wants_level(level)
        if self._ctx is None:
            return False
        wanted = meta_of(self._ctx).get(types.LOG_LEVEL_META_KEY)
        return isinstance(wanted, str) and wanted in LEVELS and LEVELS[level] >= LEVELS[wanted]

    async def flush(self) -> None:
        """Wait until all messages have been sent, at most `FLUSH_S`."""
        if self._sent is not None:
            with anyio.move_on_after(FLUSH_S):
                await self._sent.wait()

    def _put(self, message: _Message) -> None:
        if self._ctx is None:
            return
        self._outbox.append(message)
        if self._sent is None:
            self._sent = anyio.Event()
            self._tasks.start_soon(self._send_all, self._sent)

    async def _send_all(self, sent: anyio.Event) -> None:
        try:
            while self._outbox:
                message = self._outbox.popleft()
                if (ctx := self._ctx) is not None:
                    with anyio.move_on_after(SEND_S):
                        await message(ctx)
        except Exception:  # the client's stream has ended; each transport raises its own error
            log.debug("message.unsent", exc_info=True)
            self._outbox.clear()
        finally:
            self._sent = None
            sent.set()
