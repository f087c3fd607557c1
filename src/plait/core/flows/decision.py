"""Decides whether a plan may run: which calls of it break a rule for flows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ..language.reader import Reading
from ..planning.places import inner_paths, paths_of
from ..planning.plan import Plan
from ..values.problems import Problem
from .nodes import Node, Nodes, TakenOver
from .resources import Claims, Steps
from .rules import FlowPolicy, FlowRule, Remember, Then, ToolBits
from .spread import Spread
from .ways import BrokenFlow, Step, way_to

MAX_SHOWN = 20
"""Most broken rules of one plan of which the ways are shown."""


class PlanFlows:
    """The flows of *plan* under *policy*.

    *seen* are the tools whose data its caller has seen before. That is in every value, as the
    caller wrote the document; so it is added where a rule is checked, and not spread. The rules
    that it may break by that are *allowed*. *claims* are the resources that the calls access;
    *written* the tools whose data earlier calls have written to resources.
    """

    def __init__(
        self,
        policy: FlowPolicy,
        plan: Plan,
        *,
        seen: Iterable[str] = (),
        claims: Claims | None = None,
        written: Mapping[Steps, Iterable[str]] | None = None,
        taken_over: TakenOver | None = None,
        allowed: Collection[FlowRule] = (),
    ) -> None:
        self.plan = plan
        self.written = written or {}
        self._allowed = allowed
        self._claims, self._taken_over = claims or {}, taken_over or {}
        self._policy = policy
        self._tools = tools = ToolBits(policy)
        self.seen = frozenset(seen)
        self._seen = 0 if policy.remembers is Remember.OFF else tools.bits(self.seen)
        earlier = [(steps, tools.bits(names)) for steps, names in self.written.items()]
        self._nodes = Nodes(plan, tools.bit, self._claims, self._taken_over)
        self._spread = Spread(self._nodes, earlier)
        found = self._find()
        if found and self._spread.look_again():
            found = self._find()
        self.broken = tuple(
            [self._shown(*one, with_ways=number < MAX_SHOWN) for number, one in enumerate(found)]
        )
        """The broken rules, those for which the plan is refused first; the ways of `MAX_SHOWN`."""

    @property
    def denied(self) -> list[BrokenFlow]:
        """The broken rules for which the plan is refused."""
        return [one for one in self.broken if one.then is Then.DENY]

    @property
    def asked(self) -> list[BrokenFlow]:
        """The broken rules that a person has to allow."""
        return [one for one in self.broken if one.then is Then.ASK]

    def notes(self) -> list[str]:
        """Return what a person will be asked for, in words."""
        return [f"{one.task}: {one.message}" for one in self.asked[:MAX_SHOWN]]

    def with_written(self, written: Mapping[Steps, Iterable[str]]) -> PlanFlows:
        """Return the flows of the same plan where earlier calls have *written* this."""
        return PlanFlows(
            self._policy,
            self.plan,
            seen=self.seen,
            claims=self._claims,
            written=written,
            taken_over=self._taken_over,
            allowed=self._allowed,
        )

    def can_break(self, tool: str) -> bool:
        """Return whether a call of the tool of that full name can break a rule."""
        return tool in self._tools.sends

    def accesses_of(self, task: str) -> Sequence[tuple[Steps, bool]]:
        """Return the resources that a task accesses as far as the plan says, each with whether it
        writes it."""
        return self._nodes.by_id[task].accesses

    @property
    def accessed(self) -> set[Steps]:
        """The resources that its calls access."""
        return {steps for node in self._nodes.in_order for steps, _ in node.accesses}

    def problems(self, reading: Reading) -> list[Problem]:
        """Return the reasons to refuse the document in *reading*, of which this is the plan."""
        if not (denied := self.denied):
            return []
        places = dict(_places(reading))
        return [one.problem(places.get(one.task, "tasks")) for one in denied[:MAX_SHOWN]]

    def ask(self) -> None:
        """Let the plan, which has not begun, ask for the calls that a person has to allow."""
        for one in self.asked:
            task = self._nodes.by_id[one.task].task
            task.policy = one.asked(task.policy)

    def sources_of(self, task: str) -> frozenset[str]:
        """Return the tools that the output of a task comes from, by its whole id, and that decided
        how it ended; those that its caller had seen are in all."""
        return self._tools.names(self._nodes.end(task).output) | self.seen

    def sources(self) -> dict[str, frozenset[str]]:
        """Return the same for all tasks that are in no group."""
        known: dict[int, frozenset[str]] = {}
        found: dict[str, frozenset[str]] = {}
        for id in self.plan.tasks:
            bits = self._nodes.end(id).output
            if bits not in known:
                known[bits] = self._tools.names(bits) | self.seen
            found[id] = known[bits]
        return found

    def deciding(self) -> frozenset[str]:
        """Return the tools that decide which tasks run: what a caller knows who sees how they
        ended."""
        bits = 0
        for node in self._nodes.in_order:
            bits |= node.decided
        return self._tools.names(bits) | self.seen

    def _find(self) -> list[tuple[Node, int, Then]]:
        """Return the calls that break a rule, each with its index and what follows, the refused
        first."""
        found: list[tuple[Node, int, Then]] = []
        tools, seen = self._tools, self._seen
        rules_of, allowed = self._policy.rules, self._allowed
        for node in self._nodes.in_order if tools.sends else ():
            if node.tool is None or (rules := tools.sends.get(node.tool)) is None:
                continue
            for rule in rules:
                if tools.is_broken(rule, node.given):
                    found.append((node, rule, rules_of[rule].then))
                elif tools.is_broken(rule, node.given | seen) and rules_of[rule] not in allowed:
                    found.append((node, rule, Then(self._policy.remembers.value)))
        found.sort(key=lambda one: one[2] is Then.ASK)
        return found

    def _shown(self, node: Node, index: int, then: Then, *, with_ways: bool) -> BrokenFlow:
        rule, masks = self._policy.rules[index], self._tools.masks[index]
        is_remembered = not self._tools.is_broken(index, node.given)
        ways = tuple([self._way(node, mask) for mask in masks]) if with_ways else ()
        assert node.tool is not None
        return BrokenFlow(rule, node.id, node.tool, then, ways, is_remembered=is_remembered)

    def _way(self, node: Node, mask: int) -> tuple[Step, ...]:
        """Return a shortest way of data with one label of a rule to a call that breaks it."""
        if mask & node.given:
            return way_to(node, mask, self._spread)
        seen = ", ".join(sorted(self._tools.names(self._seen & mask)))
        return (Step(f"what you have seen ({seen})"), Step(node.id))


def _places(reading: Reading) -> Iterator[tuple[str, str]]:
    """Yield the whole id of each task in *reading*, those in groups too, and its path."""
    left = [
        ("", task, path) for task, path in zip(reading.dag.tasks, paths_of(reading), strict=True)
    ]
    while left:
        before, task, path = left.pop()
        id = f"{before}{task.id}"
        yield id, path
        inner = task.tasks or ()
        paths = inner_paths(reading.inner, f"{path}.tasks", len(inner))
        left += [(f"{id}.", one, place) for one, place in zip(inner, paths, strict=True)]
