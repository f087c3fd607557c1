"""Who is told what a server logs: the client of the request that the message belongs to, and no other.

Over Streamable HTTP such a message comes on the stream of its request. Over one pipe or one event stream nothing tells
what it belongs to: there it is for all who have a request open at that server. What belongs to none is for everybody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Final

from ...core.ports import OnLog
from ...core.values.strict import JsonObject, NotStrict, measure
from .origin import correlated

log = logging.getLogger(__name__)

LOG_MESSAGE: Final = "notifications/message"


class LogRouting:
    """The requests that are open at one server, each with who is told what the server logs. *everybody* is told what
    belongs to none of them."""

    def __init__(self, everybody: OnLog) -> None:
        self.context: Callable[[], Context | None] = lambda: None
        """In which the message that is being read was asked for, where the transport can tell."""
        self._everybody = everybody
        self._open: dict[object, OnLog] = {}

    def __repr__(self) -> str:
        return f"<Hearers: {len(self._open)} open>"

    def begin(self, on_log: OnLog | None) -> object:
        """A request is open; gives what it is known by."""
        key = object()
        if on_log is not None:
            self._open[key] = on_log
        return key

    def end(self, key: object) -> None:
        self._open.pop(key, None)

    def hear(self, params: JsonObject) -> None:
        """The server logs. What cannot be passed on is dropped. Never blocks or raises."""
        try:
            measure(params)
        except NotStrict as error:
            log.debug("log.dropped", extra={"error": str(error)})
            return
        for on_log in self._told():
            try:
                on_log(params)
            except Exception:  # or it would end the connection that is being read
                log.exception("log.failed")

    def _told(self) -> Iterable[OnLog]:
        context = self.context()
        if context is not None and (asker := context.get(correlated)) is not None:
            return (asker.on_log or self._everybody,)
        return dict.fromkeys(self._open.values()) or (self._everybody,)
