"""The resources that the tasks of one plan access, and the order of the tasks that cannot run at
the same time.

Resources that are known before anything runs are ordered here: of two tasks that conflict, the
later in the document waits for the end of the earlier, as if they ran one after the other.
Resources that are known only when a task is ready are claimed then, and it waits for whoever holds
them by then. So are files whose place was not found in time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..planning.plan import Plan, PlannedTask
from ..tools.claims import (
    Accesses,
    AccessRules,
    Places,
    ResourceClaim,
    ResourceName,
    access_rules_of,
)
from ..values.strict import Json, JsonObject
from .locks import LockRequest, Locks

MAX_CONFLICTS = 200
"""Most conflicts that a plan names."""
MAX_LOOKED_AT = 20_000
"""Most dependencies that are followed to find whether two tasks are in order anyway."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Task `id` waits for task `waits_for`, because both use `resource`."""

    id: str
    waits_for: str
    resource: str
    why: str
    """`write after read`, `read after write` or `write after write`."""

    def document(self) -> JsonObject:
        return {
            "id": self.id,
            "waits_for": self.waits_for,
            "resource": self.resource,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class PlannedAccesses:
    """The resources that the tasks of one plan access, as their servers name them."""

    rules: Mapping[str, AccessRules] = field(default_factory=dict)
    """By task; tasks without a known resource are absent."""
    known: Mapping[str, Accesses] = field(default_factory=dict)
    """The resources that arguments name without references, by task, in the order of execution."""
    others: Mapping[str, Accesses] = field(default_factory=dict)
    """The same of tasks in groups, and of tasks that access none."""

    def files(self) -> tuple[ResourceName, ...]:
        """List the names of files that are known before anything runs."""
        return tuple(
            dict.fromkeys(
                name
                for known in (self.known, self.others)
                for accesses in known.values()
                for name in accesses.files
            )
        )

    def claims(self, places: Places) -> dict[str, tuple[ResourceClaim, ...]]:
        """Return the claims of each task. Resources that are not known yet, and files that have no
        place in *places*, are all of their scheme."""
        known = {**self.known, **self.others}
        return {
            id: accesses.claims(places)
            if (accesses := known.get(id)) is not None
            and all(name in places for name in accesses.files)
            else rules.whole_schemes().claims({})
            for id, rules in self.rules.items()
        }


@dataclass(frozen=True, slots=True)
class Conflicts:
    """The conflicts within one plan, and the rules by which its calls claim resources."""

    access_rules: Mapping[str, AccessRules] = field(default_factory=dict)
    """By task; tasks without a known resource are absent."""
    known: tuple[tuple[str, tuple[ResourceClaim, ...]], ...] = ()
    """Tasks whose claims are known before anything runs, in the order of execution; empty if no
    calls conflict."""
    found: tuple[Conflict, ...] = ()
    """Pairs of tasks that wait for no other reason; at most `MAX_CONFLICTS`."""
    may_be_more: bool = False
    """Whether more tasks conflict than were looked at."""
    barriers: Mapping[str, int] = field(default_factory=dict)
    """The layer in which each task runs under `schedule: "layers"`; empty if these are the layers
    of the plan."""
    places: Places = field(default_factory=dict)
    """The places of the files that are known before anything runs, as found when planning."""

    def accesses(self, task: str, arguments: JsonObject) -> Accesses | None:
        """Return the resources that a call of *task* with these arguments accesses; None if
        absent."""
        rules = self.access_rules.get(task)
        return None if rules is None else rules.accesses(arguments)

    def order(self) -> JsonObject:
        """Return the order of the tasks as JSON, which is empty if no calls conflict."""
        if not self.known:
            return {}
        known: list[Json] = [
            [id, [[claim.key, claim.writes, [*claim.steps]] for claim in claims]]
            for id, claims in self.known
        ]
        return {"known": known, "barriers": {**self.barriers}}

    @classmethod
    def of_order(cls, order: Any) -> Conflicts:
        """Return the conflicts whose `order` this is, without the rules of calls."""
        known = [
            (id, tuple([ResourceClaim(key, writes, tuple(steps)) for key, writes, steps in claims]))
            for id, claims in order.get("known", ())
        ]
        return cls(known=tuple(known), barriers=order.get("barriers", {}))


def planned_accesses(plan: Plan, done: Collection[str] = ()) -> PlannedAccesses:
    """Find the resources that the tasks of *plan* access, except those that are *done*."""
    rules = _access_rules(plan, done)
    known: dict[str, Accesses] = {}
    others: dict[str, Accesses] = {}
    for id in plan.order if rules else ():
        if id in rules and (accesses := _known_accesses(rules[id], plan.tasks[id])) is not None:
            (known if accesses.keys else others)[id] = accesses
    if len(rules) > len(known) + len(others):
        for task in plan.all_tasks():
            if task.id not in rules or task.id in plan.tasks:
                continue
            if (accesses := _known_accesses(rules[task.id], task)) is not None:
                others[task.id] = accesses
    return PlannedAccesses(rules, known, others)


def _known_accesses(rules: AccessRules, task: PlannedTask) -> Accesses | None:
    """Return the resources that *task* accesses; None if they are not known before it runs."""
    given = task.task.arguments
    if isinstance(given, str):
        return None
    if not rules.argument_names.isdisjoint([str(place[0]) for place, _ in task.arguments.found]):
        return None
    return rules.accesses(given) or Accesses(rules.server, ())


def find_conflicts(plan: Plan, accesses: PlannedAccesses, places: Places) -> Conflicts:
    """Find the conflicts of *plan*, whose known files are at *places*. A task with a file that has
    no place is not ordered: it claims its resources when it is ready."""
    if not accesses.rules:
        return Conflicts()
    known = tuple(
        (id, known.claims(places))
        for id, known in accesses.known.items()
        if all(name in places for name in known.files)
    )
    found, is_free, may_be_more = _found(plan, known)
    if is_free:
        return Conflicts(accesses.rules, places=places)
    return Conflicts(accesses.rules, known, found, may_be_more, _barriers(plan, known), places)


def written_by(plan: Plan, conflicts: Conflicts, done: Collection[str] = ()) -> list[Json]:
    """List the tasks that may change something, each with the resources it is known to change."""
    writes: list[Json] = []
    for task in plan.all_tasks():
        id = task.id
        if id in done or not task.makes_calls:
            continue
        rules = conflicts.access_rules.get(id)
        value = task.arguments.value if task.arguments.fill is None else task.task.arguments
        described = rules.described(value) if rules is not None and isinstance(value, dict) else []
        resources: list[Json] = [key for key, writes_it in described if writes_it]
        if resources or not task.tool.is_read_only:
            members: JsonObject = {"id": id, "tool": task.tool.full_name}
            writes.append({**members, "resources": resources} if resources else members)
    return writes


def _access_rules(plan: Plan, done: Collection[str]) -> dict[str, AccessRules]:
    by_tool: dict[str, AccessRules | None] = {}
    by_task: dict[str, AccessRules] = {}
    for planned in plan.all_tasks():
        id = planned.id
        if id in done or not planned.makes_calls:
            continue
        name = planned.tool.full_name
        if name not in by_tool:
            by_tool[name] = access_rules_of(planned.tool, planned.policy)
        rules, task = by_tool[name], planned.task
        if task.reads or task.writes:
            rules = replace(
                rules or AccessRules(planned.tool.server_key, realm=planned.policy.realm),
                task_reads=task.reads,
                task_writes=task.writes,
            )
        if rules is not None:
            by_task[id] = rules
    return by_task


def _found(
    plan: Plan, known: Iterable[tuple[str, tuple[ResourceClaim, ...]]]
) -> tuple[tuple[Conflict, ...], bool, bool]:
    """Find the pairs of tasks that wait for no other reason; whether no two calls conflict at all;
    whether there may be more pairs."""
    locks: Locks[str] = Locks()
    found: list[Conflict] = []
    is_free, may_be_more = True, False
    for id, claims in known:
        request = locks.ask(id, claims)
        if plan.tasks[id].items is not None and any(claim.writes for claim in claims):
            is_free = False  # its own calls run one after the other
        if request.blocker is None or request.because is None:
            continue
        is_free = False
        earlier = request.blocker.holder
        if len(found) == MAX_CONFLICTS:
            may_be_more = True
        elif not _waits_anyway(plan, id, earlier):
            found.append(Conflict(id, earlier, *why_they_conflict(*request.because)))
    return tuple(found), is_free, may_be_more


def why_they_conflict(held: ResourceClaim, own: ResourceClaim) -> tuple[str, str]:
    """Name the narrower of the two resources, and the order of the accesses to it."""
    narrower = max(held, own, key=lambda claim: len(claim.steps))
    return (
        narrower.key,
        f"{'write' if own.writes else 'read'} after {'write' if held.writes else 'read'}",
    )


def _waits_anyway(plan: Plan, id: str, earlier: str) -> bool:
    """Whether *id* depends on *earlier*, directly or not."""
    seen = {id}
    stack = [id]
    while stack and len(seen) < MAX_LOOKED_AT:
        for need in plan.tasks[stack.pop()].needs:
            if need == earlier:
                return True
            if need not in seen and plan.layer_of[need] > plan.layer_of[earlier]:
                seen.add(need)
                stack.append(need)
    return False


def _barriers(plan: Plan, known: Iterable[tuple[str, tuple[ResourceClaim, ...]]]) -> dict[str, int]:
    """Put the tasks into layers, with conflicts as further dependencies."""
    if plan.dag.schedule != "layers":
        return {}
    claims = dict(known)
    deepest: dict[tuple[str, ...], list[int]] = {}
    """By resource: the last layer that uses it, that writes it, and the same for anything inside of
    it."""
    layers: dict[str, int] = {}
    for id in plan.order:
        before = [layers[need] for need in plan.tasks[id].needs]
        before += [layer for claim in claims.get(id, ()) for layer in _before(deepest, claim)]
        layers[id] = max(before, default=-1) + 1
        for claim in claims.get(id, ()):
            _note(deepest, claim, layers[id])
    return layers if any(plan.layer_of[id] != layer for id, layer in layers.items()) else {}


def _before(deepest: Mapping[tuple[str, ...], list[int]], claim: ResourceClaim) -> Iterable[int]:
    for length in range(1, len(claim.steps) + 1):
        if (place := deepest.get(claim.steps[:length])) is not None:
            yield place[0 if claim.writes else 1]
    if (place := deepest.get(claim.steps)) is not None:
        yield place[2 if claim.writes else 3]


def _note(deepest: dict[tuple[str, ...], list[int]], claim: ResourceClaim, layer: int) -> None:
    for length in range(1, len(claim.steps) + 1):
        place = deepest.setdefault(claim.steps[:length], [-1, -1, -1, -1])
        first = 0 if length == len(claim.steps) else 2
        place[first] = max(place[first], layer)
        if claim.writes:
            place[first + 1] = max(place[first + 1], layer)


class ConflictOrder:
    """Makes tasks that use the same resource run one after the other, in the order in which they
    are given."""

    def __init__(self, tasks: Iterable[tuple[str, tuple[ResourceClaim, ...]]]) -> None:
        self._locks: Locks[str] = Locks()
        self._requests: dict[str, LockRequest[str]] = {
            id: self._locks.ask(id, claims) for id, claims in tasks
        }
        """The lock request of each unfinished task."""

    def __bool__(self) -> bool:
        """Whether any task is left that may wait for another."""
        return bool(self._requests)

    def has_come(self, id: str) -> bool:
        """Whether *id* waits for no task with the same resource."""
        return id not in self._requests or self._requests[id].blocker is None

    def end(self, id: str) -> list[tuple[str, str]]:
        """Finish *id*; gives the tasks that were waiting for it alone, each with the shared
        resource."""
        if (place := self._requests.pop(id, None)) is None:
            return []
        return [
            (
                request.holder,
                why_they_conflict(*request.because)[0] if request.because is not None else "",
            )
            for request in self._locks.release(place)
        ]


class Layers:
    """Opens a layer once every task of the one before has finished."""

    def __init__(self, layer_of: Mapping[str, int]) -> None:
        self._layer_of = layer_of
        self._tasks: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
        for id, layer in layer_of.items():
            self._tasks[layer].append(id)
        self._left = [len(tasks) for tasks in self._tasks]
        self._open = 0

    def is_open(self, id: str) -> bool:
        return self._layer_of[id] <= self._open

    def end(self, id: str) -> Iterator[str]:
        """Finish *id*; gives the tasks of the layers that this opens."""
        self._left[self._layer_of[id]] -= 1
        while self._open < len(self._left) and self._left[self._open] == 0:
            self._open += 1
            if self._open < len(self._tasks):
                yield from self._tasks[self._open]
