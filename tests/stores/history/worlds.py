"""A history that several processes have open, each of which can die; and rows to put into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import count
from pathlib import Path
from typing import Any

from plait.core.history import (
    Admission,
    Beginning,
    CallKey,
    Chain,
    Effect,
    Ending,
    Intent,
    Outcome,
)
from plait.core.history_store import (
    History,
    RunLog,
    TakenOver,
)
from plait.core.scheduling.events import Failure
from plait.core.tools.output import Output
from plait.core.values.principal import USER
from plait.core.values.strict import Json, JsonObject
from plait.stores.history.database import DatabaseError
from plait.stores.history.files import Files
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.shelf import Shelf
from plait.stores.history.store import SqliteHistory

BEGAN = 1_000_000.0
DAY = 86_400.0


class World(ABC):
    def __init__(self) -> None:
        self.now = BEGAN
        self._ids = (f"r_{number}" for number in count(1))
        self.histories: list[Any] = []

    @abstractmethod
    async def open(self) -> History:
        """Open the history in another process."""

    @abstractmethod
    async def kill(self, history: Any) -> None:
        """Kill that process: what it has not committed is lost."""

    @abstractmethod
    def restart_machine(self) -> None:
        """Let what is opened from now on run after a new start of the machine."""

    @abstractmethod
    def break_disk(self, history: Any) -> None:
        """Let commits fail from now on."""

    @abstractmethod
    def repair_disk(self, history: Any) -> None:
        """Let commits succeed again."""

    @abstractmethod
    def break_runtime(self, history: Any) -> None:
        """Let notes about losses fail, too."""

    async def settle(self, history: History) -> None:
        """Wait until all that was put before is committed."""
        await self.begin(history).committed()

    async def close(self) -> None:
        for history in list(self.histories):
            await history.close()

    def beginning(self, **fields: Any) -> Beginning:
        given: dict[str, Any] = {"began": BEGAN, "document": {"tasks": [{"id": "a"}]}} | fields
        return Beginning(id=next(self._ids), **given)

    def begin(self, history: History, **fields: Any) -> RunLog:
        return history.begin(self.beginning(**fields))

    async def resume(self, history: History, run_id: str, **how: Any) -> TakenOver:
        chain = await self.chain(history, run_id)
        return await history.go_on(chain, self.beginning(), **how)

    async def chain(self, history: History, run_id: str) -> Chain:
        chain = await history.chain(run_id, USER)
        assert chain is not None
        return chain


class MemoryWorld(World):
    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf()

    async def open(self) -> MemoryHistory:
        history = MemoryHistory(self.shelf, now=lambda: self.now)
        self.histories.append(history)
        return history

    async def kill(self, history: MemoryHistory) -> None:
        self.histories.remove(history)
        history.die()

    def restart_machine(self) -> None:
        self.shelf.boot = "another"

    def break_disk(self, history: MemoryHistory) -> None:
        history.trouble = "the disk is full"

    def repair_disk(self, history: MemoryHistory) -> None:
        history.trouble = None

    def break_runtime(self, history: MemoryHistory) -> None:
        history.can_note = False


class SqliteWorld(World):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.boot = "first"

    async def open(self) -> SqliteHistory:
        files = Files(self.folder / "state", self.folder / "runtime", boot=self.boot)
        history = SqliteHistory(files, now=lambda: self.now)
        self.histories.append(history)
        return history

    async def kill(self, history: SqliteHistory) -> None:
        """What the system does when a process dies: locks and connections are gone, leases stay."""
        self.histories.remove(history)
        history._writer._batch.entries.clear()
        lease = history._files.lease
        lease._path = lease._path.with_name(".none")
        await history.close()

    def restart_machine(self) -> None:
        self.boot = "second"

    def break_disk(self, history: SqliteHistory) -> None:
        def fail() -> None:
            raise DatabaseError("the disk is full")

        history._writer.before_commit = fail

    def repair_disk(self, history: SqliteHistory) -> None:
        history._writer.before_commit = lambda: None

    def break_runtime(self, history: SqliteHistory) -> None:
        (self.folder / "runtime").write_text("no folder")


def admit(
    log: RunLog,
    task: str,
    effect: Effect = Effect.WRITE,
    *,
    key: CallKey | None = None,
    attempt: int = 1,
    arguments: JsonObject | None = None,
    tool: str | None = None,
    at: float = 0.0,
) -> CallKey:
    """Put the admission of a call, which leaves at once."""
    key = key or CallKey(task)
    log.put(Admission(key, attempt, at, tool or f"s:{effect}", effect, arguments or {"x": 1}))
    if effect is not Effect.READ:
        log.put(Intent(key, attempt, at))
    return key


def call(
    log: RunLog,
    task: str,
    value: Json = 1,
    effect: Effect = Effect.READ,
    *,
    error: Failure | None = None,
    at: float = 0.0,
    took_s: float = 0.005,
    **how: Any,
) -> CallKey:
    """Put all of a call: its admission, its intent (but of a read) and its outcome."""
    key = admit(log, task, effect, at=at, **how)
    output = None if error is not None else Output.of(value)
    log.put(Outcome(key, how.get("attempt", 1), at + took_s, output, error, sent_at=at))
    return key


def end(log: RunLog, status: str = "success", *, at: float = 1.0, failed: int = 0) -> None:
    log.put(Ending(at, status, {"id": log.id, "status": status}, 1, failed))
