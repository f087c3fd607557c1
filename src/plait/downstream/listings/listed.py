"""What one server lists: its tools as they can be called, and all its lists as it sent them. Kept
up to date, and recalled from an earlier start until the server is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio
from mcp import MCPError

from ...config import ServerSettings
from ...core.ports import ServerListing
from ...core.tools.cached_listing import CachedListing
from ...core.tools.catalog import Tool
from ...core.tools.server_notices import Drift
from ...core.values.strict import Json, JsonObject, dumps
from ...errors import CallError
from ..eras.handshake import Greeting
from ..session import LISTS, OnSaid, ProtocolSession
from .drift import DriftWatch
from .listing import MAX_ENTRIES, as_listed, fetch_definitions, read_entries, read_tools, renewed

log = logging.getLogger(__name__)

LIST_S = 10.0
"""How long a list may take without which tools can be called."""
_REMEMBERED: Final = "offers"


@dataclass(frozen=True, slots=True)
class _List:
    """Where the entries of one list come from, and go to."""

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


class Listed:
    """The lists of the server *name*. *on_said* is told which have changed, once they are here."""

    def __init__(
        self,
        name: str,
        settings: ServerSettings,
        remembered: CachedListing,
        on_said: OnSaid = lambda method, params: None,
        on_drift: Callable[[Drift], None] = lambda drift: None,
    ) -> None:
        self.tools: tuple[Tool, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.offers: ServerListing | None = None
        """None as long as nothing is known; the same object as long as nothing changes."""
        self.drift = DriftWatch(remembered, on_drift)
        self._name = name
        self._settings = settings
        self._remembered = remembered
        self._on_said = on_said

    def __repr__(self) -> str:
        return f"<Listed by {self._name}: {len(self.tools)} tools>"

    def recall(self) -> None:
        """Take what is remembered for what the server lists."""
        if isinstance(definitions := self._remembered.get("tools"), list):
            self._offer(
                _recalled(self._name, self._remembered.get(_REMEMBERED)), self._read(definitions)
            )

    def adjust(self, settings: ServerSettings) -> None:
        """Choose among the tools by *settings*."""
        self._settings = settings
        if isinstance(definitions := self._remembered.get("tools"), list):
            self._offer(self.offers or ServerListing(self._name), self._read(definitions))

    async def read(
        self, wire: ProtocolSession, stale: Mapping[str, JsonObject | None] | None = None
    ) -> None:
        """Read the *stale* lists again, all for None. A list that the server cannot give stays as
        it was; without that of the tools nothing can be done: raises `MCPError` and `CallError`
        then."""
        assert wire.greeting is not None
        kinds = set(_CHANGED) if stale is None else set(stale)
        changed: dict[str, Any] = {}
        definitions: list[Any] | None = None
        failure: MCPError | CallError | None = None
        async with anyio.create_task_group() as tasks:
            for part in _OTHERS:
                if part.kind in kinds and wire.greeting.has(part.kind):
                    tasks.start_soon(self._read_other, wire, part, changed)
            try:
                definitions = await self._definitions(wire) if "tools" in kinds else None
            except (MCPError, CallError) as error:
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        offers = replace(_greeted(self._name, wire.greeting, self.offers), **changed)
        if definitions is None:
            self._offer(offers, offers.tools, stale or {})
            return
        self.drift.compare(definitions, announced=stale is not None)
        self._offer(offers, self._read(definitions, wire), stale or {})

    async def _definitions(self, wire: ProtocolSession) -> list[Any]:
        """As the server lists them. One that declares nothing at all may have tools too."""
        assert wire.greeting is not None
        is_declared = wire.greeting.has("tools")
        if not is_declared and any(wire.greeting.has(part.kind) for part in _OTHERS):
            return []
        try:
            return await fetch_definitions(lambda params: wire.request("tools/list", params))
        except MCPError:
            if is_declared or wire.has_ended:
                raise
            return []

    async def _read_other(
        self, wire: ProtocolSession, part: _List, changed: dict[str, Any]
    ) -> None:
        try:
            with anyio.fail_after(LIST_S):
                entries = await fetch_definitions(
                    lambda params: wire.request(part.method, params), part.member, MAX_ENTRIES
                )
        except (MCPError, CallError, TimeoutError) as error:
            fields = {"server": self._name, "list": part.method, "error": str(error)[:300]}
            log.warning("server.not_listed", extra=fields)
        else:
            changed[part.field] = read_entries(entries, part.key)

    def _read(
        self, definitions: list[Any], wire: ProtocolSession | None = None
    ) -> tuple[JsonObject, ...]:
        """Take the tools of *definitions*; gives those that the settings leave in, as they were
        listed."""
        tools, warnings = read_tools(
            self._name, definitions, self._settings.include, self._settings.exclude
        )
        for warning in warnings:
            if warning not in self.warnings:
                log.warning("server.tool", extra={"server": self._name, "warning": warning})
        listed = as_listed(definitions, tools)
        self.tools, self.warnings = renewed(self.tools, tools), tuple(warnings)
        if wire is not None:
            wire.read_headers(listed)
        return listed

    def _offer(
        self,
        offers: ServerListing,
        tools: tuple[JsonObject, ...],
        said: Mapping[str, JsonObject | None] | None = None,
    ) -> None:
        """Take *offers* with *tools*, and tell of each list that is another, and of those that the
        server told of."""
        before, now = self.offers or ServerListing(self._name), replace(offers, tools=tools)
        different = {
            field for field in _KINDS if _is_other(getattr(before, field), getattr(now, field))
        }
        if self.offers is None or different or now != before:
            self.offers = now
            self._keep(now)
        self._tell({_KINDS[field] for field in different}, said or {})

    def _tell(self, different: set[str], said: Mapping[str, JsonObject | None]) -> None:
        """Of each kind of list that is *different*, and of each that the server *said* is, in its
        own words."""
        for kind, method in _CHANGED.items():
            if kind in different or said.get(kind) is not None:
                self._on_said(method, said.get(kind) or {})

    def _keep(self, offers: ServerListing) -> None:
        document: JsonObject = {
            "capabilities": offers.capabilities,
            "instructions": offers.instructions,
        }
        for part in _OTHERS:
            document[part.field] = list[Json](getattr(offers, part.field))
        if document != self._remembered.get(_REMEMBERED):
            self._remembered.put(_REMEMBERED, document)


def _greeted(name: str, greeting: Greeting, before: ServerListing | None) -> ServerListing:
    """*before*, with what the server says of itself now; what it no longer has is gone."""
    offers = replace(
        before or ServerListing(name),
        capabilities=greeting.capabilities,
        instructions=greeting.instructions,
    )
    gone: dict[str, Any] = {part.field: () for part in _OTHERS if not greeting.has(part.kind)}
    return replace(offers, **gone)


def _recalled(name: str, document: Json) -> ServerListing:
    if not isinstance(document, dict):
        return ServerListing(name)
    capabilities, instructions = document.get("capabilities"), document.get("instructions")
    lists: dict[str, Any] = {
        part.field: read_entries(entries, part.key)
        for part in _OTHERS
        if isinstance(entries := document.get(part.field), list)
    }
    return ServerListing(
        name,
        capabilities if isinstance(capabilities, dict) else {},
        instructions=instructions if isinstance(instructions, str) else None,
        **lists,
    )


def _is_other(before: tuple[JsonObject, ...], now: tuple[JsonObject, ...]) -> bool:
    """The texts are compared too, because 1 equals True."""
    return before is not now and (
        before != now or dumps(list[Json](before)) != dumps(list[Json](now))
    )
