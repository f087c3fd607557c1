"""The lists that clients see of the downstream servers at one moment, and the server of each entry.

A merged listing is made at the first request after a change, and never changes itself. Its entries
are the servers' own, except for names and URIs that had to be replaced (`naming.py` and
`addresses.py` in `core/tools/`) and for what the strictest client could not read
(`upstream/strictest.py`). An entry that an era does not allow is left out for that era: it would
cost a client the whole list.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Literal, Self, TypeAlias

import mcp_types as types
from mcp import MCPError
from mcp_types import methods
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION
from pydantic import ValidationError

from ...core.ports import Downstream, ServerListing
from ...core.tools.addresses import Addresses, is_address
from ...core.tools.catalog import Tool
from ...core.tools.naming import Entry, Names, prompt_names, tool_names
from ...core.values.portable import uncompilable
from ...core.values.principal import Principal
from ...core.values.printable import printable
from ...core.values.strict import Json, JsonObject, encode
from ..strictest import fit_entry, for_handshake_era
from ..texts import MAX_TEXT

log = logging.getLogger(__name__)

Expose: TypeAlias = Literal["dag", "all", "tools"]

MEMBERS: Mapping[str, str] = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}
"""The lists, and the member of a result that holds the entries of each."""
PAGE = 500
"""Entries on a page: enough that clients which read only the first page lose little."""
_CURSOR = re.compile(r"([0-9a-f]{16})\.([0-9]{1,9})\Z")
UI_EXTENSION = "io.modelcontextprotocol/ui"
_FLAT_UI = "ui/resourceUri"
_ENVELOPE: JsonObject = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


async def _at_once() -> None:
    pass


def _unnoted(principal: Principal, source: str) -> None:
    """Note nothing."""


def _never(server: str, tool: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Pages:
    """The entries of one list, in pages. A cursor is valid as long as the list is unchanged."""

    entries: Sequence[JsonObject]
    generation: str
    """A token that differs for each new list, and after a restart."""

    @classmethod
    def of(cls, entries: Sequence[JsonObject], before: Self | None) -> Self:
        is_same = before is not None and before.entries == entries
        return cls(
            entries, before.generation if before is not None and is_same else secrets.token_hex(8)
        )

    def page(self, member: str, cursor: Json) -> JsonObject:
        """Return the page at *cursor*, or the first, with its entries as *member*. Raises
        `MCPError` for a cursor of another list."""
        start = 0 if cursor is None else self._start(cursor)
        end = start + PAGE
        page: JsonObject = {member: list(self.entries[start:end])}
        if end < len(self.entries):
            page["nextCursor"] = base64.urlsafe_b64encode(
                f"{self.generation}.{end}".encode()
            ).decode()
        return page

    def _start(self, cursor: Json) -> int:
        if isinstance(cursor, str) and len(cursor) <= 64:
            try:
                found = _CURSOR.match(base64.urlsafe_b64decode(cursor.encode()).decode())
            except (ValueError, binascii.Error):
                found = None
            if found and found[1] == self.generation and 0 < int(found[2]) < len(self.entries):
                return int(found[2])
        raise MCPError(
            types.INVALID_PARAMS, "Invalid cursor: the list may have changed; start again."
        )


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """Which downstream servers are served through us, and how."""

    downstream: Downstream
    expose: Expose = "dag"
    """Which tools are served: ours, all, or only the servers'. Everything else is always served."""
    bare: frozenset[str] = frozenset()
    """The servers whose tools are served under their own names where these are free."""
    known: Callable[[], Awaitable[None]] = _at_once
    """Waits until the listing of each server is known, but only as long as a client may be kept
    waiting."""
    denied_by: Callable[[str, str], str | None] = _never
    """Gives the pattern that denies a tool, from its server and its name; None if it is allowed. A
    denied tool is not listed, and the gateway refuses to call it."""
    seen: Callable[[str, str], str | None] = _never
    """Gives the shape of the outputs of a tool that does not declare it, from its server and its
    name, for its description; None if it is unknown."""
    shown: Callable[[Principal, str], None] = _unnoted
    """Notes that clients of a principal get an answer of a server to anything but a call, such as
    `server:resources/read`."""


Own: TypeAlias = Mapping[str, Sequence[JsonObject]]
"""Our own entries of each list."""


