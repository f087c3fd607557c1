"""Log messages of a server: each goes to the client of the request that it belongs to, and to no
other client.

Over Streamable HTTP such a message comes on the stream of its request. Over one pipe or one event
stream nothing says which request it belongs to, so it goes to every client that has a request open
at that server. A message that belongs to none goes to all clients.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Final

from ...core.values.strict import JsonObject, NotStrict, measure
from .origin import OpenRequests, RequestOrigin, stream_origin

log = logging.getLogger(__name__)

LOG_MESSAGE: Final = "notifications/message"


class LogRouting:
    """Routes the log messages of one server, at which *open_requests* are open.

    *send_to_all* takes messages that belong to none of them. *context* gives the context of the
    message that is being read, if the transport knows it.
    """

    def __init__(
        self,
        open_requests: OpenRequests,
        send_to_all: Callable[[JsonObject], None],
        context: Callable[[], Context | None] = lambda: None,
    ) -> None:
        self._open_requests = open_requests
        self._send_to_all = send_to_all
        self._context = context

    def route(self, params: JsonObject) -> None:
        """Pass a log message on, or drop it if that is impossible. Never blocks or raises."""
        try:
            measure(params)
        except NotStrict as error:
            log.debug("log.dropped", extra={"error": str(error)})
            return
        context = self._context()
        origin = context.get(stream_origin) if context is not None else None
        clients: list[Iterable[RequestOrigin]] = [
            requests for client, requests in self._open_requests.items() if client is not None
        ]
        if origin is not None:
            clients = [[origin]] if origin.caller.client is not None else []
        if not clients:
            self._send_to_all(params)
        for origins in clients:
            try:
                any(origin.caller.log(params) for origin in list(origins))
            except Exception:  # or it would end the connection that is being read
                log.exception("log.failed")
