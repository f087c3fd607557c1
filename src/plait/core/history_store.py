"""The store of the history, as Protocols: the log of one run, the journal that runs write, and the
history that is read. `stores/history/` has the two that there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from .audit import AuditRow, ChainEnd
from .history import (
    Beginning,
    Chain,
    KeptCall,
    KeptEvent,
    KeptRun,
    Limits,
    Post,
    Row,
    RunEntry,
    RunQuery,
    Settled,
)
from .results.figures import Figures
from .tools.output import Output
from .values.principal import Principal
from .values.strict import Json


class TakenOver(NamedTuple):
    """The run that goes on. It has no log if another caller was faster, or if it has ended and
    nothing new was said: then that run is the answer."""

    run_id: str
    log: RunLog | None


class RunLog(Protocol):
    """One run that is being written."""

    @property
    def id(self) -> str: ...

    @property
    def root(self) -> str:
        """The id of the first run of its chain."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether something of it could not be written in time. It stays so."""
        ...

    def put(self, row: Row) -> None:
        """Write *row* within 50 ms; within 5 ms if it ends a call that is not read-only. It does
        not block and never fails."""
        ...

    def flush(self) -> None:
        """Let all that was put so far be written now. It does not block and never fails."""
        ...

    async def committed(self) -> bool:
        """Wait until all that was put is in the file, at most a second beyond what preparing it
        takes; returns whether it is. For what goes out: answers, run ids, approvals."""
        ...

    async def secure(self) -> None:
        """Wait until a call that is not read-only may leave: all that was put is in the file, or it
        is noted outside of the file that the run lost its history. Raises `HistoryUnavailable`
        where that fails too, and for a run that is to survive a power cut."""
        ...


class Journal(Protocol):
    """The history as runs write it."""

    @property
    def trouble(self) -> str | None:
        """Why runs may be lost now; None while all is well."""
        ...

    @property
    def lease(self) -> int | None:
        """The descriptor that says that this process is alive as long as a process has it open: for
        the guard that ends its servers. None without a file."""
        ...

    def begin(self, beginning: Beginning) -> RunLog:
        """Write down that a run begins. It does not block and never fails."""
        ...

    def audit(self, row: AuditRow) -> None:
        """Append *row* to the audit within 50 ms, in the same commit as what is put in the same
        turn of the event loop. It does not block and never fails."""
        ...

    async def chain(self, run_id: str, principal: Principal) -> Chain | None:
        """Read what to go on from; None if the run is unknown, or *principal* may not see it."""
        ...

    async def go_on(
        self,
        chain: Chain,
        beginning: Beginning,
        says: Mapping[str, Json] | None = None,
        *,
        anew: bool = False,
    ) -> TakenOver:
        """Begin a run that goes on from *chain*, unless another caller has; one transaction decides
        that. *says* is what the caller says about tasks in doubt; a chain whose last run has ended
        goes on only with that, or *anew*, with another document. Raises `HistoryLost`."""
        ...


class History(Journal, Protocol):
    """The history as it is read."""

    async def runs(self, query: RunQuery) -> list[RunEntry]: ...

    async def run(self, run_id: str, principal: Principal | None = None) -> KeptRun | None:
        """Return a run; None if it is unknown, or *principal* may not see it. Without a principal
        any run is returned."""
        ...

    async def output(self, run_id: str, task: str) -> Output | None:
        """Return the output of a task; None if absent."""
        ...

    async def calls(self, run_id: str, *, values: bool = False) -> list[KeptCall]:
        """List the attempts that a run made, in the order of their admissions; with *values* also
        what they were sent and gave."""
        ...

    async def events(self, run_id: str) -> list[KeptEvent]: ...

    async def question(self, run_id: str) -> Json:
        """Return the question that the run asks and that was not answered; None without one."""
        ...

    async def settled(self, run_id: str) -> list[Settled]:
        """List what the run put as `Settled`, with its outputs."""
        ...

    async def answered(self, run_id: str) -> None:
        """Write that the answer of a run has left, which ended in a process that died. Raises
        `HistoryLost`."""
        ...

    async def post(self, post: Post) -> bool:
        """Leave *post* to the process in which its run goes on; returns whether there is one.
        Raises `HistoryLost` if it cannot be left."""
        ...

    async def posted(self) -> list[Post]:
        """Wait for a moment, then take what other processes have posted to the runs of this one, in
        the order in which it was: often nothing. Only while runs go on, since it may mean to look
        into the file."""
        ...

    async def links(self, run_id: str) -> list[str]:
        """List the ids of the runs of a run's chain, the first of them first; empty if unknown."""
        ...

    async def definitions(self, run_id: str) -> list[Json] | None:
        """Return the definitions of the tools that a run calls, as it began with them; None if they
        are not kept."""
        ...

    async def damage(self, run_id: str) -> str | None:
        """Return what of a run is not as it was written; None if all is."""
        ...

    async def audited(self, take: Callable[[int, str], object]) -> ChainEnd:
        """Give each row of the audit, as its number and its line, to *take*, which is called in any
        thread; returns the end of the chain. `ChainCheck` checks them."""
        ...

    async def statistics(self) -> list[Figures]:
        """Return the figures of each tool, in the order of names."""
        ...

    async def trim(self, limits: Limits) -> int:
        """Delete the oldest chains above *limits*, in small steps; returns how many are gone."""
        ...

    async def close(self) -> None:
        """Write what is left, and close."""
        ...