class MergedListing:
    """All entries of *offers*, under the names that they are served by, after our own entries."""

    def __init__(
        self,
        offers: tuple[ServerListing, ...],
        config: RelayConfig,
        own: Own,
        before: MergedListing | None = None,
    ) -> None:
        self.offers = offers
        self.servers = {offer.server: offer for offer in offers}
        self._config = config
        self.tools = self._tool_names(own["tools/list"])
        self.prompts = prompt_names(
            _entries(((offer.server, offer.prompts) for offer in offers), "name"),
            taken=_texts(own["prompts/list"], "name"),
        )
        self.addresses = Addresses(
            _entries(((offer.server, offer.resources) for offer in offers), "uri"),
            _entries(((offer.server, offer.templates) for offer in offers), "uriTemplate"),
        )
        self._fitted: dict[int, tuple[JsonObject, JsonObject | None]] = {}
        """Each entry of a server by its identity, as the strictest client reads it."""
        self._fitted_before = before._fitted if before is not None else {}  # noqa: SLF001  # likewise
        self.schemas: dict[str, Mapping[str, object]] = {}
        """The input schema of each listed tool, by its name upstream."""
        self.denied = self.denials()
        """The tools that are not listed, each with the pattern that denies it."""
        self._lists = {method: [*own[method], *served] for method, served in self._served().items()}
        self._pages: dict[tuple[str, bool, bool], Pages] = {}
        self._fingerprints: dict[tuple[str, ...], bytes] = {}
        self._before = before._pages if before is not None else {}  # noqa: SLF001  # of its own kind

    def __repr__(self) -> str:
        return f"<MergedListing of {', '.join(self.servers) or 'no servers'}>"

    def page(
        self, method: str, *, modern: bool, apps: bool = True, cursor: Json = None
    ) -> JsonObject:
        """Return one page of a list, with or without tools that are only for the pages of *apps*.
        Raises `MCPError` for the cursor of another list."""
        key = (method, modern, apps)
        if (pages := self._pages.get(key)) is None:
            pages = self._pages[key] = Pages.of(
                self._allowed(method, modern, apps), self._before.get(key)
            )
        return pages.page(MEMBERS[method], cursor)

    def denials(self) -> dict[Entry, str]:
        """Return the tools that the policy denies now, each with the pattern that denies it."""
        denied = ((entry, self._config.denied_by(*entry)) for entry in self.tools.served)
        return {entry: pattern for entry, pattern in denied if pattern is not None}

    def fingerprint(self, *methods: str) -> bytes:
        """Return a digest of the lists of *methods*."""
        if (known := self._fingerprints.get(methods)) is None:
            lists: Json = [list[Json](self._lists[method]) for method in methods]
            known = self._fingerprints[methods] = sha256(encode(lists)).digest()
        return known

    def has(self, *path: str) -> bool:
        """Return whether any server has the capability at *path*."""
        return any(offers_capability(offer, *path) for offer in self.offers)

    def _tool_names(self, own: Sequence[JsonObject]) -> Names:
        config = self._config
        if config.expose == "dag":
            return Names({}, {})
        return tool_names(
            _entries(((offer.server, offer.tools) for offer in self.offers), "name"),
            bare=config.bare,
            taken=_texts(own, "name"),
        )

    def _served(self) -> dict[str, list[JsonObject]]:
        served: dict[str, list[JsonObject]] = {method: [] for method in MEMBERS}
        for offer in self.offers:
            served["tools/list"] += self._renamed_tools(offer)
            up = partial(self.addresses.up, offer.server)
            template_up = partial(self.addresses.template_up, offer.server)
            for method, entries, member, name in (
                ("prompts/list", offer.prompts, "name", partial(self._prompt_name, offer.server)),
                ("resources/list", offer.resources, "uri", up),
                ("resources/templates/list", offer.templates, "uriTemplate", template_up),
            ):
                fitting = (self._fit(offer.server, method, entry) for entry in entries)
                served[method] += _renamed(
                    (entry for entry in fitting if entry is not None), member, name
                )
        served["resources/list"] = [
            entry for entry in served["resources/list"] if is_address(str(entry["uri"]))
        ]
        return served

    def _renamed_tools(self, offer: ServerListing) -> list[JsonObject]:
        tools: dict[str, JsonObject] = {}
        for tool in offer.tools:
            entry = (offer.server, str(tool.get("name")))
            name = self.tools.served.get(entry)
            if name is None or name in tools or entry in self.denied:
                continue
            if (fitted := self._fit(offer.server, "tools/list", tool)) is None:
                continue
            tools[name] = self._with_address({**fitted, "name": name}, offer.server)
            if (shape := self._config.seen(*entry)) is not None:
                said = str(fitted.get("description") or "")
                described = f"{said}\n\nOutput so far: {shape}".strip()
                if len(described) <= MAX_TEXT:  # clients cut the rest
                    tools[name]["description"] = described
            if isinstance(schema := fitted.get("inputSchema"), dict):
                self.schemas[name] = schema
        return list(tools.values())

    def _fit(self, server: str, method: str, entry: JsonObject) -> JsonObject | None:
        """Fit *entry* of *server* for the strictest client; None if it has to be left out."""
        before, fitted = self._fitted_before.get(id(entry), (None, None))
        if before is not entry:
            fitted = fit_entry(method, entry)
            fields: JsonObject = {"server": server, "list": method}
            fields["entry"] = printable(str(entry.get("name") or entry.get("uri"))[:80])
            if fitted is None:
                log.warning("entry.left_out", extra=fields)
            elif isinstance(schema := entry.get("outputSchema"), dict) and (
                "outputSchema" not in fitted
            ):
                reason = printable(str(uncompilable(schema)))
                log.warning("tool.without_output_schema", extra={**fields, "reason": reason})
        self._fitted[id(entry)] = entry, fitted
        return fitted

    def _with_address(self, tool: JsonObject, server: str) -> JsonObject:
        """Return *tool* with the URI under which the page for its results is served."""
        meta = tool.get("_meta")
        if not isinstance(meta, dict):
            return tool
        changed: JsonObject = {}
        if isinstance(flat := meta.get(_FLAT_UI), str):
            changed[_FLAT_UI] = self.addresses.up(server, flat)
        if isinstance(ui := meta.get("ui"), dict) and isinstance(uri := ui.get("resourceUri"), str):
            changed["ui"] = {**ui, "resourceUri": self.addresses.up(server, uri)}
        return {**tool, "_meta": {**meta, **changed}} if changed else tool

    def _prompt_name(self, server: str, name: str) -> str:
        return self.prompts.served[server, name]

    def _allowed(self, method: str, modern: bool, apps: bool) -> list[JsonObject]:
        version = LATEST_MODERN_VERSION if modern else LATEST_HANDSHAKE_VERSION
        entries = self._lists[method]
        if method == "tools/list" and not modern:
            entries = list(map(for_handshake_era, entries))
        return [entry for entry in entries if _is_allowed(method, version, entry, apps)]


