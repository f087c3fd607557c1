"""The command line over a tool that does not end when it is cancelled."""

from __future__ import annotations

import sys

import anyio

from plait.cli.commands import program
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers


async def stay() -> None:
    print("sent", file=sys.stderr, flush=True)
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()


def opened(config: object) -> Gateway:
    servers = FakeServers()
    servers.add("s:stay", stay)
    servers.add("s:echo", lambda **given: given)
    return Gateway(servers, servers, InMemoryRuns())


if __name__ == "__main__":
    program(obj=opened)
