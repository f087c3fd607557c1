"""What the contract's tests share: a gateway over tools in memory, on a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

from plait.calls.cache import Cache
from plait.core.results.result import RunResult
from plait.core.scheduling.limits import Limits
from plait.core.tools.policy import Policy, Rule
from plait.core.tools.rules import Rules
from plait.core.tools.tool_stats import ToolStats
from plait.engine.gateway import Gateway, GatewayLimits
from plait.errors import ConnectionLost, InvalidDag
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.server import build_server

from ..fakes import FakeServers, text, tool
from ..upstream.conftest import in_memory

STRING, NUMBER = {"type": "string"}, {"type": "number"}


class House:
    """A gateway and the tools behind it. `spans` says when each call ran, by what it was given as
    `name`."""

    def __init__(self) -> None:
        self.servers = FakeServers()
        self.files: dict[str, Any] = {}
        self.spans: dict[str, tuple[float, float]] = {}
        self.failures: dict[str, int] = {}
        add = self.servers.add
        add(tool("s:echo", closed=False, readOnlyHint=True), lambda **arguments: arguments)
        add(tool("s:say", {"text": STRING}, ["text"]), lambda text: {"said": text})
        add(
            tool("s:sleep", {"name": STRING, "seconds": NUMBER}, closed=False, readOnlyHint=True),
            self._sleep,
        )
        add(tool("s:fail", closed=False), lambda **_: text("EACCES: /x", is_error=True))
        add(tool("s:flaky", {"times": NUMBER}, closed=False, readOnlyHint=True), self._flaky)
        add(
            tool("s:text", {"text": STRING}, readOnlyHint=True),
            lambda text="": globals()["text"](text),
        )
        add(tool("s:blocks", readOnlyHint=True), lambda: text("one", "two"))
        add(tool("s:nothing", readOnlyHint=True), lambda: {"content": [], "isError": False})
        add(
            tool("files:read", {"path": STRING, "name": STRING}, ["path"], readOnlyHint=True),
            self._read,
        )
        add(
            tool("files:write", {"path": STRING, "text": {}, "name": STRING}, ["path"]), self._write
        )

    def gateway(
        self,
        *rules: Rule,
        deny: Iterable[str] = (),
        tables: tuple[Rules, ...] = (),
        server_timeouts: Mapping[str, float] | None = None,
        **options: Any,
    ) -> Gateway:
        limits = options.pop("limits", GatewayLimits(concurrency=Limits(options.pop("slots", 32))))
        return Gateway(
            self.servers,
            Cache(self.servers),
            InMemoryRuns(),
            policy=Policy(rules, (*tables, Rules(tuple(deny))), server_timeouts or {}),
            limits=limits,
            **options,
        )

    @asynccontextmanager
    async def client(
        self, name: str = "test", learned: ToolStats | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        """A client *name* of the real SDK; *options* are those of `build_server`."""
        info = types.Implementation(name=name, version="1")
        async with self.gateway(learned=learned) as gateway:
            server = build_server(gateway, **options)
            async with Client(in_memory(server), mode="legacy", client_info=info) as client:
                yield client

    async def run(self, *tasks: dict[str, Any], **options: Any) -> RunResult:
        async with self.gateway() as gateway:
            return await gateway.execute({"tasks": list(tasks), **options})

    async def refused(self, *tasks: Any, **options: Any) -> dict[str, str]:
        """The codes of the problems with a document, by path."""
        calls = len(self.servers.calls)
        async with self.gateway() as gateway:
            with pytest.raises(InvalidDag) as refused:
                await gateway.execute({"tasks": list(tasks), **options})
        assert len(self.servers.calls) == calls
        return {problem.path: problem.code for problem in refused.value.problems}

    @property
    def called(self) -> list[str]:
        """The tools that were called, in order."""
        return [name for name, _ in self.servers.calls]

    async def _sleep(self, name: str = "", seconds: float = 1, **rest: Any) -> dict[str, Any]:
        await self._busy(name, seconds)
        return {"slept": seconds, **rest}

    async def _read(self, path: str, name: str = "") -> dict[str, Any]:
        await self._busy(name, 1)
        return {"text": self.files.get(path)}

    async def _write(self, path: str, text: Any = "", name: str = "") -> dict[str, Any]:
        await self._busy(name, 1)
        self.files[path] = text
        return {"path": path}

    async def _busy(self, name: str, seconds: float) -> None:
        began = anyio.current_time()
        await anyio.sleep(seconds)
        if name:
            self.spans[name] = began, anyio.current_time()

    def _flaky(self, times: float = 1, key: str = "", **rest: Any) -> dict[str, Any]:
        """Fails so many times in a way that may pass."""
        self.failures[key] = self.failures.get(key, 0) + 1
        if self.failures[key] <= times:
            raise ConnectionLost("gone")
        return {"tries": self.failures[key], **rest}


@pytest.fixture
def house() -> House:
    return House()


def task(id: str, tool: str = "s:echo", /, **arguments: Any) -> dict[str, Any]:
    """A task; what is not an argument is set with `|`."""
    return {"id": id, "tool": tool, "arguments": arguments}
