"""Runs are the same after they were written as lines and taken in elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plait.core.history import (
    CallKey,
    Effect,
    Happened,
    KeptCall,
    KeptRun,
    Settled,
)
from plait.core.history_store import History
from plait.core.scheduling.events import Failure, Status
from plait.core.tools.output import Output
from plait.core.values.strict import JsonObject
from plait.errors import HistoryLost
from plait.stores.history.exchange import NotExported, export, take_in

from .worlds import MemoryWorld, World, admit, call, end

FAILURE = Failure("timeout", "no answer", None, True, -32001)


async def lines_of(history: History, *runs: str) -> list[bytes]:
    return [line async for line in export(history, runs)]


async def a_run(
    world: World, history: History, *, is_done: bool = True, keeps_values: bool = True
) -> str:
    document: JsonObject = {"tasks": [{"id": "é"}]}
    log = world.begin(
        history,
        name="nightly",
        client="c1",
        document=document,
        keeps_values=keeps_values,
        catalog_digest="d1",
        definitions=lambda: [["s:é", {"name": "é"}, True]],
    )
    call(log, "a", {"n": None}, at=0.5, key=CallKey("a", 3, (1, 2), 4))
    call(log, "b", error=FAILURE, effect=Effect.IDEMPOTENT, arguments={"to": ["you", 2**70]})
    log.put(Happened(1.0, "woke", CallKey("a", None, (1,)), {"why": ["x"]}))
    admit(log, "w")
    picture = Output([1], ({"type": "image", "data": "x"},), 3, True, 9, (1,))
    log.put(Settled("s", 1.5, Status.SUCCESS, None, picture))
    log.put(Settled("t", 1.5, Status.SKIPPED, Failure("condition", "no")))
    if is_done:
        end(log, "partial", at=2.0, failed=1)
    await log.committed()
    return log.id


async def content(history: History, run_id: str) -> tuple[KeptRun, list[KeptCall], object]:
    kept = await history.run(run_id)
    assert kept is not None
    entry = replace(kept.entry, is_taken_in=False)
    others = [
        await history.events(run_id),
        await history.settled(run_id),
        await history.definitions(run_id),
    ]
    return replace(kept, entry=entry), await history.calls(run_id, values=True), others


@pytest.mark.parametrize("keeps_values", [True, False])
async def test_a_run_is_the_same_where_it_is_taken_in(world: World, keeps_values: bool):
    history, elsewhere = await world.open(), await MemoryWorld().open()
    run_id = await a_run(world, history, keeps_values=keeps_values)
    lines = await lines_of(history, run_id)
    assert await take_in(elsewhere, lines) == [run_id]
    assert await content(elsewhere, run_id) == await content(history, run_id)
    assert await lines_of(elsewhere, run_id) == lines


async def test_a_file_takes_in_what_a_file_has_written(world: World):
    there, here = MemoryWorld(), await world.open()
    lines = await lines_of(elsewhere := await there.open(), await a_run(there, elsewhere))
    assert await take_in(here, [*lines, *lines]) == ["r_1"]
    assert await content(here, "r_1") == await content(elsewhere, "r_1")


async def test_no_run_goes_on_from_one_that_ran_elsewhere(world: World):
    history, there = await world.open(), MemoryWorld()
    first = await there.open()
    run_id = await a_run(there, first, is_done=False)
    await there.kill(first)
    await take_in(history, await lines_of(await there.open(), run_id))
    chain = await world.chain(history, run_id)
    assert chain.head.entry.status == "interrupted"
    assert chain.head.entry.ended is None
    assert chain.head.record is None
    assert chain.calls[CallKey("w")].code is None
    with pytest.raises(HistoryLost, match="ran elsewhere"):
        await history.go_on(chain, world.beginning(), anew=True)


async def test_what_still_runs_or_is_unknown_is_left_out(world: World):
    history = await world.open()
    assert await lines_of(history, await a_run(world, history, is_done=False), "r_none") == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "line 1 "),
        (b"[]", "an object is missing"),
        (b'{"call": {}}', "its run is missing"),
        (b'{"run": {"version": 2}}', "another version"),
        (b'{"run": {"id": "r"}}', "version"),
        (b'{"run": {}, "end": {}}', "line 1 .* one member"),
        (b"{}", "one member"),
        (b'{"run": {"version": 1}}', "its members are not those"),
    ],
)
async def test_a_line_that_export_did_not_write_is_named(line: bytes, why: str):
    with pytest.raises(NotExported, match=why):
        await take_in(await MemoryWorld().open(), [line])


async def test_a_row_that_is_none_of_ours_is_named_with_its_line(world: World):
    history = await world.open()
    first, *_ = await lines_of(history, await a_run(world, history))
    with pytest.raises(NotExported, match='line 2 is not a line of a run: "other"'):
        await take_in(await MemoryWorld().open(), [first, b'{"other": {}}'])


async def test_definitions_are_written_once_and_known_of_each_run(world: World):
    history, elsewhere = await world.open(), await MemoryWorld().open()
    ids = [await a_run(world, history) for _ in range(2)]
    lines = await lines_of(history, *ids)
    assert sum(line.startswith(b'{"tools"') for line in lines) == 1
    await take_in(elsewhere, lines)
    for run_id in ids:
        assert await elsewhere.definitions(run_id) == [["s:é", {"name": "é"}, True]]
