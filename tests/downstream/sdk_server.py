"""A server on the official SDK:   sdk_server.py stdio|http|sse JOURNAL [--port N] [--slow SECONDS]

Over HTTP it prints its URL. With --slow it starts slowly. `build` makes the same server for use in
this process.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel


def note(journal: Path, event: str) -> None:
    with journal.open("a") as file:
        file.write(json.dumps(event) + "\n")


class Name(BaseModel):
    name: str


def build(journal: Path) -> MCPServer:
    """The server, which notes down in *journal* what happens to calls that hang."""
    server = MCPServer("contract", version="1")

    async def grow(ctx: Context) -> str:
        async def grown() -> str:
            return "new"

        server.add_tool(grown, name="grown")
        await ctx.notify_tools_changed()
        with warnings.catch_warnings(action="ignore"):
            await ctx.session.send_tool_list_changed()
        return "done"

    for function in (echo, hanging(partial(note, journal)), steps, fail, grow, ask):
        server.add_tool(function)
    return server


async def echo(text: str, number: int = 0) -> dict[str, object]:
    return {"text": text, "number": number}


def hanging(note: Callable[[str], None]) -> Callable[..., object]:
    async def hang(tag: str) -> str:
        note(f"{tag} started")
        try:
            await anyio.sleep_forever()
        finally:
            note(f"{tag} cancelled")
        return "never"

    return hang


async def steps(ctx: Context) -> str:
    for done in range(1, 6):
        await ctx.report_progress(done, 5, f"step {done}")
    return "done"


async def fail() -> str:
    raise ValueError("out of luck")


async def ask(ctx: Context) -> str:
    return str(await ctx.elicit("Who are you?", Name))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("transport")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slow", type=float, default=0)
    return parser.parse_args()


def serve_http(server: MCPServer, transport: str, port: int) -> None:
    import uvicorn

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = server.streamable_http_app() if transport == "http" else server.sse_app()
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    print(url + ("/mcp" if transport == "http" else "/sse"), flush=True)
    listening.listen()
    uvicorn.Server(config).run(sockets=[listening])


def main() -> None:
    told = options()
    note(told.journal, f"pid {os.getpid()}")
    note(told.journal, "started")
    time.sleep(told.slow)
    server = build(told.journal)
    if told.transport == "stdio":
        server.run("stdio")
    else:
        serve_http(server, told.transport, told.port)


if __name__ == "__main__":
    main()
