"""One folder, one web server and every server, for all tests, and gateways over some of the
servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from .raw_client import Message
from .samples import pages, populate
from .servers import (
    Process,
    Server,
    SharedGateway,
    gateway_over_http,
    http_servers,
    shared_gateway,
    stdio_servers,
    write_settings,
)

SERVERS = [
    "everything",
    "everything-http",
    "everything-sse",
    "files",
    "memory",
    "git",
    "time",
    "fetch",
]


@dataclass(frozen=True, slots=True)
class World:
    """The servers at work in `folder`, and the web `pages`. Gateways over some servers are behind
    doors to one that is `shared`, or over HTTP: `gateway(names, expose)` gives the base URL."""

    folder: Path
    servers: Mapping[str, Server]
    pages: str
    listed: dict[str, list[Message]]
    """The tools that each server lists to a client of its own, where that was asked before."""
    settings: Callable[[tuple[str, ...], str, str], Path]
    """The settings with these servers, this `expose` and this `scope`."""
    gateway: Callable[[tuple[str, ...], str], str]
    shared: SharedGateway

    def door(
        self, names: tuple[str, ...], expose: str = "all", *, scope: str = "machine"
    ) -> Process:
        """A door to a gateway over the servers of these *names*."""
        return Process(self.shared.door(self.settings(names, expose, scope)), self.folder)


@pytest.fixture(scope="session")
def shared() -> Iterator[SharedGateway]:
    """The gateway behind all doors."""
    with shared_gateway() as gateway:
        yield gateway


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, shared: SharedGateway) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world").resolve()
    populate(folder)
    with ExitStack() as stack:
        url = stack.enter_context(pages())
        servers = {**stdio_servers(folder), **stack.enter_context(http_servers(folder))}
        assert sorted(servers) == sorted(SERVERS)

        @cache
        def settings(names: tuple[str, ...], expose: str, scope: str) -> Path:
            own: dict[str, object] = {"max_result_chars": 1_000_000}
            file = tmp_path_factory.mktemp("gateway") / "servers.toml"
            chosen = {name: servers[name] for name in names}
            gateway = own if expose == "dag" else {**own, "expose": expose}
            return write_settings(file, chosen, gateway, scope=scope)

        @cache
        def gateway(names: tuple[str, ...], expose: str) -> str:
            return stack.enter_context(gateway_over_http(settings(names, expose, "machine")))

        yield World(folder, servers, url, {}, settings, gateway, shared)
