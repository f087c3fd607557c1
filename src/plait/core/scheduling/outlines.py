"""Outlines of tasks: what a plan says of each before anything runs, for results and observers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..planning.plan import Plan
from .events import Key


class TaskOutline(NamedTuple):
    """A task as it is known before anything runs. Times are in seconds."""

    id: str
    tool: str
    layer: int
    needs: tuple[str, ...]
    """The tasks that it waits for."""
    reused_inputs: tuple[str, ...]
    """The tasks that it needed in an earlier run, if it was taken over from there."""
    expected_s: float | None
    """The expected time of one call; None if its tool is unknown."""
    remaining_s: float
    """The expected time of the longest chain that starts at it, itself included."""
    alone_s: float | None = None
    """The time of one call if it is alone; None if unknown."""


class InnerOutline(NamedTuple):
    """A task in a group, as it is known before anything runs."""

    id: str
    """The whole id: those of the groups around it and its own (`close.comment`)."""
    tool: str
    parts: tuple[tuple[str, bool], ...]
    """These ids, the outermost first, each with whether that has items."""
    is_call: bool
    """Whether it calls a tool."""
    alone_s: float | None = None
    """The duration of one call if it is alone, in seconds; None if unknown."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The whole ids of the groups around it, the outermost first."""
        ids = [id for id, _ in self.parts]
        return tuple([".".join(ids[: count + 1]) for count in range(len(ids) - 1)])

    def place(self, key: Key) -> str:
        """Write *key*, of this task, with the items that it is for (`close[3].comment`)."""
        numbers = iter((*key.at, *(() if key.item is None else (key.item,))))
        parts = []
        for id, has_items in self.parts:
            number = next(numbers, None) if has_items else None
            parts.append(id if number is None else f"{id}[{number}]")
        return ".".join(parts)


def outlines_of(plan: Plan) -> tuple[TaskOutline, ...]:
    """List the outline of each task of *plan*, in document order."""
    untimed = frozenset(plan.untimed)
    return tuple(
        [
            TaskOutline(
                id,
                name := task.tool.full_name,
                plan.layer_of[id],
                task.needs,
                task.reused_inputs,
                None if name in untimed else plan.costs[id],
                plan.remaining[id],
                plan.alone_s.get(id),
            )
            for id, task in plan.tasks.items()
        ]
    )


def outlines_of_inner(plan: Plan) -> tuple[InnerOutline, ...]:
    """List the outline of each task in a group of *plan*."""
    return tuple(_outlines(plan, ()))


def _outlines(plan: Plan, before: tuple[tuple[str, bool], ...]) -> Iterable[InnerOutline]:
    for task in plan.tasks.values():
        parts = (*before, (task.task.id, task.items is not None))
        if before:
            alone_s = plan.alone_s.get(task.id)
            yield InnerOutline(task.id, task.tool.full_name, parts, task.makes_calls, alone_s)
        if task.inner is not None:
            yield from _outlines(task.inner, parts)
