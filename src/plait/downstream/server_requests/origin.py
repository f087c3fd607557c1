"""Requests that are open at a server, and the questions that it asks for them: how long a question
stays open, and which caller is asked."""

from __future__ import annotations

import logging
import math
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio
import mcp_types as types

from ...core.ports import Caller
from ...core.values.strict import JsonObject
from ...errors import RpcError

log = logging.getLogger(__name__)

LONGEST_ASK_S = 900.0
"""Longest wait for an answer, unless the caller sets a shorter one."""


@dataclass(eq=False, slots=True)
class RequestOrigin:
    """One request that is open at a server, and its caller, who may be asked on its behalf."""

    caller: Caller
    kind: str = ""
    """The purpose of the request, from `kind_of`."""
    may_ask: bool = True
    """Whether the server may ask the caller anything for this request."""
    is_unaskable: bool = False
    """Whether the server may want to ask for such a request, but this caller cannot be asked."""
    questions: set[ServerRequest] = field(default_factory=set)
    has_ended: bool = False
    sent_at: float = math.inf
    """When it was sent; infinite until then."""

    def end(self) -> None:
        """The request is over: cancel questions that belonged only to it."""
        self.has_ended = True
        for question in [*self.questions]:
            question.leave(self)


OpenRequests: TypeAlias = dict[object, dict[RequestOrigin, None]]
"""The requests of callers that are open at one server, in order, by client (`Caller.client`)."""

stream_origin: ContextVar[RequestOrigin | None] = ContextVar("stream_origin", default=None)
"""The request on whose own stream a message came; None if the transport does not know it."""


class ServerRequest:
    """One question, which belongs to one of *origins*. It stays open as long as one of them does;
    the last is asked first."""

    def __init__(self, origins: list[RequestOrigin]) -> None:
        self._origins = origins
        self._scope = anyio.CancelScope()

    def leave(self, origin: RequestOrigin) -> None:
        """Drop *origin*, whose request has ended; without any, cancel the question."""
        self._origins.remove(origin)
        origin.questions.discard(self)
        if not self._origins:
            self._scope.cancel()

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Return the client's answer. Raises `RpcError`: `RequestEnded` once no request needs the
        answer."""
        self._scope.deadline = anyio.current_time() + LONGEST_ASK_S
        for origin in self._origins:
            origin.questions.add(self)
        try:
            with self._scope:
                while self._origins:
                    origin = self._origins[-1]
                    try:
                        return await origin.caller.ask(method, params)
                    except anyio.ClosedResourceError:
                        # that way to the client has closed; another request may still reach it
                        if origin in self._origins:
                            self.leave(origin)
        except RpcError:
            raise
        except Exception:
            log.exception("question.failed", extra={"method": method})
            raise RpcError(types.INTERNAL_ERROR, "The client could not be asked.") from None
        finally:
            for origin in self._origins:
                origin.questions.discard(self)
        if not self._origins:
            raise RequestEnded
        raise RpcError(
            types.REQUEST_TIMEOUT, f"The client did not answer within {LONGEST_ASK_S:g} s."
        )


class RequestEnded(RpcError):
    """No request needs the answer any more."""

    def __init__(self) -> None:
        super().__init__(types.INVALID_REQUEST, "The request that this was asked for has ended.")
