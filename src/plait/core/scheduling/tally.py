"""The tasks in groups of one run, counted: there may be thousands of each.

The run and whoever folds its notices count alike, as both count the notices.
"""

from __future__ import annotations

from collections import Counter

from .events import FINAL, Failure, Status
from .notices import Changed
from .outlines import InnerOutline

MAX_ERRORS = 1_000
"""Most failures of one task in a group that are kept."""
LETTERS = {
    Status.PENDING: "-",
    Status.READY: "w",
    Status.RUNNING: "r",
    Status.WAITING: "a",
    Status.BACKING_OFF: "b",
    Status.SUCCESS: "s",
    Status.FAILED: "f",
    Status.TIMEOUT: "t",
    Status.SKIPPED: "k",
    Status.CANCELLED: "c",
}
"""The letter of each status: a passage takes one byte, so that all of them can be kept."""
_BYTES = {status: ord(letter) for status, letter in LETTERS.items()}
_CONSEQUENCES = frozenset({"condition", "dependency_failed"})
"""The codes of what only follows from another failure, or from none."""


class Tally:
    """One task in a group, over all items of the groups around it."""

    __slots__ = ("attempts", "busy_s", "errors", "outline", "passages", "statuses")

    def __init__(self, outline: InnerOutline) -> None:
        self.outline = outline
        self.statuses: Counter[Status] = Counter()
        """The number of items in each status now, but for `pending`."""
        self.passages: dict[tuple[int, ...], bytearray] = {}
        """The letter of each passage by its last item, by the items before that: by none for a
        group without items."""
        self.attempts = 0
        self.busy_s = 0.0
        self.errors: list[tuple[str, Failure]] = []
        """Its first failures, each with its place (`close[3].comment`)."""

    @property
    def has_failed(self) -> bool:
        """Whether it failed, or an item of it."""
        has_failed = self.statuses[Status.FAILED] or self.statuses[Status.TIMEOUT]
        return bool(has_failed or self.errors)

    def add(self, change: Changed) -> None:
        """Count *change*, which is one of this task or of an item of it."""
        key, after, before = change.key, change.after, change.before
        if key.item is None:
            self.statuses[after] += 1
            if before is not Status.PENDING:
                self.statuses[before] -= 1
            self._pass(key.at, after)
        has_items, is_call = self.outline.parts[-1][1], self.outline.is_call
        if has_items != (key.item is not None):
            return
        if is_call:
            if after is Status.RUNNING:
                self.attempts += 1
            self.busy_s += change.took_s or 0.0
        error = change.error
        if error is None or after not in FINAL or len(self.errors) == MAX_ERRORS:
            return
        if error.code not in _CONSEQUENCES and error.caused_by is None:
            self.errors.append((self.outline.place(key), error))

    def _pass(self, at: tuple[int, ...], status: Status) -> None:
        index = at[-1] if at else 0
        row = self.passages.get(at[:-1])
        if row is None:
            row = self.passages[at[:-1]] = bytearray()
        if index >= len(row):
            row.extend(b"-" * (index + 1 - len(row)))
        row[index] = _BYTES[status]
