"""Whole documents, each with all that is said of it.

A folder of `cases/` holds `dag.json` (the text as a client sends it), `tools.json` (the servers,
each with its tools as it lists them, or null for one that was not reached; and the policy, if there
is one), and `expected.json` (every problem, with the value that was meant where that is certain, or
the layers; and the notes).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.errors import InvalidDag

from ...profiles import share_of_examples
from ..patching import patched, understood
from ..tables import table

MOST_ROUNDS = 3
"""Most times that a document with fixes has fixes again."""
CASES = sorted(path for path in (Path(__file__).parents[1] / "cases").iterdir() if path.is_dir())


@table("case", CASES)
def test_all_that_is_said_of_a_document_is_what_is_expected(case: Path) -> None:
    tools = (case / "tools.json").read_text("utf-8")
    expected = json.loads((case / "expected.json").read_text("utf-8"))
    assert said_of((case / "dag.json").read_bytes(), tools) == expected


@table("case", CASES)
def test_each_fix_removes_its_problem_once_those_before_it_are_applied(case: Path) -> None:
    """An expression that is a fix is accepted; and fixes that have fixes come to an end."""
    tools = (case / "tools.json").read_text("utf-8")
    document = understood((case / "dag.json").read_bytes())
    said = said_of((case / "dag.json").read_bytes(), tools)
    fixable = [problem for problem in said.get("problems", ()) if "fix" in problem]
    fixed = document
    for several in _of_different_tasks(fixable):
        fixed = patched(fixed, [problem["fix"] for problem in several])
        after = said_of(json.dumps(fixed).encode(), tools)
        left = after.get("problems", ())
        for problem in several:
            assert _essence(problem) not in map(_essence, left)
            if problem["code"] == "invalid_expression":
                assert problem["path"] not in {other["path"] for other in left}
    for _ in range(MOST_ROUNDS):
        fixes = [problem["fix"] for problem in said.get("problems", ()) if "fix" in problem]
        if not fixes:
            break
        document = patched(document, fixes)
        said = said_of(json.dumps(document).encode(), tools)
    else:
        raise AssertionError("the fixes do not end")


def _of_different_tasks(problems: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Cut *problems* wherever one is in a task that has one before it: the fixes between two cuts
    have nothing to do with each other, and are applied together."""
    groups: list[list[dict[str, Any]]] = []
    seen: set[str] = set()
    for problem in problems:
        task, is_inside, _ = problem["fix"]["path"].partition("].")
        if not (is_inside and seen) or task in seen:
            groups.append([])
            seen = set()
        groups[-1].append(problem)
        if is_inside:
            seen.add(task)
    return groups


def _essence(problem: dict[str, Any]) -> tuple[str, str, str]:
    return problem["path"], problem["code"], problem["message"]


@cache
def said_of(text: bytes, tools: str) -> dict[str, Any]:
    given = json.loads(tools)
    policy = Policy(tables=(Rules(deny=tuple(given.get("policy", {}).get("deny", ()))),))
    try:
        plan = check(read_dag(text, max_tasks=20), catalog(tools), policy, max_items=5)
    except InvalidDag as refused:
        problems = [
            {
                "path": problem.path,
                "code": problem.code,
                "id": problem.id,
                "message": problem.message,
                "hint": problem.hint,
                **({} if problem.fix is None else {"fix": problem.document()["fix"]}),
            }
            for problem in refused.problems
        ]
        return {"problems": problems, "notes": list(refused.notes)}
    return {"layers": [list(layer) for layer in plan.layers], "notes": list(plan.notes)}


@cache
def catalog(text: str) -> Catalog:
    servers = json.loads(text)["servers"]
    tools = [
        Tool(name, tool["name"], tool) for name, listed in servers.items() for tool in listed or ()
    ]
    states = {True: ServerState.READY, False: ServerState.CONNECTING}
    infos = [ServerInfo(name, states[listed is not None]) for name, listed in servers.items()]
    return Catalog(tools, infos)


def test_there_are_cases() -> None:
    assert len(CASES) >= 25


SLIPS = ("$", "{", "}", "[", "]", "'", "|", "`", "\\", "??", ".", "$OUTPUT[a]", "$ITEM", "@")


def slipped(value: Any, chance: Random) -> Any:
    """*value* with characters put into its texts, and parts left out or exchanged."""
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if chance.random() > 0.02}
        return {name: slipped(one, chance) for name, one in kept.items()}
    if isinstance(value, list):
        return [slipped(one, chance) for one in value]
    if chance.random() < 0.03:
        return chance.choice([None, -1, "", [], {}, True, *SLIPS])
    if isinstance(value, str) and chance.random() < 0.2:
        at = chance.randint(0, len(value))
        return value[:at] + chance.choice(SLIPS) + value[at:]
    return value


READABLE = [
    case for case in CASES if isinstance(understood((case / "dag.json").read_bytes()), dict)
]


@share_of_examples(2)
@given(st.sampled_from(READABLE), st.integers(0))
def test_a_case_with_slips_in_it_is_planned_or_refused(case: Path, seed: int) -> None:
    document = slipped(understood((case / "dag.json").read_bytes()), Random(seed))
    said = said_of(json.dumps(document).encode(), (case / "tools.json").read_text("utf-8"))
    assert "problems" in said or "layers" in said
