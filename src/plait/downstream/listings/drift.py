"""Drift: a server whose tools are described otherwise than they were, when a model was told of them
or a person looked.

A definition that changes unannounced may be an upgrade, or an attack on whoever trusts the old one.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...core.tools.cached_listing import CachedListing
from ...core.tools.server_notices import MAX_NAME, MAX_NAMES, Drift
from ...core.values.printable import printable

TOLD = ("description", "title", "inputSchema", "outputSchema", "annotations")
"""The members of a definition that say what a tool does."""
MAX_SAID = 3 * (MAX_NAMES + 1) * MAX_NAME
KEPT_S = 7 * 86_400.0
NOTICE_PAUSE_S = 60.0
"""The shortest time between two notices of drift of one server."""


class DriftWatch:
    """Compares what a server lists with what it listed before, and keeps the last difference for a
    week."""

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
        """The last difference, as a line for people; none once it is old."""
        match self._remembered.get("drift"):
            case {"at": int() | float() as at, "said": str() as said} if (
                0 <= self._clock() - at < KEPT_S
            ):
                day = time.strftime("%Y-%m-%d", time.gmtime(at))
                return (
                    printable(f"its tools are not what they were before {day}: {said[:MAX_SAID]}"),
                )
        return ()

    def compare(self, definitions: list[Any], *, announced: bool) -> None:
        """The server lists *definitions*, raw. Of a list that it *announced* to be new, only tools
        that are described otherwise are drift; else those that came or went too."""
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
        self._remembered.put("drift", {"at": now, "said": str(found)[:MAX_SAID]})
        if now - self._noticed_at >= NOTICE_PAUSE_S:
            self._noticed_at = now
            self._on_drift(found)


def hashes(definitions: Iterable[Any]) -> dict[str, str]:
    """A hash of what each definition says, by the tool's name; what is not a definition is passed
    over."""
    return {
        definition["name"]: _hash(definition)
        for definition in definitions
        if isinstance(definition, dict) and isinstance(definition.get("name"), str)
    }


def drift(before: Mapping[str, str], now: Mapping[str, str]) -> Drift:
    """What differs between two lists, each as `hashes` gives it."""
    return Drift(
        changed=tuple(name for name in now if name in before and before[name] != now[name]),
        new=tuple(name for name in now if name not in before),
        gone=tuple(name for name in before if name not in now),
    )


def _hash(definition: dict[str, Any]) -> str:
    said = {member: definition.get(member) for member in TOLD}
    try:
        text = json.dumps(said, sort_keys=True)  # servers may list members in any order
    except RecursionError:
        return "nested too deeply"
    return hashlib.sha256(text.encode()).hexdigest()
