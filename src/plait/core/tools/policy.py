"""The operator's settings for tools: their timeouts, limits, resources, repetition and denial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

from .catalog import Tool

DEFAULT_TIMEOUT_S = 60.0

T = TypeVar("T")


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
    denied_by: str | None = None
    """The pattern that denies it; None if it is allowed."""
    limit: tuple[str, int] | None = None
    """The pattern whose `max_concurrency` applies to it, and that number."""
    reads: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None
    cache_ttl_s: float = 0.0
    cache_stat: str | None = None
    realm: str = ""
    """As `Policy.realm`."""


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules. If several match a tool, the last one that sets a value decides it."""

    rules: tuple[Rule, ...] = ()
    deny: tuple[str, ...] = ()
    server_timeouts: Mapping[str, float] = field(default_factory=dict)
    server_startups: Mapping[str, float] = field(default_factory=dict)
    """Seconds that a start of each server may take."""
    realm: str = ""
    """Where several configurations share a process: those with the same realm mean the same by a
    resource that is not a file."""

    def of(self, tool: Tool) -> ToolPolicy:
        rules = [rule for rule in self.rules if fnmatchcase(tool.full_name, rule.pattern)]
        return ToolPolicy(
            timeout_s=_last(rules, lambda rule: rule.timeout_s, self._server_timeout(tool)),
            weight=_last(rules, lambda rule: rule.weight, 1),
            startup_timeout_s=self.server_startups.get(tool.server),
            may_repeat=_last(rules, lambda rule: rule.idempotent, tool.is_idempotent),
            denied_by=self.denied_by(tool.full_name),
            limit=_last(rules, _limit, None),
            reads=_last(rules, lambda rule: rule.reads, None),
            writes=_last(rules, lambda rule: rule.writes, None),
            cache_ttl_s=_last(rules, lambda rule: rule.cache_ttl_s, 0.0),
            cache_stat=_last(rules, lambda rule: rule.cache_stat, None),
            realm=self.realm,
        )

    def denied_by(self, full_name: str) -> str | None:
        """Return the pattern that denies the tool of that name; None if it is allowed."""
        return next((pattern for pattern in self.deny if fnmatchcase(full_name, pattern)), None)

    def _server_timeout(self, tool: Tool) -> float:
        return self.server_timeouts.get(tool.server, DEFAULT_TIMEOUT_S)


def _limit(rule: Rule) -> tuple[str, int] | None:
    return None if rule.max_concurrency is None else (rule.pattern, rule.max_concurrency)


def _last(rules: list[Rule], setting: Callable[[Rule], T | None], default: T) -> T:
    return next(
        (value for rule in reversed(rules) if (value := setting(rule)) is not None), default
    )
