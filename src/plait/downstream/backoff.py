"""How long a server is left alone after a connection to it has ended, or could not be made."""

from __future__ import annotations

import random

from .transports.faults import asked_pause_s
from .transports.transport import ConnectTimings


class Backoff:
    """The pauses between the attempts to connect to one server: longer each time, unless one
    held."""

    def __init__(self, patience: ConnectTimings) -> None:
        self._patience = patience
        self._last_s = 0.0
        self._asked_s = 0.0

    def hear(self, error: BaseException) -> None:
        """An attempt failed with *error*, by which the server may have asked for a pause."""
        self._asked_s = asked_pause_s(error)

    def next_s(self, *, has_held: bool) -> float:
        """How long to wait for the next attempt."""
        if has_held:
            self._last_s = 0.0
        else:
            self._last_s = min(
                max(self._last_s * 2, self._patience.first_backoff_s),
                self._patience.longest_backoff_s,
            )
        asked, self._asked_s = self._asked_s, 0.0
        return max(asked, self._last_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads attempts, keeps no secret
