"""The file as SQLite opens it: private, shared, and brought up to date in steps."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from plait.stores.history.database import Database, DatabaseError, Unusable, statements, steps


def columns(db: Database, table: str) -> list[str]:
    return [row[1] for row in db._db.execute(f"PRAGMA table_info({table})")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def test_the_file_is_for_its_owner_alone(path: Path):
    db = Database(path)
    for tail in ("", "-wal", "-shm"):
        assert path.with_name(f"history.db{tail}").stat().st_mode & 0o077 == 0
    db.close()


def test_every_statement_fits_the_tables(path: Path):
    db = Database(path)
    for sql in statements().values():
        named = dict.fromkeys(re.findall(r":(\w+)", sql))
        count = 1 if "?1" in sql else sql.count("?")
        assert db._db.execute(f"EXPLAIN {sql}", named or (None,) * count).fetchall()
    db.close()


def test_a_file_of_a_newer_plait_is_left_alone(path: Path):
    db = Database(path)
    db._db.pragma("user_version", 2_001)
    db.close()
    with pytest.raises(Unusable, match="newer Plait"):
        Database(path)


def test_steps_are_added_and_an_older_process_goes_on(path: Path):
    old = Database(path)
    grown = [*steps(), "ALTER TABLE runs ADD COLUMN colour TEXT NOT NULL DEFAULT ''"]
    new = Database(path, grown)
    assert "colour" in columns(new, "runs")
    assert old.one("find_blob", (b"",)) is None
    later = Database(path)
    assert "colour" in columns(later, "runs")
    for db in (old, new, later):
        db.close()


def test_many_first_starts_at_once_make_one_file(path: Path):
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            for db in list(pool.map(lambda _: Database(path), range(8))):
                assert db.all("tools") == []
                db.close()
            path.unlink()


def test_a_first_start_waits_for_another_that_writes_just_then(path: Path):
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE made_meanwhile(x); BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(Database, path)
        with pytest.raises(TimeoutError):
            opened.result(0.1)  # it neither fails nor goes on
        other.execute("ROLLBACK")
        db = opened.result()
    assert db.all("tools") == []
    db.close()
    other.close()


def test_a_transaction_is_whole_or_not_at_all(path: Path):
    db = Database(path)
    good, bad = (1, 1, 1, 0.0, "woke", None, "{}"), (1, 2, 1, 0.0, None, None, "{}")
    with pytest.raises(DatabaseError), db.transaction():
        db.run_many("happen", [good, bad])
    assert db.one("last_number", {"chain": 1}) == (0,)
    with db.transaction():
        db.run_many("happen", [good])
    assert db.one("last_number", {"chain": 1}) == (1,)
    db.close()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 67, 149])
def test_many_rows_are_inserted_as_one_by_one(path: Path, count: int):
    db = Database(path)
    rows = [(7, number, 1, 0.5, "woke", None, str(number)) for number in range(count)]
    with db.transaction():
        db.insert("happen", rows)
    kept = db._db.execute("SELECT number, detail FROM events WHERE chain = 7 ORDER BY number")
    assert kept.fetchall() == [(number, str(number)) for number in range(count)]
    db.close()


def test_rows_that_are_there_already_are_updated_when_many_are_inserted(path: Path):
    db = Database(path)
    tallies = [("success", bucket) for bucket in range(9)]
    with db.transaction():
        tool = db.one("add_tool", ("s:do",))
        assert tool is not None
        for _ in range(2):
            db.insert("count", [(*tool, *key, 2, 3.0, 1.0, 2.0) for key in tallies])
    assert [row[1:] for row in db.all("statistics")] == [
        (*key, 4, 6.0, 1.0, 2.0) for key in tallies
    ]
    db.close()


def test_only_a_commit_for_power_cuts_goes_to_the_disk_itself(path: Path):
    db = Database(path)
    found = []
    for power in (False, True, False):
        with db.transaction(power=power):
            found.append(db._db.pragma("synchronous"))
    assert found == [1, 2, 1]
    db.close()


def test_a_snapshot_sees_one_state(path: Path):
    writer, reader = Database(path), Database(path)
    reader.make_read_only()
    with reader.snapshot():
        assert reader.all("tools") == []
        with writer.transaction():
            writer.run("add_tool", ("s:t",))
        assert reader.all("tools") == []
    assert reader.all("tools") == [(1, "s:t")]
    with pytest.raises(DatabaseError):
        reader.run("add_tool", ("s:u",))
    reader.close()
    writer.close()
