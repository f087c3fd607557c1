"""Drift: a server describes its tools differently from the last time that a model or a person saw
them.

A definition that changes unannounced may be an upgrade, or an attack on those who trust the old
one. So definitions are compared by what they say, over restarts, and a difference is shown for a
week.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...core.tools.cached_listing import CachedListing
from ...core.tools.definitions import by_name, hash_of
from ...core.tools.server_notices import MAX_NAME, MAX_NAMES, Drift
from ...core.values.printable import printable

MAX_SUMMARY = 3 * (MAX_NAMES + 1) * MAX_NAME
KEPT_S = 7 * 86_400.0
NOTICE_PAUSE_S = 60.0
"""Shortest time between two notices of drift of one server."""


class DriftWatch:
    """Compares the list of tools of one server with the last one, and keeps the last difference for
    a week. *on_drift* takes differences."""

    def __init__(
        self,
        remembered: CachedListing,
        on_drift: Callable[[Drift], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._remembered = remembered
        self._on_drift = on_drift
        self._clock = clock
        self._noticed_at = -math.inf

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence about the last difference; empty once it is old."""
        match self._remembered.get("drift"):
            case {"at": int() | float() as at, "said": str() as summary} if (
                0 <= self._clock() - at < KEPT_S
            ):
                day = time.strftime("%Y-%m-%d", time.gmtime(at))
                return (
                    printable(f"its tools differ from those before {day}: {summary[:MAX_SUMMARY]}"),
                )
        return ()

    def compare(self, definitions: list[Any], *, announced: bool) -> None:
        """Compare the raw *definitions* with the last ones. New and missing tools are drift too,
        unless the server *announced* that its list has changed."""
        before = self._remembered.get("tools")
        if before == definitions:
            return
        if isinstance(before, list):
            found = drift(hashes(before), hashes(definitions))
            self._report(Drift(found.changed) if announced else found)
        self._remembered.put("tools", definitions)

    def _report(self, found: Drift) -> None:
        if not found:
            return
        now = self._clock()
        self._remembered.put("drift", {"at": now, "said": str(found)[:MAX_SUMMARY]})
        if now - self._noticed_at >= NOTICE_PAUSE_S:
            self._noticed_at = now
            self._on_drift(found)


def hashes(definitions: Iterable[Any]) -> dict[str, str]:
    """Hash what each definition says, by the tool's name. Anything that is not a definition is
    skipped."""
    return {name: hash_of(definition) for name, definition in by_name(definitions).items()}


def drift(before: Mapping[str, str], now: Mapping[str, str]) -> Drift:
    """The difference between two results of `hashes`."""
    return Drift(
        changed=tuple(name for name in now if name in before and before[name] != now[name]),
        new=tuple(name for name in now if name not in before),
        gone=tuple(name for name in before if name not in now),
    )
