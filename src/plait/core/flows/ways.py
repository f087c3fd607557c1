"""The ways by which data comes to a call that it may not reach: found, and shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..language.references import Reference
from ..tools.policy import ToolPolicy
from ..tools.rules import Answer, Decision
from ..values.problems import Problem, Way, ways_in_words, written
from .resources import overlap, shown
from .rules import FlowRule, Then

if TYPE_CHECKING:  # a start without a DAG does not need them
    from .nodes import Node
    from .spread import Spread

SEEN = (
    'What you write may hold it. Read what you need not see yourself with "return": [] next time; '
    "what you have seen counts until your client leaves."
)


class Step(NamedTuple):
    """One task on the way of the data."""

    id: str
    """Its whole id, or words for another source."""
    part: str = ""
    """The part of its output that the next one reads (`.text`), or of the last one the place where
    it arrives (`.body`, ` (when)`)."""

    def __str__(self) -> str:
        return f"{self.id}{self.part}"


@dataclass(frozen=True, slots=True)
class BrokenFlow:
    """A rule that a call breaks."""

    rule: FlowRule
    task: str
    """The whole id of the call."""
    tool: str
    then: Then
    ways: tuple[tuple[Step, ...], ...] = ()
    """For each label of the rule, a shortest way from a tool that has it to the call; empty where
    there are too many broken rules to show all."""
    is_remembered: bool = False
    """Whether it is broken only by what the caller has seen before."""

    @property
    def words(self) -> str:
        """The ways in words: `read.text → sum → post.text`."""
        return ways_in_words(way.steps for way in self._named_ways)

    @property
    def _named_ways(self) -> tuple[Way, ...]:
        labels = self.rule.sources if self.ways else ()
        ways = zip(labels, self.ways, strict=True)
        return tuple([Way(label, self.rule.to, tuple(map(str, way))) for label, way in ways])

    @property
    def mermaid(self) -> str:
        """The ways as a Mermaid flowchart. Nodes have numbers, so that no name can break it."""
        numbers: dict[str, int] = {}
        for way in self.ways:
            for step in way:
                numbers.setdefault(step.id, len(numbers))
        nodes = [f'  n{number}["{_escaped(id)}"]' for id, number in numbers.items()]
        edges = dict.fromkeys(
            f"  n{numbers[one.id]} --> n{numbers[other.id]}"
            for way in self.ways
            for one, other in pairwise(way)
        )
        return "\n".join(["flowchart LR", *nodes, *edges])

    @property
    def message(self) -> str:
        ways = f": {self.words}" if self.ways else ""
        may = "may not be" if self.then is Then.DENY else "needs a person's yes to be"
        return f"{self.tool} {may} given what is {self._labels}{ways}."

    def problem(self, path: str) -> Problem:
        """Return the reason to refuse the document; *path* is the place of the task in it."""
        which = "this reference" if len(self.ways) == 1 else "one of these references"
        hint = SEEN if self.is_remembered else f'Leave out {which}, or the task "{self.task}".'
        drawn = self.mermaid if self.ways else None
        return Problem(
            path, "flow_denied", self.message, hint, self.task, mermaid=drawn, ways=self._named_ways
        )

    def asked(self, policy: ToolPolicy) -> ToolPolicy:
        """Return *policy* for a call that a person has to say yes to, because of this: to each by
        itself, whatever it said yes to before."""
        before = policy.decision
        if before.answer is Answer.DENY:
            return policy
        ways = f": {self.words}" if self.ways else ""
        why = f"because [policy.flows] keeps what is {self._labels} from {self.rule.to}{ways}"
        why = f"{before.why}, and {why}" if policy.needs_yes else f"asked {why}"
        return replace(policy, decision=Decision(Answer.ASK_EACH, why, str(self.rule)))

    @property
    def _labels(self) -> str:
        return " and ".join(self.rule.sources)


class Part(IntEnum):
    """The sets of a node, each of which holds the one before it (`spread.py`)."""

    DECIDED = 0
    GIVEN = 1
    ANSWER = 2
    OUTPUT = 3


Place: TypeAlias = "tuple[Node, Part]"


def way_to(sink: Node, mask: int, spread: Spread) -> tuple[Step, ...]:
    """Return the shortest way from a tool in *mask* to what the call *sink* is given. There is
    one."""
    start = (sink, Part.GIVEN)
    before: dict[Place, Place | None] = {start: None}
    queue = deque([start])
    read: set[object] = set()
    """The resources whose writers have been looked at."""
    while queue:
        place = queue.popleft()
        node, part = place
        if part is Part.ANSWER:
            if node.own & mask:
                return _steps(place, before)
            if (resource := _earlier(node, mask, spread)) is not None:
                return (Step(resource), *_steps(place, before))
        sources = _into(node, part)
        if part is Part.ANSWER and node.accesses:
            key = node.accesses if spread.reads_as_others(node) else node.id
            if key not in read:
                read.add(key)
                written = ((one, Part.ANSWER) for one in spread.sources(node))
                sources = chain(sources, written)
        for one in sources:
            if one not in before:
                before[one] = place
                queue.append(one) if one[0] is not node else queue.appendleft(one)
    raise AssertionError("a broken rule without a way")


def _into(node: Node, part: Part) -> Iterator[Place]:
    """Yield the sets that are parts of one set of *node*, but for those of resources."""
    around = node.around
    match part:
        case Part.DECIDED:
            for one in node.decided_by:
                yield one, Part.OUTPUT
            for one in node.waits_for:
                yield one, Part.DECIDED
            if around is not None:
                yield around, Part.GIVEN if node.reads_item else Part.DECIDED
        case Part.GIVEN:
            yield node, Part.DECIDED
            for one in node.given_by:
                yield one, Part.OUTPUT
            if around is not None:
                yield around, Part.GIVEN
        case Part.ANSWER:
            yield node, Part.GIVEN
        case Part.OUTPUT:
            yield node, Part.ANSWER
            for one in node.kept_by:
                yield one, Part.OUTPUT
    if node.is_repeated and part < Part.ANSWER:
        yield node, Part.ANSWER


def _earlier(node: Node, mask: int, spread: Spread) -> str | None:
    """Return the resource with data of *mask* from earlier calls that *node* accesses."""
    for at, bits in spread.earlier:
        if bits & mask and any(overlap(steps, at) for steps, _ in node.accesses):
            return shown(at)
    return None


def _steps(place: Place | None, before: dict[Place, Place | None]) -> tuple[Step, ...]:
    """Return the way from *place* on, each task once in a row, with the parts that are read."""
    nodes: list[Node] = []
    while place is not None:
        if not nodes or nodes[-1].id != place[0].id:
            nodes.append(place[0])
        place = before[place]
    if len(nodes) == 1:  # its own answers, by `repeat`
        return (Step(nodes[0].id), Step(nodes[0].id, " (repeat)"))
    first, last = _link(nodes[0], nodes[1])[0], _link(nodes[-2], nodes[-1])[1]
    steps = [Step(node.id) for node in nodes]
    steps[0] = Step(nodes[0].id, first)
    steps[-1] = Step(nodes[-1].id, last)
    return tuple(steps)


def _link(source: Node, node: Node) -> tuple[str, str]:
    """Return the part of *source* that *node* reads, and the place where it arrives."""
    task = node.task
    for template, field in ((task.arguments, ""), (task.items, " (for_each)")):
        for place, one in template.found if template is not None else ():
            if one.task == source.id:
                return written(_plain(one)), field or written(place)
    if task.when is not None and any(one.id == source.id for one in node.decided_by):
        return "", " (when)"
    return "", ""


def _plain(reference: Reference) -> tuple[str | int, ...]:
    """Return the beginning of the path of *reference* that has names and indices alone."""
    steps: list[str | int] = []
    for step in reference.path:
        if not isinstance(step, str | int):
            break
        steps.append(step)
    return tuple(steps)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
