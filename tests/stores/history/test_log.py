"""Rows get their places, and admissions join what they admit."""

from __future__ import annotations

from plait.core.history import (
    Admission,
    Beginning,
    CallKey,
    Durable,
    Effect,
    Ending,
    Happened,
    Intent,
    Outcome,
)
from plait.stores.history.log import Admitted, Entry, Log

A, B = CallKey("a"), CallKey("b")
ADMITS_A = Admission(A, 1, 0.5, "s:read", Effect.READ, {})
ADMITS_B = Admission(B, 1, 0.5, "s:write", Effect.WRITE, {})


class Taken(list[Entry]):
    """A queue that takes entries, and commits none of them."""

    lasts = True

    def __init__(self) -> None:
        super().__init__()
        self.urgent: list[int] = []
        self.noted: list[str] = []
        self.flushed: int | None = None

    def add(self, entry: Entry, *, is_urgent: bool = False) -> None:
        self.append(entry)
        if is_urgent:
            self.urgent.append(entry.number)

    def flush(self) -> None:
        self.flushed = len(self)

    async def committed(self, log: Log) -> bool:
        return False

    async def note_loss(self, run_id: str) -> None:
        self.noted.append(run_id)


def begun(durable: Durable = Durable.PROCESS, last: int = 0) -> tuple[Taken, Log]:
    taken = Taken()
    log = Log(Beginning("r_1", 1.0, {}, durable=durable), taken, last=last)
    log.begin()
    return taken, log


def test_an_intent_is_a_row_of_its_own():
    taken, log = begun()
    for row in (ADMITS_A, ADMITS_B, Intent(B, 1, 0.7)):
        log.put(row)
    assert [entry.row for entry in taken] == [log.beginning, Intent(B, 1, 0.7)]
    assert taken[1].admitted == Admitted(2, ADMITS_B, 0.7)


def test_an_outcome_has_its_admission_and_the_time_at_which_the_call_left():
    taken, log = begun()
    for row in (ADMITS_A, ADMITS_B, Intent(B, 1, 0.7)):
        log.put(row)
    for end in (Outcome(B, 1, 0.8), Outcome(A, 1, 0.9, sent_at=0.6)):
        log.put(end)
    assert [(entry.number, entry.admitted) for entry in taken[2:]] == [
        (3, Admitted(2, ADMITS_B, 0.7)),
        (4, Admitted(1, ADMITS_A, 0.6)),
    ]
    assert taken.urgent == [3]


def test_what_was_put_is_written_now_if_it_is_flushed():
    taken, log = begun()
    log.put(Happened(0.0, "woke"))
    log.flush()
    log.put(Happened(0.1, "woke"))
    assert (taken.flushed, len(taken)) == (2, 3)


def test_numbers_go_on_from_those_of_the_run_before():
    taken, log = begun(last=7)
    log.put(Happened(0.0, "woke"))
    assert [entry.number for entry in taken] == [0, 8]


def test_a_run_that_survives_nothing_holds_its_rows_until_it_has_ended():
    taken, log = begun(Durable.OFF)
    log.put(Happened(0.0, "woke"))
    assert taken == []
    log.put(Ending(1.0, "success", {}))
    assert len(taken) == 3


async def test_a_loss_is_noted_once_and_before_a_call_leaves():
    taken, log = begun()
    await log.secure()
    await log.secure()
    assert taken.noted == ["r_1"]
