"""A mount that hangs stops calls with files there, and nothing else; on a virtual clock."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from plait.core.scheduling.events import Status
from plait.core.scheduling.locating import LOCATE_S, PROMPT_S
from plait.core.scheduling.notices import Changed, Finished, Notice
from plait.core.tools.claims import ResourceName, as_written
from plait.engine.gateway import Gateway
from plait.errors import ServerUnavailable
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, tool

pytestmark = pytest.mark.virtual_time
PATH = {"path": {"type": "string"}}


class Mount:
    """A resolver whose files beneath `/hung` give no answer; all others are known at once."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def at_once(self, name: ResourceName, /) -> str | None:
        return None if name.key.startswith("file:/hung") else as_written(name.key)

    def look_up(self, name: ResourceName, /) -> str:
        self.released.wait(60)
        return as_written(name.key)


@pytest.fixture
def mount() -> Iterator[Mount]:
    mount = Mount()
    yield mount
    mount.released.set()


class House:
    def __init__(self, gateway: Gateway, servers: FakeServers, notices: list[Notice]) -> None:
        self.gateway = gateway
        self.servers = servers
        self.notices = notices

    @property
    def paths(self) -> list[Any]:
        """Those of the calls that were sent."""
        return [arguments.get("path") for _, arguments in self.servers.calls]

    async def call(self, path: str) -> None:
        """Call a tool by its name."""
        await self.gateway.call("s", "write", {"name": "write", "arguments": {"path": path}})


@asynccontextmanager
async def house(mount: Mount) -> AsyncIterator[House]:
    servers, notices = FakeServers(), list[Notice]()

    async def write(path: str) -> dict[str, Any]:
        await anyio.sleep(1)
        return {"path": path}

    servers.add(tool("s:write", PATH, ["path"]), write)
    servers.add(
        tool("s:say", PATH, ["path"], readOnlyHint=True),
        lambda path: {"path": path.replace("+", "/")},
    )
    async with Gateway(
        servers, servers, InMemoryRuns(), resolver=mount, observers=[notices.append]
    ) as gateway:
        yield House(gateway, servers, notices)


def write(id: str, path: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": "s:write", "arguments": {"path": path}, **more}


async def test_a_mount_that_hangs_stops_calls_with_files_there_alone(mount: Mount):
    async with house(mount) as there:
        tasks = [
            write("stuck", "/hung/x"),
            write("a", "/x"),
            write("b", "$OUTPUT[a].path"),
            write("c", "/hung/y"),
        ]
        result = await there.gateway.execute({"tasks": tasks, "detail": "full"})
    started = {task.id: task.start_ms for task in result.tasks}
    assert started["a"] == pytest.approx(
        PROMPT_S * 1000
    )  # so long it keeps its place behind the first
    assert started["b"] == pytest.approx(PROMPT_S * 1000 + 1000)
    assert [(error.id, error.code) for error in result.errors] == [
        ("stuck", "server_unavailable"),
        ("c", "server_unavailable"),
    ]
    assert "file:/hung/x in 10 s" in result.errors[0].message
    assert there.paths == ["/x", "/x"]
    assert result.metrics.execution_time_ms == pytest.approx(LOCATE_S * 1000)


async def test_it_stops_no_other_run_and_no_call_by_name(mount: Mount):
    async with house(mount) as there, anyio.create_task_group() as tasks:
        stuck = [write(f"t{number}", f"/hung/{number}") for number in range(20)]
        tasks.start_soon(there.gateway.execute, {"tasks": stuck})
        await anyio.sleep(1)
        result = await there.gateway.execute({"tasks": [write("a", "/x")]})
        await there.call("/y")
        assert (result.status, anyio.current_time()) == ("success", 3)


async def test_what_cannot_be_located_in_time_is_not_ordered_ahead(mount: Mount):
    async with house(mount) as there:
        document = {
            "tasks": [
                write("a", "/hung/x"),
                write("b", "/hung/x"),
                write("c", "/y"),
                write("d", "/y"),
            ]
        }
        planned = await there.gateway.plan(document)
    assert anyio.current_time() == pytest.approx(PROMPT_S)
    conflicts: Any = planned["conflicts"]
    assert [(one["id"], one["waits_for"]) for one in conflicts] == [("d", "c")]


@pytest.mark.parametrize("after_s", [0.1, 5.0])
async def test_a_run_that_is_cancelled_while_it_is_located_ends_at_once_and_once(
    mount: Mount, after_s: float
):
    async with house(mount) as there:
        submitted = await there.gateway.submit(
            {"tasks": [write("a", "/hung/x"), write("b", "/hung/x")]}
        )
        await anyio.sleep(after_s)
        assert there.gateway.result(submitted.run_id).status == "running"
        began = anyio.current_time()
        result = await there.gateway.cancel(submitted.run_id)
        assert (result.status, anyio.current_time()) == ("cancelled", began)
    assert there.paths == []
    moves = [(one.key.task, one.after) for one in there.notices if isinstance(one, Changed)]
    assert moves == [(id, status) for status in (Status.READY, Status.CANCELLED) for id in "ab"]
    assert sum(isinstance(one, Finished) for one in there.notices) == 1


async def test_a_call_by_name_whose_file_is_not_found_is_refused(mount: Mount):
    async with house(mount) as there:
        with pytest.raises(ServerUnavailable, match=r"no answer about file:/hung/x in 10 s"):
            await there.call("/hung/x")
        assert anyio.current_time() == LOCATE_S
    assert there.paths == []
    moves = [
        (one.key.task, one.after, one.code) for one in there.notices if isinstance(one, Changed)
    ]
    assert moves == [
        ("s:write", Status.READY, None),
        ("s:write", Status.FAILED, "server_unavailable"),
    ]


async def test_a_call_by_name_that_is_cancelled_while_it_is_located_leaves_nothing(mount: Mount):
    async with house(mount) as there:
        with anyio.move_on_after(1):
            await there.call("/hung/x")
        await there.call("/x")
        assert anyio.current_time() == 2
    assert there.paths == ["/x"]
    assert "0 direct calls" in repr(there.gateway)
