"""The audit in its file: what somebody changes there with SQL is found."""

from __future__ import annotations

import os

import pytest

from plait.core.audit import AuditRow, ChainCheck, What
from plait.core.history import (
    CallKey,
    Effect,
    Intent,
    Limits,
    Outcome,
    RunQuery,
)
from plait.core.history_store import History

from .worlds import BEGAN, DAY, SqliteWorld, admit, call, end


async def fill(disk: SqliteWorld, count: int = 7) -> History:
    history = await disk.open()
    for number in range(1, count + 1):
        history.audit(AuditRow(BEGAN, What.SENT, run=f"r_{number}", tool="git:push"))
    await disk.settle(history)
    return history


async def fault(history: History) -> str | None:
    check = ChainCheck()
    return check.fault(await history.audited(check.add))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("SELECT 1", None),
        ("UPDATE audit SET line = replace(line, 'r_3', 'r_9')", "row 4 does not follow on row 3"),
        ("UPDATE audit SET line = replace(line, 'r_7', 'r_9')", "row 7 was changed"),
        ("DELETE FROM audit WHERE number = 3", "row 3 is missing"),
        ("DELETE FROM audit WHERE number = 1", "row 1 is missing"),
        ("DELETE FROM audit WHERE number = 7", "row 7 is missing"),
        ("DELETE FROM audit", "rows 1 to 7 are missing"),
        ("INSERT INTO audit SELECT 8, line FROM audit WHERE number = 7", "row 8"),
        (
            (
                "UPDATE audit SET number = -number WHERE number > 3;"
                "UPDATE audit SET number = 1 - number WHERE number < 0;"
                "INSERT INTO audit SELECT 4, line FROM audit WHERE number = 3"
            ),
            "row 4",
        ),
        (
            (
                "UPDATE audit SET number = 99 WHERE number = 3;"
                "UPDATE audit SET number = 3 WHERE number = 4;"
                "UPDATE audit SET number = 4 WHERE number = 99"
            ),
            "row 3",
        ),
        ("UPDATE audit SET line = 'no json' WHERE number = 2", "row 2"),
        ("DELETE FROM audit_end", "rows 1 to 7 were added from outside"),
    ],
)
async def test_what_is_changed_in_the_file_is_found_and_stays_found(
    disk: SqliteWorld, change: str, found: str | None
):
    history = await fill(disk)
    disk.histories[0]._files.db._db.execute(change)
    why = await fault(history)
    assert (why or "").startswith(found or "")
    assert (why is None) == (found is None)
    log = disk.begin(history)
    history.audit(AuditRow(BEGAN, What.SENT, run="r_8", tool="git:push"))
    assert await log.committed()  # no run is lost by it
    assert (await fault(history) is None) == (found is None)


async def test_rows_that_are_no_rows_any_more_stop_no_deletion_of_runs(disk: SqliteWorld):
    history = await fill(disk)
    disk.histories[0]._files.db._db.execute("UPDATE audit SET line = '{' WHERE number = 2")
    log = disk.begin(history)
    end(log)
    await log.committed()
    disk.now = BEGAN + 1_000 * DAY
    assert await history.trim(Limits()) == 1


async def test_the_audit_takes_no_room_from_runs(disk: SqliteWorld):
    history = await fill(disk, 5_000)
    log = disk.begin(history)
    call(log, "a", os.urandom(1_000).hex())
    end(log)
    await log.committed()
    used = disk.histories[0]._files.db.used_bytes()
    assert used > 1_000_000
    assert await history.trim(Limits(keep_bytes=used // 2)) == 0
    assert log.id in {entry.id for entry in await history.runs(RunQuery())}


async def test_many_rows_are_deleted_in_steps(disk: SqliteWorld):
    history = await fill(disk, 1_200)
    sweeper = disk.histories[0]._sweeper()
    steps = 0
    run = sweeper.run

    def counted(name: str, *bindings: object) -> int:
        nonlocal steps
        steps += name == "delete_audit"
        return int(run(name, *bindings))

    sweeper.run = counted
    disk.now = BEGAN + 367 * DAY
    await history.trim(Limits())
    assert steps == 3
    assert await fault(history) is None


async def test_a_row_adds_no_commit_to_that_of_the_call_it_is_about(disk: SqliteWorld):
    history = await disk.open()
    log = disk.begin(history)
    await log.committed()
    before = history._writer.commits
    history.audit(AuditRow(BEGAN, What.SENT, run=log.id, tool="git:push"))
    admit(log, "a", Effect.WRITE)
    log.put(Intent(CallKey("a"), 1, 0.1))
    await log.secure()
    assert history._writer.commits == before + 1
    log.put(Outcome(CallKey("a"), 1, 0.2))
    history.audit(AuditRow(BEGAN, What.ENDED, run=log.id, tool="git:push"))
    await log.committed()
    assert history._writer.commits == before + 2
    assert await fault(history) is None
