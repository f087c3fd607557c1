"""The lists of one server: its tools as they can be called, and all its lists as it sent them.

They are kept up to date, and recalled from an earlier start until the server is connected.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio
from mcp import MCPError

from ...core.ports import ServerListing
from ...core.tools.cached_listing import CachedListing
from ...core.tools.catalog import Tool
from ...core.tools.definitions import by_name, hash_of
from ...core.tools.server_notices import Drift
from ...core.values.strict import Json, JsonObject, dumps
from ...errors import CallError
from ..session import LISTS, ProtocolSession
from ..transports.lines import OnNotification
from .definitions import (
    MAX_ENTRIES,
    as_listed,
    fetch_definitions,
    read_entries,
    read_tools,
    renewed,
)
from .drift import DriftWatch

log = logging.getLogger(__name__)

LIST_TIMEOUT_S = 10.0
"""Longest time to read a list that calls of tools do not need."""
_REMEMBERED: Final = "offers"


@dataclass(frozen=True, slots=True)
class _List:
    """The source of one list, and its place in a `ServerListing`."""

    kind: str
    method: str
    member: str
    key: str
    field: str


_OTHERS = (
    _List("resources", "resources/list", "resources", "uri", "resources"),
    _List("resources", "resources/templates/list", "resourceTemplates", "uriTemplate", "templates"),
    _List("prompts", "prompts/list", "prompts", "name", "prompts"),
)
_KINDS = {"tools": "tools", **{part.field: part.kind for part in _OTHERS}}
_CHANGED = {kind: method for method, kind in LISTS.items()}


class ServerLists:
    """The lists of the server *name*. *on_change* is called after each change, then
    *on_notification* with the notification for each kind of list that changed. *on_drift* takes
    unannounced changes of tools."""

    def __init__(
        self,
        name: str,
        remembered: CachedListing,
        on_change: Callable[[], None] = lambda: None,
        on_notification: OnNotification = lambda method, params: None,
        on_drift: Callable[[Drift], None] = lambda drift: None,
        *,
        shared_as: str = "",
    ) -> None:
        self.tools: tuple[Tool, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.offers: ServerListing | None = None
        """None if nothing is known. The same object until something changes."""
        self.drift = DriftWatch(remembered, on_drift)
        self._name = name
        self._shared_as = shared_as
        self._remembered = remembered
        self._on_change = on_change
        self._by_name: dict[str, Tool] | None = None
        self._definitions: Mapping[str, JsonObject] | None = None
        self._hashes: dict[str, str] = {}
        self._on_notification = on_notification

    def __repr__(self) -> str:
        return f"<ServerLists of {self._name}: {len(self.tools)} tools>"

    def tool(self, name: str) -> Tool | None:
        """Return the tool of that *name*, as it is listed now."""
        if self._by_name is None:
            self._by_name = {tool.name: tool for tool in self.tools}
        return self._by_name.get(name)

    def definition(self, tool: str) -> JsonObject | None:
        """Return the definition of *tool* as its server lists it now."""
        if self._definitions is None:
            self._definitions = by_name(() if self.offers is None else self.offers.tools)
        return self._definitions.get(tool)

    def hash_of(self, tool: str) -> str | None:
        """Return the hash of what the definition of *tool* says, None if it is not listed."""
        if (known := self._hashes.get(tool)) is None:
            if (definition := self.definition(tool)) is None:
                return None
            known = self._hashes[tool] = hash_of(definition)
        return known

    @property
    def are_known(self) -> bool:
        """Whether the tools are known, from the server itself or from an earlier start."""
        return isinstance(self._remembered.get("tools"), list)

    def recall(self) -> None:
        """Take the remembered lists for those of the server."""
        definitions = self._remembered.get("tools")
        if not isinstance(definitions, list):
            return
        document = self._remembered.get(_REMEMBERED)
        if not isinstance(document, dict):
            document = {}
        capabilities, instructions = document.get("capabilities"), document.get("instructions")
        lists: dict[str, Any] = {
            part.field: read_entries(entries, part.key)
            for part in _OTHERS
            if isinstance(entries := document.get(part.field), list)
        }
        offers = ServerListing(
            self._name,
            capabilities if isinstance(capabilities, dict) else {},
            instructions=instructions if isinstance(instructions, str) else None,
            **lists,
        )
        self._offer(offers, self._read_tools(definitions))

    async def read(
        self, session: ProtocolSession, stale: Mapping[str, JsonObject | None] | None = None
    ) -> None:
        """Read the *stale* kinds of lists again, each with the params of the server's notification;
        all kinds for None. A list that the server cannot give stays as it was. Raises `MCPError`
        and `CallError` if that is the list of tools."""
        greeting = session.greeting
        assert greeting is not None
        kinds = set(_CHANGED) if stale is None else set(stale)
        changed: dict[str, Any] = {}
        definitions: list[Any] | None = None
        failure: MCPError | CallError | None = None
        async with anyio.create_task_group() as tasks:
            for part in _OTHERS:
                if part.kind in kinds and greeting.has(part.kind):
                    tasks.start_soon(self._read_other, session, part, changed)
            try:
                definitions = await _fetch_tools(session) if "tools" in kinds else None
            except (MCPError, CallError) as error:
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        gone: dict[str, Any] = {part.field: () for part in _OTHERS if not greeting.has(part.kind)}
        offers = replace(
            self.offers or ServerListing(self._name),
            capabilities=greeting.capabilities,
            instructions=greeting.instructions,
            **{**gone, **changed},
        )
        if definitions is None:
            self._offer(offers, offers.tools, stale or {})
            return
        self.drift.compare(definitions, announced=stale is not None)
        tools = self._read_tools(definitions)
        session.read_headers(tools)
        self._offer(offers, tools, stale or {})

    async def _read_other(
        self, session: ProtocolSession, part: _List, changed: dict[str, Any]
    ) -> None:
        try:
            with anyio.fail_after(LIST_TIMEOUT_S):
                entries = await fetch_definitions(
                    lambda params: session.request(part.method, params), part.member, MAX_ENTRIES
                )
        except (MCPError, CallError, TimeoutError) as error:
            fields = {"server": self._name, "list": part.method, "error": str(error)[:300]}
            log.warning("server.not_listed", extra=fields)
        else:
            changed[part.field] = read_entries(entries, part.key)

    def _read_tools(self, definitions: list[Any]) -> tuple[JsonObject, ...]:
        """Take the tools of *definitions*. Returns those that can be used as they were listed."""
        tools, warnings = read_tools(self._name, definitions, shared_as=self._shared_as)
        for warning in warnings:
            if warning not in self.warnings:
                log.warning("server.tool", extra={"server": self._name, "warning": warning})
        listed = as_listed(definitions, tools)
        self.tools, self.warnings = renewed(self.tools, tools), tuple(warnings)
        self._by_name = None
        return listed

    def _offer(
        self,
        offers: ServerListing,
        tools: tuple[JsonObject, ...],
        announced: Mapping[str, JsonObject | None] | None = None,
    ) -> None:
        """Take *offers* with *tools*; notify of each kind of list that differs or that the server
        *announced*."""
        before, now = self.offers or ServerListing(self._name), replace(offers, tools=tools)
        different = {
            field for field in _KINDS if _differ(getattr(before, field), getattr(now, field))
        }
        if self.offers is None or different or now != before:
            self.offers, self._definitions, self._hashes = now, None, {}
            self._remember(now)
            self._on_change()
        kinds = {_KINDS[field] for field in different}
        for kind, method in _CHANGED.items():
            params = (announced or {}).get(kind)
            if kind in kinds or params is not None:
                self._on_notification(method, params or {})

    def _remember(self, offers: ServerListing) -> None:
        document: JsonObject = {
            "capabilities": offers.capabilities,
            "instructions": offers.instructions,
        }
        for part in _OTHERS:
            document[part.field] = list[Json](getattr(offers, part.field))
        if document != self._remembered.get(_REMEMBERED):
            self._remembered.put(_REMEMBERED, document)


async def _fetch_tools(session: ProtocolSession) -> list[Any]:
    """Fetch the definitions of tools as listed. A server that declares no capability at all may
    have tools too."""
    greeting = session.greeting
    assert greeting is not None
    is_declared = greeting.has("tools")
    if not is_declared and any(greeting.has(part.kind) for part in _OTHERS):
        return []
    try:
        return await fetch_definitions(lambda params: session.request("tools/list", params))
    except MCPError:
        if is_declared or session.has_ended:
            raise
        return []


def _differ(before: tuple[JsonObject, ...], now: tuple[JsonObject, ...]) -> bool:
    """Whether two lists differ; also as text, because 1 equals True."""
    return before is not now and (
        before != now or dumps(list[Json](before)) != dumps(list[Json](now))
    )
