"""The operator's settings for tools: their timeouts, limits, resources, repetition and denial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypeVar

from ...errors import ApprovalRequired, CallError, PolicyDenied, ToolChanged
from .catalog import Tool
from .rules import ALLOWED, Answer, Decision, Rules, strictest
from .traits import Traits

DEFAULT_TIMEOUT_S = 60.0

T = TypeVar("T")


class Pin(StrEnum):
    """The weight of a change in what a tool says of itself since it was first used, from the least
    to the strictest."""

    IGNORE = "ignore"
    WARN = "warn"
    BLOCK = "block"


_MOST_KEPT = 10_000
"""Most decisions that are kept. Tools have as many names as callers make up for servers that were
not reached."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Settings for the tools whose full name matches `pattern` (a glob). None sets nothing."""

    pattern: str
    timeout_s: float | None = None
    weight: int | None = None
    idempotent: bool | None = None
    max_concurrency: int | None = None
    """Most calls in flight at once, over all tools that the pattern matches."""
    reads: tuple[str, ...] | None = None
    """Templates of the resources that a call reads, such as `file:{path}`. Empty: it reads none."""
    writes: tuple[str, ...] | None = None
    cache_ttl_s: float | None = None
    cache_stat: str | None = None
    """The argument that names a file: an answer is kept only as long as that file is unchanged."""


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """The settings of one tool, all rules combined."""

    timeout_s: float = DEFAULT_TIMEOUT_S
    weight: int = 1
    startup_timeout_s: float | None = None
    """Seconds that a start of its server may take; None: as long as in any configuration."""
    may_repeat: bool = False
    """Whether a call that may have taken effect may be sent again."""
    decision: Decision = ALLOWED
    """Whether its calls are allowed, asked for or denied."""
    tables: tuple[Rules, ...] = ()
    """The rules that decided, for a tool that has changed when its call is sent."""
    observes: bool = False
    """Whether they only observe."""
    pin: Pin = Pin.IGNORE
    limit: tuple[str, int] | None = None
    """The pattern whose `max_concurrency` applies to it, and that number."""
    reads: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None
    cache_ttl_s: float = 0.0
    cache_stat: str | None = None
    realm: str = ""
    """As `Policy.realm`."""

    @property
    def denied_by(self) -> str | None:
        """The rule that denies it; None if no rule does."""
        return self.decision.rule if self.decision.answer is Answer.DENY else None

    @property
    def needs_yes(self) -> bool:
        """Whether a person says yes first to its calls."""
        return self.decision.answer in {Answer.ASK, Answer.ASK_EACH}

    def refusal(self, name: str) -> CallError | None:
        """Return the error of a call of the tool *name*, if it is denied; else None."""
        if self.decision.answer is not Answer.DENY:
            return None
        message = f"The policy denies {name[:200]}: {self.decision.why}"
        return PolicyDenied(message, denied_by=self.decision.rule)

    def refusal_now(self, planned: Tool, now: Tool) -> CallError | None:
        """Return the error of a call of *planned*, which is *now* described otherwise; None if it
        may be sent all the same."""
        name = now.full_name
        if planned.listed and now.traits.is_riskier_than(planned.traits):
            message = f"{name} was planned as another tool: since then it may do more"
            return ToolChanged(message, hint="Look at it with describe_tools, and plan again.")
        decision = strictest(self.tables, name, now.traits, observes=self.observes)
        if decision.answer.strictness <= self.decision.answer.strictness:
            return None
        if decision.answer is Answer.DENY:
            return replace(self, decision=decision).refusal(name)
        return ApprovalRequired(f"{name[:200]} needs a person's yes by now: {decision.why}")


@dataclass(frozen=True, slots=True)
class Policy:
    """All that the operator says of tools: *rules* with settings, of which the last one that sets a
    value counts, and *tables* of what is allowed, asked for and denied."""

    rules: tuple[Rule, ...] = ()
    tables: tuple[Rules, ...] = ()
    server_timeouts: Mapping[str, float] = field(default_factory=dict)
    server_startups: Mapping[str, float] = field(default_factory=dict)
    """Seconds that a start of each server may take."""
    realm: str = ""
    """Where several configurations share a process: those with the same realm mean the same by a
    resource that is not a file."""
    pin: Pin = Pin.IGNORE
    observes: bool = False
    """Whether what the tables say is only logged, and neither denied nor asked for."""
    _decided: dict[tuple[str, Traits], Decision] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of(self, tool: Tool) -> ToolPolicy:
        rules = [rule for rule in self.rules if fnmatchcase(tool.full_name, rule.pattern)]
        return ToolPolicy(
            timeout_s=_last(rules, lambda rule: rule.timeout_s, self._server_timeout(tool)),
            weight=_last(rules, lambda rule: rule.weight, 1),
            startup_timeout_s=self.server_startups.get(tool.server),
            may_repeat=_last(rules, lambda rule: rule.idempotent, tool.is_idempotent),
            decision=self.decide(tool),
            tables=self.tables,
            observes=self.observes,
            pin=self.pin,
            limit=_last(rules, _limit, None),
            reads=_last(rules, lambda rule: rule.reads, None),
            writes=_last(rules, lambda rule: rule.writes, None),
            cache_ttl_s=_last(rules, lambda rule: rule.cache_ttl_s, 0.0),
            cache_stat=_last(rules, lambda rule: rule.cache_stat, None),
            realm=self.realm,
        )

    def decide(self, tool: Tool) -> Decision:
        """Return whether calls of *tool* are allowed, asked for or denied, and by which rule. What
        calls no tool, such as a value, is allowed."""
        if not self.tables or not tool.server:
            return ALLOWED
        key = (tool.full_name, tool.traits)
        if (known := self._decided.get(key)) is None:
            if len(self._decided) >= _MOST_KEPT:
                self._decided.clear()
            known = self._decided[key] = strictest(self.tables, *key, observes=self.observes)
        return known

    def _server_timeout(self, tool: Tool) -> float:
        return self.server_timeouts.get(tool.server, DEFAULT_TIMEOUT_S)


def _limit(rule: Rule) -> tuple[str, int] | None:
    return None if rule.max_concurrency is None else (rule.pattern, rule.max_concurrency)


def _last(rules: list[Rule], setting: Callable[[Rule], T | None], default: T) -> T:
    return next(
        (value for rule in reversed(rules) if (value := setting(rule)) is not None), default
    )
