"""Roots that a server asks for outside of any request, as some do as soon as they are connected to.

Such a question names no client. It is put to the one that is connected alone: with several, it
might not be meant for the one that is asked. Servers that have asked are known, so that they can be
told when there is another answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
import mcp_types as types

from ...core.ports import Ask, Caller, NoClient, RpcError
from ...core.values.strict import JsonObject

LIST_ROOTS: Final = "roots/list"
PATIENCE_S: Final = (2.0, 8.0)
"""How long a client may take to answer, each time that it is asked: over HTTP, it may not listen
yet at first."""


class Roots:
    """The clients that are connected, and the servers that have asked."""

    def __init__(self) -> None:
        self._clients: dict[object, Ask | None] = {}
        self._askers: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Roots of {len(self._clients)} clients for {len(self._askers)} servers>"

    def join(self, ask: Ask | None) -> Callable[[], None]:
        """As `Downstream.join`."""
        key = object()
        self._clients[key] = ask

        def leave() -> None:
            self._clients.pop(key, None)

        return leave

    def askers(self) -> list[str]:
        """The servers that have asked, if there is somebody to answer now."""
        return list(self._askers) if self._alone() is not None else []

    def asked_by(self, server: str) -> Caller:
        """A caller who answers what *server* asks outside of any request."""
        return _OnlyClient(self, server)

    async def ask(self, server: str, method: str, params: JsonObject) -> JsonObject:
        """The roots of the client that is connected alone. Raises `RpcError`, at once where there
        is none."""
        self._askers[server] = None
        for seconds in PATIENCE_S:
            if (ask := self._alone()) is None:
                raise RpcError(
                    types.METHOD_NOT_FOUND,
                    "No client is connected alone that has roots: ask again in a request, or "
                    "when they have changed.",
                )
            with anyio.move_on_after(seconds):
                return await ask(method, params)
        raise RpcError(
            types.REQUEST_TIMEOUT, f"The client did not answer within {sum(PATIENCE_S):g} s."
        )

    def _alone(self) -> Ask | None:
        """How to ask the client, if there is one alone that has roots."""
        return next(iter(self._clients.values())) if len(self._clients) == 1 else None


class _OnlyClient(NoClient):
    """Answers for the client that is connected alone, when *server* asks for roots."""

    can_be_asked = True

    def __init__(self, roots: Roots, server: str) -> None:
        self._roots = roots
        self._server = server

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        return await self._roots.ask(self._server, method, params)
