"""Requests of a server to us: each is put to the client on whose behalf the server is working.

The problem: over Streamable HTTP a server asks on the stream of the request that it works on, but
over one pipe or one event stream nothing says which request a question belongs to. An answer must
never come from another client than the one concerned. So:

- A question that came on a request's own stream goes to the caller of that request.
- Any other goes to the client whose requests are open, if they all belong to one client and it can
  be asked. If they belong to several, no client is asked, and the server gets an error.
- A question may belong to any of the open requests, so it stays open until all of them have ended.
- With no request open, roots come from the only connected client (`roots.py`).

Refusing is safe, but a tool that asks would fail whenever two clients use its server at once. So
the kinds of requests during which a server asked are remembered (`asking_kinds.py`). From then on a
request of such a kind is open only next to requests of its own client; requests of several clients
take turns. The first question is refused at worst, the next ones are attributed, and servers that
never ask cost nothing. To let every client wait for its turn from the beginning would make each
server serve one client at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import mcp_types as types

from ...core.ports import Caller
from ...core.values.strict import JsonObject, NotStrict, measure
from ...errors import RpcError
from ...waiting import Signal
from .asking_kinds import AskingKinds
from .origin import OpenRequests, RequestEnded, RequestOrigin, ServerRequest, stream_origin
from .roots import NO_ROOTS

MOST_QUESTIONS = 32
"""Most questions of one server that may be open at once."""
LIST_ROOTS: Final = "roots/list"
_NEEDED: Final = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    LIST_ROOTS: "roots",
}
"""The known questions, and the capability of a client that answers each."""
REFUSALS: Final = (
    "The client did not declare what this needs",
    "The command line has no client to ask",
    "This is not supported: no client",
    "It is unclear for which of",
    "The request that this was asked for has ended",
    "No client with roots is the only one connected",
)
"""Beginnings of our refusals that say nothing about the server itself."""
MAY_ASK = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The requests during which a server may ask something."""


