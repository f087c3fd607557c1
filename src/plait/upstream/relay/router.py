"""Whose a name or an address is that a client sends: by what servers offer now, and what their results have named."""

from __future__ import annotations

from collections.abc import Callable

import mcp_types as types
from mcp import MCPError

from ...core.tools.naming import Entry
from ...core.values.strict import Json, JsonObject
from ..resources import is_ours, not_found
from ..run_progress import RequestContext
from .changes import Changes
from .eras import is_modern, shows_apps
from .listings import MergedListing, Own, RelayConfig, offers_capability
from .seen import RecentUris


class Router:
    """Leads to the servers of *relaying*; *own* are our own entries of the lists."""

    def __init__(self, relaying: RelayConfig, own: Own) -> None:
        self._relaying = relaying
        self._own = own
        self._directory: MergedListing | None = None
        self._changes = Changes(relaying.expose)
        self._seen = RecentUris()

    def __repr__(self) -> str:
        return f"<Owners by {self._directory!r}, {self._seen!r}>"

    def directory(self) -> MergedListing:
        """What the servers offer now."""
        offers = self._relaying.downstream.offers()
        if self._directory is None or self._directory.offers is not offers:
            return self._renewed()
        return self._directory

    def said(self, kind: str) -> None:
        """A server says that a list has changed: *kind* is the notification."""
        self._changes.said(kind)

    def changed(self) -> list[str]:
        """The kinds of lists that clients have to look at again, as the notifications that say so. Each is given
        once."""
        return self._changes.take(self.directory())

    async def page(self, ctx: RequestContext, cursor: Json) -> JsonObject:
        """One page of the list that is asked for. Raises `MCPError` for a cursor of a list that was another."""
        await self._relaying.known()
        directory = self.directory()
        if ctx.method == "tools/list" and cursor is None and directory.denied != directory.denials():
            directory = self._renewed()
        return directory.page(ctx.method, modern=is_modern(ctx), apps=shows_apps(ctx), cursor=cursor)

    async def tool(self, name: str) -> Entry:
        """The tool that is served under *name*. Raises `MCPError` where none is, and where the policy denies it."""
        if (entry := await self._found(lambda: self.directory().tools.means.get(name))) is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {name[:128]}")
        if (pattern := self._relaying.denied_by(*entry)) is not None:
            reason = {"code": "policy_denied", "denied_by": pattern}
            raise MCPError(types.INVALID_PARAMS, f"The policy denies {':'.join(entry)[:200]}", reason)
        return entry

    async def prompt(self, name: str) -> Entry:
        """The prompt that is served under *name*. Raises `MCPError` where none is."""
        if (entry := await self._found(lambda: self.directory().prompts.means.get(name))) is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {name[:128]}")
        return entry

    async def resource(self, ctx: RequestContext, uri: str) -> Entry:
        """Who is to be asked for *uri*, and by which address. Raises `MCPError` where nobody is."""
        if (entry := await self._found(lambda: self.of_address(uri))) is None:
            raise not_found(ctx, uri, f"There is no resource {uri[:200]}.")
        return entry

    def of_address(self, uri: str) -> Entry | None:
        """As `resource`, by what is known now; None for what is ours."""
        if is_ours(uri):
            return None
        directory = self.directory()
        holders = [offer.server for offer in directory.offers if offers_capability(offer, "resources")]
        only = holders[0] if len(holders) == 1 else None
        entry = directory.addresses.down(uri, named_by=self._seen.server_of(uri), only=only)
        return entry if entry is not None and entry[0] in directory.servers else None

    def offers(self, server: str, *path: str) -> bool:
        """Whether *server* is there and has the capability at *path*."""
        offer = self.directory().servers.get(server)
        return offer is not None and offers_capability(offer, *path)

    def address(self, server: str, uri: str) -> str:
        """What *uri* of *server* is called upstream."""
        return self.directory().addresses.up(server, uri)

    def address_in_result(self, server: str, uri: str) -> str:
        """As `address`, for one that a result names: who reads it later is led to that server."""
        self._seen.note(server, uri)
        return self.address(server, uri)

    async def _found(self, find: Callable[[], Entry | None]) -> Entry | None:
        """What *find* finds, now or once it is known what each server has."""
        if (entry := find()) is None:
            await self._relaying.known()
            entry = find()
        return entry

    def _renewed(self) -> MergedListing:
        offers = self._relaying.downstream.offers()
        if self._directory is not None:
            self._changes.replaced(self._directory)
        self._directory = MergedListing(offers, self._relaying, self._own, self._directory)
        return self._directory
