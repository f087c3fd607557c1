"""Addresses that were in results of servers and in none of their lists: whose they are, when a client reads them."""

from __future__ import annotations

MOST_SEEN = 4_096
LONGEST_ADDRESS = 2_048


class RecentUris:
    """The latest such addresses, each with the server that named it last."""

    def __init__(self) -> None:
        self._servers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Seen: {len(self._servers)} addresses>"

    def note(self, server: str, uri: str) -> None:
        if len(uri) > LONGEST_ADDRESS:
            return
        self._servers.pop(uri, None)
        self._servers[uri] = server
        if len(self._servers) > MOST_SEEN:
            del self._servers[next(iter(self._servers))]

    def server_of(self, uri: str) -> str | None:
        return self._servers.get(uri)
