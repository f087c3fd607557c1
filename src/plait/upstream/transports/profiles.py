"""The servers of one port: that of all the settings, and one for each profile, which clients choose
by the query of the URL: `/mcp?profile=NAME`.

The server of a profile is opened when the first client asks for it, and stays open. All of them
share the bounds on sessions and requests.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server import Server
from starlette.types import Receive, Scope, Send

from ...core.values.printable import printable
from ...core.values.problems import nearest, some_of
from .bodies import OpenRequests
from .endpoint import Endpoint
from .sessions import Room
from .streaming_response import refuse

log = logging.getLogger(__name__)

SHOWN = 20
"""Most profiles that a refusal names."""


class Profiles(Protocol):
    """The profiles of the settings as they are now."""

    def names(self) -> Collection[str]: ...

    async def open(self, name: str) -> Server[Any]:
        """Return the server of one of the names."""


class UnknownProfile(Exception):
    """No such profile is served. The text says which there are."""


class NotOpened(Exception):
    """The server of a profile could not be opened."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server with its endpoint of Streamable HTTP."""

    server: Server[Any]
    endpoint: Endpoint


@dataclass(slots=True)
class _Opening:
    """The server of a profile, once it is opened."""

    settled: anyio.Event = field(default_factory=anyio.Event)
    serving: Serving | None = None
    """None if it could not be opened."""


class ByProfile:
    """The ASGI app of the endpoints of *server* and of all *profiles*, while `running`. All
    sessions are in *room*."""

    def __init__(
        self,
        server: Server[Any],
        requests: OpenRequests,
        profiles: Profiles | None = None,
        room: Room | None = None,
    ) -> None:
        self._requests = requests
        self._profiles = profiles
        self._room = room or Room()
        self._whole = self._serving(server)
        self._opened: dict[str, _Opening] = {}
        self._closing = anyio.Event()
        self._tasks: TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<ByProfile: {len(self._opened)} profiles open>"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as self._tasks:
            try:
                async with self._whole.endpoint.running():
                    yield
            finally:
                self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (found := await self.choose(scope, send)) is not None:
            await found.endpoint(scope, receive, send)

    async def choose(self, scope: Scope, send: Send) -> Serving | None:
        """Return what serves a request; None if it has been refused."""
        try:
            return await self._find(scope)
        except UnknownProfile as error:
            await refuse(send, 404, types.INVALID_REQUEST, str(error))
        except NotOpened as error:
            await refuse(send, 500, types.INTERNAL_ERROR, str(error))
        return None

    async def _find(self, scope: Scope) -> Serving:
        query = scope["query_string"].decode("latin-1")
        given = parse_qs(query, keep_blank_values=True).get("profile", []) if query else []
        if not given:
            return self._whole
        if len(given) > 1:
            raise UnknownProfile("The URL names more than one profile.")
        name, names = given[0], () if self._profiles is None else self._profiles.names()
        if self._profiles is None or name not in names:
            raise UnknownProfile(_unknown(name, names))
        opening = self._opened.get(name)
        if opening is None:
            assert self._tasks is not None
            opening = self._opened[name] = _Opening()
            self._tasks.start_soon(self._run, self._profiles, name, opening)
        await opening.settled.wait()
        if opening.serving is None:
            raise NotOpened(f'The profile "{name}" could not be opened; the log says why.')
        return opening.serving

    async def _run(self, profiles: Profiles, name: str, opening: _Opening) -> None:
        try:
            serving = self._serving(await profiles.open(name))
            async with serving.endpoint.running():
                opening.serving = serving
                opening.settled.set()
                await self._closing.wait()
        except Exception:  # the other profiles go on
            log.exception("profile.failed", extra={"profile": name})
        finally:
            del self._opened[name]
            opening.settled.set()

    def _serving(self, server: Server[Any]) -> Serving:
        return Serving(server, Endpoint(server, self._requests, self._room))


def _unknown(name: str, names: Collection[str]) -> str:
    if not names:
        return f'Unknown profile "{printable(name[:80])}": the settings have no profiles.'
    near = nearest(name[:80], names)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    known = f"The profiles: {some_of(names, SHOWN)}."
    return f'Unknown profile "{printable(name[:80])}".{hint} {known}'
