"""Processes that write a history, and are killed while they do.

    python -m tests.stores.history.crashes FOLDER KILLS [SEED]

Each process works at several runs. A run reads, and what it has read decides which of two calls it
sends; that a call was sent is written into a file of the server, whoever dies. After a kill, one
process or two go on from what the history has. The laws are checked at each end. Prints how often
each thing happened, as JSON.

The parent has no threads and no open history: its children are forks.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from plait.core.history import (
    INTERRUPTED,
    RUNNING,
    Admission,
    Beginning,
    CallKey,
    Effect,
    Ending,
    Intent,
    Outcome,
)
from plait.core.history_store import RunLog
from plait.core.tools.output import Output
from plait.core.values.principal import USER
from plait.stores.history import writer
from plait.stores.history.database import Database
from plait.stores.history.files import Files
from plait.stores.history.leases import Others, boot_id
from plait.stores.history.reading import Reading
from plait.stores.history.store import SqliteHistory

STEPS = 5
RUNS = 3
POINTS = ("before commit", "before send", "after send")
LONGEST_S = 0.08
LARGE = 200_000


class Broken(Exception):
    """A law does not hold."""


class Seen(NamedTuple):
    """A line in the file of the server."""

    what: str
    chain: str
    run: str
    call: str


class Gateway:
    """One process. It kills itself when it passes the point in *dies_at* for the so-manieth
    time."""

    def __init__(self, folder: Path, seed: int, dies_at: tuple[str, int] | None) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._dies_at = dies_at
        self._passed: Counter[str] = Counter()
        self._server = os.open(folder / "server", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def pass_by(self, point: str) -> None:
        self._passed[point] += 1
        if (point, self._passed[point]) == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, what: str, log: RunLog, call: str = "-") -> None:
        os.write(self._server, f"{what} {log.root} {log.id} {call}\n".encode())

    async def begin(self, ids: list[str]) -> None:
        history = self._open()
        logs = [history.begin(Beginning(id, time.time(), {"steps": STEPS})) for id in ids]
        await asyncio.gather(*[self._work(log, {}) for log in logs])
        await history.close()

    async def go_on(self, roots: list[str]) -> None:
        history = self._open()
        await asyncio.gather(*[self._resume(history, root) for root in roots])
        await history.close()

    def _open(self) -> SqliteHistory:
        history = SqliteHistory(Files(self._folder / "state", self._folder / "runtime"))
        writer.PATIENCE_S = writer.LONGEST_WORK_S = 60.0  # no slow machine loses a run here
        history._writer.before_commit = lambda: self.pass_by("before commit")
        return history

    async def _resume(self, history: SqliteHistory, root: str) -> None:
        chain = await history.chain(root, USER)
        if chain is None or chain.head.entry.status != INTERRUPTED:
            return
        id = f"{root}+{os.getpid()}"
        taken = await history.go_on(chain, Beginning(id, time.time(), {"steps": STEPS}))
        if taken.log is not None:
            self.note("took", taken.log)
            known = {key.task: kept for key, kept in chain.calls.items()}
            await self._work(taken.log, {task: kept.output for task, kept in known.items()})

    async def _work(self, log: RunLog, known: dict[str, Output | None]) -> None:
        """Read and send in turn. What is *known* is not done again: without an output, it is in
        doubt."""
        for step in range(STEPS):
            read = f"read{step}"
            if (found := known.get(read)) is None:
                value = {"flag": self._random.random() < 0.5}
                if self._random.random() < 0.2:
                    value["pad"] = self._random.randbytes(LARGE // 2).hex()  # type: ignore[assignment]
                found = Output.of(value)  # type: ignore[arg-type]  # flags and texts
                self._admit(log, read, Effect.READ)
                log.put(Outcome(CallKey(read), 1, 0.0, found))
            assert isinstance(found.value, dict)
            write = f"write{step}{'yes' if found.value['flag'] else 'no'}"
            if write not in known:
                self._admit(log, write, Effect.WRITE)
                await log.secure()
                self.pass_by("before send")
                self.note("sent", log, write)
                self.pass_by("after send")
                await asyncio.sleep(self._random.random() * 0.004)
                log.put(Outcome(CallKey(write), 1, 0.0, Output.of(step)))
        log.put(Ending(1.0, "success", {}))
        if await log.committed():
            self.note("ended", log)

    def _admit(self, log: RunLog, task: str, effect: Effect) -> None:
        log.put(Admission(CallKey(task), 1, 0.0, f"s:{effect}", effect, {"task": task}))
        if effect is not Effect.READ:
            log.put(Intent(CallKey(task), 1, 0.0))


def fork(work: Callable[[], None]) -> int:
    """Run *work* in a child; returns its number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def wait(child: int, kill_after: float | None) -> bool:
    """Wait for a child, which is killed after so many seconds; returns whether it was killed."""
    if kill_after is not None:
        end = time.monotonic() + kill_after
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while time.monotonic() < end and os.waitid(os.P_PID, child, look) is None:
            time.sleep(0.0005)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if status:
        raise Broken("a process failed")
    return False


