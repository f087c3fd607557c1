"""Random runs whose gateways die at random instants, in memory.

`scripts/soak tests/engine/test_crashes.py` tries very many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from plait.core.audit import ChainCheck, What
from plait.core.results.result import RunResult
from plait.engine.gateway import Gateway
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.shelf import Shelf
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, structured, text, tool
from .stories import (
    READ,
    WRITE,
    Broken,
    Death,
    Seen,
    answer,
    how_answered,
    is_steady,
    judge,
    name_of,
    random_dag,
)

pytestmark = pytest.mark.virtual_time
INSTANTS = ("time", "before a commit", "after a commit", "a call arrives", "a call is answered")
HINTS: dict[str, dict[str, Any]] = {
    "read": {"readOnlyHint": True},
    "put": {"idempotentHint": True},
    "write": {},
}
LIVES = 6
"""The last of which is let live."""


class Life(MemoryHistory):
    """A gateway's history, and its death at the n-th instant of a kind."""

    def __init__(self, shelf: Shelf, number: int, dies_at: tuple[str, int] | None) -> None:
        super().__init__(shelf)
        self.number = number
        self.died = anyio.Event()
        self._dies_at = dies_at
        self._passed: Counter[str] = Counter()

    def pass_by(self, instant: str) -> None:
        self._passed[instant] += 1
        if (instant, self._passed[instant]) == self._dies_at:
            self.die()

    def die(self) -> None:
        super().die()
        self.died.set()

    def _commit(self) -> None:
        self.pass_by("before a commit")
        if not self.died.is_set():
            super()._commit()
            self.pass_by("after a commit")


class Story:
    """One document, and all lives of its run."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.shelf = Shelf()
        self.log: list[Seen] = []
        self.deaths: list[Death] = []
        self.lives = 0
        self.said: set[int] = set()
        self._arrived: Counter[str] = Counter()

    @asynccontextmanager
    async def life(self, dies_at: tuple[str, int] | None) -> AsyncIterator[tuple[Gateway, Life]]:
        life = Life(self.shelf, self.lives, dies_at)
        self.lives += 1
        servers = FakeServers()
        for name, hints in HINTS.items():
            self._add(servers, life, f"s:{name}", hints)
        async with Gateway(servers, servers, InMemoryRuns(), history=life) as gateway:
            yield gateway, life
            life.die()

    def _add(self, servers: FakeServers, life: Life, name: str, hints: dict[str, Any]) -> None:
        async def called(**arguments: Any) -> Any:
            if life.died.is_set():
                await anyio.sleep_forever()
            call = name_of(arguments)
            self.log.append(Seen("arrived", name, call, life.number, anyio.current_time()))
            self._arrived[call] += 1
            arrivals = self._arrived[call]
            life.pass_by("a call arrives")
            await anyio.sleep(arguments["ms"] / 1_000)
            if life.died.is_set():
                await anyio.sleep_forever()
            how = how_answered(arguments, arrivals)
            self.log.append(Seen(how, name, call, life.number, anyio.current_time()))
            life.pass_by("a call is answered")
            if how == "badly":
                return text("no", is_error=True)
            return structured(answer(arguments, self.random, how))

        servers.add(tool(name, {"key": {}}, closed=False, **hints), called)

    def death(self) -> tuple[str, int]:
        instant = self.random.choice(INSTANTS)
        return instant, self.random.randint(1, 200 if instant == "time" else 12)

    async def live(
        self, document: Mapping[str, Any], dies_at: tuple[str, int] | None
    ) -> RunResult | None:
        """Let a gateway run *document*; returns the result, None if it died first."""
        results: list[RunResult] = []
        async with self.life(dies_at) as (gateway, life):
            async with anyio.create_task_group() as tasks:

                async def work() -> None:
                    submitted = await gateway.submit(document)
                    result = await gateway.wait(submitted.run_id)
                    if not life.died.is_set():
                        results.append(result)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(work)
                with anyio.move_on_after(
                    dies_at[1] / 1_000 if dies_at and dies_at[0] == "time" else None
                ):
                    await life.died.wait()
                life.die()
                tasks.cancel_scope.cancel()
            if not results:
                self.deaths.append(Death(life.number, anyio.current_time()))
        return results[0] if results else None

    async def play(self, document: dict[str, Any]) -> RunResult | None:
        """Run *document* to its end, through deaths; None if it died before it was written."""
        result = await self.live(document, self.death())
        while result is None:
            if not self.shelf.runs:
                return None
            more: dict[str, Any] = {}
            if self.random.random() < 0.3:
                more["in_doubt"] = {"*": "retry"}
                self.said.add(self.lives)
            going_on = {"tasks": [], "resume_from": next(iter(self.shelf.runs)), **more}
            dies_at = self.death() if self.lives < LIVES and self.random.random() < 0.5 else None
            result = await self.live(going_on, dies_at)
        return result


def outcomes(result: RunResult) -> dict[str, dict[str, Any]]:
    """Return the status of each task, and the codes of its errors."""
    return {
        id: {
            "status": task.status,
            "codes": {
                error.code
                for error in (
                    task.error,
                    *(e for _, e in (task.items.errors if task.items else ())),
                )
                if error is not None
            },
        }
        for id, task in result.record.tasks.items()
    }


def each_effect_is_audited(story: Story) -> None:
    """Check that the row of each call that may change something was there before the call was."""
    check, audit = ChainCheck(), story.shelf.audit
    rows = [check.add(number, line) for number, line in audit.lines.items()]
    assert check.fault(audit.end) is None
    sent = Counter(str(row["tool"]) for row in rows if row["what"] == What.SENT)
    arrived = Counter(seen.tool for seen in story.log if seen.what == "arrived")
    del arrived["s:read"]
    assert not arrived - sent
    assert not sent["s:read"]


@given(st.randoms(use_true_random=False))
async def test_at_whatever_instant_gateways_die_nothing_is_sent_twice_or_forgotten(random: Random):
    document = random_dag(random)
    story = Story(random)
    result = await story.play(document)
    note(f"{document}\n{story.log}\n{story.deaths}")
    each_effect_is_audited(story)
    if result is None:
        assert all(seen.tool == "s:read" for seen in story.log)
        return
    ended = outcomes(result)
    doubts = judge(document, story.log, story.deaths, ended, frozenset(story.said))
    if is_steady(document) and not doubts and not story.said:
        other = Story(random)
        whole = await other.live(document, None)
        assert whole is not None
        assert ended == outcomes(whole)
        assert result.outputs == whole.outputs


SEEN: dict[str, list[tuple[str, str, int, float]]] = {
    "twice at once": [("arrived", "a", 0, 1), ("arrived", "a", 0, 2)],
    "again after an answer": [("arrived", "a", 0, 1), ("well", "a", 0, 2), ("arrived", "a", 1, 9)],
    "again while it lives": [("arrived", "a", 1, 1), ("arrived", "a", 2, 2)],
    "again unasked": [("arrived", "w", 0, 4.9), ("arrived", "w", 1, 6)],
    "after a take-over": [("arrived", "a", 0, 1), ("arrived", "b", 1, 6), ("well", "a", 0, 7)],
    "what decided": [
        ("arrived", "a", 0, 4.9),
        ("well", "a", 0, 5),
        ("arrived", "w", 0, 5),
        ("arrived", "a", 1, 6),
    ],
    "unanswered": [],
    "in the air": [("arrived", "w", 0, 4.9)],
}
"""Logs of a read `a`, another one `b`, and a write `w` that refers to `a`, in two gateways, the
first of which died at 5."""
STORY = {
    "tasks": [
        {"id": "a", "tool": READ},
        {"id": "b", "tool": READ},
        {"id": "w", "tool": WRITE, "arguments": {"of": "$OUTPUT[a].mark"}},
    ]
}


@pytest.mark.parametrize(
    ("log", "statuses", "law"),
    [
        ("twice at once", "fff", "a/0 was sent twice by one gateway"),
        ("again after an answer", "fff", "a/0 had ended, and was sent again"),
        ("again while it lives", "fff", "a/0 was sent again, though its gateway lived"),
        ("again unasked", "fff", "w/0 changes something, and was sent again"),
        ("after a take-over", "fff", "gateway 0 went on with a run that another had taken over"),
        ("what decided", "fff", "a/0 had decided w/0, and was sent again"),
        ("unanswered", "sff", "a is a success, and was not answered"),
        ("in the air", "fff", "w/0 was in the air to the end"),
        ("in the air", "ff", "w has no outcome"),
    ],
)
def test_a_law_that_is_broken_is_found(log: str, statuses: str, law: str):
    tools = {"a": READ, "b": READ, "w": WRITE}
    lines = [Seen(what, tools[id], f"{id}/0", life, at) for what, id, life, at in SEEN[log]]
    named = {"s": "success", "f": "failed"}
    tasks = {
        id: {"status": named[status], "codes": {"tool_error"}}
        for id, status in zip("abw", statuses, strict=False)
    }
    with pytest.raises(Broken, match=law):
        judge(STORY, lines, [Death(0, 5.0)], tasks)


BRANCHES = {
    "tasks": [
        {"id": "a", "tool": READ},
        {"id": "cno", "tool": READ, "when": "!a.flag"},
        {"id": "c", "tool": READ, "when": "a.flag"},
    ]
}


@pytest.mark.parametrize(
    ("calls", "tool", "is_lawful"),
    [
        ((("a", 0), ("cno", 0), ("a", 1), ("c", 1)), READ, True),
        ((("a", 0), ("cno", 0), ("c", 1)), READ, False),
        ((("a", 0), ("a", 1), ("cno", 1), ("c", 1)), READ, False),
        ((("a", 0), ("cno", 0), ("c", 1)), "s:put", False),
    ],
)
def test_both_branches_are_sent_only_if_reads_found_something_else(
    calls: tuple[tuple[str, int], ...], tool: str, is_lawful: bool
):
    lines = [
        Seen("arrived", READ if id == "a" else tool, f"{id}/0", life, 4.9 + life)
        for id, life in calls
    ]
    tasks = {id: {"status": "failed", "codes": {"tool_error"}} for id in ("a", "cno", "c")}
    if is_lawful:
        judge(BRANCHES, lines, [Death(0, 5.0)], tasks)
        return
    with pytest.raises(Broken, match="both c and cno were sent"):
        judge(BRANCHES, lines, [Death(0, 5.0)], tasks)
