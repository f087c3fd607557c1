"""The committed runs of a history in memory, as the file has them of one on a disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ...core.history import (
    RUNNING,
    Beginning,
    CallKey,
    Happened,
    Intent,
    KeptCall,
    KeptEvent,
    Outcome,
    Post,
    RunEntry,
    RunQuery,
    Settled,
    digest_of_arguments,
)
from ...core.results.figures import Tally
from ...core.values.strict import JsonObject
from ...waiting import Signal
from .audit_lines import AuditLines
from .log import Entry

ENTRY_BYTES = 1_024
"""About the memory of an entry without its output."""


@dataclass(slots=True, eq=False)
class ShelvedRun:
    """One run, as it was committed by a process."""

    beginning: Beginning
    chain: str
    """The id of its first run."""
    owner: object
    boot: str
    resumed_from: str | None = None
    entries: list[Entry] = field(default_factory=list)
    status: str = RUNNING
    ended: float | None = None
    calls: int = 0
    failed: int = 0
    is_lost: bool = False
    record: JsonObject | None = None
    is_awaited: bool = False
    is_uncertain: bool = False
    """Whether the machine had started anew within its chain before it began."""

    @property
    def has_values(self) -> bool:
        return self.beginning.keeps_values

    @property
    def size_bytes(self) -> int:
        return sum(
            ENTRY_BYTES
            + (
                entry.row.output.memory_bytes
                if isinstance(entry.row, Outcome | Settled) and entry.row.output is not None
                else 0
            )
            for entry in self.entries
        )

    def tools(self) -> Iterator[str]:
        """Yield the full names of the tools that it called."""
        for entry in self.entries:
            if entry.admitted is not None:
                yield entry.admitted.admission.tool

    @property
    def last_time(self) -> float:
        """The time at which it ended, or began."""
        return self.beginning.began if self.ended is None else self.ended

    def attempts(self, *, values: bool) -> list[KeptCall]:
        """List its attempts; with *values* also what they were sent and gave."""
        found: dict[tuple[CallKey, int], KeptCall] = {}
        keeps = values and self.has_values
        for _, number, row, admitted, _ in self.entries:
            if not isinstance(row, Intent | Outcome):
                continue
            assert admitted is not None
            admission = admitted.admission
            call = KeptCall(
                self.beginning.id,
                row.key,
                row.attempt,
                admission.tool,
                admission.effect,
                admitted.number,
                admission.at,
                admitted.sent_at,
                None,
                None,
                admission.arguments_digest or digest_of_arguments(admission.arguments),
                admission.arguments if keeps else None,
            )
            if isinstance(row, Outcome):
                call = replace(
                    call,
                    ended=number,
                    ended_at=row.at,
                    output=row.output if keeps else None,
                    error=row.error,
                    cached=row.cached,
                )
            found[row.key, row.attempt] = call
        return list(found.values())

    def events(self) -> Iterator[KeptEvent]:
        for _, number, row, *_ in self.entries:
            if isinstance(row, Happened):
                yield KeptEvent(self.beginning.id, number, row)

    def settled(self) -> Iterator[Settled]:
        for _, _, row, *_ in self.entries:
            if isinstance(row, Settled):
                yield row if self.has_values else row._replace(output=None)


@dataclass(slots=True)
class Shelf:
    """The committed runs, in the order in which they began, and the living processes."""

    boot: str = ""
    runs: dict[str, ShelvedRun] = field(default_factory=dict)
    alive: set[int] = field(default_factory=set)
    losses: set[str] = field(default_factory=set)
    figures: dict[str, dict[tuple[str, int], Tally]] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    was_posted: Signal = field(default_factory=Signal)
    audit: AuditLines = field(default_factory=AuditLines)

    def of_chain(self, root: str) -> list[ShelvedRun]:
        return [run for run in self.runs.values() if run.chain == root]


def fits(entry: RunEntry, query: RunQuery) -> bool:
    """Return whether *query* asks for a run, whatever tools it called."""
    return (
        (query.principal is None or entry.principal == query.principal)
        and (query.kind is None or entry.kind is query.kind)
        and (query.status is None or entry.status == query.status)
        and (not query.failed or entry.status not in ("success", RUNNING))
        and (query.since is None or entry.began > query.since)
        and (query.document_digest is None or entry.document_digest == query.document_digest)
        and entry.id.startswith(query.prefix)
    )
