"""Roots that a server asks for outside of any request, as some do as soon as they are connected.

Such a question names no client. It goes to the only client that is connected: with several, it
might reach the wrong one. Servers that have asked are remembered, so that they can be notified when
the answer changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
import mcp_types as types

from ...core.ports import Ask, Caller, NoClient
from ...core.values.strict import JsonObject
from ...errors import RpcError

TIMEOUTS_S: Final = (2.0, 8.0)
"""Longest wait for an answer, of each try: over HTTP, a client may not listen yet at first."""


class Roots:
    """The connected clients, and the servers that have asked."""

    def __init__(self) -> None:
        self._clients: dict[object, Ask | None] = {}
        self._servers: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Roots of {len(self._clients)} clients for {len(self._servers)} servers>"

    def join(self, ask: Ask | None) -> Callable[[], None]:
        """Add a client, as in `Downstream.join`."""
        key = object()
        self._clients[key] = ask

        def leave() -> None:
            self._clients.pop(key, None)

        return leave

    def askers(self) -> list[str]:
        """The servers that have asked, if a client can answer them now."""
        return list(self._servers) if self._only_client() is not None else []

    def caller_for(self, server: str) -> Caller:
        """A caller who answers questions of *server* outside of any request."""
        return _OnlyClient(self, server)

    async def ask(self, server: str, method: str, params: JsonObject) -> JsonObject:
        """Return the roots of the only client. Raises `RpcError`, at once if there is none."""
        self._servers[server] = None
        for seconds in TIMEOUTS_S:
            if (ask := self._only_client()) is None:
                raise RpcError(
                    types.METHOD_NOT_FOUND,
                    "No client with roots is the only one connected: ask again in a request, or "
                    "when they have changed.",
                )
            with anyio.move_on_after(seconds):
                return await ask(method, params)
        raise RpcError(
            types.REQUEST_TIMEOUT, f"The client did not answer within {sum(TIMEOUTS_S):g} s."
        )

    def _only_client(self) -> Ask | None:
        """The way to ask the only connected client, if it has roots."""
        return next(iter(self._clients.values())) if len(self._clients) == 1 else None


class _OnlyClient(NoClient):
    """Answers for the only connected client when *server* asks for roots."""

    can_be_asked = True

    def __init__(self, roots: Roots, server: str) -> None:
        self._roots = roots
        self._server = server

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        return await self._roots.ask(self._server, method, params)


class _NoRoots(NoClient):
    """Answers that there are no roots."""

    can_be_asked = True

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        return {"roots": []}


NO_ROOTS: Final = _NoRoots()
"""The caller who answers for roots of a server that several configurations share: it belongs to no
client, and keeps to its arguments."""
