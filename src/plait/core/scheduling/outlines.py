"""Outlines of tasks: what a plan says of each before anything runs, for results and observers."""

from __future__ import annotations

from collections.abc import Iterable

from ..planning.plan import Plan
from .events import InnerOutline, TaskOutline


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
