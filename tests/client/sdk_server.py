"""A server on the official SDK:   sdk_server.py stdio|http|sse JOURNAL      (over HTTP it prints its URL)"""

from __future__ import annotations

import json
import socket
import sys

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("contract", version="1")
journal = sys.argv[2]


def note(event: str) -> None:
    with open(journal, "a") as file:
        file.write(json.dumps(event) + "\n")


@server.tool()
async def echo(text: str, number: int = 0) -> dict[str, object]:
    return {"text": text, "number": number}


@server.tool()
async def hang() -> str:
    note("hang started")
    try:
        await anyio.sleep_forever()
    finally:
        note("hang cancelled")
    return "never"


@server.tool()
async def steps(ctx: Context) -> str:
    for done in range(1, 6):
        await ctx.report_progress(done, 5, f"step {done}")
    return "done"


@server.tool()
async def fail() -> str:
    raise ValueError("out of luck")


def main() -> None:
    if sys.argv[1] == "stdio":
        server.run("stdio")
        return
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = server.streamable_http_app() if sys.argv[1] == "http" else server.sse_app()
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    print(url + ("/mcp" if sys.argv[1] == "http" else "/sse"), flush=True)
    listening.listen()
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
