"""A client that does a job as its reference plan says: one search, then one DAG."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from .desk import server_in

PLANS = Path(__file__).with_name("plans")


def read_plan(name: str, days: Mapping[str, str]) -> dict[str, Any]:
    """Read the plan of a job: `search`, the words to search for, and `dag`, the document."""
    text = (PLANS / f"{name}.json").read_text(encoding="utf-8")
    for word, day in days.items():
        text = text.replace(word, day)
    plan: dict[str, Any] = json.loads(text)
    return plan


@asynccontextmanager
async def connected(mcp_config: Path) -> AsyncIterator[Client]:
    """Yield a client of the gateway of *mcp_config*, which has read its list of tools."""
    server = StdioServerParameters(**server_in(mcp_config))
    async with Client(stdio_client(server)) as client:
        await client.list_tools()
        yield client


async def play(plan: Mapping[str, Any], client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """Search and run as *plan* says; return both answers."""
    found = await client.call_tool("search_tools", {"query": plan["search"]})
    ran = await client.call_tool("execute_dag", plan["dag"])
    return found.structured_content or {}, ran.structured_content or {}
