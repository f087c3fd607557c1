"""The kinds of requests (a tool, a prompt, reading) during which a server has asked something.

Over one pipe nothing says which request a question is for, so the first question makes every kind
that is open a suspect, and suspects of several clients take turns. Each later question clears those
suspects of the same question that are not open now: otherwise a tool that was open by chance when
another one asked would serve one client at a time for ever.
"""

from __future__ import annotations

from collections.abc import Iterable

MOST_KINDS = 1_000
"""Most kinds of requests that are remembered; with more, every kind counts as asking."""


class AskingKinds:
    """The kinds of one server, kept from one session to the next."""

    def __init__(self, kinds: Iterable[str] = ()) -> None:
        """Begin with *kinds* that are known to ask."""
        self._suspects = [{kind} for kind in kinds]
        """For each question that could not be explained by those before: the kinds it may be of."""
        self._all = set[str]().union(*self._suspects)

    def __repr__(self) -> str:
        return f"<AskingKinds: {sorted(self._all)}>"

    def __bool__(self) -> bool:
        return bool(self._all)

    def __contains__(self, kind: str) -> bool:
        return kind in self._all or len(self._all) >= MOST_KINDS

    def note(self, kinds: set[str]) -> None:
        """Take note of a question that came while requests of *kinds* were open."""
        if explained := [suspects for suspects in self._suspects if suspects & kinds]:
            for suspects in explained:
                suspects &= kinds
        elif len(self._all) < MOST_KINDS:
            self._suspects.append(set(kinds))
        self._all = set[str]().union(*self._suspects)
