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

from ...errors import CallError
from ..language.dag import Task
from ..language.references import INDEX, Reference
from ..language.templates import Scope, compile_value, follow
from ..planning.plan import PlannedTask
from ..tools.output import Output
from ..values.strict import Json, encode
from .events import Failure, Status
from .state import Items, TaskCall


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
        """Yield the output of each item that succeeded. The first has all the attachments: it is
        not known whose they are."""
        attachments = self.output.attachments
        values = self.output.value if isinstance(self.output.value, list) else []
        for index, (status, value) in enumerate(zip(self.statuses, values, strict=False)):
            if status is Status.SUCCESS:
                yield index, Output.of(value, attachments)
                attachments = ()


def items_to_reuse(
    earlier: EarlierItems,
    planned: PlannedTask,
    outputs: Mapping[str, Output],
    calls: Iterable[TaskCall],
) -> dict[int, Output]:
    """Return the outputs of those items of *calls* that need not be called again, by index."""
    before, after = earlier.task, planned.task
    if earlier.tool != planned.tool.full_name or (before.arguments, before.select) != (
        after.arguments,
        after.select,
    ):
        return {}
    if any(
        _value(reference, earlier.outputs) != _value(reference, outputs)
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
    for call in calls:
        index = call.key.item or 0
        same = unused.get((encode(call.item), index if with_index else None))
        if same:
            found[index] = same.pop(0)
    return found


def _references(planned: PlannedTask) -> list[Reference]:
    from ..expressions.nodes import Source

    select = planned.select.references if planned.select is not None else ()
    return [
        *[reference for reference in planned.arguments.references if not reference.is_item],
        *[Reference(key.id) for key in select if key.source is Source.OUTPUT],
    ]


def _uses_index(planned: PlannedTask) -> bool:
    from ..expressions.nodes import Source

    select = planned.select.references if planned.select is not None else ()
    return any(reference.task == INDEX for reference in planned.arguments.references) or any(
        key.source is Source.INDEX for key in select
    )


def _value(reference: Reference, outputs: Mapping[str, Output]) -> bytes | None:
    """Return the value of *reference* as JSON; None if it has none."""
    try:
        return encode(follow(outputs[reference.task], reference))
    except (KeyError, CallError):
        return None


def _earlier_values(earlier: EarlierItems) -> list[Json]:
    template, _ = compile_value(earlier.task.for_each)
    try:
        values = template.resolve(Scope(earlier.outputs))
    except CallError:
        return []
    return values if isinstance(values, list) else []
