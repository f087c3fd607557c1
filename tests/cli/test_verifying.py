"""plait history RUN --verify, over the history of real runs and one that was changed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from ..fakes import FakeServers
from .conftest import Plait, task
from .past import Past
from .test_history_commands import ids, typed


def test_runs_that_ended_are_verified(plait: Plait, past: Past):
    for run_id, said in (
        (past.well, "verified: 1 event gives the same 1 call"),
        (past.broken, "verified: 2 events give the same 2 calls"),
        (past.cut, "verified so far: 1 event gives the same 2 calls"),
    ):
        result = plait("history", run_id, "--verify")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"✓ {run_id}  {said}\n"
    document = json.loads(plait("history", past.well[:12], "--verify", "--json").stdout)
    [run] = document["runs"]
    assert document["verified"]
    assert run == {
        "run_id": past.well,
        "verified": True,
        "events": 1,
        "calls": 1,
        "ended": True,
    }


def test_each_run_of_a_chain_is_verified(plait: Plait, past: Past, servers: FakeServers):
    definition, _ = servers.tools["s:hang"]
    servers.add(definition, lambda: {"id": 7})
    assert typed(servers, "resume", past.cut, "--in-doubt", "write=retry")[0] == 0
    [went_on, *_] = ids(plait)
    for run_id in (past.cut, went_on):
        lines = plait("history", run_id, "--verify").stdout.splitlines()
        assert [line.split()[1] for line in lines] == [past.cut, went_on]
        assert lines[1].endswith("verified: 2 events give the same 2 calls")


RUN = {
    "tasks": [
        task("a", arguments={"n": 1}),
        task("b", arguments={"n": "$OUTPUT[a].n"}),
        task("c", "s:say", arguments={"text": "word " * 2_000}),
    ]
}
EIGHT = """replace(output, '"n":1', '"n":8')"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            """UPDATE attempts SET arguments = '{"n":8}', checksum = NULL WHERE task = 'b'""",
            's:echo of b was called with {"n":8}; replayed, it is called with {"n":1}',
        ),
        (
            f"UPDATE attempts SET output = {EIGHT}, checksum = NULL WHERE task = 'a'",
            's:echo of b was called with {"n":1}; replayed, it is called with {"n":8}',
        ),
        (
            f"UPDATE attempts SET output = {EIGHT} WHERE task = 'b'",
            "s:echo of b is not as it was written",
        ),
        (
            """UPDATE blobs SET bytes = zeroblob(8)
            WHERE id = (SELECT output_blob FROM attempts WHERE task = 'c')""",
            "s:say of c is not as it was written",
        ),
        (
            """UPDATE attempts SET tool = (SELECT id FROM tools WHERE name = 's:fail')
            WHERE task = 'c'""",
            "c called s:fail; replayed, it calls s:say",
        ),
        (
            "DELETE FROM attempts WHERE task = 'a'",
            "s:echo of b was called; replayed, it is not called there",
        ),
        ("DELETE FROM attempts WHERE task = 'c'", "the run ended as success; replayed, c does not"),
        (
            "UPDATE attempts SET attempt = 2 WHERE task = 'c'",
            "s:say of c was called for the 2nd time in round 1; replayed, for the 1st in round 1",
        ),
        (
            """UPDATE attempts SET output = NULL, error = '{"code":"timeout","message":"late"}',
            checksum = NULL WHERE task = 'c'""",
            "c ended as success; replayed, it is timeout",
        ),
        (
            """UPDATE blobs SET bytes = x'01'
            WHERE id = (SELECT record FROM runs ORDER BY number DESC LIMIT 1)""",
            "its record is not as it was written",
        ),
        (
            """UPDATE blobs SET bytes = x'00'
            WHERE id = (SELECT document FROM runs ORDER BY number DESC LIMIT 1)""",
            "its document is not as it was written",
        ),
        (
            """UPDATE runs SET catalog_digest =
            (SELECT catalog_digest FROM runs ORDER BY number LIMIT 1)
            WHERE number = (SELECT max(number) FROM runs)""",
            "its document is refused now",
        ),
    ],
)
def test_a_row_that_was_changed_is_found(
    plait: Plait, past: Past, tmp_path: Path, servers: FakeServers, change: str, said: str
):
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    with sqlite3.connect(tmp_path / "state" / "history.db") as db:
        db.execute("DELETE FROM attempts")  # of the other runs
    assert typed(servers, "run", str(tmp_path / "run.json"))[0] == 0
    [latest, *_] = ids(plait)
    assert plait("history", latest, "--verify").exit_code == 0
    with sqlite3.connect(tmp_path / "state" / "history.db") as db:
        assert db.execute(change).rowcount == 1
    result = plait("history", latest, "--verify")
    assert (result.exit_code, result.stdout[:1]) == (1, "✗")
    assert said in result.stdout
    document = json.loads(plait("history", latest, "--verify", "--json").stdout)
    assert said in document["runs"][0]["difference"]
    assert not document["verified"]


def test_a_run_that_cannot_be_made_again_says_why(plait: Plait, past: Past, tmp_path: Path):
    result = plait("history", past.call, "--verify")
    assert result.exit_code == 1
    assert result.stdout == (
        f"· {past.call}  not verified: a call by name decides nothing that could be replayed\n"
    )
    with sqlite3.connect(tmp_path / "state" / "history.db") as db:
        db.execute("DELETE FROM catalogs")
        db.execute("UPDATE runs SET lost = 1 WHERE id = ?", (past.broken,))
    for run_id, said in (
        (past.well, "the definitions of its tools are not kept"),
        (past.broken, "not all that it did was written in time"),
    ):
        result = plait("history", run_id, "--verify", "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout)["runs"][0]["reason"] == said


def test_a_run_with_a_damaged_value_is_not_shown(plait: Plait, past: Past, tmp_path: Path):
    with sqlite3.connect(tmp_path / "state" / "history.db") as db:
        db.execute(
            "UPDATE blobs SET bytes = x'01' WHERE id = (SELECT record FROM runs WHERE id = ?)",
            (past.well,),
        )
    for words in (("history", past.well), ("history", "export")):
        result = plait(*words)
        assert result.exit_code == 1
        assert result.stderr == "error: A value that the history has of it is damaged.\n"
    assert plait("history", past.broken).exit_code == 0


def test_a_difference_shows_no_secrets(plait: Plait, past: Past, tmp_path: Path):
    (tmp_path / "own.toml").write_text(
        '[servers.s]\ncommand = "true"\nenv = { TOKEN = "${THE_TOKEN}" }\n'
    )
    with sqlite3.connect(tmp_path / "state" / "history.db") as db:
        db.execute(
            "UPDATE attempts SET arguments = '{}', checksum = NULL WHERE arguments LIKE '%sword%'"
        )
    words = ("history", past.broken, "--verify", "--config", "own.toml")
    result = plait(*words, THE_TOKEN="swordfish-42")
    assert result.stdout == (
        f"✗ {past.broken}  differs: s:echo of a was called with {{}}; replayed, it is called with "
        '{"token":"***"}\n'
    )
