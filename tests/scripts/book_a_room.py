"""Does one job as a model would: through `execute_dag` where it is offered, else tool by tool.

book_a_room.py MCP_CONFIG DAY    with the job on standard input
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client


async def main(config: str, day: str) -> None:
    assert "Postmortem" in sys.stdin.read()
    [server] = json.loads(config)["mcpServers"].values()
    free = {"start": f"{day}T14:00", "end": f"{day}T15:00"}
    event = {"title": "Postmortem", **free, "attendees": ["ada", "ken"]}
    async with Client(stdio_client(StdioServerParameters(**server))) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        if "execute_dag" in names:
            room = {"id": "room", "tool": "calendar:list_free_rooms", "arguments": free,
                    "select": "min_by(rooms[?seats >= 8], &seats).name"}  # fmt: skip
            book = {"id": "book", "tool": "calendar:create_event",
                    "arguments": {**event, "room": "$OUTPUT[room]"}}  # fmt: skip
            await client.call_tool("search_tools", {"query": "free rooms; create an event"})
            await client.call_tool("execute_dag", {"tasks": [room, book]})
            return
        found = await client.call_tool("calendar__list_free_rooms", free)
        assert found.structured_content is not None
        rooms = [room for room in found.structured_content["rooms"] if room["seats"] >= 8]
        least = min(rooms, key=lambda room: int(room["seats"]))
        await client.call_tool("calendar__create_event", {**event, "room": least["name"]})


asyncio.run(main(Path(sys.argv[1]).read_text(), sys.argv[2]))
