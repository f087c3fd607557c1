"""A plan as nodes: for each task, which others' data can come into it, and by which way.

A task is one node. A group is three: one before its tasks (its items and conditions, which decide
each of them), one behind (its value), and one for how it ended, which depends on all its tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ..expressions.nodes import Source
from ..language.dag import Task
from ..language.references import OUTPUT
from ..language.templates import Template, is_one_reference
from ..planning.plan import Plan, PlannedTask
from .resources import Claims, Steps, steps_of

if TYPE_CHECKING:  # a start without a DAG does not need it
    from ..expressions.evaluation import Expression

BitOf: TypeAlias = Callable[[str], int]
"""Gives the bit of the tool of a full name."""
TakenOver: TypeAlias = Mapping[str, Iterable[str] | None]
"""The tasks with outputs, or items, of an earlier run: the tools that these came from; None if that
is unknown."""


class Node:
    """One place of a plan that holds sets of tools, as bits of an integer (`spread.py`).

    One is made for each task, with only those members of its own that are not empty: that takes a
    third of the time of a slotted one.
    """

    own = 0
    """The tools that it takes data from by itself: the one that it calls."""
    given_by: Sequence[Node] = ()
    """The nodes whose outputs stand in its arguments, or in its value."""
    decided_by: Sequence[Node] = ()
    """Those whose outputs decide whether, or how often, it runs."""
    waits_for: Sequence[Node] = ()
    """Those that must succeed before it runs: what decides them decides it."""
    kept_by: Sequence[Node] = ()
    """Those whose outputs go into its output alone, by `select`."""
    around: Node | None = None
    """The beginning of the group that it is in."""
    reads_item = False
    """Whether the item of a group around it decides it."""
    is_repeated = False
    """Whether its own answers decide whether it is called again, or with what."""
    tool: str | None = None
    """The full name of the tool that it calls."""
    accesses: Sequence[tuple[Steps, bool]] = ()
    """The resources that it accesses, each with whether it writes it."""
    decided = 0
    given = 0
    answer = 0
    output = 0

    def __init__(self, id: str, task: PlannedTask) -> None:
        self.id = id
        self.task = task

    def __repr__(self) -> str:
        return f"<Node {self.id}>"


class Nodes:
    """The nodes of *plan*. *bit* gives those of tools."""

    def __init__(self, plan: Plan, bit: BitOf, claims: Claims, taken_over: TakenOver) -> None:
        self.in_order: list[Node] = []
        """Each behind all whose data can come into it, except by resources."""
        self.by_id: dict[str, Node] = {}
        """By the whole ids of tasks; of a group, that of its value."""
        self.ends: dict[str, Node] = {}
        """The ends of groups."""
        self._plan = plan
        self._bit = bit
        self._claims = claims
        self._taken_over = taken_over
        self._has_decisions = any(map(_decides, plan.all_tasks()))
        self._lay(plan, None)

    def end(self, id: str) -> Node:
        """Return the node of how a task ended."""
        return self.ends.get(id) or self.by_id[id]

    def before(self, node: Node) -> Iterable[Node]:
        """Return the nodes that have ended when *node* begins."""
        if node is self.ends.get(node.id):
            return node.given_by
        if node.task.inner is not None and node is self.by_id[node.id]:
            return (*node.waits_for, *([node.around] if node.around else ()))
        needs = [self.by_id[id] for id in node.task.needs]
        return needs if node.around is None else [*needs, node.around]

    def _lay(self, plan: Plan, around: Node | None) -> None:
        tasks, claims, taken_over = plan.tasks, self._claims, self._taken_over
        for id in plan.order:
            task = tasks[id]
            node = Node(id, task)
            if around is not None:
                node.around = around
            if self._has_decisions and task.needs:
                self._link(task, node)
            if task.items is not None:
                self._read_items(task, node)
            if task.when is not None:
                node.decided_by = [*node.decided_by, *self._named_in(task, task.when)]
                node.reads_item |= _names_item(task.when)
            if task.inner is not None:
                self._lay_group(task, task.inner, node)
                continue
            if task.makes_calls:
                node.tool = task.tool.full_name
                node.own = self._bit(node.tool)
                if claims and id in claims:
                    node.accesses = tuple(steps_of(claims[id]))
            if task.arguments.fill is not None:
                read = self._read(task, task.arguments)
                node.given_by = [*node.given_by, *read] if node.given_by else read
            if task.select is not None:
                node.kept_by = self._named_in(task, task.select)
            if task.repeat is not None:
                self._read_repeat(task, node)
            if taken_over and id in taken_over:
                self._take_over(task, node)
            self.by_id[id] = node
            self.in_order.append(node)

    def _link(self, task: PlannedTask, node: Node) -> None:
        """Link *node* to the tasks that its task waits for."""
        match task.task.trigger_rule:
            case "all_success":
                by_id = self.by_id
                node.waits_for = [by_id[id] for id in task.requires]
            case "all_done" | "always":
                pass  # it runs whatever became of them
            case _:
                node.decided_by = [self.end(id) for id in task.needs]

    def _read_items(self, task: PlannedTask, node: Node) -> None:
        """Link *node* to what its items are made of. The length of a list that is written down is
        known: only what stands in it comes from others."""
        assert task.items is not None
        found = self._read(task, task.items)
        if is_one_reference(task.items):
            node.decided_by = [*node.decided_by, *found]
            node.reads_item |= any(one.task[0] == "$" for one in task.items.references)
        else:
            node.given_by = found

    def _read_repeat(self, task: PlannedTask, node: Node) -> None:
        assert task.repeat is not None
        node.is_repeated = True
        for place, expression in task.repeat.expressions():
            named = self._named_in(task, expression)
            if place.startswith("set"):
                node.given_by = [*node.given_by, *named]
            else:
                node.decided_by = [*node.decided_by, *named]

    def _take_over(self, task: PlannedTask, node: Node) -> None:
        """Give *node* the tools that its output had in an earlier run. Where they are unknown,
        these are all that had a part in it there."""
        tools = self._taken_over[task.id]
        for tool in _tools_behind(self._plan, task.id) if tools is None else tools:
            node.own |= self._bit(tool)

    def _lay_group(self, task: PlannedTask, inner: Plan, before: Node) -> None:
        self.in_order.append(before)
        self._lay(inner, before)
        own = [self.by_id[id] for id in inner.tasks]
        ends = [self.end(id) for id in inner.tasks]
        behind = Node(task.id, task)
        behind.around = before
        behind.waits_for = own
        behind.given_by = self._read(task, task.arguments)
        if task.items is not None or not task.task.has_value:
            behind.given_by = [*behind.given_by, *ends]  # null where something failed
        if task.select is not None:
            behind.kept_by = self._named_in(task, task.select)
        if task.id in self._taken_over:
            self._take_over(task, behind)
        end = Node(task.id, task)
        end.given_by = [behind, *ends]
        self.by_id[task.id], self.ends[task.id] = behind, end
        self.in_order += (behind, end)

    def _read(self, task: PlannedTask, template: Template) -> list[Node]:
        """Return the nodes that the references in *template* name. Those to items name none: what
        the items are made of comes into all that stands in their group."""
        by_id, ends = self.by_id, self.ends
        if not ends:
            return [by_id[one.task] for _, one in template.found if one.task[0] != "$"]
        is_strict = task.task.trigger_rule == "all_success" or not template.has_pipes
        return [  # in an expression, what did not succeed is null; elsewhere it fails the task
            by_id[one.task]
            if is_strict and one.about == OUTPUT and not one.is_guarded
            else self.end(one.task)
            for _, one in template.found
            if one.task[0] != "$"
        ]

    def _named_in(self, task: PlannedTask, expression: Expression) -> list[Node]:
        """Return the nodes that the references in *expression* name, other than its own task."""
        ids = None if task.names is None else task.names.ids
        is_strict = task.task.trigger_rule == "all_success"
        found = []
        for key in expression.references:
            if key.task is None or key.id == task.task.id:
                continue
            id = key.id if ids is None else ids[key.id]
            is_output = is_strict and key.source is Source.OUTPUT
            found.append(self.by_id[id] if is_output else self.end(id))
        return found


def _names_item(expression: Expression) -> bool:
    return any(key.task is None for key in expression.references)


def _decides(task: PlannedTask) -> bool:
    """Return whether anything but success of others decides whether, or how often, *task* runs.
    Where nothing does in a whole plan, as in most, waiting passes nothing on."""
    written = task.task
    return (
        task.when is not None
        or task.items is not None
        or task.repeat is not None
        or written.trigger_rule != "all_success"
    )


def _tools_behind(plan: Plan, id: str) -> Iterator[str]:
    """Yield the tools that the task *id* called in an earlier run, and those that the tasks called
    which it needed there."""
    seen, left = {id}, [id]
    while left:
        if (task := plan.tasks.get(left.pop())) is None:
            continue
        yield from _tools_in(task.tool.full_name if task.makes_calls else None, task.task)
        left += [need for need in (*task.needs, *task.reused_inputs) if need not in seen]
        seen.update(left)


def _tools_in(name: str | None, task: Task) -> Iterator[str]:
    if name is not None:
        yield name
    for inner in task.tasks or ():
        yield from _tools_in(inner.tool, inner)
