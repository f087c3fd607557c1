"""The operator's rules for flows: which labels tools have, and which may not come together.

A label is given to tools by globs. A rule is broken by a call of a tool labelled `to` that is given
data of tools with all labels of its `sources`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

MAX_REMEMBERED = 10_000
"""Most tools whose parts in the rules are remembered."""


class Then(StrEnum):
    """The outcome of a broken rule."""

    DENY = "deny"
    ASK = "ask"


class Remember(StrEnum):
    """The outcome of a rule that is broken only by what the caller has seen before."""

    ASK = "ask"
    DENY = "deny"
    OFF = "off"  # what the caller has seen does not count


STRICTNESS = (Remember.OFF, Remember.ASK, Remember.DENY)
"""From the least strict to the strictest."""


@dataclass(frozen=True, slots=True)
class FlowRule:
    """One `[[policy.flows]]`."""

    sources: tuple[str, ...]
    """The labels of `from`."""
    to: str
    then: Then = Then.DENY
    exceptions: tuple[str, ...] = ()
    """Globs of tools that do not count as sources for this rule."""

    def __str__(self) -> str:
        return f"{' + '.join(self.sources)} to {self.to}"


TRIFECTA = FlowRule(("private", "untrusted"), "outbound")
"""The ready rule `flows = "trifecta"`: whoever reads what is private and what strangers wrote, and
can send something out, may send it to these strangers."""


class Part(NamedTuple):
    """The part of one tool in the rules."""

    sends: tuple[int, ...]
    """The rules whose `to` it has, by index."""
    gives: tuple[tuple[int, int], ...]
    """The places in rules whose labels it has: the index of the rule, and of the label."""


@dataclass(frozen=True, slots=True)
class FlowPolicy:
    """All rules of one configuration."""

    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The globs of tools that have each label."""
    rules: tuple[FlowRule, ...] = ()
    remembers: Remember = Remember.ASK
    _parts: dict[str, Part] = field(default_factory=dict, compare=False, repr=False)

    def __bool__(self) -> bool:
        """Whether there is any rule."""
        return bool(self.rules)

    def part_of(self, tool: str) -> Part:
        """Return the part that the tool of that full name has in the rules."""
        if (found := self._parts.get(tool)) is not None:
            return found
        labels = {label for label, globs in self.labels.items() if _matches(tool, globs)}
        part = Part(
            tuple([index for index, rule in enumerate(self.rules) if rule.to in labels]),
            tuple(
                [
                    (index, place)
                    for index, rule in enumerate(self.rules)
                    if not labels.isdisjoint(rule.sources) and not _matches(tool, rule.exceptions)
                    for place, label in enumerate(rule.sources)
                    if label in labels
                ]
            ),
        )
        if len(self._parts) < MAX_REMEMBERED:
            self._parts[tool] = part
        return part


class ToolBits:
    """The tools of one plan, each a bit, under the rules of *policy*."""

    def __init__(self, policy: FlowPolicy) -> None:
        self.masks = [[0] * len(rule.sources) for rule in policy.rules]
        """For each rule the tools that have each of its labels."""
        self.sends: dict[str, tuple[int, ...]] = {}
        """The rules that a call of each tool can break, by index; tools without any are absent."""
        self._policy = policy
        self._bits: dict[str, int] = {}

    def bit(self, tool: str) -> int:
        """Return the bit of the tool of a full name."""
        bit = self._bits.get(tool)
        if bit is None:
            bit = self._bits[tool] = 1 << len(self._bits)
            part = self._policy.part_of(tool)
            if part.sends:
                self.sends[tool] = part.sends
            for rule, place in part.gives:
                self.masks[rule][place] |= bit
        return bit

    def bits(self, tools: Iterable[str]) -> int:
        found = 0
        for tool in tools:
            found |= self.bit(tool)
        return found

    def names(self, bits: int) -> frozenset[str]:
        """Return the tools that *bits* stands for."""
        return frozenset([tool for tool, bit in self._bits.items() if bit & bits])

    def is_broken(self, rule: int, bits: int) -> bool:
        """Return whether a call that is given *bits* breaks the rule, if it can."""
        return all(mask & bits for mask in self.masks[rule])


def _matches(tool: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(tool, glob) for glob in globs)
