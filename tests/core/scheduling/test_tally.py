"""Tasks in groups, counted from notices."""

from typing import Any

from plait.core.scheduling.events import Failure, Key, Status
from plait.core.scheduling.notices import Changed
from plait.core.scheduling.outlines import InnerOutline
from plait.core.scheduling.tally import LETTERS, MAX_ERRORS, Tally

COMMENT = InnerOutline("close.comment", "s:do", (("close", True), ("comment", False)), True)
EACH = InnerOutline("g.each", "s:do", (("g", False), ("each", True)), True)


def change(before: str, after: str, at: int = 0, item: int | None = None, **fields: Any) -> Changed:
    key = Key("r", "close.comment", item, (at,))
    return Changed(key, "s:do", Status(before), Status(after), 1, 0.0, **fields)


def test_each_item_counts_once_with_the_status_that_it_has_now():
    tally = Tally(COMMENT)
    for at in range(3):
        tally.add(change("pending", "ready", at))
    tally.add(change("ready", "running", 0))
    tally.add(change("running", "success", 0, took_s=1.5))
    tally.add(change("ready", "running", 1))
    assert +tally.statuses == {Status.SUCCESS: 1, Status.RUNNING: 1, Status.READY: 1}
    assert (tally.attempts, tally.busy_s, tally.has_failed) == (2, 1.5, False)


def test_failures_are_kept_with_their_place_but_not_what_follows_from_them():
    tally = Tally(COMMENT)
    error = Failure("tool_error", "no")
    tally.add(change("running", "failed", 3, error=error))
    tally.add(change("pending", "skipped", 4, error=Failure("dependency_failed", "b failed")))
    tally.add(change("pending", "skipped", 5, error=Failure("condition", "not true")))
    tally.add(change("running", "backing_off", 6, error=error))
    assert tally.errors == [("close[3].comment", error)]
    assert tally.has_failed


def test_calls_of_items_are_counted_by_item_and_the_task_by_itself():
    tally = Tally(EACH)
    tally.add(change("pending", "ready"))
    for item in range(2):
        tally.add(change("ready", "running", item=item))
        tally.add(change("running", "failed", item=item, error=Failure("tool_error", "no")))
    tally.add(change("running", "failed", error=Failure("tool_error", "no")))
    assert (tally.attempts, len(tally.errors)) == (2, 2)
    assert tally.statuses[Status.FAILED] == 1


def test_not_all_of_many_failures_are_kept():
    tally = Tally(COMMENT)
    for at in range(MAX_ERRORS + 1):
        tally.add(change("running", "failed", at, error=Failure("tool_error", "no")))
    assert len(tally.errors) == MAX_ERRORS
    assert tally.statuses[Status.FAILED] == MAX_ERRORS + 1


def test_the_status_of_each_passage_takes_one_byte():
    assert len(set(LETTERS.values())) == len(Status) == len(LETTERS)
    tally = Tally(COMMENT)
    for at, after in [(4, "ready"), (2, "skipped"), (4, "running"), (0, "success")]:
        tally.add(change("pending", after, at))
    assert tally.passages == {(): b"s-k-r"}
    tally.add(Changed(Key("r", "a.b.c", None, (7, 1)), "s:do", Status.READY, Status.FAILED, 1, 0.0))
    assert tally.passages == {(): b"s-k-r", (7,): b"-f"}
    alone = Tally(EACH)
    alone.add(Changed(Key("r", "g.each"), "s:do", Status.RUNNING, Status.TIMEOUT, 1, 0.0))
    assert alone.passages == {(): b"t"}
