"""The traits of a tool: what counts as known of its effects, from its server and its operator.

The hints of a server are claims. They count where the operator trusts them, and the operator's own
word counts more. A hint that is missing says nothing: the protocol's defaults (destructive, and of
an open world) are not assumed, or nearly every tool would be both, and a rule over either would say
nothing. So a tool without hints is one that may change something, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..values.strict import Json

_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


class Word(NamedTuple):
    """The operator's word on one tool."""

    trusts_hints: bool = True
    """Whether the hints of its server count."""
    read_only: bool | None = None
    """Whether it changes nothing, whatever its server says; None if the operator does not say."""


NO_WORD = Word()


class Traits(NamedTuple):
    """The known effects of a tool."""

    read_only: bool = False
    destructive: bool = False
    open_world: bool = False
    annotated: bool = False
    """Whether anything is known of them at all."""

    def is_riskier_than(self, before: Traits) -> bool:
        """Return whether a tool that had the traits *before* may do more with these."""
        return (
            (before.read_only and not self.read_only)
            or (self.destructive and not before.destructive)
            or (self.open_world and not before.open_world)
        )

    @classmethod
    def of(cls, hints: Mapping[str, Json], read_only: bool | None = None) -> Traits:
        """Return the traits of a tool with the *hints* that count. The operator's word on
        *read_only* goes first."""
        is_annotated = read_only is not None or any(type(hints.get(one)) is bool for one in _HINTS)
        if read_only is None:
            read_only = hints.get("readOnlyHint") is True
        return cls(
            read_only,
            not read_only and hints.get("destructiveHint") is True,
            hints.get("openWorldHint") is True,
            is_annotated,
        )


@dataclass(frozen=True)
class Words:
    """The operator's word on all tools: the servers whose hints are *ignored*, and the tools that
    are *marked* as read-only or not, by globs of which the last one that matches counts."""

    ignored: frozenset[str] = frozenset()
    marked: tuple[tuple[str, bool], ...] = field(default=())

    def of(self, server: str, tool: str) -> Word:
        """Return the word on *tool* of *server*."""
        if not self.ignored and not self.marked:
            return NO_WORD
        name = f"{server}:{tool}"
        marks = (is_read for glob, is_read in reversed(self.marked) if fnmatchcase(name, glob))
        return Word(server not in self.ignored, next(marks, None))
