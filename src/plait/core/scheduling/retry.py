"""Retries of failed calls: whether, and after which pause."""

from __future__ import annotations

from ...errors import CallError
from ..language.retries import DELAY_S, Retries

LONGEST_BACKOFF_S = 30.0
BUDGET_START = 10.0
BUDGET_SHARE = 0.1
BUDGET_MOST = 100.0


def backoff_s(attempts: int, jitter: float, error: CallError, first_s: float = DELAY_S) -> float:
    """Return the pause after *attempts*: it doubles from *first_s* up to 30 s, is spread by
    *jitter* (0 to 1) over half as much less or more, and is never shorter than the server asked
    for."""
    most = max(first_s, LONGEST_BACKOFF_S)
    pause: float = min(first_s * 2 ** (attempts - 1), most) * (0.5 + jitter)
    return max(pause, error.retry_after_s or 0.0)


def may_repeat(error: CallError, retries: Retries) -> bool:
    """Return whether *error* is one of those after which *retries* make a call again."""
    return error.retryable if retries.on is None else error.code in retries.on


class RetryBudget:
    """The retries that a server can still get, so that retries cannot multiply the load of a server
    in trouble.

    Every call adds a tenth of a retry, every retry takes one; at the start there are ten, and never
    more than a hundred (the retry budget of Finagle, with a balance in place of its window of
    time).
    """

    __slots__ = ("balance",)

    def __init__(self, balance: float = BUDGET_START) -> None:
        self.balance = balance

    def called(self) -> None:
        """Count a call that was sent for the first time."""
        if self.balance < BUDGET_MOST:
            self.balance = min(self.balance + BUDGET_SHARE, BUDGET_MOST)

    def take(self) -> bool:
        """Take one retry from the balance; False if none is left."""
        if self.balance < 1:
            return False
        self.balance -= 1
        return True


class RetryBudgets:
    """The budgets of all servers."""

    def __init__(self) -> None:
        self.servers: dict[str, RetryBudget] = {}

    def called(self, server: str) -> None:
        (self.servers.get(server) or self._of(server)).called()

    def take(self, server: str) -> bool:
        return self._of(server).take()

    def _of(self, server: str) -> RetryBudget:
        if (budget := self.servers.get(server)) is None:
            budget = self.servers[server] = RetryBudget()
        return budget
