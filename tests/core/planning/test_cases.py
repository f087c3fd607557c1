"""Whole documents, each with all that is said of it.

A folder of `cases/` holds `dag.json` (the text as a client sends it), `tools.json` (the servers,
each with its tools as it lists them, or null for one that was not reached; and the policy, if there
is one), and `expected.json` (every problem, with the value that was meant where that is certain, or
the layers; and the notes).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plait.core.language.dag import read_dag
from plait.core.planning.check import check
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.policy import Policy
from plait.errors import InvalidDag

CASES = sorted(path for path in (Path(__file__).parents[1] / "cases").iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_that_is_said_of_a_document_is_what_is_expected(case: Path) -> None:
    given = json.loads((case / "tools.json").read_text("utf-8"))
    expected = json.loads((case / "expected.json").read_text("utf-8"))
    assert said_of((case / "dag.json").read_bytes(), given) == expected


def said_of(text: bytes, given: dict[str, Any]) -> dict[str, Any]:
    policy = Policy(deny=tuple(given.get("policy", {}).get("deny", ())))
    try:
        plan = check(read_dag(text, max_tasks=20), catalog(given["servers"]), policy, max_items=5)
    except InvalidDag as refused:
        problems = [
            {
                "path": problem.path,
                "code": problem.code,
                "id": problem.id,
                "message": problem.message,
                "hint": problem.hint,
                **({} if problem.fix is None else {"fix": problem.fix}),
            }
            for problem in refused.problems
        ]
        return {"problems": problems, "notes": list(refused.notes)}
    return {"layers": [list(layer) for layer in plan.layers], "notes": list(plan.notes)}


def catalog(servers: dict[str, list[dict[str, Any]] | None]) -> Catalog:
    tools = [
        Tool(name, tool["name"], tool) for name, listed in servers.items() for tool in listed or ()
    ]
    states = {True: ServerState.READY, False: ServerState.CONNECTING}
    infos = [ServerInfo(name, states[listed is not None]) for name, listed in servers.items()]
    return Catalog(tools, infos)


def test_there_are_cases() -> None:
    assert len(CASES) >= 25
