"""Roots that a server asks for outside of any request, as some do as soon as they are connected.

Such a question names no client. It goes to the only client that is connected, of all
configurations that have the server: with several, it might reach the wrong one. Servers that have
asked are remembered, so that they can be notified when the answer changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import anyio
import mcp_types as types

from ...core.ports import Ask, NoClient
from ...core.values.strict import JsonObject
from ...errors import RpcError

TIMEOUTS_S: Final = (2.0, 8.0)
"""Longest wait for an answer, of each try: over HTTP, a client may not listen yet at first."""


class Roots:
    """The connected clients of one configuration, and the servers that have asked."""

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
        return list(self._servers) if _only_client([self]) is not None else []

    def clients(self) -> Iterable[Ask | None]:
        """The ways to ask the clients; None for one without roots."""
        return self._clients.values()

    def note(self, server: str) -> None:
        """Note that *server* has asked."""
        self._servers[server] = None


class OnlyClient(NoClient):
    """Answers for the only connected client when *server* asks for roots. *all_roots* gives those
    of each configuration that has the server."""

    can_be_asked = True

    def __init__(self, server: str, all_roots: Callable[[], Iterable[Roots]]) -> None:
        self._server = server
        self._all_roots = all_roots

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        """Return the roots of the only client. Raises `RpcError`, at once if there is none."""
        for seconds in TIMEOUTS_S:
            for roots in self._all_roots():
                roots.note(self._server)
            if (ask := _only_client(self._all_roots())) is None:
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


def _only_client(all_roots: Iterable[Roots]) -> Ask | None:
    """The way to ask the only connected client, if it has roots."""
    clients = [ask for roots in all_roots for ask in roots.clients()]
    return clients[0] if len(clients) == 1 else None


class _NoRoots(NoClient):
    """Answers that there are no roots."""

    can_be_asked = True

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        return {"roots": []}


NO_ROOTS: Final = _NoRoots()
"""The caller who answers for roots of a server that several configurations share: it belongs to no
client, and keeps to its arguments."""
