"""The user at the other end of a TCP connection on this machine, where the system names it.

Linux lists every TCP socket with the user who made it (proc(5), `/proc/net/tcp` and `tcp6`). The
other end of a loopback connection is on that list too, with both addresses swapped. Its row must be
an established one: a socket that its program has closed has no user any more, and is listed as
root's. On other systems, and for a socket of another network namespace, the user is unknown.

A socket for IPv6 may speak IPv4, with mapped addresses (`::ffff:127.0.0.1`), so each end of one
connection may be listed in either table.
"""

from __future__ import annotations

import ipaddress
import os
import struct
import sys
from pathlib import Path
from typing import TypeAlias

from anyio import to_thread

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""As sockets have it."""
Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

TABLES = Path("/proc/net")
LOOKS = 3
"""A table is read in pieces while it changes, so a row may be missed once."""
UNKNOWN_USER = 65_534
"""The number of every user that has none in this user namespace."""
_ESTABLISHED = "01"


class Peer:
    """The other end of one connection: *client* is its address, *server* is ours."""

    def __init__(
        self, client: Address | None, server: Address | None, *, tables: Path = TABLES
    ) -> None:
        self._client = client
        self._server = server
        self._tables = tables
        self._is_our_user: bool | None = None

    def __repr__(self) -> str:
        return f"<Peer {self._client}>"

    @property
    def host(self) -> str:
        """Its address without the port; empty if unknown."""
        return self._client[0] if self._client else ""

    async def is_our_user(self) -> bool:
        """Return whether it is a program of our own user, as far as is known. Looked up once."""
        if self._is_our_user is None:
            self._is_our_user = await to_thread.run_sync(self._look_up, abandon_on_cancel=True)
        return self._is_our_user

    def _look_up(self) -> bool:
        if sys.platform != "linux" or self._client is None or self._server is None:
            return False
        us = os.geteuid()
        return us != UNKNOWN_USER and us == user_of(self._client, self._server, self._tables)


def user_of(client: Address, server: Address, tables: Path = TABLES) -> int | None:
    """Return the user whose socket at *client* is connected to *server*; None if unknown."""
    for _ in range(LOOKS):
        for table, ends in _rows(client, server):
            try:
                _, found, after = (tables / table).read_bytes().partition(ends)
            except OSError:
                continue
            if found:  # behind the state: the queues, the timer, retransmissions, the user
                return int(after.split(maxsplit=4)[3])
    return None


def _rows(client: Address, server: Address) -> list[tuple[str, bytes]]:
    """Return how the row of the socket may begin, and in which table."""
    one, other = (ipaddress.ip_address(end[0]) for end in (client, server))
    one, other = (getattr(ip, "ipv4_mapped", None) or ip for ip in (one, other))
    ports = client[1], server[1]
    rows = [("tcp" if one.version == 4 else "tcp6", _row((one, other), ports))]
    if one.version == 4:
        mapped = ipaddress.IPv6Address(f"::ffff:{one}"), ipaddress.IPv6Address(f"::ffff:{other}")
        rows.append(("tcp6", _row(mapped, ports)))
    return rows


def _row(ips: tuple[Ip, Ip], ports: tuple[int, int]) -> bytes:
    """Write both ends as the kernel does: addresses as words in the order of this machine."""
    client, server = (
        "".join(f"{word:08X}" for (word,) in struct.iter_unpack("=I", ip.packed)) + f":{port:04X}"
        for ip, port in zip(ips, ports, strict=True)
    )
    return f" {client} {server} {_ESTABLISHED} ".encode()
