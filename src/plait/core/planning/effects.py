"""Effects: the tasks whose outputs go into calls that change something.

There a wrong selection does harm, so a filter by a path that no element has fails its task, as does
a name of what has none (`core/scheduling/absences.py`); elsewhere it is a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..expressions.nodes import Source
from ..language.references import OUTPUT
from ..language.templates import Template
from .plan import Plan, PlannedTask

if TYPE_CHECKING:  # a start without a DAG does not need it
    from ..expressions.evaluation import Expression


def note_effects(plan: Plan) -> None:
    """Set `changes` and `feeds_changes` of all tasks of *plan*, inner ones too, if an expression
    of it may look for what is not there. Takes time linear in the document."""
    if not _asks(plan):
        return
    tasks = {task.id: task for task in plan.all_tasks()}
    _note_changes(plan)
    left = [id for task in tasks.values() if task.changes for id in _given(task)]
    while left:
        task = tasks[left.pop()]
        if not task.feeds_changes:
            task.feeds_changes = True
            left += [*_given(task), *_kept(task)]


def _asks(plan: Plan) -> bool:
    """Return whether *plan* has a `select` or a pipe, or a filter elsewhere, that may look for what
    is not there. Plans without pay nothing more."""
    for task in plan.tasks.values():
        if task.select is not None or (task.when is not None and task.when.has_lookups):
            return True
        for template in (task.arguments, task.items):
            if template is not None and template.has_pipes:
                return True
        if task.inner is not None and _asks(task.inner):
            return True
        if task.repeat is not None and any(one.has_lookups for one in task.of_answers()):
            return True
    return False


def _note_changes(plan: Plan) -> bool:
    """Set `changes` of the tasks of *plan*. Return whether any is set."""
    for task in plan.tasks.values():
        if task.inner is not None:
            task.changes = _note_changes(task.inner)
        else:
            task.changes = task.makes_calls and not task.tool.is_read_only
    return any(task.changes for task in plan.tasks.values())


def _given(task: PlannedTask) -> Iterator[str]:
    """Yield the tasks whose outputs decide which calls *task* makes, once it runs, and with what
    arguments."""
    if task.items is not None:
        yield from _in_template(task.items)
    if task.makes_calls:
        yield from _in_template(task.arguments)
        if task.repeat is not None:
            yield from _in_expressions(task, [one for _, one in task.repeat.expressions()])


def _kept(task: PlannedTask) -> Iterator[str]:
    """Yield the other tasks of whose outputs *task* makes its own."""
    if not task.makes_calls:
        yield from _in_template(task.arguments)
    if task.select is not None:
        yield from _in_expressions(task, [task.select])


def _in_template(template: Template) -> Iterator[str]:
    for reference in template.references:
        if reference.about == OUTPUT and not reference.is_item:
            yield reference.task


def _in_expressions(task: PlannedTask, expressions: Iterable[Expression]) -> Iterator[str]:
    for expression in expressions:
        for key in expression.references:
            if key.source is Source.OUTPUT and key.id != task.task.id:
                yield key.id if task.names is None else task.names.ids[key.id]
