"""Large documents are checked in a thread, by what was known when the check began."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from plait.core.language.reader import read_dag
from plait.core.planning import check as checks
from plait.core.planning.plan import Plan
from plait.core.results import forecast
from plait.core.results.forecast import Forecast
from plait.core.tools.policy import Policy
from plait.core.tools.tool_stats import ToolStats
from plait.engine.checking import LARGE_BYTES, LARGE_CALLS, Checking
from plait.engine.gateway import Gateway, GatewayLimits
from plait.errors import InvalidDag
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, tool

LARGE = "x" * LARGE_BYTES


@pytest.fixture
def servers() -> FakeServers:
    made = FakeServers()
    made.add(tool("s:echo", {}, closed=False), lambda **given: given)
    return made


def a_dag(**arguments: Any) -> dict[str, Any]:
    return {"tasks": [{"id": "a", "tool": "s:echo", "arguments": arguments}]}


class Watched:
    """The threads in which documents are checked. Those other than the first wait until they
    `may_end`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.in_main = self.in_others = 0
        self.may_end = threading.Event()
        running = threading.Semaphore(1)
        check = checks.check

        def watched(*given: Any, **more: Any) -> Plan:
            if threading.current_thread() is threading.main_thread():
                self.in_main += 1
                return check(*given, **more)
            assert running.acquire(blocking=False), "two checks at once"
            self.in_others += 1
            assert self.may_end.wait(30)
            running.release()
            return check(*given, **more)

        monkeypatch.setattr(checks, "check", watched)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


async def test_a_large_document_is_checked_while_others_call(
    servers: FakeServers, watched: Watched
):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway, anyio.create_task_group() as t:
        for _ in range(3):
            t.start_soon(gateway.execute, a_dag(x=LARGE))
        small = await gateway.execute(a_dag(x="small"))
        assert small.status == "success"
        watched.may_end.set()
    assert (watched.in_main, watched.in_others) == (1, 3)
    assert len(servers.calls) == 4


async def test_the_problems_of_a_large_document_are_those_of_a_small_one(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        found = []
        for more in ("", LARGE):
            with pytest.raises(InvalidDag) as refused:
                await gateway.plan(a_dag(x="$OUTPUT[b].y", more=more))
            found.append(refused.value.problems)
    assert found[0] == found[1]


async def test_a_large_plan_knows_what_was_learned_of_its_tools(servers: FakeServers):
    learned = ToolStats()
    async with Gateway(servers, servers, InMemoryRuns(), learned=learned) as gateway:
        for _ in range(5):
            await gateway.execute(a_dag(x=1))
        checking = Checking(Policy(), learned, max_items=10, max_calls=10)
        plans = [
            await checking.plan(read_dag(a_dag(x=text)), gateway.catalog(), {})
            for text in ("", LARGE)
        ]
    small, large = plans
    assert (large.costs, large.untimed) == (small.costs, ())


@pytest.mark.parametrize("items", [10, LARGE_CALLS + 1])
async def test_a_dry_run_of_many_calls_is_predicted_in_a_thread(
    servers: FakeServers, items: int, monkeypatch: pytest.MonkeyPatch
):
    threads: list[bool] = []
    predict = forecast.forecast

    def watched(*given: Any) -> Forecast:
        threads.append(threading.current_thread() is threading.main_thread())
        return predict(*given)

    monkeypatch.setattr(forecast, "forecast", watched)
    [one] = a_dag(x="$ITEM")["tasks"]
    limits = GatewayLimits(max_items=items)
    async with Gateway(servers, servers, InMemoryRuns(), limits=limits) as gateway:
        plan = await gateway.plan({"tasks": [{**one, "for_each": list(range(items))}]})
    assert plan["status"] == "planned"
    assert threads == [items <= LARGE_CALLS]


@pytest.mark.parametrize("is_text", [True, False])
def test_a_reading_knows_the_size_of_its_document(is_text: bool):
    document = '{"tasks":[{"id":"a","tool":"s:echo","arguments":{"x":1}}]}'
    reading = read_dag(document if is_text else a_dag(x=1))
    assert reading.size_bytes == len(document)