class Story:
    """A folder, and all that happens in it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._folder = folder
        self._path = folder / "state" / "history.db"
        self._random = random.Random(seed)
        self._begun = 0
        self._current: list[str] = []
        """The runs of the present batch, which end before others begin."""

    def play(self, kills: int) -> None:
        while self.counts["kills"] < kills:
            self._begin_some()
            lives = 0
            while self._interrupted():
                lives += 1
                self._go_on(is_last=lives > 3)
            self.check()

    def _begin_some(self) -> None:
        ids = self._current = [f"r{self._begun + number}" for number in range(RUNS)]
        self._begun += RUNS
        self._run(lambda gateway: gateway.begin(ids), *self._death())

    def _go_on(self, *, is_last: bool) -> None:
        roots = self._interrupted()
        first = (None, None) if is_last else self._death()
        if self._random.random() < 0.3:
            self.counts["two resumers at once"] += 1
            other = self._start(lambda gateway: gateway.go_on(roots), None)
            self._run(lambda gateway: gateway.go_on(roots), *first)
            wait(other, None)
        else:
            self._run(lambda gateway: gateway.go_on(roots), *first)

    def _death(self) -> tuple[float | None, tuple[str, int] | None]:
        if self._random.random() < 0.4:
            return self._random.uniform(0.0, LONGEST_S), None
        return None, (self._random.choice(POINTS), self._random.randrange(1, 9))

    def _start(self, work: Callable[[Gateway], object], dies_at: tuple[str, int] | None) -> int:
        seed = self._random.randrange(2**32)
        return fork(lambda: asyncio.run(work(Gateway(self._folder, seed, dies_at))))  # type: ignore[arg-type]

    def _run(
        self,
        work: Callable[[Gateway], object],
        kill_after: float | None,
        dies_at: tuple[str, int] | None,
    ) -> None:
        self.counts["kills"] += wait(self._start(work, dies_at), kill_after)

    def _reading(self) -> tuple[Database, Reading]:
        db = Database(self._path)
        others = Others(self._folder / "state" / "leases", self._folder / "runtime")
        return db, Reading(db, others, boot_id())

    def _interrupted(self) -> list[str]:
        """List the chains that can go on, by their first runs."""
        if not self._path.exists():
            return []
        db, reading = self._reading()
        chains = [(root, reading.chain(root, USER)) for root in self._current]
        db.close()
        return [root for root, chain in chains if chain and chain.head.entry.status == INTERRUPTED]

    def _seen(self) -> Iterator[Seen]:
        if (path := self._folder / "server").exists():
            for seen in (Seen(*line.split()) for line in path.read_text().splitlines()):
                if seen.chain in self._current:
                    yield seen

    def check(self) -> None:
        """Check the laws. Raises `Broken`."""
        if not self._path.exists():
            return  # the first process died before it made the file
        db, reading = self._reading()
        sent: Counter[tuple[str, str]] = Counter()
        takers: Counter[str] = Counter()
        for seen in self._seen():
            if seen.what == "sent":
                sent[seen.chain, seen.call] += 1
            if seen.what == "took":
                takers[seen.run] += 1
            if seen.what == "ended":
                kept = reading.run(seen.run, None)
                self._law(kept is not None and kept.entry.status == "success", "ends last", seen)
        for root in self._current:
            if (chain := reading.chain(root, USER)) is None:
                self.counts["died before they began"] += 1
                self._law(not any(one == root for one, _ in sent), "what began is known", root)
                continue
            self._law(chain.head.entry.status != RUNNING, "the dead do not run", root)
            self._law(not chain.head.entry.is_lost, "nothing is lost", root)
            known = {key.task: kept for key, kept in chain.calls.items()}
            numbers = [kept.admitted for kept in known.values()]
            self._law(len(set(numbers)) == len(numbers), "each has its own place", root)
            for (of, call), count in sent.items():
                if of != root:
                    continue
                self._law(count == 1, "no write is sent twice", (root, call))
                self._law(call in known, "what was sent is known", (root, call))
                other = call.replace("yes", "no") if "yes" in call else call.replace("no", "yes")
                self._law((root, other) not in sent, "a read decides once", (root, call))
            doubts = [kept for kept in known.values() if kept.code is None]
            self.counts["in doubt"] += len(doubts)
        self._law(all(count == 1 for count in takers.values()), "one takes over", takers)
        db.close()

    def _law(self, holds: bool, law: str, what: object) -> None:
        self.counts[f"law: {law}"] += 1
        if not holds:
            raise Broken(f"{law}: {what}")


def main(folder: str, kills: str, seed: str = "1") -> None:
    story = Story(Path(folder), int(seed))
    story.play(int(kills))
    print(json.dumps(story.counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
