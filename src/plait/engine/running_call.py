"""The caller of a running call: its client, with the clock and the slots of the call. While the
client answers a question, the timeout of the call is paused and its slots are free for others.
While its server is not reached yet, the timeout is paused too.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

import anyio

from ..core.ports import Caller
from ..core.scheduling.events import Event, Key, Paused, Resumed, Sent
from ..core.scheduling.notices import Notice, Progressed
from ..core.values.principal import Principal
from ..core.values.strict import Json, JsonObject
from ..errors import CallTimeout, InternalError
from .auditing import Leaving
from .writing import Writing

log = logging.getLogger(__name__)

LONGEST_QUESTION_S = 900.0
"""Longest pause of a call's time while its client answers; the question itself times out sooner."""


class RunningCall(Caller):
    """The caller of the call of *key*, made for *caller* in *scope*. Events go to *feed*, notices
    to *notify*; *leaving* is called before the call is sent,
    with whether its tool has changed."""

    __slots__ = (
        "_caller",
        "_feed",
        "_is_changed",
        "_key",
        "_left_s",
        "_notify",
        "_pauses",
        "_round",
        "_scope",
        "_writing",
        "client",
        "leaving",
        "unsent_reason",
        "was_cached",
    )

    client: object

    def __init__(
        self,
        key: Key,
        caller: Caller,
        scope: anyio.CancelScope,
        feed: Callable[[Event], None],
        notify: Callable[[Notice], None],
        writing: Writing | None = None,
        round: int = 0,
        leaving: Leaving | None = None,
    ) -> None:
        self.leaving = leaving
        self._is_changed = False
        self._round = round
        self._key = key
        self._writing = writing
        self._caller = caller
        self.client = caller.client
        self._scope: anyio.CancelScope | None = scope
        self._feed = feed
        self._notify = notify
        self._pauses = 0
        self._left_s = 0.0
        self.was_cached = False
        self.unsent_reason: str | None = None
        """The reason why it was not sent before it was cancelled; None if it was."""

    def __repr__(self) -> str:
        return f"<RunningCall of {self._key.task} for {self._caller!r}>"

    def end(self) -> None:
        """End the call: its scope may serve another one."""
        self._scope = None

    @property
    def principal(self) -> Principal:
        return self._caller.principal

    @property
    def connection(self) -> str | None:
        return self._caller.connection

    @property
    def capabilities(self) -> JsonObject:
        return self._caller.capabilities

    @property
    def can_be_asked(self) -> bool:
        return self._caller.can_be_asked

    @property
    def takes_input_requests(self) -> bool:
        return self._caller.takes_input_requests

    @property
    def wants_progress(self) -> bool:
        """Whether the client, or followers of the run, may want it."""
        return bool(self._key.run) or self._caller.wants_progress

    @property
    def is_out_of_time(self) -> bool:
        is_over = self._scope is not None and self._scope.deadline <= anyio.current_time()
        return is_over and self.unsent_reason is None

    def progress(self, params: JsonObject, /) -> None:
        self._notify(_progressed(self._key, params, anyio.current_time()))
        if self._caller.wants_progress:
            self._caller.progress(params)

    def log(self, params: JsonObject, /) -> bool:
        return self._caller.log(params)

    def check_question(self, method: str, params: JsonObject, /) -> None:
        self._caller.check_question(method, params)

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        if self._stop_clock():
            self._feed(Paused(self._key))
        try:
            return await self._caller.ask(method, params)
        finally:
            if self._start_clock():
                self._feed(Resumed(self._key))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self._stop_clock()
        try:
            yield
        except anyio.get_cancelled_exc_class():
            self.not_sent("its server was not reached")
            raise
        finally:
            self._start_clock()
            self._feed(Sent(self._key))

    def not_sent(self, reason: str, /) -> None:
        self.unsent_reason = reason

    @property
    def idempotency_key(self) -> str | None:
        key = self._key
        if not key.run:
            return None
        root = key.run if self._writing is None else self._writing.log.root
        named = repr((root, key.task, key.at, key.item, self._round))
        return blake2b(named.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    async def leave(self) -> None:
        if self.leaving is not None:
            self.leaving(self._is_changed)
        writing = self._writing
        if writing is not None:
            now = asyncio.get_running_loop().time()
            if writing.leave(self._key, now):
                await writing.log.secure()

    def answered_from_cache(self) -> None:
        self.was_cached = True

    def tool_has_changed(self) -> None:
        self._is_changed = True

    def _stop_clock(self) -> bool:
        """Pause the timeout; returns whether it was running."""
        self._pauses += 1
        if self._pauses > 1:
            return False
        if self._scope is not None:
            now = anyio.current_time()
            self._left_s = self._scope.deadline - now
            self._scope.deadline = now + LONGEST_QUESTION_S
        return True

    def _start_clock(self) -> bool:
        """End one pause; returns whether the timeout runs again."""
        self._pauses -= 1
        if self._pauses:
            return False
        if self._scope is not None:
            self._scope.deadline = anyio.current_time() + self._left_s
        return True


def out_of_time(
    name: str, timeout_s: float, unsent_reason: str | None, hint: str | None = None
) -> CallTimeout:
    """Make the failure of a call of the tool *name* that was not answered in *timeout_s*, or not
    even sent, by *unsent_reason*; *hint* is for one that was sent."""
    if unsent_reason is None:
        return CallTimeout(f"{name} gave no answer in {timeout_s:g} s", hint=hint)
    return CallTimeout(
        f"{name} was not sent in {timeout_s:g} s: {unsent_reason}",
        hint="Nothing was sent, so it can safely be sent again later.",
        was_sent=False,
    )


def internal_error(key: Key, error: Exception) -> InternalError:
    """Make the failure of the call of *key* by *error*, a fault of ours, which is logged under an
    id."""
    id = secrets.token_hex(4)
    log.error("task.crashed", exc_info=error, extra={"id": id, "run": key.run, "task": key.task})
    return InternalError(f"an internal error; the log names it {id}")


def _progressed(key: Key, params: JsonObject, at: float) -> Progressed:
    message = params.get("message")
    return Progressed(
        key,
        _number(params.get("progress")) or 0.0,
        _number(params.get("total")),
        message if isinstance(message, str) else None,
        at,
    )


def _number(value: Json) -> float | None:
    """Return *value* as a float if it is a number of any size; else None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(max(min(value, sys.float_info.max), -sys.float_info.max))
