"""A gateway over tools in memory, as a process: what the tests of the transports start."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from typing import Any

import anyio

from plait.app.serving import run_http, run_stdio
from plait.config import GatewaySettings, LimitSettings
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.stopping import Stop, stopped_by_signals
from plait.upstream.transports.admission import Everybody
from plait.upstream.transports.hosts import Allowed
from plait.upstream.transports.listening import listen_on
from plait.upstream.transports.stdio import private_stdio

from ..fakes import FakeServers, tool


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def tools(stop: Stop) -> FakeServers:
    servers = FakeServers()

    async def hang() -> None:
        say("s:hang called")
        try:
            await anyio.sleep_forever()
        finally:
            say("s:hang aborted")

    async def held() -> dict[str, Any]:
        say("s:held called")
        await stop.asked.wait()
        say("s:held released")
        return {}

    async def soon() -> dict[str, Any]:
        await anyio.sleep(0.1)
        return {}

    def prints() -> dict[str, Any]:
        print("printed", flush=True)
        subprocess.run(["/bin/echo", "from a child"], check=True)
        return {}

    servers.add("s:hang", hang)
    servers.add("s:held", held)
    servers.add("s:soon", soon)
    servers.add("s:print", prints)
    servers.add(tool("s:echo", {}, closed=False), lambda **arguments: arguments)
    return servers


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-line", type=int, default=16 * 2**20)
    parser.add_argument("--drain", type=float, default=5)
    parser.add_argument("--http", action="store_true")
    options, _ = parser.parse_known_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    settings = GatewaySettings(limits=LimitSettings(max_message_bytes=options.max_line))
    async with stopped_by_signals() as stop:
        servers = tools(stop)
        if options.http:
            with listen_on("127.0.0.1", 0) as listening:
                async with Gateway(servers, servers, InMemoryRuns()) as gateway:
                    allowed = Allowed("127.0.0.1")
                    await run_http(
                        gateway,
                        settings,
                        listening,
                        allowed,
                        Everybody(),
                        stop,
                        drain_s=options.drain,
                        on_ready=print,
                    )
            return
        with private_stdio() as (in_fd, out_fd):
            async with Gateway(servers, servers, InMemoryRuns()) as gateway:
                await run_stdio(gateway, settings, in_fd, out_fd, stop, drain_s=options.drain)


if __name__ == "__main__":
    anyio.run(main)
