"""Open requests at a server, and the questions that it asks for them: how long each is open, and
who is asked."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio
import mcp_types as types

from ...core.ports import Caller, RpcError
from ...core.values.strict import JsonObject

log = logging.getLogger(__name__)

LONGEST_ASK_S = 900.0
"""How long an answer may take, if whoever is asked sets no shorter time."""


@dataclass(eq=False, slots=True)
class RequestOrigin:
    """One request that is open at a server, and its caller, who may be asked on its behalf."""

    caller: Caller
    kind: str = ""
    """What the request is for, as `kind_of` has it."""
    may_ask: bool = True
    """Whether the server may ask the caller anything for this request."""
    questions: set[ServerRequest] = field(default_factory=set)
    has_ended: bool = False

    def end(self) -> None:
        """The request is over: cancel questions that belonged only to it."""
        self.has_ended = True
        for question in [*self.questions]:
            question.leave(self)


correlated: ContextVar[RequestOrigin | None] = ContextVar("origin", default=None)
"""The request on whose own stream a message came; None if the transport does not know it."""


class ServerRequest:
    """One question, open as long as one of *askers* is, each of which it may belong to. The last is
    asked first."""

    def __init__(self, askers: list[RequestOrigin]) -> None:
        self._askers = askers
        self._scope = anyio.CancelScope()

    def leave(self, asker: RequestOrigin) -> None:
        """The request of *asker* has ended."""
        self._askers.remove(asker)
        asker.questions.discard(self)
        if not self._askers:
            self._scope.cancel()

    async def put(self, method: str, params: JsonObject) -> JsonObject:
        """What the client answers. Raises `RpcError`, as `Ended` once it is for nobody any more."""
        self._scope.deadline = anyio.current_time() + LONGEST_ASK_S
        for asker in self._askers:
            asker.questions.add(self)
        try:
            with self._scope:
                return await self._asked(method, params)
        finally:
            for asker in self._askers:
                asker.questions.discard(self)
        if not self._askers:
            raise Ended
        raise RpcError(
            types.REQUEST_TIMEOUT, f"The client did not answer within {LONGEST_ASK_S:g} s."
        )

    async def _asked(self, method: str, params: JsonObject) -> JsonObject:
        while self._askers:
            asker = self._askers[-1]
            try:
                return await asker.caller.ask(method, params)
            except RpcError:
                raise
            except (
                anyio.ClosedResourceError
            ):  # that way to the client ended; another of its requests may lead there
                if asker in self._askers:
                    self.leave(asker)
            except Exception:
                log.exception("question.failed", extra={"method": method})
                raise RpcError(types.INTERNAL_ERROR, "The client could not be asked.") from None
        raise Ended


class Ended(RpcError):
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__(types.INVALID_REQUEST, "The request that this was asked for has ended.")
