"""The gateways of one client, one after the other: the next one is found or started, and those that
die are counted."""

from __future__ import annotations

import os
import time

from .place import Place, start_gateway

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

STARTUP_S = 30.0
"""Longest wait for a gateway that answers, after which the client goes on without a shared one."""
MAX_STARTS = 3
"""Most starts of a gateway by one client without an answer to its hello."""
MAX_DEATHS = 3
DEATHS_S = 60.0
"""After `MAX_DEATHS` in that time the client goes on without a shared gateway."""
TOO_MANY_DEATHS = f"the gateway died {MAX_DEATHS} times in a minute"
_RETRY_S = 0.005


class Gateways:
    """The gateways of *place* for a client that waits at most *startup_s* for one. *pause* waits
    between two tries, for the seconds that it is given; it raises to end the search. *starting* is
    called before a gateway is started.

    A connection alone proves nothing: the system closes the connections of a gateway that is killed
    some time before its listening socket and its lock. So time, tries and starts are counted until
    a hello has been answered.
    """

    def __init__(
        self,
        place: Place,
        startup_s: float,
        pause: Callable[[float], object],
        starting: Callable[[], object],
    ) -> None:
        self._place = place
        self._startup_s = startup_s
        self._pause = pause
        self._starting = starting
        self._since: float | None = None
        """The time from which on none has answered a hello, as the tries and starts count."""
        self._tries, self._starts = 0, 0
        self._deaths: list[float] = []

    def __repr__(self) -> str:
        return f"<Gateways of {self._place!r}: {len(self._deaths)} died>"

    def find(self) -> _socket.socket | None:
        """Return a connection to the gateway, which is started if need be; None after `MAX_STARTS`
        starts or `startup_s` without an answer. Raises `NoPlace` and `NotOurs`."""
        if self._since is None:
            self._since, self._tries, self._starts = time.monotonic(), 0, 0
        while time.monotonic() - self._since < self._startup_s:
            if self._tries:
                self._pause(_RETRY_S)
            self._tries += 1
            if (sock := self._place.connect()) is not None:
                return sock
            if (lock := self._place.take_lock()) is not None:
                if self._starts == MAX_STARTS:
                    os.close(lock)
                    break
                self._starts += 1
                self._starting()
                start_gateway(self._place, lock, os.environ.get("XDG_RUNTIME_DIR", ""))
        return None

    def answered(self) -> None:
        """Note that the gateway has answered the hello."""
        self._since = None

    def died(self) -> bool:
        """Count the death of a gateway that had answered. Return whether it is one too many; then
        counting begins anew."""
        now = time.monotonic()
        self._deaths = [*(at for at in self._deaths if now - at < DEATHS_S), now]
        if len(self._deaths) < MAX_DEATHS:
            return False
        self._deaths.clear()
        return True