class ServerRequests:
    """Answers the questions of one connected server.

    *open_requests* are the requests that are open at it, also those that it may not ask for.
    *asking_kinds* are the kinds of requests during which it has asked something; more are added.
    *roots_caller* answers for roots outside of any request.
    """

    def __init__(
        self,
        open_requests: OpenRequests,
        *,
        asking_kinds: AskingKinds | None = None,
        roots_caller: Caller | None = None,
    ) -> None:
        self._open_requests = open_requests
        self._asking_kinds = AskingKinds() if asking_kinds is None else asking_kinds
        self._roots_caller = roots_caller
        self._askable: list[RequestOrigin] = []
        """Open requests that the server may ask for, in the order of their turns."""
        self._waiting: deque[RequestOrigin] = deque()
        self._changed = Signal()
        self._count = 0

    def __repr__(self) -> str:
        turns = f", {len(self._waiting)} wait for their turn" if self._asking_kinds else ""
        return f"<ServerRequests: {len(self._askable)} open, {self._count} questions{turns}>"

    @asynccontextmanager
    async def turn(self, origin: RequestOrigin) -> AsyncIterator[None]:
        """Wait for the turn of *origin*; while the block runs, the server may ask its caller. First
        come, first served."""
        if not origin.may_ask:
            try:
                yield
            finally:
                origin.end()
            return
        if self._waiting or not self._may_start(origin):
            self._waiting.append(origin)
            try:
                while self._waiting[0] is not origin or not self._may_start(origin):
                    await self._changed.wait()
            finally:
                self._waiting.remove(origin)
                self._changed.notify()
        self._askable.append(origin)
        try:
            yield
        finally:
            self._askable.remove(origin)
            origin.end()
            self._changed.notify()

    def wait_reason(self, origin: RequestOrigin) -> str | None:
        """Return the reason why *origin* waits, or waited until now, for its turn; None if it had
        it."""
        if origin.has_ended or not origin.may_ask:
            return None
        others = [one for one in self._askable if one.caller.client != origin.caller.client]
        if any(other.questions for other in others):
            return "its server waits for the answer of another client to a question"
        return "its server may ask questions, and serves one client at a time for that"

    async def answer(self, method: str, params: JsonObject) -> JsonObject:
        """Return the client's answer to one request of the server. Raises `RpcError` for the
        server, as the client gave it or with a refusal of ours."""
        if method not in _NEEDED:
            raise RpcError(types.METHOD_NOT_FOUND, "Method not found", method[:200])
        if method == LIST_ROOTS and self._roots_caller is NO_ROOTS:
            return await NO_ROOTS.ask(method, params)
        origins = self._attribute(method)
        if self._count >= MOST_QUESTIONS:
            raise RpcError(types.INTERNAL_ERROR, f"More than {MOST_QUESTIONS} questions are open.")
        try:
            measure(params)
        except NotStrict as error:
            raise RpcError(types.INVALID_PARAMS, f"{method}: {error}") from None
        self._count += 1
        try:
            return await ServerRequest(origins).ask(method, params)
        except RequestEnded:
            is_attributed = stream_origin.get() is not None
            if is_attributed or method != LIST_ROOTS or self._roots_caller is None:
                raise
            # perhaps the question never belonged to the requests that have now ended
            return await ServerRequest([RequestOrigin(self._roots_caller)]).ask(method, params)
        finally:
            self._count -= 1

    def _attribute(self, method: str) -> list[RequestOrigin]:
        """The requests that a question may belong to, all of one client. Raises `RpcError` if none
        is open, or other clients' requests are open too."""
        if (origin := stream_origin.get()) is not None:
            if not origin.may_ask:
                raise _refusal(method, [origin])
            if origin.has_ended:
                raise RequestEnded
            return [origin]
        unaskable = [
            origin
            for of_client in self._open_requests.values()
            for origin in of_client
            if origin.is_unaskable
        ]
        if not self._askable:
            if self._roots_caller is not None and method == LIST_ROOTS and not unaskable:
                return [RequestOrigin(self._roots_caller)]
            raise _refusal(method, unaskable)
        self._asking_kinds.note({origin.kind for origin in self._askable})
        client = self._askable[0].caller.client
        if unaskable or any(origin.caller.client != client for origin in self._askable):
            count = len(self._askable) + len(unaskable)
            raise RpcError(
                types.INVALID_REQUEST,
                f"It is unclear for which of {count} requests this is; ask again in the next one.",
            )
        return sorted(self._askable, key=self._is_asking_kind)

    def _is_asking_kind(self, origin: RequestOrigin) -> bool:
        return origin.kind in self._asking_kinds

    def _may_start(self, origin: RequestOrigin) -> bool:
        """Whether, with *origin* open, no question could be attributed to the wrong client."""
        is_asking = self._is_asking_kind(origin)
        return all(
            other.caller.client == origin.caller.client
            or not (is_asking or self._is_asking_kind(other))
            for other in self._askable
        )


def kind_of(method: str, params: JsonObject) -> str:
    """The purpose of a request: its method, and the name of its tool or prompt."""
    name = params.get("name")
    return f"{method} {name[:200]}" if isinstance(name, str) else method


def _refusal(method: str, unaskable: list[RequestOrigin]) -> RpcError:
    """The error for a server whose open requests are *unaskable*."""
    needed = _NEEDED[method]
    if not unaskable:
        message = "This is not supported: no client that can be asked has a request open."
    elif all(origin.caller.client is None for origin in unaskable):
        message = f"The command line has no client to ask, and this needs {needed}."
    else:
        message = f"The client did not declare what this needs: {needed}"
        if method != LIST_ROOTS:  # for roots, the handshake era has a code of its own
            missing: JsonObject = {"requiredCapabilities": {needed: {}}}
            return RpcError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, message, missing)
    return RpcError(types.METHOD_NOT_FOUND, message)
