"""Items of `for_each` tasks that succeeded in an earlier run, although others of their task did
not.

A run that resumes the earlier one reuses an item if its task calls the same tool with the same
arguments for an equal item. All references but `$ITEM` and `$INDEX` have one value for all items,
so they are compared once, and then only the items.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice, repeat

from ...errors import CallError
from ..language.dag import HOW_IT_RUNS, Task
from ..language.meaning import meant, meant_arguments
from ..language.references import INDEX, OUTPUT, Reference
from ..language.scope import Scope
from ..language.templates import compile_value, follow, items_in
from ..planning.plan import PlannedTask
from ..tools.output import Output
from ..values.strict import Json, encode
from .events import Failure, Status
from .state import Items


@dataclass(frozen=True, slots=True)
class EarlierItems:
    """A `for_each` task of an earlier run that kept the outputs of some items."""

    task: Task
    tool: str
    """The full name of the tool that it called."""
    output: Output
    """The list of its outputs, null where an item has none."""
    statuses: tuple[Status, ...]
    errors: tuple[tuple[int, Failure], ...]
    error: Failure | None
    outputs: Mapping[str, Output]
    """The outputs that it could refer to."""
    sent: frozenset[str] | None = frozenset()
    """The tasks of a group that succeeded for an item that did not, by whole id; None if
    unknown."""

    def items(self) -> Items:
        """Return the state of its items."""
        items = Items(len(self.statuses))
        items.statuses = list(self.statuses)
        items.errors = list(self.errors)
        items.left = 0
        for index, output in self.succeeded():
            items.outputs[index] = output
        return items

    def succeeded(self) -> Iterable[tuple[int, Output]]:
        """Yield the output of each item that succeeded, with its own attachments."""
        attachments = iter(self.output.attachments)
        counts = chain(self.output.attachments_by_item, repeat(0))
        values = self.output.value if isinstance(self.output.value, list) else []
        for index, (status, value, count) in enumerate(
            zip(self.statuses, values, counts, strict=False)
        ):
            own = tuple(islice(attachments, count))
            if status is Status.SUCCESS:
                yield index, Output.of(value, own)


def items_to_reuse(
    earlier: EarlierItems,
    planned: PlannedTask,
    outputs: Mapping[str, Output],
    items: Iterable[tuple[int, Json]],
) -> dict[int, Output]:
    """Return the outputs of those of *items* that need not run again, by index."""
    if earlier.tool != planned.tool.full_name or work_of(earlier.task) != work_of(planned.task):
        return {}
    if any(
        reference.about != OUTPUT  # how tasks ended is not kept with the items
        or _value(reference, earlier.outputs) != _value(reference, outputs)
        for reference in _references(planned)
    ):
        return {}
    with_index = _uses_index(planned)
    values = _earlier_values(earlier)
    unused: defaultdict[tuple[bytes, int | None], list[Output]] = defaultdict(list)
    for index, output in earlier.succeeded():
        if index < len(values):
            unused[encode(values[index]), index if with_index else None].append(output)
    found: dict[int, Output] = {}
    for index, item in items:
        same = unused.get((encode(item), index if with_index else None))
        if same:
            found[index] = same.pop(0)
    return found


def work_of(task: Task) -> tuple[object, ...]:
    """Return what *task* does for each item, as it is written, without what only says how."""
    inner = [_inner_work(one) for one in task.tasks or ()]
    arguments = meant_arguments(task.arguments)
    return arguments, meant(task.value), task.select, task.repeat, inner


def _inner_work(task: Task) -> dict[str, object]:
    kept: dict[str, object] = {
        name: getattr(task, name)
        for name in type(task).model_fields
        if name not in HOW_IT_RUNS and name != "tasks"
    }
    kept["arguments"] = meant_arguments(task.arguments)
    kept["value"] = meant(task.value)
    return kept | {"tasks": [_inner_work(one) for one in task.tasks or ()]}


def _within(planned: PlannedTask) -> list[PlannedTask]:
    """List *planned* and, if it is a group, the tasks in it."""
    inner = () if planned.inner is None else planned.inner.all_tasks()
    return [planned, *inner]


def _references(planned: PlannedTask) -> list[Reference]:
    """List what the items of *planned* refer to, except each other and themselves."""
    tasks = _within(planned)
    own = {task.id for task in tasks}
    found: list[Reference] = []
    for task in tasks:
        found += task.arguments.references
        if task is not planned:
            found += task.items.references if task.items is not None else ()
        conditions = [task.when] if task is not planned and task.when is not None else []
        for read in (*task.of_answers(), *conditions):
            names = task.seen or {}
            found += [
                Reference(names.get(key.task, key.task), about=key.source)
                for key in read.references
                if key.task is not None
            ]
    return [one for one in found if not one.is_item and one.task not in own]


def _uses_index(planned: PlannedTask) -> bool:
    from ..expressions.nodes import Source

    for task in _within(planned):
        if any(reference.task.startswith(INDEX) for reference in task.arguments.references):
            return True
        for read in (*task.of_answers(), *([] if task.when is None else [task.when])):
            if any(key.source is Source.INDEX for key in read.references):
                return True
    return False


def _value(reference: Reference, outputs: Mapping[str, Output]) -> bytes | None:
    """Return the value of *reference* as JSON; None if it has none."""
    try:
        return encode(follow(outputs[reference.task], reference))
    except (KeyError, CallError):
        return None


def _earlier_values(earlier: EarlierItems) -> list[Json]:
    template, _ = compile_value(earlier.task.for_each)
    try:
        values = items_in(template.resolve(Scope(earlier.outputs)))
    except CallError:
        return []
    return values if isinstance(values, list) else []
