"""A server on the official SDK:   sdk_server.py stdio|http|sse JOURNAL [--port N] [--slow SECONDS] [--die N]

Over HTTP it prints its URL. It starts slowly, and dies in its first starts, as it is told.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
import warnings

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel

server = MCPServer("contract", version="1")
parser = argparse.ArgumentParser()
parser.add_argument("transport")
parser.add_argument("journal")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--slow", type=float, default=0)
parser.add_argument("--die", type=int, default=0)
options = parser.parse_args()
journal = options.journal


def note(event: str) -> None:
    with open(journal, "a") as file:
        file.write(json.dumps(event) + "\n")


@server.tool()
async def echo(text: str, number: int = 0) -> dict[str, object]:
    return {"text": text, "number": number}


@server.tool()
async def hang(tag: str) -> str:
    note(f"{tag} started")
    try:
        await anyio.sleep_forever()
    finally:
        note(f"{tag} cancelled")
    return "never"


@server.tool()
async def steps(ctx: Context) -> str:
    for done in range(1, 6):
        await ctx.report_progress(done, 5, f"step {done}")
    return "done"


@server.tool()
async def fail() -> str:
    raise ValueError("out of luck")


@server.tool()
async def grow(ctx: Context) -> str:
    async def grown() -> str:
        return "new"

    server.add_tool(grown, name="grown")
    await ctx.notify_tools_changed()
    with warnings.catch_warnings(action="ignore"):
        await ctx.session.send_tool_list_changed()
    return "done"


class Name(BaseModel):
    name: str


@server.tool()
async def ask(ctx: Context) -> str:
    return str(await ctx.elicit("Who are you?", Name))


def main() -> None:
    note("started")
    with open(journal) as file:
        if file.read().count("started") <= options.die:
            sys.exit(9)
    time.sleep(options.slow)
    if options.transport == "stdio":
        server.run("stdio")
        return
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", options.port))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = server.streamable_http_app() if options.transport == "http" else server.sse_app()
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    print(url + ("/mcp" if options.transport == "http" else "/sse"), flush=True)
    listening.listen()
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
