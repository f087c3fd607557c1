"""Who hears what a server logs: the client of the request that the message belongs to, and no
other.

Over Streamable HTTP such a message comes on the stream of its request. Over one pipe or one event
stream nothing says what it belongs to: there it goes to every client that has a request open at
that server. A message that belongs to none goes to everybody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import Context
from typing import Final

from ...core.ports import Caller
from ...core.values.strict import JsonObject, NotStrict, measure
from .origin import correlated

log = logging.getLogger(__name__)

LOG_MESSAGE: Final = "notifications/message"


class LogRouting:
    """The callers of the requests that are open at one server. *everybody* takes the messages that
    belong to none of them."""

    def __init__(self, everybody: Callable[[JsonObject], None]) -> None:
        self.context: Callable[[], Context | None] = lambda: None
        """The context in which the message that is being read was asked for, if the transport knows
        it."""
        self._everybody = everybody
        self._open: dict[object, list[Caller]] = {}
        """By client."""

    def __repr__(self) -> str:
        return f"<LogRouting: {len(self._open)} clients>"

    def begin(self, caller: Caller) -> None:
        """A request of *caller* is open, until `end`."""
        if caller.client is not None:
            self._open.setdefault(caller.client, []).append(caller)

    def end(self, caller: Caller) -> None:
        if (callers := self._open.get(caller.client)) is not None:
            callers.remove(caller)
            if not callers:
                del self._open[caller.client]

    def hear(self, params: JsonObject) -> None:
        """The server logs. What cannot be passed on is dropped. Never blocks or raises."""
        try:
            measure(params)
        except NotStrict as error:
            log.debug("log.dropped", extra={"error": str(error)})
            return
        context = self.context()
        origin = context.get(correlated) if context is not None else None
        if origin is None:
            clients = list(self._open.values())
        else:
            clients = [[origin.caller]] if origin.caller.client is not None else []
        if not clients:
            self._everybody(params)
        for callers in clients:
            try:
                any(caller.log(params) for caller in callers)
            except Exception:  # or it would end the connection that is being read
                log.exception("log.failed")
