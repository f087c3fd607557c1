"""plait history audit, over the history of real runs and one that was changed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ..fakes import FakeServers, tool
from .conftest import Plait, task
from .past import Past
from .test_history_commands import typed


@pytest.fixture
def written(tmp_path: Path, past: Past, servers: FakeServers) -> None:
    """The rows of `past`, and of a call of a tool whose name is in other letters."""
    servers.add(tool("s:größe", closed=False), lambda **given: given)
    document = tmp_path / "dag.json"
    document.write_text(json.dumps({"tasks": [task("a", "s:größe")]}))
    assert typed(servers, "run", str(document))[0] == 0


def rows(plait: Plait, *words: str) -> list[dict[str, Any]]:
    result = plait("history", "audit", "--json", *words)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_rows_are_shown_and_verified(plait: Plait, past: Past):
    result = plait("history", "audit")
    assert result.exit_code == 0
    last = result.stdout.splitlines()[-1]
    assert last.split()[2:] == [
        "sent",
        "s:hang",
        "write",
        past.cut,
        *["allowed:", "no", "rule", "of", "[policy]", "matches"],
    ]
    count = len(result.stdout.splitlines())
    assert result.stderr == f"✓ verified: {count} rows, none changed or missing\n"


def test_the_json_lines_are_the_chain_itself(plait: Plait, written: None):
    result = plait("history", "audit", "--json")
    lines = result.stdout.splitlines()
    assert len(lines) > 4
    before = "0" * 64
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        assert (row["number"], row["before"]) == (number, before)
        before = hashlib.sha256(line.encode()).hexdigest()
    assert json.loads(lines[-1])["tool"] == "s:größe"


def test_rows_are_chosen_by_run_time_and_number(plait: Plait, past: Past, written: None):
    assert {row["run"] for row in rows(plait, "--run", past.cut)} == {past.cut}
    assert {row["run"] for row in rows(plait, "--run", past.cut[:9])} == {past.cut}
    assert rows(plait, "--since", "1h") == rows(plait)
    assert rows(plait, "--since", "2100-01-01") == []
    assert rows(plait, "--limit", "2") == rows(plait)[-2:]
    result = plait("history", "audit", "--limit", "1")
    assert len(result.stdout.splitlines()) == 1
    assert "These are the last 1 of " in result.stderr
    assert plait("history", "audit", "--run", "r_none").exit_code == 2
    assert plait("history", "audit", "--since", "soon").exit_code == 2


def test_only_verifying_shows_no_rows(plait: Plait, past: Past):
    count = len(rows(plait))
    result = plait("history", "audit", "--verify")
    assert result.stdout == f"✓ verified: {count} rows, none changed or missing\n"
    assert json.loads(plait("history", "audit", "--verify", "--json").stdout) == {
        "verified": True,
        "rows": count,
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE audit SET line = replace(line, 's:hang', 's:echo')", "was changed"),
        ("DELETE FROM audit WHERE number = 2", "row 2 is missing"),
        ("INSERT INTO audit VALUES(99, '{}')", "row"),
        (
            "UPDATE audit SET number = number - 3 WHERE number < 3;"  # noqa: ISC004
            "UPDATE audit SET number = -number WHERE number < 1",
            "row",
        ),
    ],
)
def test_a_changed_audit_fails_and_says_where(
    plait: Plait, past: Past, tmp_path: Path, change: str, said: str
):
    with sqlite3.connect(tmp_path / "state" / "history.db") as db:
        db.executescript(change)
    for words in ((), ("--verify",)):
        result = plait("history", "audit", *words)
        assert result.exit_code == 1
        assert "✗ the audit was changed: " in result.output
        assert said in result.output
    found = json.loads(plait("history", "audit", "--verify", "--json").stdout)
    assert found["verified"] is False
    assert said in found["broken"]


def test_an_empty_audit_is_whole(plait: Plait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path))
    result = plait("history", "audit")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "✓ verified: 0 rows, none changed or missing\n"


def test_the_audit_survives_that_all_runs_are_deleted(plait: Plait, past: Past):
    before = rows(plait)
    assert plait("history", "clear", "--yes").exit_code == 0
    assert rows(plait) == before
    assert past.cut in {row["run"] for row in before}
