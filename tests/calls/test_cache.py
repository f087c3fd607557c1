"""Answers that are used again, on a clock that jumps."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.calls.cache import Cache, fingerprints
from plait.core.ports import ToolCall
from plait.core.tools.policy import Policy, Rule, ToolPolicy
from plait.core.values.strict import JsonObject
from plait.engine.gateway import Gateway
from plait.errors import ProtocolError, ToolError
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeCaller, FakeServers, a_call, structured, text, tool

pytestmark = pytest.mark.virtual_time


class Desk:
    """A cache around tools in memory, over files that have a state each."""

    def __init__(self, max_bytes: int = 2**20) -> None:
        self.servers = FakeServers()
        self.files: dict[str, tuple[int, int, int]] = {}
        self.cache = Cache(
            self.servers, lambda server, path: self.files.get(path), max_bytes=max_bytes
        )
        self.count = 0
        self.servers.add(tool("s:read", closed=False, readOnlyHint=True), self._read)
        self.servers.add(tool("s:write", closed=False), self._write)
        self.servers.add(tool("other:write", closed=False), lambda **_: structured({}))

    async def ask(
        self, name: str = "s:read", cache_s: float = 60, stat: str | None = None, **arguments: Any
    ) -> bool:
        """Whether the answer was an earlier one."""
        definition = self.servers.tools[name][0]
        caller = FakeCaller()
        await self.cache(
            a_call(definition, arguments, caller, cache_s, ToolPolicy(cache_stat=stat))
        )
        return caller.was_cached

    async def _write(self, seconds: float = 0, **_: Any) -> Any:
        await anyio.sleep(seconds)
        return structured({})

    async def _read(self, seconds: float = 0, fails: bool = False, **_: Any) -> Any:
        self.count += 1
        await anyio.sleep(seconds)
        return text("no", is_error=True) if fails else structured({"count": self.count})


async def test_an_equal_call_within_its_time_is_answered_without_one() -> None:
    desk = Desk()
    assert [await desk.ask(x=1, y=2), await desk.ask(y=2, x=1), await desk.ask(x=1, y=3)] == [
        False,
        True,
        False,
    ]
    assert desk.count == 2


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0, False), ("1", 1), (None, "null")]
)
async def test_arguments_of_other_types_are_other_calls(one: Any, other: Any) -> None:
    desk = Desk()
    assert [await desk.ask(x=one), await desk.ask(x=other)] == [False, False]


async def test_an_answer_is_used_no_longer_than_the_caller_says() -> None:
    desk = Desk()
    await desk.ask()
    await anyio.sleep(10)
    assert await desk.ask(cache_s=10)
    assert not await desk.ask(cache_s=9)


async def test_a_call_that_wants_no_earlier_answer_gets_none() -> None:
    desk = Desk()
    assert [await desk.ask(), await desk.ask(cache_s=0)] == [False, False]


async def test_a_failure_is_not_kept() -> None:
    desk = Desk()
    assert [await desk.ask(fails=True), await desk.ask(fails=True)] == [False, False]


async def test_a_changed_file_is_a_miss_and_one_that_cannot_be_seen_is_not_kept() -> None:
    desk = Desk()
    desk.files["x"] = (1, 1, 1)
    assert [await desk.ask(stat="path", path="x"), await desk.ask(stat="path", path="x")] == [
        False,
        True,
    ]
    desk.files["x"] = (2, 1, 1)
    assert not await desk.ask(stat="path", path="x")
    assert [await desk.ask(stat="path", path="y"), await desk.ask(stat="path", path="y")] == [
        False,
        False,
    ]


async def test_a_file_that_changes_during_the_call_leaves_nothing_kept() -> None:
    desk = Desk()
    desk.files["x"] = (1, 1, 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: desk.ask(stat="path", path="x", seconds=2))
        await anyio.sleep(1)
        desk.files["x"] = (2, 1, 1)
    assert not await desk.ask(stat="path", path="x", seconds=2)


async def test_a_call_that_may_change_something_drops_what_is_kept_of_its_server_alone() -> None:
    desk = Desk()
    await desk.ask()
    await desk.ask("other:write", cache_s=0)
    assert await desk.ask()
    await desk.ask("s:write", cache_s=0)
    assert not await desk.ask()


async def test_servers_of_one_name_that_several_configurations_have_are_apart() -> None:
    """Each has its answers, its files and its changes, and is forgotten by its unique name."""
    servers = FakeServers()
    servers.add(tool("s:read", closed=False, readOnlyHint=True), lambda **_: {})
    servers.add(tool("s:write", closed=False), lambda **_: {})
    files: dict[tuple[str, str], Any] = {("s@1", "x"): (1,), ("s@2", "x"): (1,)}
    cache = Cache(servers, lambda server, path: files.get((server, path)))

    async def is_kept(key: str, name: str = "s:read", stat: str | None = None) -> bool:
        definition = replace(servers.tools[name][0], shared_as=key)
        caller = FakeCaller()
        policy = ToolPolicy(cache_stat=stat)
        age_s = 60 if definition.is_read_only else 0
        await cache(a_call(definition, {"path": "x"}, caller, age_s, policy))
        return caller.was_cached

    async def kept() -> list[bool]:
        return [await is_kept("s@1"), await is_kept("s@2")]

    assert await kept() == [False, False]
    assert await kept() == [True, True]
    await is_kept("s@1", "s:write")
    assert await kept() == [False, True]
    cache.forget(["s@2"])
    assert await kept() == [True, False]
    assert [await is_kept("s@1", stat="path") for _ in range(2)] == [False, True]
    files["s@2", "x"] = (2,)
    assert await is_kept("s@1", stat="path")


class ByName:
    """Calls by name to a gateway whose operator has the answers of `s:read` kept."""

    def __init__(self, desk: Desk, gateway: Gateway) -> None:
        self.desk = desk
        self.gateway = gateway

    async def read(self, **members: Any) -> Any:
        """The number of the answer to one more call of `s:read`; *members* are those of its
        params."""
        params: JsonObject = {"name": "read", "arguments": {"x": 1}, **members}
        result: Any = await self.gateway.call("s", "read", params)
        return result["structuredContent"]["count"]


@asynccontextmanager
async def by_name() -> AsyncIterator[ByName]:
    desk = Desk()
    policy = Policy((Rule("s:read", cache_ttl_s=60),))
    async with Gateway(desk.servers, desk.cache, InMemoryRuns(), policy=policy) as gateway:
        yield ByName(desk, gateway)


async def test_calls_by_name_and_tasks_are_given_the_same_answers() -> None:
    async with by_name() as calls:
        assert [await calls.read(), await calls.read(_meta={"trace": 1})] == [1, 1]
        result = await calls.gateway.execute(
            {"tasks": [{"id": "t", "tool": "s:read", "arguments": {"x": 1}}]}
        )
        assert result.outputs["t"] == {"count": 1}
        await anyio.sleep(61)
        assert await calls.read() == 2


async def test_a_call_by_name_that_goes_on_with_another_is_made() -> None:
    async with by_name() as calls:
        assert [await calls.read(), await calls.read(requestState="s"), await calls.read()] == [
            1,
            2,
            1,
        ]


@pytest.mark.parametrize(("server", "is_kept"), [("s", False), ("other", True)])
async def test_a_call_by_name_that_may_change_something_drops_it_too(
    server: str, is_kept: bool
) -> None:
    async with by_name() as calls:
        await calls.read()
        await calls.gateway.call(server, "write", {"name": "write"})
        assert await calls.read() == (1 if is_kept else 2)


async def test_a_call_by_name_that_fails_has_perhaps_changed_something() -> None:
    async with by_name() as calls:

        async def fail() -> None:
            assert await calls.read() == 2
            raise ProtocolError("no")

        calls.desk.servers.add(tool("s:fail"), fail)
        await calls.read()
        with pytest.raises(ProtocolError, match="no"):
            await calls.gateway.call("s", "fail", {"name": "fail"})
        assert await calls.read() == 3


async def test_a_result_that_asks_for_input_is_not_kept() -> None:
    asks: JsonObject = {"resultType": "input_required", "requestState": "s"}
    results: list[JsonObject] = [asks, {"content": []}]

    async def call_tool(call: ToolCall) -> JsonObject:
        return results.pop(0)

    cache, call = Cache(call_tool), a_call(tool("s:read", readOnlyHint=True), max_age_s=60)
    assert [await cache(call), await cache(call), await cache(call)] == [
        asks,
        {"content": []},
        {"content": []},
    ]


async def test_what_is_kept_goes_when_a_change_begins_and_again_when_it_ends() -> None:
    desk = Desk()
    await desk.ask()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: desk.ask("s:write", cache_s=0, seconds=10))
        await anyio.sleep(1)
        assert not await desk.ask()
    assert not await desk.ask()


async def test_an_answer_that_was_under_way_during_a_change_is_not_kept() -> None:
    desk = Desk()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: desk.ask(seconds=2))
        await anyio.sleep(1)
        await desk.ask("s:write", cache_s=0)
    assert not await desk.ask(seconds=2)


async def test_a_changed_definition_is_a_miss() -> None:
    desk = Desk()
    await desk.ask()
    function = desk.servers.tools["s:read"][1]
    desk.servers.add(tool("s:read", closed=False, description="new", readOnlyHint=True), function)
    assert not await desk.ask()


async def test_above_its_bytes_the_least_recently_used_goes_and_a_huge_answer_is_not_kept() -> None:
    desk = Desk(max_bytes=8_000)
    for number in range(40):
        await desk.ask(x=number, pad="p" * 400)
        await desk.ask(x=0, pad="p" * 400)
    assert desk.count == 40
    assert await desk.ask(x=0, pad="p" * 400)
    assert not await desk.ask(x=1, pad="p" * 400)
    assert [await desk.ask(pad="p" * 2_000), await desk.ask(pad="p" * 2_000)] == [False, False]


async def test_an_error_of_the_way_passes_through() -> None:
    desk = Desk()

    def broken(**_: Any) -> None:
        raise ToolError("no")

    desk.servers.add(tool("s:broken", readOnlyHint=True), broken)
    with pytest.raises(ToolError):
        await desk.ask("s:broken")


async def test_who_is_given_an_answer_can_change_nothing_for_the_next() -> None:
    desk = Desk()
    call = a_call(desk.servers.tools["s:read"][0], max_age_s=60)
    for _ in range(3):
        result = await desk.cache(call)
        assert result["structuredContent"] == {"count": 1}
        result["structuredContent"] = {"count": "spoiled"}


async def test_an_answer_that_breaks_its_tools_own_schema_is_not_kept() -> None:
    desk = Desk()
    schema = {"type": "object", "properties": {"count": {"type": "string"}}}
    desk.servers.add(
        tool("s:wrong", output=schema, closed=False, readOnlyHint=True),
        desk.servers.tools["s:read"][1],
    )
    assert [await desk.ask("s:wrong"), await desk.ask("s:wrong")] == [False, False]


async def test_small_answers_count_with_all_that_they_take() -> None:
    desk = Desk(max_bytes=20_000)
    for number in range(100):
        await desk.ask(x=number)
    assert not await desk.ask(x=0)


async def test_a_task_says_whether_its_answer_was_kept_and_cache_false_never_takes_one() -> None:
    desk = Desk()
    policy = Policy((Rule("s:read", cache_ttl_s=60),))
    tasks = [{"id": "a", "tool": "s:read"}, {"id": "b", "tool": "s:read", "depends_on": ["a"]}]
    fresh = {"id": "c", "tool": "s:read", "depends_on": ["b"], "cache": False}
    async with Gateway(desk.servers, desk.cache, InMemoryRuns(), policy=policy) as gateway:
        result = await gateway.execute({"tasks": [*tasks, fresh]})
    assert [task.cached for task in result.tasks] == [False, True, False]


async def test_a_task_cannot_have_a_tool_cached_that_may_change_something() -> None:
    desk = Desk()
    tasks = [{"id": id, "tool": "s:write", "cache": 60} for id in "ab"]
    async with Gateway(desk.servers, desk.cache, InMemoryRuns()) as gateway:
        result = await gateway.execute({"tasks": tasks})
    assert [task.cached for task in result.tasks] == [False, False]
    assert "s:write is not known to read only" in result.notes[0]


def written(file: Path, content: str) -> None:
    """*file*, as if it had been written some time ago."""
    file.write_text(content)
    os.utime(file, (1_000, 1_000))


@pytest.mark.parametrize(
    ("passed", "is_known"), [(0.0, False), (1.9, False), (2.1, True), (-50.0, False)]
)
def test_a_file_that_has_just_changed_has_no_fingerprint_because_its_next_change_might_not_show(
    tmp_path: Path, passed: float, is_known: bool
) -> None:
    written(tmp_path / "x", "1")
    fingerprint = fingerprints(
        lambda server, name: str(tmp_path / name), lambda: int((1_000 + passed) * 10**9)
    )
    assert (fingerprint("here", "x") is not None) == is_known


def test_a_folder_has_no_fingerprint_because_what_changes_deep_in_it_does_not_show(
    tmp_path: Path,
) -> None:
    (tmp_path / "folder").mkdir()
    later = (tmp_path / "folder").stat().st_mtime_ns + 10**12
    fingerprint = fingerprints(lambda server, name: str(tmp_path / name), lambda: later)
    assert fingerprint("here", "folder") is None
    assert fingerprint("here", ".") is None


def test_the_fingerprint_of_a_file_changes_with_it(tmp_path: Path) -> None:
    fingerprint = fingerprints(
        lambda server, name: str(tmp_path / name) if server == "here" else None
    )
    written(tmp_path / "x", "1")
    before = fingerprint("here", "x")
    written(tmp_path / "x", "no less")
    assert None not in {before, fingerprint("here", "x")}
    assert before != fingerprint("here", "x")
    before, status = fingerprint("here", "x"), (tmp_path / "x").stat()
    while (tmp_path / "x").stat().st_ctime_ns == status.st_ctime_ns:
        written(tmp_path / "x", "as long")  # which a file's other times may hide
    assert before != fingerprint("here", "x")
    assert (
        fingerprint("here", "gone")
        is fingerprint("far", "x")
        is fingerprint("here", "nul\0l")
        is None
    )