def offers_capability(offer: ServerListing, *path: str) -> bool:
    """Return whether *offer* has the capability at *path*: an object or true."""
    value: Json = offer.capabilities
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value is True or isinstance(value, dict)


def _is_allowed(method: str, version: str, entry: JsonObject, apps: bool) -> bool:
    if method == "tools/list" and not apps and not Tool("", "", entry).is_for_models:
        return False
    try:
        methods.validate_server_result(method, version, {**_ENVELOPE, MEMBERS[method]: [entry]})
    except ValidationError:
        log.debug("entry.left_out", extra={"list": method, "protocol": version})
        return False
    return True


def _entries(lists: Iterable[tuple[str, Iterable[JsonObject]]], member: str) -> list[Entry]:
    return [(server, text) for server, entries in lists for text in _texts(entries, member)]


def _texts(entries: Iterable[JsonObject], member: str) -> list[str]:
    return [text for entry in entries if isinstance(text := entry.get(member), str)]


def _renamed(
    entries: Iterable[JsonObject], member: str, name: Callable[[str], str]
) -> list[JsonObject]:
    """Return *entries* with *member* renamed by *name*. An entry without it is left out; one that
    keeps its text stays the same object."""
    renamed = []
    for entry in entries:
        if isinstance(text := entry.get(member), str):
            served = name(text)
            renamed.append(entry if served == text else {**entry, member: served})
    return renamed
