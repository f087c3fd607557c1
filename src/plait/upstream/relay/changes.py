"""Which lists clients have to look at again: those that a server says have changed, and those that are served otherwise
than clients may have seen them. One list can change another, by names and addresses that servers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .listings import Expose, MergedListing

TOOLS_CHANGED: Final = "notifications/tools/list_changed"
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    TOOLS_CHANGED: ("tools/list",),
    "notifications/resources/list_changed": ("resources/list", "resources/templates/list"),
    "notifications/prompts/list_changed": ("prompts/list",),
}
"""What tells of a change, and the lists that it may be of."""


class Changes:
    """What has changed since it was asked before. Where only our own tools are served, they never do."""

    def __init__(self, expose: Expose) -> None:
        self._kinds = {kind: lists for kind, lists in KINDS.items() if expose != "dag" or kind != TOOLS_CHANGED}
        self._said: set[str] = set()
        self._seen: dict[str, set[bytes]] = {kind: set() for kind in self._kinds}
        """The fingerprints of what was served meanwhile."""

    def __repr__(self) -> str:
        return f"<Changes: {len(self._said)} said>"

    def said(self, kind: str) -> None:
        """A server says so, and is believed: there may be more to it than shows in the list."""
        self._said.add(kind)

    def replaced(self, directory: MergedListing) -> None:
        """Clients may have seen *directory*, and another is served from now on."""
        for kind, lists in self._kinds.items():
            self._seen[kind].add(directory.fingerprint(*lists))

    def take(self, now: MergedListing) -> list[str]:
        """The kinds of lists that have to be looked at again, since *now* is what is served. Each is given once."""
        changed = [kind for kind, lists in self._kinds.items() if self._is_other(kind, now.fingerprint(*lists))]
        self._said.clear()
        for seen in self._seen.values():
            seen.clear()
        return changed

    def _is_other(self, kind: str, fingerprint: bytes) -> bool:
        return kind in self._said or bool(self._seen[kind] - {fingerprint})
