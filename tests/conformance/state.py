"""What the fixture server remembers between requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_args

import mcp_types as types
from mcp.server import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus

LEVELS: tuple[types.LoggingLevel, ...] = get_args(types.LoggingLevel)


@dataclass(frozen=True, slots=True)
class State:
    """Log levels and watched resources of handshake-era sessions, and the bus to the modern era's
    listeners."""

    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    levels: dict[str | None, types.LoggingLevel] = field(default_factory=dict)
    watched: set[tuple[str | None, str]] = field(default_factory=set)


def session_of(context: ServerRequestContext[State, Any]) -> str | None:
    """The id of the request's HTTP session; None over stdio, where there is one session."""
    return None if context.request is None else context.request.headers.get("mcp-session-id")


def is_heard(context: ServerRequestContext[State, Any], level: types.LoggingLevel) -> bool:
    """Whether the session set no log level, or one that is not above this one."""
    lowest = context.lifespan_context.levels.get(session_of(context), LEVELS[0])
    return LEVELS.index(level) >= LEVELS.index(lowest)
