"""Names and URIs on their way between clients and servers: which server each belongs to, which
lists change when that changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import mcp_types as types
from mcp import MCPError

from ...core.tools.naming import Entry
from ...core.values.strict import Json, JsonObject
from ..mcp_sdk import RequestContext
from ..resources import is_ours, not_found
from .eras import shows_apps
from .listings import Expose, MergedListing, Own, RelayConfig, offers_capability

TOOLS_CHANGED: Final = "notifications/tools/list_changed"
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    TOOLS_CHANGED: ("tools/list",),
    "notifications/resources/list_changed": ("resources/list", "resources/templates/list"),
    "notifications/prompts/list_changed": ("prompts/list",),
}
"""The notification of each kind of change, and the lists that it may concern."""
MOST_SEEN = 4_096
LONGEST_ADDRESS = 2_048


class Router:
    """Resolves names and URIs to the servers of *config*; *own* are our own entries of the
    lists."""

    def __init__(self, config: RelayConfig, own: Own) -> None:
        self._config = config
        self._own = own
        self._listing: MergedListing | None = None
        self._changes = Changes(config.expose)
        self._seen = RecentUris()

    def __repr__(self) -> str:
        return f"<Router over {self._listing!r}, {self._seen!r}>"

    def listing(self) -> MergedListing:
        """Return the merged listing of what the servers offer now."""
        offers = self._config.downstream.offers()
        if self._listing is None or self._listing.offers is not offers:
            return self._renewed()
        return self._listing

    def announced(self, kind: str) -> None:
        """Note that a server announced a change; *kind* is the notification."""
        self._changes.announced(kind)

    def changed(self) -> list[str]:
        """Return the notifications to send: the kinds of lists that changed since the last call."""
        return self._changes.take(self.listing())

    async def page(self, ctx: RequestContext, cursor: Json, *, modern: bool) -> JsonObject:
        """Return one page of the requested list. Raises `MCPError` for a cursor of another list."""
        await self._config.known()
        listing = self.listing()
        if ctx.method == "tools/list" and cursor is None and listing.denied != listing.denials():
            listing = self._renewed()
        return listing.page(
            ctx.method, modern=modern, apps=shows_apps(ctx, modern=modern), cursor=cursor
        )

    async def tool(self, name: str) -> Entry:
        """Return the tool that is served under *name*. Raises `MCPError` if it is unknown."""
        if (entry := self.listing().tools.means.get(name)) is None:
            await self._config.known()
            entry = self.listing().tools.means.get(name)
        if entry is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {name[:128]}")
        return entry

    async def prompt(self, name: str) -> Entry:
        """Return the prompt that is served under *name*. Raises `MCPError` if it is unknown."""
        if (entry := await self._found(lambda: self.listing().prompts.means.get(name))) is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {name[:128]}")
        return entry

    async def resource(self, uri: str, *, modern: bool) -> Entry:
        """Return the server of *uri*, and the URI there. Raises `MCPError` if it is unknown."""
        if (entry := await self._found(lambda: self.find_resource(uri))) is None:
            raise not_found(uri, f"Unknown resource: {uri[:200]}", modern=modern)
        return entry

    def find_resource(self, uri: str) -> Entry | None:
        """Return the server of *uri* as known now, and the URI there; None if unknown, or ours."""
        if is_ours(uri):
            return None
        listing = self.listing()
        holders = [
            offer.server for offer in listing.offers if offers_capability(offer, "resources")
        ]
        only = holders[0] if len(holders) == 1 else None
        entry = listing.addresses.down(uri, named_by=self._seen.server_of(uri), only=only)
        return entry if entry is not None and entry[0] in listing.servers else None

    def offers(self, server: str, *path: str) -> bool:
        """Return whether *server* is connected and has the capability at *path*."""
        offer = self.listing().servers.get(server)
        return offer is not None and offers_capability(offer, *path)

    def address(self, server: str, uri: str) -> str:
        """Return the URI upstream of *uri* of *server*."""
        return self.listing().addresses.up(server, uri, self._seen.server_of(uri))

    def address_in_result(self, server: str, uri: str) -> str:
        """Return the URI upstream of *uri*, which a result of *server* names, and remember its
        server."""
        address = self.address(server, uri)
        if address == uri:
            self._seen.note(server, uri)
        return address

    async def _found(self, find: Callable[[], Entry | None]) -> Entry | None:
        """Return what *find* finds, now or once the listings of all servers are known."""
        if (entry := find()) is None:
            await self._config.known()
            entry = find()
        return entry

    def _renewed(self) -> MergedListing:
        offers = self._config.downstream.offers()
        if self._listing is not None:
            self._changes.replaced(self._listing)
        self._listing = MergedListing(offers, self._config, self._own, self._listing)
        return self._listing


class Changes:
    """The lists that changed since the last `take`: announced by a server, or served in another way
    than before. One list can change another, through names and URIs that servers share. Our own
    tools never change."""

    def __init__(self, expose: Expose) -> None:
        self._kinds = {
            kind: lists for kind, lists in KINDS.items() if expose != "dag" or kind != TOOLS_CHANGED
        }
        self._announced: set[str] = set()
        self._seen: dict[str, set[bytes]] = {kind: set() for kind in self._kinds}
        """Fingerprints of the lists that were served meanwhile."""

    def __repr__(self) -> str:
        return f"<Changes: {len(self._announced)} announced>"

    def announced(self, kind: str) -> None:
        """Note an announced change. It is believed even if the list looks the same."""
        self._announced.add(kind)

    def replaced(self, listing: MergedListing) -> None:
        """Note that *listing*, which clients may have seen, is replaced by another."""
        for kind, lists in self._kinds.items():
            self._seen[kind].add(listing.fingerprint(*lists))

    def take(self, now: MergedListing) -> list[str]:
        """Return the kinds of lists that changed, given that *now* is served; each change is
        returned once."""
        changed = [
            kind
            for kind, lists in self._kinds.items()
            if kind in self._announced or self._seen[kind] - {now.fingerprint(*lists)}
        ]
        self._announced.clear()
        for seen in self._seen.values():
            seen.clear()
        return changed


class RecentUris:
    """URIs that results named and no list has, each with the server that named it; the latest
    `MOST_SEEN`."""

    def __init__(self) -> None:
        self._servers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<RecentUris: {len(self._servers)} addresses>"

    def note(self, server: str, uri: str) -> None:
        if len(uri) > LONGEST_ADDRESS:
            return
        self._servers.pop(uri, None)
        self._servers[uri] = server
        if len(self._servers) > MOST_SEEN:
            del self._servers[next(iter(self._servers))]

    def server_of(self, uri: str) -> str | None:
        return self._servers.get(uri)
