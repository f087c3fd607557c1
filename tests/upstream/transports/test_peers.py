"""The user at the other end of a connection, from real connections and from tables as Linux writes
them."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from plait.upstream.transports.peers import Peer, user_of

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
CLIENT, SERVER = ("127.0.0.1", 0xC000), ("127.0.0.1", 8420)
US, ANOTHER = os.geteuid(), os.geteuid() + 1


@contextmanager
def connected(listening: str, to: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection from a client at *to* to a server that listens on *listening*, for both versions
    of IP if it can; both ends."""
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(family))
        if family is socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind((listening, 0))
        server.listen()
        client = stack.enter_context(
            socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
        )
        client.connect((to, server.getsockname()[1]))
        accepted, _ = server.accept()
        yield client, stack.enter_context(accepted)


def ends(accepted: socket.socket) -> tuple[tuple[str, int], tuple[str, int]]:
    return accepted.getpeername()[:2], accepted.getsockname()[:2]


WAYS = [
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1", "::ffff:127.0.0.1"),
    ("::1", "::1"),
    ("::", "127.0.0.1"),
    ("::", "::1"),
    ("::", "::ffff:127.0.0.1"),
]


@pytest.mark.parametrize(("listening", "to"), WAYS)
async def test_a_connection_of_ours_is_known_whatever_versions_of_ip_its_ends_speak(
    listening: str, to: str
):
    with connected(listening, to) as (_, accepted):
        assert await Peer(*ends(accepted)).is_our_user() is (sys.platform == "linux")


@pytest.mark.parametrize(("listening", "to"), WAYS)
def test_a_closed_socket_is_of_no_known_user(listening: str, to: str):
    with connected(listening, to) as (client, accepted):
        client.close()
        assert user_of(*ends(accepted)) is None


async def test_a_connection_that_has_no_addresses_is_not_ours():
    assert not await Peer(None, None).is_our_user()


def row(client: tuple[str, int], server: tuple[str, int], state: str = "01", uid: int = US) -> str:
    """A row as Linux writes it for IPv4 (proc(5)), on a machine of this one's byte order."""
    local, remote = (
        f"{struct.unpack('=I', socket.inet_aton(host))[0]:08X}:{port:04X}"
        for host, port in (client, server)
    )
    return (
        f"   7: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {uid:5}        0 1"
    )


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    return tmp_path


def listed(tables: Path, *rows: str) -> Path:
    (tables / "tcp").write_text("\n".join([HEAD, *rows]) + "\n")
    return tables


async def test_the_row_of_the_client_names_its_user(tables: Path):
    both = [row(SERVER, CLIENT, uid=ANOTHER), row(CLIENT, SERVER)]
    assert user_of(CLIENT, SERVER, listed(tables, *both)) == US
    assert await Peer(CLIENT, SERVER, tables=tables).is_our_user() is (sys.platform == "linux")


async def test_a_connection_of_another_user_is_not_ours(tables: Path):
    both = [row(SERVER, CLIENT), row(CLIENT, SERVER, uid=ANOTHER)]
    assert user_of(CLIENT, SERVER, listed(tables, *both)) == ANOTHER
    assert not await Peer(CLIENT, SERVER, tables=tables).is_our_user()


@pytest.mark.parametrize(
    "other",
    [
        row(CLIENT, SERVER, state="06"),
        row(CLIENT, SERVER, state="04"),
        row(CLIENT, ("127.0.0.1", 8421)),
        row(("127.0.0.1", 0xC001), SERVER),
        row(("127.0.0.2", 0xC000), SERVER),
        row(CLIENT, ("0.0.0.0", 0), state="0A"),
    ],
    ids=["time-wait", "fin-wait", "other-server", "other-port", "other-address", "listening"],
)
def test_no_other_row_counts(tables: Path, other: str):
    assert user_of(CLIENT, SERVER, listed(tables, other)) is None


async def test_a_connection_is_looked_up_once(tables: Path):
    peer = Peer(CLIENT, SERVER, tables=listed(tables, row(CLIENT, SERVER)))
    before = await peer.is_our_user()
    listed(tables, row(CLIENT, SERVER, uid=ANOTHER))
    assert await peer.is_our_user() is before


async def test_nobody_is_known_to_a_user_without_a_number(
    tables: Path, monkeypatch: pytest.MonkeyPatch
):
    """In a user namespace every user from outside has the same number."""
    monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    rows = listed(tables, row(CLIENT, SERVER, uid=65_534))
    assert not await Peer(CLIENT, SERVER, tables=rows).is_our_user()
