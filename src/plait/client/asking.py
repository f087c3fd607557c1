"""Requests of a server to us: each is put to the client on whose behalf the server is at work.

Over Streamable HTTP a server asks on the stream of the request that it works on. Over one pipe or one event stream
nothing tells what a question belongs to: there it is the one request that is open, if it has someone to be asked; of
several that are open, none. Where none is open, roots are those of the client that is connected alone (`roots.py`).

Once a server has asked like that, its requests with someone to be asked go one at a time, so that the next question can
be told to belong to one of them; those of one client go together.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

import anyio
import mcp_types as types

from ..core.ports import Ask, OnLog, RpcError
from ..core.values.strict import JsonObject, NotStrict, measure

log = logging.getLogger(__name__)

MOST_QUESTIONS = 32
"""How many questions of one server may be open at once."""
LONGEST_ASK_S = 900.0
"""How long an answer may take, if whoever is asked sets no shorter time."""
QUESTIONS = frozenset({"elicitation/create", "sampling/createMessage", "roots/list"})
LIST_ROOTS: Final = "roots/list"
MAY_ASK = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The requests that a server may ask something for."""


@dataclass(eq=False, slots=True)
class Asker:
    """One request that is open at a server, and who can be asked on its behalf; None for nobody."""

    ask: Ask | None
    questions: set[anyio.CancelScope] = field(default_factory=set)
    has_ended: bool = False
    on_log: OnLog | None = None
    """Told what the server logs on the stream of this request."""

    def end(self) -> None:
        """The request has its answer, or was given up: what is still asked for it is not answered any more."""
        self.has_ended = True
        for scope in self.questions:
            scope.cancel()


correlated: ContextVar[Asker | None] = ContextVar("asker", default=None)
"""The request on whose own stream a message came; None where the transport cannot tell."""


class Asking:
    """The questions of one connected server. Two `Ask` that are equal lead to the same client."""

    def __init__(self, *, takes_turns: bool = False, unasked: Ask | None = None) -> None:
        self.takes_turns = takes_turns
        """Whether the server is known to ask what cannot be told apart."""
        self._unasked = unasked
        """Asks for roots where no request is open that they could be for."""
        self._open: list[Asker] = []
        self.silent = 0
        """Open requests that a server may ask for, with nobody to be asked."""
        self._waiting: deque[Asker] = deque()
        self._changed = anyio.Event()
        self._count = 0

    def __repr__(self) -> str:
        turns = f", {len(self._waiting)} wait for their turn" if self.takes_turns else ""
        return f"<Asking: {len(self._open)} open, {self._count} questions{turns}>"

    @asynccontextmanager
    async def on_behalf(self, ask: Ask | None) -> AsyncIterator[Asker]:
        """While the block runs, a request is open for which the server may ask with *ask*. Waits for its turn."""
        asker = Asker(ask)
        if ask is None:
            try:
                yield asker
            finally:
                asker.end()
            return
        if self.takes_turns:
            await self._turn(asker)
        self._open.append(asker)
        try:
            yield asker
        finally:
            self._open.remove(asker)
            asker.end()
            self._tell()

    async def put(self, method: str, params: JsonObject) -> JsonObject:
        """The answer to one request of the server. Raises `RpcError` for the server, as its client gave it."""
        if method not in QUESTIONS:
            raise RpcError(types.METHOD_NOT_FOUND, "Method not found", method[:200])
        asker = correlated.get() or self._asker(method)
        if asker.ask is None:
            raise RpcError(types.METHOD_NOT_FOUND, f"{method} is not supported by the client of this request.")
        if asker.has_ended:
            raise _Ended
        if self._count >= MOST_QUESTIONS:
            raise RpcError(types.INTERNAL_ERROR, f"More than {MOST_QUESTIONS} questions are open.")
        try:
            measure(params)
        except NotStrict as error:
            raise RpcError(types.INVALID_PARAMS, f"{method}: {error}") from None
        self._count += 1
        try:
            return await _asked(asker, asker.ask, method, params)
        except _Ended:
            if correlated.get() is not None or method != LIST_ROOTS or self._unasked is None:
                raise
            # nothing said that the question was for that request: now that it has ended, it is for none
            return await _asked(Asker(self._unasked), self._unasked, method, params)
        finally:
            self._count -= 1

    def _asker(self, method: str) -> Asker:
        """Who is asked what came by itself. Raises `RpcError` if that cannot be told."""
        if self._unasked is not None and method == LIST_ROOTS and not self._open and not self.silent:
            return Asker(self._unasked)
        return self._only()

    def _only(self) -> Asker:
        """The request that a question belongs to which came by itself. Raises `RpcError` if there are several."""
        if not self._open:
            raise RpcError(
                types.METHOD_NOT_FOUND, "This is not supported: no client that can be asked has a request open."
            )
        self.takes_turns = True
        last = self._open[-1]
        if self.silent or any(other.ask != last.ask for other in self._open):
            count = len(self._open) + self.silent
            said = f"It cannot be told for which of {count} requests this is; ask again in the next one."
            raise RpcError(types.INVALID_REQUEST, said)
        return last

    async def _turn(self, asker: Asker) -> None:
        """First come, first served."""
        self._waiting.append(asker)
        try:
            while self._waiting[0] is not asker or any(other.ask != asker.ask for other in self._open):
                changed = self._changed
                await changed.wait()
        finally:
            self._waiting.remove(asker)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


async def _asked(asker: Asker, ask: Ask, method: str, params: JsonObject) -> JsonObject:
    """What the client answers, as long as the request is open that it is asked for."""
    with anyio.move_on_after(LONGEST_ASK_S) as scope:
        asker.questions.add(scope)
        try:
            return await ask(method, params)
        except RpcError:
            raise
        except Exception:
            log.exception("question.failed", extra={"method": method})
            raise RpcError(types.INTERNAL_ERROR, "The client could not be asked.") from None
        finally:
            asker.questions.discard(scope)
    if asker.has_ended:
        raise _Ended
    raise RpcError(types.REQUEST_TIMEOUT, f"The client did not answer within {LONGEST_ASK_S:g} s.")


class _Ended(RpcError):
    def __init__(self) -> None:
        super().__init__(types.INVALID_REQUEST, "The request that this was asked for has ended.")
