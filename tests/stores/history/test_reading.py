"""What is read is one state of the file, and says who is alive now."""

from __future__ import annotations

from plait.core.history import CallKey, RunQuery, Settled
from plait.core.scheduling.events import Status
from plait.core.tools.output import Output

from .worlds import SqliteWorld, call, end


async def test_a_reader_sees_what_another_process_committed_a_moment_ago(disk: SqliteWorld):
    first, second = await disk.open(), await disk.open()
    log = disk.begin(first)
    await log.committed()
    assert [entry.status for entry in await second.runs(RunQuery())] == ["running"]
    call(log, "a")
    await log.committed()
    assert [one.key.task for one in await second.calls(log.id)] == ["a"]
    await disk.kill(first)
    assert [entry.status for entry in await second.runs(RunQuery())] == ["interrupted"]


async def test_a_call_that_a_later_run_made_again_counts_as_it_was_made_last(disk: SqliteWorld):
    first = await disk.open()
    log = disk.begin(first)
    call(log, "a", 1)
    await log.committed()
    await disk.kill(first)
    disk.restart_machine()
    second = await disk.open()
    went_on = (await disk.resume(second, log.id)).log
    assert went_on is not None
    call(went_on, "a", 2)
    await went_on.committed()
    chain = await disk.chain(second, log.id)
    kept = chain.calls[CallKey("a")]
    assert kept.output is not None
    assert kept.output.value == 2
    assert chain.uncertain == {CallKey("a")}


async def test_names_of_tools_are_matched_as_elsewhere_not_as_sql_does(disk: SqliteWorld):
    history = await disk.open()
    for tool in ("s:a_b", "s:axb", "s:A_B"):
        log = disk.begin(history)
        call(log, "t", tool=tool)
        await log.committed()
    assert [entry.id for entry in await history.runs(RunQuery(tool="s:a_b"))] == ["r_1"]


async def test_a_value_that_is_not_as_it_was_written_is_named(disk: SqliteWorld):
    history = await disk.open()
    changes = {
        "s:read of a is not as it was written": (
            "UPDATE attempts SET output = replace(output, '1', '2') WHERE task = 'a'"
        ),
        "s:read of large is not as it was written": (
            "UPDATE blobs SET bytes = x'01' WHERE id = "
            "(SELECT output_blob FROM attempts WHERE task = 'large' AND run = {run})"
        ),
        "the output of made is not as it was written": (
            "UPDATE blobs SET bytes = x'01' WHERE id = "
            "(SELECT output_blob FROM settled WHERE run = {run})"
        ),
        "its document is not as it was written": (
            "UPDATE blobs SET bytes = x'01' WHERE id = "
            "(SELECT document FROM runs WHERE number = {run})"
        ),
    }
    for run, (said, change) in enumerate(changes.items(), 1):
        log = disk.begin(history, document={"number": run})
        call(log, "a", 1)
        call(log, "large", f"{run}" * 1_000)
        log.put(Settled("made", 1.0, Status.SUCCESS, None, Output.of(f"-{run}" * 1_000)))
        end(log)
        await log.committed()
        assert await history.damage(log.id) is None
        history._files.db._db.execute(change.format(run=run))
        assert await history.damage(log.id) == said
