"""Upkeep of a session while it is open: lists are read again when they change, a lazy server is
left when it is unused, and a frozen one is found out."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from mcp import MCPError

from ..errors import CallError, ServerUnavailable
from .listings.server_lists import ServerLists
from .session import ProtocolSession
from .timings import ConnectTimings
from .usage import UsageTracker

log = logging.getLogger(__name__)

FROZEN = "it answered neither calls nor a ping"


class Upkeep:
    """Looks after one *session* of the server *name*. *on_listed* is called when its tools or their
    warnings have changed; *explain* words an error for people."""

    def __init__(
        self,
        name: str,
        session: ProtocolSession,
        lists: ServerLists,
        use: UsageTracker,
        timings: ConnectTimings,
        list_timeout_s: Callable[[], float],
        on_listed: Callable[[], None],
        explain: Callable[[BaseException], str],
    ) -> None:
        self._name = name
        self._session = session
        self._lists = lists
        self._use = use
        self._timings = timings
        self._list_timeout_s = list_timeout_s
        self._on_listed = on_listed
        self._explain = explain

    async def run(self) -> None:
        """Look after the session until it has ended or is retired. Raises `ServerUnavailable` if
        the server is frozen."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._leave_unused)
            tasks.start_soon(self._watch_silence)
            await self._follow_lists()
            tasks.cancel_scope.cancel()

    async def _leave_unused(self) -> None:
        await self._use.wait_unwanted()
        log.info("server.unused", extra={"server": self._name})
        self._session.retire()

    async def _follow_lists(self) -> None:
        """Read lists again when they change. A server that cannot give them keeps the lists that it
        had, and its calls in flight."""
        session = self._session
        while True:
            await session.wait_changed()
            if session.is_usable:
                await anyio.sleep(self._timings.refresh_pause_s)
            if not session.is_usable:
                return
            before = self._lists.tools, self._lists.warnings
            try:
                with anyio.fail_after(self._list_timeout_s()):
                    await self._lists.read(session, session.take_stale())
            except (MCPError, CallError, TimeoutError) as error:
                fields = {"server": self._name, "error": self._explain(error)}
                log.warning("server.not_listed", extra=fields)
            if (self._lists.tools, self._lists.warnings) != before:
                self._on_listed()

    async def _watch_silence(self) -> None:
        """Ask a server for a sign of life after calls in a row that got none; any will do. It may
        take its time while an earlier call is open: perhaps it works on that."""
        session = self._session
        while True:
            await session.silence.wait_suspicious()
            heard = session.silence.heard()
            is_busy = session.is_busy_since(session.silence.began)
            patience = self._timings.busy_ping_s if is_busy else self._timings.ping_s
            with anyio.move_on_after(patience):
                try:
                    await session.ping()
                except (MCPError, CallError):
                    continue
            if session.silence.heard() == heard:
                log.warning("server.frozen", extra={"server": self._name})
                session.kill(FROZEN)
                raise ServerUnavailable(FROZEN)
