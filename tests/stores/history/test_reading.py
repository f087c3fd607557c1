"""What is read is one state of the file, and says who is alive now."""

from __future__ import annotations

import re

from plait.core.history import CallKey, RunQuery, Settled
from plait.core.scheduling.events import Status
from plait.core.tools.output import Output
from plait.stores.history.database import Bindings, statements

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


async def test_a_list_looks_at_no_more_runs_than_it_shows(disk: SqliteWorld):
    db = (await disk.open())._files.db

    def plan(name: str, bindings: Bindings) -> list[str]:
        rows = db._db.execute(f"EXPLAIN QUERY PLAN {statements()[name]}", bindings)
        return [row[3] for row in rows]

    named = dict.fromkeys(re.findall(r":(\w+)", statements()["runs"]))
    listed = plan("runs", named)
    assert listed[0] == "SEARCH r USING INTEGER PRIMARY KEY (rowid>?)"
    assert not [step for step in listed if "B-TREE" in step], "it comes in its order"
    assert not [step for step in listed if step.startswith(("SCAN a", "SCAN p"))]
    indexes = [step.split()[-1] for step in plan("first_open", ()) if "INDEX" in step]
    assert indexes == ["runs_running", "runs_interrupted"]
    steps = [step for step in plan("has_posts", ("lease",)) if "SUBQUERY" not in step]
    assert not [step for step in steps if step.startswith(("SCAN r", "SCAN g"))]


async def test_open_runs_are_found_among_many_that_ended(disk: SqliteWorld):
    first, second = await disk.open(), await disk.open()
    assert await second.runs(RunQuery(status="running")) == []
    logs = [disk.begin(first) for _ in range(6)]
    for index, log in enumerate(logs):
        if index not in (1, 4):
            end(log)
        await log.committed()
    own = disk.begin(second)
    await own.committed()
    ids = [log.id for log in logs]

    async def found(status: str) -> list[str]:
        return [entry.id for entry in await second.runs(RunQuery(status=status))]

    assert await found("running") == [own.id, ids[4], ids[1]]
    assert await found("interrupted") == []
    await disk.kill(first)
    assert await found("interrupted") == [ids[4], ids[1]]
    went_on = await disk.resume(second, ids[1])
    assert await found("interrupted") == [ids[4], ids[1]]
    assert await found("running") == [went_on.run_id, own.id]
