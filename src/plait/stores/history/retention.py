"""Deletes the oldest chains of runs that are above the limits, in small steps: a commit of a run
that waits for one of them waits for some milliseconds.

What was begun is finished first, by whichever process comes next: a chain that is being deleted is
marked, and not seen any more.
"""

from __future__ import annotations

from math import isinf

from ...core.history import Kind, Limits
from . import auditing
from .audit_lines import DAY_S
from .database import Cells, Database
from .leases import Others


def trim(db: Database, others: Others, limits: Limits, now: float) -> int:
    """Delete what is above *limits*; returns the number of chains."""
    count = 0
    while deleted := _trim_some(db, others, limits, now):
        count += deleted
    if count:
        with db.transaction():
            db.run("drop_catalogs")
    if not isinf(limits.keep_audit_days):
        auditing.trim(db, now - DAY_S * limits.keep_audit_days, now)
    _forget_the_dead(db, others)
    return count


def _trim_some(db: Database, others: Others, limits: Limits, now: float) -> int:
    """Delete those of the oldest chains that are above *limits*; returns how many were."""
    kept = {Kind.DAG: 0, Kind.CALL: 0} | {Kind(kind): n for kind, n in db.all("count_runs")}
    most = {Kind.DAG: limits.keep_runs, Kind.CALL: limits.keep_calls}
    oldest = now - DAY_S * limits.keep_days
    is_too_large = _used_bytes(db) > limits.keep_bytes
    count = 0
    for chain, gone, last in db.all("oldest"):
        end = db.one("chain_end", {"chain": chain})
        if end is None:
            continue  # another process was faster
        kind, status, lease, runs = Kind(end[0]), *end[1:]
        if status == "running" and others.is_alive(lease):
            continue
        if gone or is_too_large or kept[kind] > most[kind] or last < oldest:
            _delete(db, chain)
            kept[kind] -= runs
            is_too_large = _used_bytes(db) > limits.keep_bytes
            count += 1
    return count


def _used_bytes(db: Database) -> int:
    """Return about the bytes of all but the audit, of which only the age counts."""
    return db.used_bytes() - auditing.used_bytes(db)


def _delete(db: Database, chain: int) -> None:
    for name, columns in (("attempts", 6), ("settled", 2), ("events", 1)):
        while True:
            with db.transaction():
                db.run("mark_gone", (chain,))
                rows = db.all(f"some_{name}", (chain,))
                if not rows:
                    break
                db.run(f"delete_{name}", (chain, *rows[-1][:columns]))
                _drop(db, [blob for row in rows for blob in row[columns:]])
    with db.transaction():
        runs: list[Cells] = db.all("delete_runs", (chain,))
        db.run("drop_posts")
        _drop(db, [blob for row in runs for blob in row])
    db.give_back()


def _drop(db: Database, blobs: list[int | None]) -> None:
    """Delete those of *blobs* that nothing uses any more."""
    for blob in sorted({blob for blob in blobs if blob is not None}):
        db.run("delete_blob", (blob,))


def _forget_the_dead(db: Database, others: Others) -> None:
    """Write down what dead processes noted, and forget them."""
    for lease in others.dead():
        if losses := others.losses_of(lease):
            with db.transaction():
                db.run_many("lose_by_id", [(run,) for run in losses])
        others.forget(lease)
    idle = [id for id, lease in db.all("idle_gateways") if not others.is_alive(lease)]
    if idle:
        with db.transaction():
            db.run_many("delete_gateway", [(id,) for id in idle])
