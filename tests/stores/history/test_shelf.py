"""What a history in memory keeps of runs; most of it is shown by `test_contract.py`."""

from __future__ import annotations

from plait.core.history import Effect, RunQuery
from plait.core.values.principal import Principal
from plait.stores.history.shelf import ENTRY_BYTES, fits

from .worlds import BEGAN, MemoryWorld, admit, call, end


async def test_a_run_takes_the_memory_of_its_entries_and_outputs():
    world = MemoryWorld()
    history = await world.open()
    small, large = world.begin(history), world.begin(history)
    for log, size in ((small, 1), (large, 50_000)):
        call(log, "a", "x" * size)
        end(log)
        await log.committed()
    sizes = [world.shelf.runs[log.id].size_bytes for log in (small, large)]
    assert 2 * ENTRY_BYTES <= sizes[0] < sizes[1] - 49_000


async def test_an_attempt_is_what_its_last_row_says():
    world = MemoryWorld()
    history = await world.open()
    log = world.begin(history)
    call(log, "a", 1, Effect.WRITE)
    admit(log, "b")
    await log.committed()
    run = world.shelf.runs[log.id]
    assert [(one.key.task, one.code) for one in run.attempts(values=False)] == [
        ("a", "success"),
        ("b", None),
    ]
    assert [one.arguments for one in run.attempts(values=False)] == [None, None]
    assert list(run.tools()) == ["s:write", "s:write", "s:write"]
    assert run.last_time == BEGAN


async def test_a_run_fits_a_query_by_each_of_its_parts():
    world = MemoryWorld()
    history = await world.open()
    log = world.begin(history, document_digest="d")
    await log.committed()
    [entry] = await history.runs(RunQuery())
    for query in (
        RunQuery(document_digest="d", since=BEGAN - 1, status="running", prefix=log.id[:2]),
        RunQuery(),
    ):
        assert fits(entry, query)
    for query in (
        RunQuery(document_digest="e"),
        RunQuery(since=BEGAN),
        RunQuery(status="success"),
        RunQuery(failed=True),
        RunQuery(principal=Principal("bob")),
        RunQuery(prefix="r_x"),
    ):
        assert not fits(entry, query)
