"""The history without a disk: for machines where the file cannot be used, and for tests.

A `Shelf` (`shelf.py`) stands for the file, and a `MemoryHistory` for a process that has it open.
`die` loses what was not committed, as the death of a process does.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from ...core.audit import AuditRow, ChainEnd, lost_rows, missing
from ...core.history import (
    ASKED,
    DECIDED,
    INTERRUPTED,
    RUNNING,
    SAID,
    Answered,
    Beginning,
    CallKey,
    Chain,
    Durable,
    Effect,
    Ending,
    Happened,
    KeptCall,
    KeptEvent,
    KeptRun,
    Kind,
    Limits,
    Outcome,
    Post,
    RunEntry,
    RunQuery,
    Settled,
)
from ...core.history_store import TakenOver
from ...core.results.figures import Figures, Tally, bucket_of
from ...core.tools.output import Output
from ...core.values.principal import Principal, may_see
from ...core.values.strict import Json
from ...errors import HistoryLost
from .audit_lines import DAY_S
from .log import Entry, Log
from .shelf import Shelf, ShelvedRun, fits

MOST_ROWS = 10_000
"""The rows of the audit that stay when a bounded history deletes some."""
BOUNDS = Limits(keep_runs=200, keep_calls=1_000, keep_bytes=512 * 2**20)
"""The bounds of a history in memory."""


class MemoryHistory:
    """A `History` in memory. With *bounds* it trims itself; unless it *lasts*, as one on a disk
    would, runs that are to survive power cuts are refused."""

    lease: int | None = None

    def __init__(
        self,
        shelf: Shelf | None = None,
        *,
        bounds: Limits | None = None,
        lasts: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.shelf = Shelf() if shelf is None else shelf
        self.shelf.alive.add(id(self))
        self.trouble: str | None = None
        """Set it, and nothing is committed any more."""
        self.can_note = True
        """Clear it, and losses cannot be noted."""
        self.lasts = lasts
        self._boot = self.shelf.boot
        self._bounds = bounds
        self._now = now
        self._waiting: list[Entry] = []
        self._waiting_rows: list[AuditRow] = []
        self._unaudited = 0
        """The number of rows of the audit that could not be written, and not said so yet."""
        self._is_dead = False

    def __repr__(self) -> str:
        return f"<MemoryHistory of {len(self.shelf.runs)} runs>"

    # Writing.

    def begin(self, beginning: Beginning) -> Log:
        log = Log(beginning, self)
        log.begin()
        return log

    def add(self, entry: Entry, *, is_urgent: bool = False) -> None:
        if not self._is_dead:
            self._commit_soon()
            self._waiting.append(entry)

    def audit(self, row: AuditRow) -> None:
        if not self._is_dead:
            self._commit_soon()
            self._waiting_rows.append(row)

    def _commit_soon(self) -> None:
        if not self._waiting and not self._waiting_rows:
            asyncio.get_running_loop().call_soon(self._commit)

    def flush(self) -> None:
        """Nothing waits for long here."""

    async def committed(self, log: Log) -> bool:
        if self._is_dead:
            await asyncio.get_running_loop().create_future()  # the dead do not go on
        self._commit()
        return not log.is_lost

    async def note_loss(self, run_id: str) -> None:
        if not self.can_note:
            raise OSError("losses cannot be noted")
        self.shelf.losses.add(run_id)

    def _commit(self) -> None:
        entries, self._waiting = self._waiting, []
        for entry in entries:
            entry.log.is_lost = entry.log.is_lost or self.trouble is not None
            if self.trouble is None:
                self._write(entry)
        rows, self._waiting_rows = self._waiting_rows, []
        if self._unaudited and (entries or rows):
            rows.append(missing(self._now(), self._unaudited))
            self._unaudited = 0
        if self.trouble is None:
            self.shelf.audit.append(rows)
            if self._bounds is not None:
                self.shelf.audit.trim_to(MOST_ROWS, self._now())
        else:
            self._unaudited += sum(map(lost_rows, rows))

    def _write(self, entry: Entry) -> None:
        log, runs = entry.log, self.shelf.runs
        if log.id not in runs:
            awaited = log.beginning.is_awaited
            runs[log.id] = ShelvedRun(log.beginning, log.root, self, self._boot, is_awaited=awaited)
        run = runs[log.id]
        run.is_lost = run.is_lost or log.is_lost
        match entry.row:
            case Beginning():
                return
            case Answered():
                run.is_awaited = False
                return
            case Outcome() if entry.admitted is not None and entry.admitted.sent_at is not None:
                ms = 1_000 * (entry.row.at - entry.admitted.sent_at)
                tallies = self.shelf.figures.setdefault(entry.admitted.admission.tool, {})
                key = (entry.row.code, bucket_of(ms))
                tallies.setdefault(key, Tally(0, 0.0, ms, ms)).add_one(ms)
            case Ending(at, status, record, calls, failed):
                run.status, run.record, run.calls, run.failed = status, record, calls, failed
                run.ended = None if at is None else run.beginning.began + at
        run.entries.append(entry)
        if run.status != RUNNING and self._bounds is not None:
            self._trim(self._bounds)

    async def go_on(
        self,
        chain: Chain,
        beginning: Beginning,
        says: Mapping[str, Json] | None = None,
        *,
        anew: bool = False,
    ) -> TakenOver:
        self._commit()
        runs = self.shelf.of_chain(chain.root)
        if not runs:
            raise HistoryLost(f"{chain.root} is not kept any more")
        head = runs[-1]
        if head.beginning.id != chain.head.entry.id or self._is_running(head):
            return TakenOver(head.beginning.id, None)
        if head.status == RUNNING:
            head.status = INTERRUPTED
            head.is_lost = head.is_lost or head.beginning.id in self.shelf.losses
        elif not (says or anew or head.status == INTERRUPTED):
            return TakenOver(head.beginning.id, None)
        if (why := self._entry(head).why_final) is not None:
            raise HistoryLost(why)
        log = Log(beginning, self, root=chain.root, last=_last_number(runs))
        run = ShelvedRun(
            beginning,
            chain.root,
            self,
            self._boot,
            head.beginning.id,
            is_awaited=beginning.is_awaited,
            is_uncertain=self._is_uncertain(head),
        )
        self.shelf.runs[beginning.id] = run
        for task, word in (says or {}).items():
            log.put(Happened(0.0, SAID, CallKey(task), word))
        self._commit()
        return TakenOver(beginning.id, log)

    async def answered(self, run_id: str) -> None:
        if self.trouble is not None:
            raise HistoryLost(self.trouble)
        if (run := self.shelf.runs.get(run_id)) is not None:
            run.is_awaited = False

    async def post(self, post: Post) -> bool:
        if self.trouble is not None:
            raise HistoryLost(self.trouble)
        run = self.shelf.runs.get(post.run)
        if run is None or not self._is_running(run):
            return False
        self.shelf.posts.append(post)
        self.shelf.was_posted.notify()
        return True

    async def posted(self) -> list[Post]:
        while self._is_dead or not (own := [one for one in self.shelf.posts if self._has(one.run)]):
            await self.shelf.was_posted.wait()
        self.shelf.posts = [post for post in self.shelf.posts if post not in own]
        return own

    def _has(self, run_id: str) -> bool:
        """Whether the run is one of this process."""
        run = self.shelf.runs.get(run_id)
        return run is not None and run.owner is self

    def _is_uncertain(self, head: ShelvedRun) -> bool:
        """Whether a run that goes on from *head* comes after a new start of the machine."""
        is_cut = (
            head.status in (RUNNING, INTERRUPTED)
            and head.beginning.durable is not Durable.POWER
            and head.boot != self._boot
        )
        return head.is_uncertain or is_cut

    def _is_running(self, run: ShelvedRun) -> bool:
        return run.status == RUNNING and id(run.owner) in self.shelf.alive

    # Reading.

    async def runs(self, query: RunQuery) -> list[RunEntry]:
        found = [
            entry
            for run in reversed(self.shelf.runs.values())
            if fits(entry := self._entry(run), query)
            and (query.tool is None or any(fnmatchcase(tool, query.tool) for tool in run.tools()))
            and (not query.is_unanswered or self._is_unanswered(run))
        ]
        return found[: query.limit]

    def _is_unanswered(self, run: ShelvedRun) -> bool:
        is_over = run.is_awaited and run.ended is not None and id(run.owner) not in self.shelf.alive
        return is_over and any(
            call.effect is not Effect.READ and call.sent_at is not None
            for call in run.attempts(values=False)
        )

    async def run(self, run_id: str, principal: Principal | None = None) -> KeptRun | None:
        run = self.shelf.runs.get(run_id)
        if run is None or not (principal is None or may_see(principal, run.beginning.principal)):
            return None
        document = run.beginning.document
        return KeptRun(self._entry(run), document, run.record, run.is_uncertain)

    async def output(self, run_id: str, task: str) -> Output | None:
        run = self.shelf.runs.get(run_id)
        if run is None or not run.has_values:
            return None
        runs = self.shelf.of_chain(run.chain)
        for one in reversed(runs[: 1 + runs.index(run)]):
            if settled := [row for row in one.settled() if row.task == task]:
                return settled[-1].output
            calls = one.attempts(values=True)
            if own := [call for call in calls if call.key[:3] == (task, None, ()) and call.ended]:
                return own[-1].output
        return None

    async def calls(self, run_id: str, *, values: bool = False) -> list[KeptCall]:
        run = self.shelf.runs.get(run_id)
        found = [] if run is None else run.attempts(values=values)
        return sorted(found, key=lambda call: call.admitted)

    async def events(self, run_id: str) -> list[KeptEvent]:
        run = self.shelf.runs.get(run_id)
        return [] if run is None else list(run.events())

    async def question(self, run_id: str) -> Json:
        events = [kept.event for kept in await self.events(run_id)]
        last = [event for event in events if event.kind in (ASKED, DECIDED)][-1:]
        return last[0].detail if last and last[0].kind == ASKED else None

    async def settled(self, run_id: str) -> list[Settled]:
        run = self.shelf.runs.get(run_id)
        return [] if run is None else list(run.settled())

    async def chain(self, run_id: str, principal: Principal) -> Chain | None:
        run = self.shelf.runs.get(run_id)
        if run is None or not may_see(principal, run.beginning.principal):
            return None
        runs = self.shelf.of_chain(run.chain)
        calls = {call.key: call for one in runs for call in one.attempts(values=True)}
        uncertain = {run.beginning.id for run in runs if run.is_uncertain}
        events = tuple(event for one in runs for event in one.events())
        head = runs[-1]
        entry = self._entry(head)
        is_lost = entry.is_lost or head.beginning.id in self.shelf.losses
        return Chain(
            run.chain,
            KeptRun(replace(entry, is_lost=is_lost), head.beginning.document, head.record),
            calls,
            frozenset(key for key, call in calls.items() if call.run in uncertain),
            {one.task: one for run in runs for one in run.settled()},
            events,
            self._is_uncertain(head),
        )

    async def links(self, run_id: str) -> list[str]:
        run = self.shelf.runs.get(run_id)
        return [] if run is None else [one.beginning.id for one in self.shelf.of_chain(run.chain)]

    async def definitions(self, run_id: str) -> list[Json] | None:
        run = self.shelf.runs.get(run_id)
        return None if run is None else run.beginning.definitions() or None

    async def damage(self, run_id: str) -> str | None:
        return None

    async def audited(self, take: Callable[[int, str], object]) -> ChainEnd:
        for number, line in sorted(self.shelf.audit.lines.items()):
            take(number, line)
        return self.shelf.audit.end

    async def statistics(self) -> list[Figures]:
        return [Figures(tool, tallies) for tool, tallies in sorted(self.shelf.figures.items())]

    def _entry(self, run: ShelvedRun) -> RunEntry:
        began = run.beginning
        is_dead = run.status == RUNNING and not self._is_running(run)
        return RunEntry(
            began.id,
            began.kind,
            INTERRUPTED if is_dead else run.status,
            began.began,
            run.ended,
            began.durable,
            began.principal,
            began.client,
            began.desk,
            began.name,
            began.document_digest,
            began.catalog_digest,
            began.deadline,
            run.resumed_from,
            run.calls,
            run.failed,
            run.is_lost,
            run.has_values,
            began.is_taken_in,
        )

    # Housekeeping.

    async def trim(self, limits: Limits) -> int:
        if not math.isinf(limits.keep_audit_days):
            now = self._now()
            self.shelf.audit.trim(now - DAY_S * limits.keep_audit_days, now)
        return self._trim(limits)

    def _trim(self, limits: Limits) -> int:
        count = 0
        while (root := self._surplus(limits)) is not None:
            for run in self.shelf.of_chain(root):
                del self.shelf.runs[run.beginning.id]
            count += 1
        return count

    def _surplus(self, limits: Limits) -> str | None:
        """Return the first run of the oldest chain that is above *limits*; None if all fit."""
        chains: dict[str, list[ShelvedRun]] = {}
        for run in self.shelf.runs.values():
            chains.setdefault(run.chain, []).append(run)
        kept = {Kind.DAG: 0, Kind.CALL: 0}
        for run in self.shelf.runs.values():
            kept[run.beginning.kind] += 1
        is_large = sum(run.size_bytes for run in self.shelf.runs.values()) > limits.keep_bytes
        oldest = self._now() - DAY_S * limits.keep_days
        most = {Kind.DAG: limits.keep_runs, Kind.CALL: limits.keep_calls}
        for root, runs in sorted(chains.items(), key=lambda item: _last_time(item[1])):
            kind = runs[-1].beginning.kind
            if not self._is_running(runs[-1]) and (
                is_large or kept[kind] > most[kind] or _last_time(runs) < oldest
            ):
                return root
        return None

    async def close(self) -> None:
        self._commit()
        self.die()

    def die(self) -> None:
        """End as a process that is killed."""
        self._is_dead = True
        self._waiting.clear()
        self._waiting_rows.clear()
        self.shelf.alive.discard(id(self))


def _last_time(runs: list[ShelvedRun]) -> float:
    return max(run.last_time for run in runs)


def _last_number(runs: list[ShelvedRun]) -> int:
    return max((entry.number for run in runs for entry in run.entries), default=0)
