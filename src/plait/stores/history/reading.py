"""Rows of the tables as values: what people and resumed runs read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase

from ...core.audit import ChainEnd
from ...core.history import (
    INTERRUPTED,
    RUNNING,
    CallKey,
    Chain,
    Durable,
    Effect,
    Happened,
    KeptCall,
    KeptEvent,
    KeptRun,
    Kind,
    RunEntry,
    RunQuery,
    Settled,
)
from ...core.results.figures import Figures, Tally
from ...core.scheduling.events import Status
from ...core.tools.output import Output
from ...core.values.principal import Principal, may_see
from ...core.values.strict import Json, JsonObject
from . import auditing
from .database import Cells, Database
from .leases import Others
from .packing import (
    checksum_of,
    error_of,
    is_as_digested,
    items_of,
    key_of,
    output_of,
    unpack,
)


class Reading:
    """Reads *db*, on a machine that started as *boot*."""

    def __init__(self, db: Database, others: Others, boot: str) -> None:
        self._db = db
        self._others = others
        self._boot = boot

    def audited(self, take: Callable[[int, str], object]) -> ChainEnd:
        return auditing.read(self._db, take)

    def runs(self, query: RunQuery) -> list[RunEntry]:
        tools = None
        if query.tool is not None:
            names = self._db.all("tools")
            tools = json.dumps([id for id, name in names if fnmatchcase(name, query.tool)])
        first = 0
        if query.status in (RUNNING, INTERRUPTED):
            found = [number for (number,) in self._db.all("first_open") if number is not None]
            if not found:
                return []
            first = min(found)
        if query.is_unanswered:
            awaited = self._db.one("first_awaited", {"since": query.since})
            if awaited is None or awaited[0] is None:
                return []
            first = awaited[0]
        bindings = {
            "first": first,
            "dead": self._dead(),
            "principal": query.principal,
            "kind": query.kind and str(query.kind),
            "status": query.status,
            "failed": query.failed,
            "since": query.since,
            "digest": query.document_digest,
            "unanswered": query.is_unanswered,
            "prefix": query.prefix,
            "tools": tools,
            "limit": query.limit,
        }
        return [_entry(cells) for cells in self._db.all("runs", bindings)]

    def run(self, run_id: str, principal: Principal | None) -> KeptRun | None:
        if (cells := self._run(run_id, principal)) is None:
            return None
        *entry, _, _, document, record, is_uncertain = cells
        return KeptRun(
            _entry(tuple(entry)),
            _object(self._load(document)),
            None if record is None else _object(self._load(record)),
            bool(is_uncertain),
        )

    def output(self, run_id: str, task: str) -> Output | None:
        if (cells := self._run(run_id, None)) is None:
            return None
        bindings = {**_place(cells), "task": task}
        found = self._db.one("output", bindings)
        return None if found is None else output_of(unpack(*found))

    def calls(self, run_id: str, *, values: bool) -> list[KeptCall]:
        if (cells := self._run(run_id, None)) is None:
            return []
        return [call for call, _ in self._calls(**_place(cells), values=values)]

    def events(self, run_id: str) -> list[KeptEvent]:
        cells = self._run(run_id, None)
        return [] if cells is None else self._events(**_place(cells))

    def question(self, run_id: str) -> Json:
        cells = self._run(run_id, None)
        found = None if cells is None else self._db.one("question", _place(cells))
        return None if found is None or found[0] is None else json.loads(found[0])

    def settled(self, run_id: str) -> list[Settled]:
        cells = self._run(run_id, None)
        return [] if cells is None else self._settled(**_place(cells))

    def links(self, run_id: str) -> list[str]:
        return [id for (id,) in self._db.all("links", (run_id,))]

    def definitions(self, run_id: str) -> list[Json] | None:
        cells = self._run(run_id, None)
        found = None if cells is None else self._db.one("catalog", (cells[11],))
        if found is None:
            return None
        definitions = unpack(None, *found)
        assert isinstance(definitions, list)
        return definitions

    def damage(self, run_id: str) -> str | None:
        if (cells := self._run(run_id, None)) is None:
            return None
        for task, tool, *values in self._db.all("values", _place(cells)):
            *row, checksum = values[:6]
            is_whole = checksum is None or checksum == checksum_of(*row)
            if not (is_whole and is_as_digested(*values[6:9]) and is_as_digested(*values[9:])):
                return f"{tool} of {task} is not as it was written"
        for what, *packed in self._db.all("other_values", _place(cells)):
            if not is_as_digested(*packed):
                return f"{what} is not as it was written"
        return None

    def chain(self, run_id: str, principal: Principal) -> Chain | None:
        with self._db.snapshot():
            if self._run(run_id, principal) is None:
                return None
            found = self._db.one("head", (run_id,))
            assert found is not None
            _, head_id, chain, status, durable, lost, uncertain, _, _, lease, boot = found
            root = self._db.one("root", (chain,))
            head = self.run(head_id, None)
            assert root is not None
            assert head is not None
            if not lost and status == "running" and head_id in self._others.losses_of(lease):
                head = replace(head, entry=replace(head.entry, is_lost=True))
            is_cut = (
                status in ("running", "interrupted")
                and durable != Durable.POWER
                and boot != self._boot
            )
            calls: dict[CallKey, KeptCall] = {}
            later: set[CallKey] = set()
            for call, is_later in self._calls(chain, None, values=True):
                calls[call.key] = call
                (later.add if is_later else later.discard)(call.key)
            return Chain(
                root[0],
                head,
                calls,
                frozenset(later),
                {settled.task: settled for settled in self._settled(chain, None)},
                tuple(self._events(chain, None)),
                bool(uncertain) or is_cut,
            )

    def has_posts(self, lease: str) -> bool:
        """Return whether something was posted to the runs of the process with *lease*."""
        found = self._db.one("has_posts", (lease,))
        return found is not None and bool(found[0])

    def statistics(self) -> list[Figures]:
        tools: dict[str, dict[tuple[str, int], Tally]] = {}
        for name, code, bucket, *tally in self._db.all("statistics"):
            tools.setdefault(name, {})[code, bucket] = Tally(*tally)
        return [Figures(name, tallies) for name, tallies in tools.items()]

    def _dead(self) -> str:
        """List the numbers of dead gateways whose runs have not ended, as JSON."""
        gateways = self._db.all("running")
        return json.dumps([id for id, lease in gateways if not self._others.is_running(lease)])

    def _run(self, run_id: str, principal: Principal | None) -> Cells | None:
        cells = self._db.one("run", {"id": run_id, "dead": self._dead()})
        if cells is None or not (principal is None or may_see(principal, cells[6])):
            return None
        return cells

    def _load(self, blob: int) -> Json:
        found = self._db.one("blob", (blob,))
        assert found is not None
        return unpack(None, *found)

    def _calls(self, chain: int, run: int | None, *, values: bool) -> list[tuple[KeptCall, bool]]:
        """Read attempts, each with whether it was made after a new start of the machine."""
        bindings = {"chain": chain, "run": run, "values": values}
        return [_call(cells, values) for cells in self._db.all("calls", bindings)]

    def _events(self, chain: int, run: int | None) -> list[KeptEvent]:
        return [
            KeptEvent(id, number, Happened(at, kind, key_of(key), json.loads(detail)))
            for id, number, at, kind, key, detail in self._db.all(
                "events", {"chain": chain, "run": run}
            )
        ]

    def _settled(self, chain: int, run: int | None) -> list[Settled]:
        return [
            Settled(task, at, Status(status), error_of(error), output_of(unpack(*output)))
            for task, at, status, error, *output in self._db.all(
                "settled", {"chain": chain, "run": run}
            )
        ]


_KINDS = {str(kind): kind for kind in Kind}
_DURABLE = {str(durable): durable for durable in Durable}
"""Tables, since lists are long: an enum takes five times as long to look a member up."""


def _entry(cells: Cells) -> RunEntry:
    fields = list(cells)
    fields[1], fields[5] = _KINDS[fields[1]], _DURABLE[fields[5]]
    fields[16:19] = map(bool, fields[16:19])
    return RunEntry(*fields)


def _call(cells: Cells, values: bool) -> tuple[KeptCall, bool]:
    id, task, at, item, round, attempt, tool, effect, admitted, admitted_at, *rest = cells
    sent_at, ended, ended_at, cached, text, codec, data, digest, *output, error, later = rest
    if text is not None:
        digest = hashlib.sha256(text.encode()).digest()
    call = KeptCall(
        id,
        CallKey(task, None if item < 0 else item, items_of(at), round),
        attempt,
        tool,
        Effect(effect),
        admitted,
        admitted_at,
        sent_at,
        ended,
        ended_at,
        digest.hex(),
        _object(unpack(text, codec, data)) if values and (text or data) else None,
        output_of(unpack(*output)) if values else None,
        error_of(error),
        bool(cached),
    )
    return call, bool(later)


def _place(cells: Cells) -> dict[str, int]:
    """Return the numbers of a run and of its chain."""
    return {"run": cells[-5], "chain": cells[-4]}


def _object(value: Json) -> JsonObject:
    assert isinstance(value, dict)
    return value
