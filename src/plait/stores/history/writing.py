"""Entries as rows of the tables: what one transaction of the thread that writes does."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeAlias

from ...core.history import (
    SAID,
    Answered,
    Beginning,
    CallKey,
    Chain,
    Durable,
    Ending,
    Happened,
    Intent,
    Outcome,
    Post,
    Settled,
)
from ...core.history_store import TakenOver
from ...core.results.figures import Tally, bucket_of
from ...core.tools.output import Output
from ...core.values.principal import Principal
from ...core.values.strict import Json, encode, encode_known
from ...errors import HistoryLost
from .database import Cells, Database
from .leases import Lease, Others
from .log import Admitted, Entry, Log, Queue
from .packing import (
    INLINE_BYTES,
    Packed,
    checksum_of,
    pack,
    text_of_error,
    text_of_items,
    text_of_key,
    text_of_output,
)

Kept: TypeAlias = tuple[str | None, int | None]
"""A value as two cells: as text in its row, or the number of its blob."""
TOOL = 7
"""The place of the tool among the cells of a call."""
NOTHING: Kept = (None, None)


class Writing:
    """Writes entries of one process into *db*. What it remembers of the tables holds only as long
    as its transactions succeed: call `forget` when one fails."""

    def __init__(self, db: Database, lease: Lease, others: Others, boot: str) -> None:
        self._db = db
        self._lease = lease
        self._others = others
        self.boot = boot
        self._gateway = 0
        self._tools: dict[str, int] = {}
        self._begun: list[Log] = []
        """The runs that began in the present transaction."""
        self._next = 0
        """The number of the next run that begins in it; 0 until it is known."""
        self._blobs: dict[bytes, int] = {}
        """The blobs that were looked up in it, by digest."""
        self._lost: set[int] = set()
        """The numbers of lost runs that are not marked as such yet."""

    def forget(self, entries: Collection[Entry]) -> None:
        """Take back what a transaction did that failed: its logs are lost."""
        self._gateway = 0
        self._tools.clear()
        for log in self._begun:
            log.number = log.chain = 0
        self._end_transaction()
        for log in {entry.log for entry in entries}:
            log.is_lost = True
            if log.number:
                self._lost.add(log.number)

    def write(self, entries: Collection[Entry]) -> None:
        """Write *entries*, kind by kind: they are in one transaction, so their order within it is
        free."""
        intents: list[Cells] = []
        outcomes: list[Cells] = []
        settled: list[Cells] = []
        happened: list[Cells] = []
        endings: list[Cells] = []
        answered: list[Cells] = []
        begun: dict[int, dict[str, object]] = {}
        tallies: dict[tuple[int, str, int], Tally] = {}
        for log, number, row, admitted, packed in entries:
            if not log.number:  # it begins, or its beginning was lost
                self._begin(log, begun)
            if log.is_lost:
                self._lost.add(log.number)
            chain, run = log.chain, log.number
            match row:
                case Intent():
                    assert admitted is not None
                    intents.append(self._call(log, admitted))
                case Outcome(_, _, at, output_, error_, cached, _):
                    assert admitted is not None
                    cells = self._call(log, admitted)
                    output = self._output(log, output_, packed)
                    error = None if error_ is None else text_of_error(error_)
                    checksum = checksum_of(*cells[-3:-1], *output, error)
                    outcomes.append((*cells, number, at, cached, *output, error, checksum))
                    if (sent_at := admitted.sent_at) is not None:
                        ms = 1_000 * (at - sent_at)
                        key = (cells[TOOL], row.code, bucket_of(ms))
                        if (tally := tallies.get(key)) is None:
                            tallies[key] = Tally(1, ms, ms, ms)
                        else:
                            tally.add_one(ms)
                case Settled(task, at, status, error_, output_):
                    error, output = text_of_error(error_), self._output(log, output_, packed)
                    settled.append((chain, task, run, number, at, str(status), error, *output))
                case Happened(at, kind, event_key, detail):
                    text = encode(detail).decode()
                    happened.append((chain, number, run, at, kind, text_of_key(event_key), text))
                case Ending(at, status_, record, calls, failed):
                    blob = None if record is None else self._blob(encode_known(record))
                    if (new := begun.get(run)) is None:
                        endings.append((status_, at, blob, calls, failed, run))
                        continue
                    ended = None if at is None else log.beginning.began + at
                    new.update(status=status_, ended=ended, record=blob, calls=calls, failed=failed)
                case Answered() if (new := begun.get(run)) is not None:
                    new["awaited"] = False
                case Answered():
                    answered.append((run,))
                case Beginning():
                    pass
        for name, rows in (
            ("begin", [tuple(cells.values()) for cells in begun.values()]),
            ("intent", intents),
            ("outcome", outcomes),
            ("settle", settled),
            ("happen", happened),
            ("count", [(*key, *_cells(tally)) for key, tally in tallies.items()]),
        ):
            self._db.insert(name, rows)
        if endings:
            self._db.run_many("end", endings)
        if answered:
            self._db.run_many("answer", answered)
        if self._lost:
            self._db.run_many("lose", [(number,) for number in self._lost])

    def committed(self) -> None:
        """Note that the transaction of the last `write` succeeded."""
        self._end_transaction()
        self._lost.clear()

    def _end_transaction(self) -> None:
        self._begun.clear()
        self._blobs.clear()
        self._next = 0

    def _begin(self, log: Log, begun: dict[int, dict[str, object]]) -> None:
        """Give the run of *log* its number, and add its row to *begun*."""
        if not self._next:
            found = self._db.one("next_run")
            assert found is not None
            self._next = found[0]
        log.number = log.chain = number = self._next
        self._next += 1
        self._begun.append(log)
        end = {"status": "running", "ended": None, "record": None, "calls": 0, "failed": 0}
        cells = self._cells_of(log.beginning)
        begun[number] = {"number": number, "chain": number, "step": 1, **cells, **end}

    def _cells_of(self, beginning: Beginning) -> dict[str, object]:
        self._keep_definitions(beginning)
        return {
            "id": beginning.id,
            "gateway": self._own_gateway(),
            "kind": str(beginning.kind),
            "durable": str(beginning.durable),
            "principal": beginning.principal,
            "client": beginning.client,
            "desk": beginning.desk,
            "name": beginning.name,
            "document_digest": beginning.document_digest,
            "catalog_digest": beginning.catalog_digest,
            "document": self._blob(encode_known(beginning.document)),
            "began": beginning.began,
            "deadline": beginning.deadline,
            "has_values": beginning.keeps_values,
            "taken_in": beginning.is_taken_in,
            "awaited": beginning.is_awaited,
        }

    def _keep_definitions(self, beginning: Beginning) -> None:
        """Keep the definitions of the tools of a run, unless they are there."""
        digest = beginning.catalog_digest
        if digest and self._db.one("find_catalog", (digest,)) is None:
            if not (definitions := beginning.definitions()):
                return
            packed = pack(encode(definitions))
            self._db.run("add_catalog", (digest, packed.codec, packed.data))

    def _own_gateway(self) -> int:
        if not self._gateway:
            values = (self._lease.name, self.boot, time.time())
            found = self._db.one("add_gateway", values)
            assert found is not None
            self._gateway = found[0]
        return self._gateway

    def _call(self, log: Log, admitted: Admitted) -> Cells:
        """Return the cells that a call has before its outcome."""
        (task, item, at, round), attempt, admitted_at, tool, effect, arguments, known = (
            admitted.admission
        )
        text = encode_known(arguments)
        if log.beginning.keeps_values:
            (value, blob), digest = self._value(text), None
        else:
            value, blob = NOTHING
            digest = hashlib.sha256(text).digest() if known is None else bytes.fromhex(known)
        return (
            log.chain,
            task,
            text_of_items(at) if at else "",
            -1 if item is None else item,
            round,
            log.number,
            attempt,
            self._tool(tool),
            str(effect),
            admitted.number,
            admitted_at,
            admitted.sent_at,
            value,
            blob,
            digest,
        )

    def _tool(self, name: str) -> int:
        if (id := self._tools.get(name)) is None:
            found = self._db.one("add_tool", (name,))
            assert found is not None
            id = self._tools[name] = int(found[0])
        return id

    def _output(self, log: Log, output: Output | None, packed: Packed | None) -> Kept:
        if output is None or not log.beginning.keeps_values:
            return NOTHING
        return (None, self._keep(packed)) if packed else self._value(text_of_output(output))

    def _value(self, text: bytes) -> Kept:
        if len(text) <= INLINE_BYTES:
            return text.decode(), None
        return None, self._blob(text)

    def _blob(self, text: bytes) -> int:
        # Never remembered: another process may have deleted it since. Within a transaction it
        # cannot.
        digest = hashlib.sha256(text).digest()
        if (id := self._find(digest)) is not None:
            return id
        return self._add(pack(text))

    def _find(self, digest: bytes) -> int | None:
        if (id := self._blobs.get(digest)) is None:
            if (found := self._db.one("find_blob", (digest,))) is None:
                return None
            id = self._blobs[digest] = int(found[0])
        return id

    def _keep(self, packed: Packed) -> int:
        id = self._find(packed.digest)
        return self._add(packed) if id is None else id

    def _add(self, packed: Packed) -> int:
        found = self._db.one("add_blob", packed)
        assert found is not None
        id = self._blobs[packed.digest] = int(found[0])
        return id

    def go_on(
        self,
        chain: Chain,
        beginning: Beginning,
        says: Mapping[str, Json],
        queue: Queue,
        *,
        anew: bool,
    ) -> TakenOver:
        """Begin a run that goes on from *chain*, as `Journal.go_on` says, in one transaction."""
        head = self._db.one("head", (chain.root,))
        if head is None:
            raise HistoryLost(f"{chain.root} is not kept any more")
        number, id, root, status, durable, lost, uncertain, _, _, lease, boot = head
        is_going = status == "running"
        if id != chain.head.entry.id or (is_going and self._others.is_alive(lease)):
            return TakenOver(id, None)
        if not is_going and status != "interrupted" and not says and not anew:
            return TakenOver(id, None)
        if is_going:
            self._db.run("interrupt", (number,))
            lost = lost or id in self._others.losses_of(lease)
        entry = replace(chain.head.entry, is_lost=bool(lost))
        if (why := entry.why_final) is not None:
            raise HistoryLost(why)
        is_cut = (
            status in ("running", "interrupted") and durable != Durable.POWER and boot != self.boot
        )
        last = self._db.one("last_number", {"chain": root})
        assert last is not None
        log = Log(beginning, queue, root=chain.root, last=last[0])
        cells = self._cells_of(beginning) | {"head": number, "uncertain": uncertain or is_cut}
        found = self._db.one("go_on", cells)
        assert found is not None
        log.number, log.chain = found[0], root
        for task, word in says.items():
            key, text = text_of_key(CallKey(task)), encode(word).decode()
            self._db.run("happen", (root, log.next_number(), log.number, 0.0, SAID, key, text))
        return TakenOver(beginning.id, log)

    def answer(self, run_id: str) -> None:
        """Write that the answer of a run has left, as `History.answered` says, in one
        transaction."""
        self._db.run("answer_by_id", (run_id,))

    def post(self, post: Post) -> bool:
        """Leave *post*, as `History.post` says, in one transaction."""
        self._db.run("drop_posts")
        found = self._db.one("holder", (post.run,))
        if found is None or not self._others.is_running(found[1]):
            return False
        text = encode(post.body).decode()
        self._db.run("post", (found[0], post.kind, post.principal, text))
        return True

    def take_posts(self) -> list[Post]:
        """Take what was posted to the runs of this process, in one transaction."""
        return [
            Post(run, kind, Principal(principal), json.loads(body))
            for _, run, kind, principal, body in sorted(
                self._db.all("take_posts", (self._lease.name,))
            )
        ]


def _cells(tally: Tally) -> Cells:
    return tally.count, tally.total_ms, tally.min_ms, tally.max_ms
