"""Servers that outlive gateways, and gateways that die in the middle of runs, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

from plait.core.ports import Caller
from plait.core.results.result import RunResult
from plait.core.tools.policy import Policy
from plait.engine.gateway import Gateway, GatewayLimits
from plait.engine.verifying import NotVerifiable, Verifying
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.shelf import Shelf
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, text, tool


class World:
    """Servers that outlive gateways, and the history that these share. `log` has each call as it
    reached its tool: the tool's name and its `n`."""

    def __init__(self) -> None:
        self.servers = FakeServers()
        self.shelf = Shelf()
        self.log: list[tuple[str, Any]] = []
        self.hangs: set[tuple[str, Any]] = set()
        """The calls that are never answered."""
        self.keys: list[tuple[Any, str | None]] = []
        """The `n` of each call, and its idempotency key."""
        self.failures: dict[tuple[str, Any], int] = {}
        """How often calls fail before they succeed."""
        self.delays: dict[tuple[str, Any], float] = {}
        """The seconds that calls take."""
        self.limits = GatewayLimits()
        self.policy = Policy()
        self.add("read", readOnlyHint=True)
        self.add("write")
        self.add("put", idempotentHint=True)
        self.add("flaky", readOnlyHint=True)
        self.add("fail", lambda n: text("no", is_error=True))

    def add(self, name: str, answer: Callable[..., Any] | None = None, **hints: Any) -> None:
        async def called(caller: Caller, n: Any = None, **rest: Any) -> Any:
            self.log.append((name, n))
            self.keys.append((n, caller.idempotency_key))
            if (name, n) in self.hangs:
                await anyio.sleep_forever()
            await anyio.sleep(self.delays.get((name, n), 0))
            if self.failures.get((name, n), 0) > 0:
                self.failures[name, n] -= 1
                return text("not now", is_error=True)
            return {"n": n, **rest} if answer is None else answer(n)

        self.servers.add(tool(f"s:{name}", {"n": {}}, closed=False, **hints), called)

    @property
    def writes(self) -> Counter[Any]:
        return Counter(n for name, n in self.log if name == "write")

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[tuple[Gateway, MemoryHistory]]:
        history = MemoryHistory(self.shelf)
        parts = self.servers, self.servers, InMemoryRuns()
        settings: dict[str, Any] = {"limits": self.limits, "policy": self.policy}
        async with Gateway(*parts, **settings, history=history) as gateway:
            yield gateway, history
        await self._verify()

    async def _verify(self) -> None:
        """Make all runs again: whatever the tests do, it follows from what was written."""
        history = MemoryHistory(self.shelf)
        history.die()
        verifying = Verifying(history, InMemoryRuns())
        for run_id in self.shelf.runs:
            with suppress(NotVerifiable):
                await verifying.verify(run_id)

    async def interrupted(self, document: Any, seconds: float = 5) -> str:
        """Begin a run, and let its gateway die after *seconds*. Returns its id."""
        async with self.gateway() as (gateway, history):
            submitted = await gateway.submit(document)
            await gateway.wait(submitted.run_id, seconds)
            history.die()
        self.hangs.clear()
        return submitted.run_id

    async def gone_on(self, run_id: str, **more: Any) -> RunResult:
        """Go on with a run in a gateway of its own."""
        async with self.gateway() as (gateway, _):
            return await gateway.execute({"tasks": [], "resume_from": run_id, **more})


def task(id: str, name: str, n: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": f"s:{name}", "arguments": {"n": n}, **more}
