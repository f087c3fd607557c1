"""The rules of `[policy]`: whether a call is allowed, asked for or denied, and by which rule.

A rule is a glob over `server:tool`, or a class of tools. The strictest rule that matches decides. A
table of rules is that of the settings or that of a profile; of several tables the strictest
decision counts, so a profile can never allow more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from .traits import Traits


class Answer(StrEnum):
    """The answer of a policy about a call, from the least strict to the strictest."""

    ALLOW = "allow"
    ASK = "ask"
    """A person says yes first: to all such calls together."""
    ASK_EACH = "ask_each"
    """A person says yes first: to each such call by itself."""
    DENY = "deny"

    @property
    def strictness(self) -> int:
        return _STRICTNESS[self]


_STRICTNESS: Final = {answer: number for number, answer in enumerate(Answer)}
_VERBS: Final = {
    Answer.ALLOW: "allowed",
    Answer.ASK: "asked",
    Answer.ASK_EACH: "asked",
    Answer.DENY: "denied",
}


class ToolClass(StrEnum):
    """A class of tools that a rule can name in the place of a glob."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"
    OPEN_WORLD = "open_world"
    UNANNOTATED = "unannotated"

    def has(self, traits: Traits) -> bool:
        """Return whether a tool with *traits* is in it."""
        match self:
            case ToolClass.READ:
                return traits.read_only
            case ToolClass.WRITE:
                return not traits.read_only
            case ToolClass.DESTRUCTIVE:
                return traits.destructive
            case ToolClass.OPEN_WORLD:
                return traits.open_world
            case ToolClass.UNANNOTATED:
                return not traits.annotated


CLASSES: Final = frozenset(ToolClass)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of the policy about the calls of one tool."""

    answer: Answer = Answer.ALLOW
    why: str = "allowed: no rule of [policy] matches"
    """The reason with its rule, for people: `asked because [policy] ask = ["write"], line 12`."""
    rule: str = ""
    """The glob, class or default that decides; empty if none does."""
    observed: Answer | None = None
    """The answer of a policy that only observes, where it is not to allow the call."""


ALLOWED: Final = Decision()


@dataclass(frozen=True, slots=True)
class Rules:
    """One table of rules. *section* is its place in the settings, and *lines* are those of its
    rules there, by key and index, as far as they are known."""

    deny: tuple[str, ...] = ()
    ask_each: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    default: Answer = Answer.ALLOW
    """The answer for tools that no rule matches."""
    section: str = "policy"
    lines: Mapping[tuple[str, int], int] = field(default_factory=dict, compare=False, repr=False)

    def decide(self, name: str, traits: Traits) -> Decision:
        """Return what this table says of the tool *name*, in full, with *traits*."""
        for answer, rules in (
            (Answer.DENY, self.deny),
            (Answer.ASK_EACH, self.ask_each),
            (Answer.ASK, self.ask),
        ):
            if (found := _first(rules, name, traits)) is None:
                continue
            if answer is Answer.ASK and name in self.allow:
                return self._by(Answer.ALLOW, self.allow.index(name))
            return self._by(answer, found)
        if (found := _first(self.allow, name, traits)) is not None:
            return self._by(Answer.ALLOW, found)
        if self.default is Answer.ALLOW:
            return ALLOWED
        why = f'[{self.section}] default = "{self.default}"{self._line("default", 0)}'
        return Decision(self.default, f"{_VERBS[self.default]} because {why}", "default")

    def _by(self, answer: Answer, index: int) -> Decision:
        rule = getattr(self, answer)[index]
        named = json.dumps(rule, ensure_ascii=False)
        link = "by" if answer is Answer.ALLOW else "because"
        why = f"[{self.section}] {answer} = [{named}]{self._line(answer, index)}"
        return Decision(answer, f"{_VERBS[answer]} {link} {why}", rule)

    def _line(self, key: str, index: int) -> str:
        line = self.lines.get((key, index))
        return "" if line is None else f", line {line}"


def _first(rules: tuple[str, ...], name: str, traits: Traits) -> int | None:
    """Return the index of the first of *rules* that matches; None without one."""
    return next((at for at, rule in enumerate(rules) if matches(rule, name, traits)), None)


def matches(rule: str, name: str, traits: Traits) -> bool:
    """Return whether *rule* is one about the tool *name*, in full, with *traits*."""
    if rule in CLASSES:
        return ToolClass(rule).has(traits)
    return fnmatchcase(name, rule)


def strictest(
    tables: tuple[Rules, ...], name: str, traits: Traits, *, observes: bool = False
) -> Decision:
    """Return the strictest of the decisions of *tables*; of equals the first that a rule made. A
    policy that only *observes* allows all, and says what it would have said."""
    decisions = [rules.decide(name, traits) for rules in tables] or [ALLOWED]
    found = max(decisions, key=lambda one: (one.answer.strictness, bool(one.rule)))
    if not observes or found.answer is Answer.ALLOW:
        return found
    why = f'allowed by [policy] mode = "observe", else {found.why}'
    return Decision(Answer.ALLOW, why, found.rule, found.answer)
