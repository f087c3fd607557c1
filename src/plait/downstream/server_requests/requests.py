"""Requests of a server to us: each is put to the client on whose behalf the server is at work.

Over Streamable HTTP a server asks on the stream of the request that it works on. Over one pipe or
one event stream nothing tells what a question belongs to: there it is for the client whose requests
are open, if they are of one client and it can be asked; where they are of several, it is for none.
It ends when all of those requests have. Where none is open, roots are those of the client that is
connected alone (`roots.py`).

What a server has asked like that for, asks again: a tool of that kind, a prompt, or reading at all.
From then on a request of that kind is open beside requests of its own client alone, so that the
next question can be told to be for that client; of several clients, they take turns. All other
requests go together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import mcp_types as types

from ...core.ports import Caller, RpcError
from ...core.values.strict import JsonObject, NotStrict, measure
from ...waiting import Signal
from .origin import Ended, RequestOrigin, ServerRequest, correlated

MOST_QUESTIONS = 32
"""How many questions of one server may be open at once."""
LIST_ROOTS: Final = "roots/list"
_NEEDED: Final = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    LIST_ROOTS: "roots",
}
"""The questions that there are, and what a client declares that answers them."""
REFUSALS: Final = (
    "The client did not declare what this needs",
    "Nobody can be asked on the command line",
    "This is not supported: no client",
    "It cannot be told for which of",
    "The request that this was asked for has ended",
    "No client is connected alone that has roots",
)
"""How the refusals begin that a server may get for what it asks, as far as they tell nothing of the
server."""
MAY_ASK = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The requests that a server may ask something for."""
MOST_KINDS = 1_000
"""Of so many kinds of requests it is known that a server asks for them; with more, all are taken to
be such."""


class ServerRequests:
    """The questions of one connected server. *kinds* are those of the requests that it has asked
    for what could not be attributed; more are added. *unasked* answers for roots where no request
    is open that they could be for."""

    def __init__(self, *, kinds: set[str] | None = None, unasked: Caller | None = None) -> None:
        self._kinds = kinds if kinds is not None else set()
        self._unasked = unasked
        self._open: list[RequestOrigin] = []
        self.silent: list[RequestOrigin] = []
        """Open requests that a server may ask for, with nobody to be asked."""
        self._waiting: deque[RequestOrigin] = deque()
        self._changed = Signal()
        self._count = 0

    def __repr__(self) -> str:
        turns = f", {len(self._waiting)} wait for their turn" if self._kinds else ""
        return f"<Asking: {len(self._open)} open, {self._count} questions{turns}>"

    @asynccontextmanager
    async def open(self, origin: RequestOrigin) -> AsyncIterator[None]:
        """While the block runs, the request of *origin* is open, and the server may ask its caller.
        Waits for its turn."""
        if not origin.may_ask:
            try:
                yield
            finally:
                origin.end()
            return
        if self._waiting or not self._may_go(origin):
            await self._turn(origin)
        self._open.append(origin)
        try:
            yield
        finally:
            self._open.remove(origin)
            origin.end()
            self._changed.notify()

    async def put(self, method: str, params: JsonObject) -> JsonObject:
        """The answer to one request of the server. Raises `RpcError` for the server, as its client
        gave it."""
        if method not in _NEEDED:
            raise RpcError(types.METHOD_NOT_FOUND, "Method not found", method[:200])
        askers = self._askers(method)
        if self._count >= MOST_QUESTIONS:
            raise RpcError(types.INTERNAL_ERROR, f"More than {MOST_QUESTIONS} questions are open.")
        try:
            measure(params)
        except NotStrict as error:
            raise RpcError(types.INVALID_PARAMS, f"{method}: {error}") from None
        self._count += 1
        try:
            return await ServerRequest(askers).put(method, params)
        except Ended:
            if correlated.get() is not None or method != LIST_ROOTS or self._unasked is None:
                raise
            # nothing said that the question was for those requests: now that they have ended, it is
            # for none
            return await ServerRequest([RequestOrigin(self._unasked)]).put(method, params)
        finally:
            self._count -= 1

    def _askers(self, method: str) -> list[RequestOrigin]:
        """The requests that a question may belong to, all of one client. Raises `RpcError` where
        there is none."""
        if (asker := correlated.get()) is not None:
            if not asker.may_ask:
                raise _nobody(method, [asker])
            if asker.has_ended:
                raise Ended
            return [asker]
        if (
            self._unasked is not None
            and method == LIST_ROOTS
            and not self._open
            and not self.silent
        ):
            return [RequestOrigin(self._unasked)]
        return self._of_one_client(method)

    def _of_one_client(self, method: str) -> list[RequestOrigin]:
        """The requests that are open, where a question came by itself. Raises `RpcError` if there
        are others'."""
        if not self._open:
            raise _nobody(method, self.silent)
        self._learn()
        if self.silent or any(not _is_same_client(other, self._open[0]) for other in self._open):
            count = len(self._open) + len(self.silent)
            said = (
                f"It cannot be told for which of {count} requests this is; ask again in the "
                "next one."
            )
            raise RpcError(types.INVALID_REQUEST, said)
        return sorted(self._open, key=self._may_ask)

    def _learn(self) -> None:
        """One of the requests that are open has asked: if none was known to, it may be any of
        them."""
        if not any(map(self._may_ask, self._open)):
            self._kinds.update(asker.kind for asker in self._open)

    def _may_ask(self, asker: RequestOrigin) -> bool:
        return asker.kind in self._kinds or len(self._kinds) >= MOST_KINDS

    def _may_go(self, asker: RequestOrigin) -> bool:
        """Whether no question could be taken for that of another client with *asker* open."""
        may_ask = self._may_ask(asker)
        return all(
            _is_same_client(other, asker) or not (may_ask or self._may_ask(other))
            for other in self._open
        )

    async def _turn(self, asker: RequestOrigin) -> None:
        """First come, first served."""
        self._waiting.append(asker)
        try:
            while self._waiting[0] is not asker or not self._may_go(asker):
                await self._changed.wait()
        finally:
            self._waiting.remove(asker)
            self._changed.notify()


def kind_of(method: str, params: JsonObject) -> str:
    """What a request is for: its method, with the name of what it is for where it has one."""
    name = params.get("name")
    return f"{method} {name[:200]}" if isinstance(name, str) else method


def _is_same_client(one: RequestOrigin, other: RequestOrigin) -> bool:
    return one.caller.client == other.caller.client


def _nobody(method: str, silent: list[RequestOrigin]) -> RpcError:
    """Why nobody is asked, when the requests that are open are *silent*."""
    needed = _NEEDED[method]
    if not silent:
        said = "This is not supported: no client that can be asked has a request open."
    elif all(asker.caller.client is None for asker in silent):
        said = f"Nobody can be asked on the command line, and this needs {needed}."
    else:
        said = f"The client did not declare what this needs: {needed}"
        if (
            method != LIST_ROOTS
        ):  # the handshake era has a code for roots; for the others only the later has
            missing: JsonObject = {"requiredCapabilities": {needed: {}}}
            return RpcError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, said, missing)
    return RpcError(types.METHOD_NOT_FOUND, said)
