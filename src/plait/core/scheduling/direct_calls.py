"""Direct calls: calls from outside of any run, such as a client makes by a tool's name.

A direct call has its files located, claims what it accesses and waits for slots as the calls of
runs do. It has neither plan nor retries, and it ends with its first answer.
"""

from __future__ import annotations

from typing import NamedTuple

from ..tools.catalog import Catalog, Tool
from ..tools.claims import AccessRules, access_rules_of
from ..tools.policy import Policy, ToolPolicy
from ..values.strict import JsonObject
from .events import CallRequested, Failure, Key, Status, Wait
from .lanes import NO_DESK, NO_RUN, SlotRequest, Urgency
from .notices import Changed, Delayed

LONGEST_S = 3_600.0
"""Timeout of a direct call, waiting for slots included."""
_FIRST = float("-inf")
_KNOWN_PARAMS = frozenset({"name", "arguments", "_meta"})
"""Members of a request, besides the arguments, that do not change the answer."""


class DirectCall:
    """One direct call, from its request to its end. Times are in seconds."""

    __slots__ = ("key", "paused_s", "request", "slots", "started_at", "status", "tool")

    def __init__(self, request: CallRequested) -> None:
        self.request = request
        self.key = request.key
        self.tool = request.tool
        self.slots = request.slots
        self.status = Status.PENDING
        self.started_at: float | None = None
        self.paused_s = 0.0
        """Seconds in which the client was being asked."""

    def __repr__(self) -> str:
        return f"<DirectCall {self.key.item} of {self.tool.full_name}: {self.status}>"

    @property
    def urgency(self) -> Urgency:
        """Equal to a priority-0 task with the longest remaining path; first in, first out."""
        return (0.0, _FIRST, self.key.item or 0)

    def sent(self, now: float) -> list[Delayed]:
        """Note that the call waited for its server until now."""
        if self.started_at is None:
            return []
        wait = Wait("server", self.tool.server, now - self.started_at)
        self.started_at = now
        return [Delayed(self.key, wait, is_first=True, at=now)]

    def move(
        self, after: Status, now: float, error: Failure | None = None, *, cached: bool = False
    ) -> Changed:
        before, self.status = self.status, after
        started_at = took_s = None
        if before is Status.RUNNING and self.started_at is not None:
            started_at, took_s = self.started_at, now - self.started_at
        attempt = 0 if self.started_at is None else 1
        return Changed(
            self.key,
            self.tool.full_name,
            before,
            after,
            attempt,
            now,
            error,
            started_at=started_at,
            took_s=took_s,
            cached=cached,
        )


class CallRequests:
    """Makes the requests of direct calls from *policy* and, unless conflicts are ignored, the
    resources that tools access; both are looked up once per tool."""

    def __init__(
        self, policy: Policy, *, detect_conflicts: bool = True, desk: str = NO_DESK
    ) -> None:
        self._policy = policy
        self._desk = desk
        self._detect_conflicts = detect_conflicts
        self._catalog: Catalog | None = None
        self._tools: dict[str, _Callable] = {}

    def make(
        self, number: int, catalog: Catalog, name: str, params: JsonObject, caller: str = ""
    ) -> CallRequested:
        """Make the request of that *number*, for one call by *caller* of the tool of that full
        *name*, listed or not; *params* are those of a `tools/call`. Raises `PolicyDenied`."""
        if catalog is not self._catalog:
            self._catalog = catalog
            self._tools.clear()
        if (known := self._tools.get(name)) is None:
            known = self._tools[name] = self._look_up(catalog, name)
        if (refusal := known.policy.refusal(name)) is not None:
            raise refusal
        sent = params.get("arguments")
        arguments = sent if isinstance(sent, dict) else {}
        return CallRequested(
            Key(NO_RUN, name, number),
            known.tool,
            arguments,
            known.slots._replace(caller=caller) if caller else known.slots,
            known.policy,
            known.policy.cache_ttl_s if params.keys() <= _KNOWN_PARAMS else 0.0,
            None if known.rules is None else known.rules.accesses(arguments),
            LONGEST_S,
        )

    def _look_up(self, catalog: Catalog, name: str) -> _Callable:
        server, _, of_server = name.partition(":")
        tool = catalog.tools.get(name) or catalog.unlisted(server, of_server)
        policy = self._policy.of(tool)
        return _Callable(
            tool,
            SlotRequest(NO_RUN, tool.server_key, policy.limit, policy.weight, desk=self._desk),
            policy,
            access_rules_of(tool, policy) if self._detect_conflicts else None,
        )


class _Callable(NamedTuple):
    """The common part of all direct calls of one tool."""

    tool: Tool
    slots: SlotRequest
    policy: ToolPolicy
    rules: AccessRules | None
