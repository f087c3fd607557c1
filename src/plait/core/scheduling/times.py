"""The sleeps of one run as a whole: until its time is over, until its cleanup has to end, and until
it asks for the calls that are held by then. Times are in seconds, on the caller's clock."""

from __future__ import annotations

from enum import Enum, auto
from itertools import count

from .events import Abort, Command, Key, Sleep


class Until(Enum):
    """The reasons for which a run sleeps."""

    TIMEOUT = auto()
    CLEANUP = auto()
    ASK = auto()


class Times:
    """The sleeps of the run *run_id*; commands go to *commands*. Each has a name of its own, since
    one that was ended may not have been answered yet when the next begins."""

    def __init__(self, run_id: str, commands: list[Command]) -> None:
        self._run_id = run_id
        self._commands = commands
        self._numbers = count(2)
        self._first = {Until.TIMEOUT: Key(run_id, ""), Until.CLEANUP: Key(run_id, "", 1)}
        self._sleeps: dict[Until, tuple[Key, float]] = {}
        """Each with the time at which it is over."""
        self._left_s: float | None = None
        """The rest of the time of the run, from when its clock was stopped; None while it runs."""

    def __repr__(self) -> str:
        return f"<Times: {', '.join(until.name for until in self._sleeps)}>"

    def __contains__(self, until: Until) -> bool:
        return until in self._sleeps

    def new_key(self) -> Key:
        """Return a name that nothing else of the run has."""
        return Key(self._run_id, "", next(self._numbers))

    def begin(self, until: Until, seconds: float, now: float) -> None:
        key = self._first.pop(until, None) or self.new_key()
        self._sleeps[until] = key, now + seconds
        self._commands.append(Sleep(key, seconds))

    def woke(self, key: Key) -> Until | None:
        """Return which sleep of *key* is over; None if it had been ended."""
        for until, (own, _) in self._sleeps.items():
            if own == key:
                del self._sleeps[until]
                return until
        return None

    def end(self, until: Until) -> None:
        if (sleep := self._sleeps.pop(until, None)) is not None:
            self._commands.append(Abort(sleep[0]))

    def end_all(self) -> None:
        self._left_s = None
        for until in [*self._sleeps]:
            self.end(until)

    def stop_clock(self, now: float) -> None:
        """Let the time of the run stand still."""
        if (sleep := self._sleeps.get(Until.TIMEOUT)) is not None:
            self._left_s = max(sleep[1] - now, 0.0)
            self.end(Until.TIMEOUT)

    def start_clock(self, now: float) -> None:
        """Let the time of the run go on, if it stood still."""
        if self._left_s is not None:
            self.begin(Until.TIMEOUT, self._left_s, now)
            self._left_s = None
