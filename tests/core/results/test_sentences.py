"""Plans in sentences: each document in `explained` stands beside the sentences that are made of
it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import TakenOver
from plait.core.results.sentences import MAX_LINES, sentences
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.strict import loads
from tests.core.scheduling.places import conflicts_in
from tests.fakes import tool

from ..scheduling.documents import PATH
from ..tables import table

EXPLAINED = Path(__file__).parent / "explained"
CATALOG = Catalog(
    [
        tool("github:list_issues", closed=False, readOnlyHint=True),
        tool("github:create_comment", closed=False),
        tool("github:close_issue", closed=False),
        tool("pager:oncall", closed=False, readOnlyHint=True),
        tool("s:save", PATH, closed=False),
    ],
    [ServerInfo(name, ServerState.READY) for name in ("github", "pager", "s")],
)


def explained(document: Any, reused: dict[str, TakenOver] | None = None) -> list[str]:
    plan = check(read_dag(document), CATALOG, Policy(), reused=reused)
    return sentences(plan, conflicts_in(plan), (reused or {}).keys())


@table("name", sorted(file.stem for file in EXPLAINED.glob("*.json")))
def test_the_sentences_are_made_of_the_plan(name: str) -> None:
    document = loads((EXPLAINED / f"{name}.json").read_text())
    assert "\n".join(explained(document)) + "\n" == (EXPLAINED / f"{name}.txt").read_text()


def test_there_is_a_dozen_of_them() -> None:
    names = {file.stem for file in EXPLAINED.iterdir()}
    assert len(names) >= 12
    assert {file.name for file in EXPLAINED.iterdir()} == {
        f"{name}{ending}" for name in names for ending in (".json", ".txt")
    }


def test_one_reference_stands_for_all_arguments() -> None:
    tasks = [
        {"id": "a", "tool": "pager:oncall"},
        {"id": "b", "tool": "github:close_issue", "arguments": "$OUTPUT[a].issue"},
    ]
    assert "with a.issue" in "\n".join(explained({"tasks": tasks}))


def test_reused_tasks_are_named_and_take_no_step() -> None:
    tasks = [
        {"id": "a", "tool": "pager:oncall"},
        {"id": "b", "tool": "github:close_issue", "arguments": {"number": "$OUTPUT[a].x"}},
    ]
    assert explained({"tasks": tasks}, {"a": TakenOver("pager:oncall", ())}) == [
        "1 task that calls a tool.",
        "Reused from the earlier run: a.",
        "1. b: once a has succeeded, call github:close_issue with number: a.x (changes something).",
        "b changes something.",
        "The answer holds the output of b.",
    ]


def test_the_sentences_of_any_document_are_bounded() -> None:
    tasks = [
        {
            "id": f"t{n}",
            "tool": "pager:oncall",
            "arguments": {f"a{k}": "x" * 50 for k in range(9)} if n % 5 else {},
            "depends_on": [f"t{k}" for k in range(n - n % 7, n)],
        }
        for n in range(100)
    ]
    lines = explained({"tasks": tasks})
    assert len(lines) <= MAX_LINES + 6
    assert max(map(len, lines)) < 400
