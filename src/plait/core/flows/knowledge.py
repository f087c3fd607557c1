"""The knowledge of callers: what they have seen, and what resources hold, as names of tools.

A client that has seen what a tool gave may write it into any document. So its later plans count as
made of that, as long as it, or another client of the same folder, is there. Names of tools are
kept, no values and no labels: they stay right when the rules are edited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..values.principal import ANYONE, USER, Principal
from ..values.strict import Json, JsonObject
from .resources import Steps, overlap
from .rules import FlowRule

MOST_OWNERS = 10_000
"""Most owners whose knowledge is kept; the oldest go first."""
MOST_RESOURCES = 2_000
"""Most resources of one owner that are distinguished; beyond, what is written is in all of its
scheme."""
MOST_NEWS = 10_000
"""Most news that are kept for the runs under way."""


class Owner(NamedTuple):
    """All clients of one principal in one place, who know together."""

    principal: Principal
    place: str
    """The folder of the clients, or the settings that they share."""


NO_OWNER = Owner(USER, "")
"""The owner of what is known in a gateway without settings."""


@dataclass(slots=True)
class Facts:
    """The knowledge of one owner."""

    seen: set[str] = field(default_factory=set)
    """The tools whose data it has seen."""
    written: dict[Steps, set[str]] = field(default_factory=dict)
    """The tools whose data its calls have written to each resource."""
    allowed: set[tuple[str | None, FlowRule]] = field(default_factory=set)
    """The rules that a client's person has allowed to be broken by what was seen, by connection.
    They are not written down."""

    def take_in(self, other: Facts) -> None:
        self.seen |= other.seen
        for steps, tools in other.written.items():
            self.written.setdefault(steps, set()).update(tools)

    def document(self) -> JsonObject:
        written: list[Json] = [
            {"at": [*steps], "tools": [*sorted(tools)]} for steps, tools in self.written.items()
        ]
        return {"seen": [*sorted(self.seen)], "written": written}

    @classmethod
    def read(cls, document: Json) -> Facts:
        """Read what `document` made. Raises `ValueError` for anything else."""
        match document:
            case {"seen": list(seen), "written": list(written)}:
                facts = cls(set(map(str, seen)))
                for one in written:
                    match one:
                        case {"at": list(at), "tools": list(tools)}:
                            facts.written[tuple(map(str, at))] = set(map(str, tools))
                        case _:
                            raise ValueError("a resource is not one")
                return facts
        raise ValueError("it is not what was seen")


class News(NamedTuple):
    """Data of tools that was new to a resource when *run* wrote it."""

    steps: Steps
    tools: frozenset[str]
    run: str


class Knowledge:
    """The knowledge of all owners."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        """*on_change* is called after each change."""
        self._on_change = on_change
        self.owners: dict[Owner, Facts] = {}
        self.changes = 0
        """The number of times that anything became known, or was forgotten."""
        self._news: list[News] = []
        self._first = 0
        """The number of the first of the news that are kept."""
        self._held: dict[Steps, frozenset[str]] | None = None

    def __repr__(self) -> str:
        return f"<Knowledge of {len(self.owners)} owners>"

    @property
    def count(self) -> int:
        """The number of news so far."""
        return self._first + len(self._news)

    @property
    def held(self) -> Mapping[Steps, frozenset[str]]:
        """The tools whose data each resource holds, whoever wrote it."""
        if self._held is None:
            found: dict[Steps, set[str]] = {}
            for facts in self.owners.values():
                for steps, tools in facts.written.items():
                    found.setdefault(steps, set()).update(tools)
            self._held = {steps: frozenset(tools) for steps, tools in found.items()}
        return self._held

    def seen_by(self, owner: Owner) -> frozenset[str]:
        """Return the tools whose data *owner* has seen."""
        facts = self.owners.get(owner)
        return frozenset(facts.seen) if facts is not None else frozenset()

    def see(self, owner: Owner, tools: Iterable[str]) -> None:
        """Note that *owner* has seen data of *tools*."""
        facts = self._facts(owner)
        if new := set(tools) - facts.seen:
            facts.seen |= new
            self._change()

    def allowed(self, owner: Owner, connection: str | None) -> frozenset[FlowRule]:
        """Return the rules that a person has allowed a client to break by what was seen."""
        facts = self.owners.get(owner)
        rules = facts.allowed if facts is not None else ()
        return frozenset([rule for client, rule in rules if client == connection])

    def allow(self, owner: Owner, connection: str | None, rule: FlowRule) -> None:
        """Note that a person has allowed a client to break *rule* by what was seen. A client that
        nothing tells from others is asked each time: its yes would be that of all of them."""
        if owner.principal != ANYONE:
            self._facts(owner).allowed.add((connection, rule))

    def write(self, owner: Owner, steps: Steps, tools: Iterable[str], run: str) -> None:
        """Note that *run*, of *owner*, writes data of *tools* to a resource."""
        written = self._facts(owner).written
        if len(written) >= MOST_RESOURCES and steps not in written:
            steps = next((steps[: at + 1] for at, one in enumerate(steps) if one[-1:] == ":"), ())
        if not (new := set(tools) - written.get(steps, set())):
            return
        written.setdefault(steps, set()).update(new)
        self._change()
        self._held = None
        self._news.append(News(steps, frozenset(new), run))
        if len(self._news) > MOST_NEWS:
            half = len(self._news) // 2
            self._news, self._first = self._news[half:], self._first + half

    def read_from(self, accessed: Iterable[Steps]) -> set[str]:
        """Return the tools whose data is in any of the resources *accessed*."""
        if not (held := self.held):
            return set()
        there = list(accessed)
        return {
            tool
            for at, tools in held.items()
            if any(overlap(steps, at) for steps in there)
            for tool in tools
        }

    def news_for(self, run: str, since: int, accessed: Collection[Steps]) -> list[News] | None:
        """Return what other runs than *run* have written to any of the resources *accessed* since
        there were *since* news; None if these are not kept any more."""
        if since < self._first:
            return None
        return [
            news
            for news in self._news[since - self._first :]
            if news.run != run and any(overlap(steps, news.steps) for steps in accessed)
        ]

    def forget(self, place: str) -> None:
        """Forget all that is known in *place*."""
        for owner in [owner for owner in self.owners if owner.place == place]:
            del self.owners[owner]
            self._change()
        self._held = None

    def take_in(self, owner: Owner, facts: Facts) -> None:
        """Add what is known of *owner* from elsewhere."""
        self._facts(owner).take_in(facts)
        self._held = None

    def _change(self) -> None:
        self.changes += 1
        self._on_change()

    def _facts(self, owner: Owner) -> Facts:
        facts = self.owners.get(owner)
        if facts is None:
            if len(self.owners) >= MOST_OWNERS:
                del self.owners[next(iter(self.owners))]
                self._held = None
            facts = self.owners[owner] = Facts()
        return facts
