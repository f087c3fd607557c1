"""The sender of a request: its client, and the principal who owns the runs that it begins.

Where clients do not identify themselves, each session is a principal. A transport with a single
user, such as stdio, or with logins, is served with another `PrincipalOf`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeAlias
from weakref import WeakKeyDictionary

from ..core.values.principal import ANYONE, USER, Principal
from .mcp_sdk import NotifyOnlyOutbound, RequestContext, connection_of

PrincipalOf: TypeAlias = Callable[[RequestContext], Principal]


def always_user(ctx: RequestContext) -> Principal:
    """Return the user: the `PrincipalOf` for a transport whose only client is the user's."""
    return USER


class BySession:
    """The `PrincipalOf` for clients that do not identify themselves: each session is a principal,
    and requests without a session are by `ANYONE`. Session ids are secrets, so principals are not
    made from them."""

    def __init__(self) -> None:
        self._sessions: WeakKeyDictionary[object, Principal] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<BySession: {len(self._sessions)} sessions>"

    def __call__(self, ctx: RequestContext) -> Principal:
        if stands_alone(ctx):
            return ANYONE
        client = client_of(ctx)
        if (principal := self._sessions.get(client)) is None:
            principal = self._sessions[client] = Principal(f"session:{secrets.token_hex(16)}")
        return principal


def stands_alone(ctx: RequestContext) -> bool:
    """Return whether the request belongs to no connection, as requests of 2026-07-28 over HTTP."""
    return not connection_of(ctx).has_standalone_channel


def client_of(ctx: RequestContext) -> object:
    """Return an object that is the same for all requests of one client, and different for others.
    Over HTTP, requests of 2026-07-28 do not identify their client, so each counts as a client of
    its own."""
    connection = connection_of(ctx)
    return (
        connection.outbound if isinstance(connection.outbound, NotifyOnlyOutbound) else connection
    )
