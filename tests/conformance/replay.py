"""Keeps the events of server-sent streams in memory, so that a client that comes back gets what it
missed."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import JSONRPCMessage


@dataclass(slots=True)
class Replay(EventStore):
    """Every event of every stream, numbered in the order in which they came."""

    events: list[tuple[StreamId, JSONRPCMessage | None]] = field(default_factory=list)

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(
        self, last_event_id: EventId, send_callback: EventCallback
    ) -> StreamId | None:
        """Sends what came later on the event's own stream; None where there was no such event."""
        if not last_event_id.isdecimal() or not 0 < int(last_event_id) <= len(self.events):
            return None
        last = int(last_event_id)
        stream = self.events[last - 1][0]
        for number, (origin, message) in enumerate(self.events[last:], last + 1):
            if origin == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream
