"""Runs whose gateways are killed, with real gateways and servers: `scripts/soak crash`.

    python -m tests.app.crashing [--runs 3000] [--seed N] [--at-once 100] [--shared]

Each gateway is a `plait serve` with two servers, as processes; it goes on with the runs of the
gateways before it, and begins new ones. It is killed at a random instant: alone, or with its
servers and their guard, or by a server that has just read or answered a call. Sometimes a server is
killed instead, and sometimes two gateways, or `plait resume`, want to go on with the same runs.
What the log of the servers says is then compared with what the runs have become, and each run is
made again from what was written of it.

A seed stands for the same documents and plans. When each thing happens is up to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from plait.core.history import INTERRUPTED, Kind, RunQuery
from plait.core.replay import Differs
from plait.engine.verifying import NotVerifiable, Verifying
from plait.stores.history.database import Database
from plait.stores.history.files import Files
from plait.stores.history.leases import Others, boot_id
from plait.stores.history.opening import runtime_folder
from plait.stores.history.reading import Reading
from plait.stores.history.store import SqliteHistory
from plait.stores.in_memory import InMemoryRuns

from ..door.clients import Message
from ..door.deaths import processes_in
from ..engine.stories import Broken, Death, is_steady, judge, random_dag
from .crash_clients import (
    SERVER,
    Died,
    Life,
    LifeBehindDoor,
    Place,
    Story,
    children,
    command_of,
    dressed,
    says_later,
)
from .crash_evidence import (
    Line,
    Outcome,
    check_answer,
    check_keys,
    check_values,
    has_written,
    outcome_of,
    read_log,
    references,
    told,
)

NEW = (10, 18)
"""The runs that each gateway begins, at least and at most."""
TIMES_MS = (0, 1, 5, 20, 60, 300)
KILLED_WITHIN_S = 0.5
LAST_LIVES = 3
"""The most gateways that are killed after the last run has begun."""
SLACK_S = 3.0
"""The time for which an answer may be on its way to the history, on a busy machine."""
ENDS = (0, 1, 3, -signal.SIGKILL)
"""The codes of `plait resume`: of a run that succeeded, or did not wholly, and of a kill."""


class Crash:
    """A folder, and all gateways that live and die in it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.stories: list[Story] = []
        self.place = Place(folder)
        self._random = Random(seed)
        self._numbers: dict[int, int] = {}
        """The number of each gateway, by its process."""
        self._deaths: dict[int, float] = {}
        self._plans: list[str] = []

    async def play(self, runs: int) -> None:
        """Let that many runs begin, and end."""
        last_lives = 0
        while len(self.stories) < runs or any(story.is_open for story in self.stories):
            random = Random(self._random.random())
            many = min(random.randint(*NEW), runs - len(self.stories))
            last_lives += not many
            for _ in range(many):
                number, document = len(self.stories), random_dag(random, times_ms=TIMES_MS)
                self.stories.append(Story(number, dressed(document, number, random)))
            await self._live(random, is_killed=last_lives < LAST_LIVES and random.random() < 0.9)

    # Lives.

    async def _live(self, random: Random, *, is_killed: bool) -> None:
        """Let one or two gateways live, mostly until they are killed."""
        how = random.choice(["by a server", "alone", "with servers"]) if is_killed else "not"
        is_double = how != "by a server" and random.random() < 0.45
        variables = {}
        if how == "by a server":
            instant = random.choice(["arrived", "answered"])
            variables["KILL"] = f"{instant}:{random.randint(1, 40)}"
        if random.random() < (0.7 if is_double else 0.3):
            variables["LINGER"] = "0.5"
        lives = [await self._start(**variables)]
        self._look()
        jobs = [story for story in self.stories if story.is_open]
        for story in jobs:
            story.begin_life(lives[0].number, random)
        command: asyncio.subprocess.Process | None = None
        if is_double:
            known = [story.run_id for story in jobs if story.run_id and story.word is None]
            if known and random.random() < 0.4:
                command = await self.place.resuming(random.choice(known))
                self._number(command.pid)
            else:
                lives.append(await self._start(**variables))
        numbers = [life.number for life in lives]
        others = ", and plait resume" if command is not None else ""
        self._plans.append(f"{numbers} {len(jobs)} runs{others}, killed {how}, {variables}")
        first, *later = lives
        works = [[self._advance(first, story, is_alone=not is_double) for story in jobs]]
        works += [[self._want(life, story, first) for story in jobs] for life in later]
        doings = [
            asyncio.create_task(self._serve(*each)) for each in zip(lives, works, strict=True)
        ]
        if command is not None:
            doings.append(asyncio.create_task(self._await_command(command)))
        killing = asyncio.create_task(self._bring_death(how, lives, command, doings, random))
        await asyncio.gather(*doings)
        await killing
        self._note_deaths()

    async def _bring_death(
        self,
        how: str,
        lives: list[Life],
        command: asyncio.subprocess.Process | None,
        doings: Sequence[asyncio.Task[None]],
        random: Random,
    ) -> None:
        """Kill what is to be killed, at its time."""
        server_after_s, after_s = (KILLED_WITHIN_S * random.random() ** 2 for _ in range(2))
        if random.random() < 0.85:
            await self._until_called(doings)
        if how != "not" and random.random() < 0.08:
            await asyncio.sleep(server_after_s)
            self._kill_a_server(lives[0], random)
        if how not in ("alone", "with servers"):
            return
        await asyncio.sleep(after_s)
        processes = [*(life.process for life in lives), *([command.pid] if command else [])]
        if len(processes) > 1 and random.random() < 0.6:  # the other one goes on
            self._kill(processes[:1], with_servers=how == "with servers")
            processes = processes[1:]
            if random.random() < 0.5:
                return
            await asyncio.sleep(random.random())
        self._kill(processes, with_servers=how == "with servers")
        for life in lives:
            await life.killed()

    async def _until_called(self, doings: Sequence[asyncio.Task[None]]) -> None:
        """Wait for the next call that reaches a server, or for the end of the gateways."""
        before = self.place.calls.stat().st_size
        while self.place.calls.stat().st_size == before:
            if all(doing.done() for doing in doings):
                return
            await asyncio.sleep(0.005)

    async def _start(self, **variables: str) -> Life:
        client = await self.place.isolated(**variables)
        process = client.process.pid
        return Life(self._number(process), client, process)

    def _number(self, process: int) -> int:
        self.counts["gateways"] += process not in self._numbers
        return self._numbers.setdefault(process, len(self._numbers))

    # What clients do.

    async def _serve(self, life: Life, works: list[Coroutine[Any, Any, None]]) -> None:
        """Let the clients of a gateway work, until it dies or all is done."""
        working = asyncio.gather(*works)
        ending = asyncio.create_task(life.ended())
        both: list[asyncio.Future[Any]] = [working, ending]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        try:
            await working
        finally:
            life.leave()
            code = await ending
            await life.client.end()
        if code not in (0, -signal.SIGKILL):
            raise Broken(f"gateway {life.number} ended with {code}: {life.client.notes[-3_000:]}")

    async def _advance(self, life: Life, story: Story, *, is_alone: bool) -> None:
        """Run a story, or go on with it, up to its end."""
        try:
            seen: dict[str, Any] = {"status": "interrupted", "run_id": story.run_id}
            if story.run_id is None:
                seen = await self._ask(life, **story.document)
                story.note(seen)
            elif is_alone and story.is_interrupted and story.lives % 3 == 0:
                # As if it knew of nothing.
                seen = await life.ask("execute_dag", **story.document)
                if seen["status"] not in ("interrupted", "invalid"):
                    raise Broken(f"{story.name} was run anew: {seen}")
            elif is_alone and story.owed and story.word is None:
                seen = await life.ask("execute_dag", **story.document)
                if seen.get("run_id") not in story.owed:
                    raise Broken(f"{story.name} had ended, and was run anew: {seen}")
                self.counts["answers that were owed"] += len(story.owed) == 1
                story.note(seen)
            while seen["status"] in ("running", "interrupted"):
                if seen["status"] == "running":
                    seen = await life.ask("get_run", run_id=seen["run_id"], wait_s=20)
                else:
                    seen = await self._go_on(life, story, seen["run_id"])
                story.note(seen)
        except Died as died:
            story.is_told |= died.has_answered

    async def _go_on(self, life: Life, story: Story, run_id: str) -> Message:
        """Go on with an interrupted run."""
        self.counts["resumed"] += 1
        says = {} if story.word is None else {"in_doubt": {"*": story.word}}
        return await self._ask(life, tasks=[], resume_from=run_id, detail="full", **says)

    async def _ask(self, life: Life, **document: Any) -> Message:
        """Send a document, again and again while the answer is that this is to be done."""
        while (code := says_later(seen := await life.ask("execute_dag", **document))) is not None:
            self.counts[f"told {code}"] += 1
            await asyncio.sleep(0.2)
        return seen

    async def _want(self, life: Life, story: Story, first: Life) -> None:
        """Want to go on with a story that the *first* gateway may be going on with."""
        while story.run_id is None and not (life.is_dead or first.is_dead):
            await asyncio.sleep(0.01)
        if story.run_id is not None:
            await self._advance(life, story, is_alone=False)

    async def _await_command(self, process: asyncio.subprocess.Process) -> None:
        out, err = await process.communicate()
        self.counts[f"plait resume: {process.returncode}"] += 1
        if process.returncode not in ENDS:
            raise Broken(f"plait resume ended with {process.returncode}: {out!r} {err!r}")

    def _look(self) -> None:
        """Find the runs of the stories of which no client got an id."""
        with self._history() as reading:
            runs = reading.runs(RunQuery(limit=100_000))
            found = {run.name: run for run in reversed(runs)}
            owed = {
                run.name: frozenset(reading.links(run.id))
                for run in found.values()
                if run.ended is not None and has_written(reading, run.id)
            }
        for story in self.stories:
            if story.is_open and (run := found.get(story.name)) is not None:
                self.counts["found by name"] += story.run_id is None
                story.run_id, story.is_interrupted = run.id, run.status == INTERRUPTED
                if not story.is_told:
                    story.owed = owed.get(story.name, frozenset())
            elif story.run_id is not None and story.name not in found:
                raise Broken(f"{story.name} has the id {story.run_id}, and is not in the history")

    @contextmanager
    def _history(self) -> Iterator[Reading]:
        state = self.place.state
        db = Database(state / "history.db")
        try:
            yield Reading(db, Others(state / "leases", runtime_folder(state)), boot_id())
        finally:
            db.close()

    # Deaths.

    def _kill(self, processes: Sequence[int], *, with_servers: bool) -> None:
        more = [child for each in processes for child in children(each)] if with_servers else []
        for process in processes:
            self._deaths.setdefault(self._numbers[process], time.monotonic())
        for process in (*processes, *more):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _kill_a_server(self, life: Life, random: Random) -> None:
        servers = [child for child in children(life.process) if SERVER.name in command_of(child)]
        if servers:
            with suppress(ProcessLookupError):
                os.kill(random.choice(servers), signal.SIGKILL)
            self.counts["servers killed"] += 1
            for story in self.stories:
                story.servers_died |= story.is_open

    def _note_deaths(self) -> None:
        """Note which gateways were killed by servers."""
        _, killed = read_log(self.place.calls, self._numbers)
        for life, at in killed.items():
            if life not in self._deaths:
                self._deaths[life] = at
                self.counts["killed by servers"] += 1

    # Laws.

    def judge(self) -> None:
        """Compare what the servers saw with what has become of the runs. Raises `Broken`."""
        lines, _ = read_log(self.place.calls, self._numbers)
        whole = references([story.document for story in self.stories])
        with self._history() as reading:
            for story in self.stories:
                seen = lines.get(story.number, [])
                try:
                    self._judge(story, seen, reading, whole[story.number])
                except Broken as error:
                    parts = [
                        f"{story.name}: {error}",
                        json.dumps(story.document),
                        told(seen, self._deaths),
                        f"retry was said to {story.said}; the end: {story.answer}",
                    ]
                    raise Broken("\n".join(parts)) from error

    def _judge(self, story: Story, lines: list[Line], reading: Reading, whole: Outcome) -> None:
        self.counts["runs"] += 1
        killed = {line.seen.life for line in lines} & self._deaths.keys()
        self.counts["runs killed"] += bool(killed)
        self.counts["kills of runs"] += len(killed)
        if story.lost is not None:
            self.counts[story.lost] += 1
            return
        assert story.run_id is not None
        assert story.answer is not None
        found = outcome_of(reading, story.run_id)
        doubts = judge(
            story.document,
            [line.seen for line in lines],
            [Death(life, at) for life, at in self._deaths.items()],
            found.tasks,
            frozenset(story.said),
            SLACK_S,
            servers_died=story.servers_died,
        )
        self.counts["tasks in doubt"] += doubts
        check_answer(story.answer, found)
        check_keys(lines)
        check_values(story.document, lines, found)
        is_other = doubts or story.said or story.servers_died or found.is_short_of_retries
        if not is_other and is_steady(story.document):
            self.counts["as if nothing had died"] += 1
            if found.tasks != whole.tasks or found.outputs != whole.outputs:
                raise Broken(f"{found}\nis not as it is without deaths:\n{whole}")

    async def verify(self) -> None:
        """Make all runs again from what was written. Raises `Broken`."""
        state = self.place.state
        history = SqliteHistory(Files(state, runtime_folder(state)))
        try:
            verifying = Verifying(history, InMemoryRuns())
            for run in await history.runs(RunQuery(limit=100_000, kind=Kind.DAG)):
                try:
                    verified = await verifying.verify(run.id)
                except NotVerifiable:  # its history was lost, on a busy machine
                    self.counts["not verifiable"] += 1
                except Differs as error:
                    raise Broken(f"{run.name} as {run.id}, {run.status}: {error}") from error
                else:
                    self.counts["verified"] += 1
                    self.counts["calls verified"] += verified.calls
        finally:
            await history.close()

    def plans(self) -> str:
        return "\n".join(self._plans)


class SharedCrash(Crash):
    """Deaths of the gateway that clients share, under doors that outlive it."""

    async def _live(self, random: Random, *, is_killed: bool) -> None:
        """Let the gateway live, and two clients with it. After a third death within a minute their
        doors would go on alone."""
        is_killed = is_killed and len(self._deaths) < 2
        how = random.choice(["alone", "with servers"]) if is_killed else "not"
        lives = [await self._start(), await self._start()]
        self._look()
        jobs = [story for story in self.stories if story.is_open]
        for story in jobs:
            story.begin_life(lives[0].number, random)
        self._plans.append(f"[{lives[0].number}] {len(jobs)} runs, killed {how}")
        works = [
            [self._advance(life, story, is_alone=True) for story in jobs[number::2]]
            for number, life in enumerate(lives)
        ]
        doings = [
            asyncio.create_task(self._serve(*each)) for each in zip(lives, works, strict=True)
        ]
        killing = asyncio.create_task(self._bring_death(how, lives[:1], None, doings, random))
        await killing
        if how != "not":
            await lives[1].killed()
        await asyncio.gather(*doings)

    async def _start(self, **variables: str) -> Life:
        client = await self.place.door("--config", str(self.place.settings))
        process = self.place.gateway()
        return LifeBehindDoor(self._number(process), client, process)


def crash(folder: Path, runs: int, seed: int, *, is_shared: bool = False) -> Counter[str]:
    """Let that many runs live through deaths in *folder*, and judge them. Returns how often each
    thing happened. Raises `Broken`."""
    crash = (SharedCrash if is_shared else Crash)(folder, seed)
    try:
        try:
            asyncio.run(crash.play(runs))
        finally:
            for process in processes_in(folder):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        crash.judge()
        asyncio.run(crash.verify())
    except Broken as error:
        raise Broken(f"seed {seed}: {error}\n{crash.plans()}") from error
    return crash.counts


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--at-once", type=int, default=100, help="runs that share a history")
    parser.add_argument("--shared", action="store_true", help="one gateway, behind doors")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    for seed in range(options.seed, sys.maxsize):
        with tempfile.TemporaryDirectory(prefix="pc", ignore_cleanup_errors=True) as folder:
            try:
                counts += crash(Path(folder), options.at_once, seed, is_shared=options.shared)
            except Broken as error:
                print(error)
                return 1
        print(f"seed {seed}: {dict(counts)}", flush=True)
        if counts["runs"] >= options.runs:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
