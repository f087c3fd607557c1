"""A task whose dependencies have settled: whether it runs, the calls that it makes, its arguments
filled in and checked, once or for each item, and the part of its output that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import CallError, ExpressionFailed, InvalidArguments, OutputTooLarge, ReferenceFailed
from ..language.references import FROM_TEXT
from ..language.templates import MAX_ARGUMENT_BYTES, Scope
from ..planning.plan import PlannedTask
from ..tools.output import Output
from ..values.expressions import search
from ..values.strict import Json, JsonObject, NotStrict, measure
from .events import Failure, Key
from .state import Items, TaskCall, TaskState

MAX_ITEMS = 1_000
MAX_COMPLAINTS = 5
"""Problems in the error of one call; the others are counted."""


def calls_of(
    key: Key, planned: PlannedTask, outputs: Mapping[str, Output], max_items: int = MAX_ITEMS
) -> tuple[list[TaskCall], Items | None]:
    """Make the calls of *planned*, whose key is *key*, and its items if it has any: some may have
    failed already. Raises `CallError` if no call can be made at all.
    """
    if planned.items is None:
        arguments = _arguments(planned, Scope(outputs))
        return [TaskCall(key, planned, arguments)], None
    values = _items(planned, outputs, max_items)
    items = Items(len(values))
    calls = []
    for index, value in enumerate(values):
        try:
            arguments = _arguments(planned, Scope(outputs, value, index))
        except CallError as error:
            items.errors.append((index, Failure.of(error)))
            items.left -= 1
        else:
            calls.append(TaskCall(Key(key.run, key.task, index), planned, arguments))
    return calls, items


def _items(planned: PlannedTask, outputs: Mapping[str, Output], most: int) -> list[Json]:
    assert planned.items is not None
    values = planned.items.resolve(Scope(outputs))
    if not isinstance(values, list):
        message = f"for_each needs a list; {planned.task.for_each} is {_kind(values)}"
        raise ReferenceFailed(message, hint=FROM_TEXT if isinstance(values, str) else None)
    if len(values) > most:
        raise OutputTooLarge(
            f"for_each has {len(values):,} items; at most {most:,} are run",
            hint="Refer to a part of the list, or shrink it with select.",
        )
    return values


def _arguments(planned: PlannedTask, scope: Scope) -> JsonObject:
    arguments = planned.arguments.resolve(scope)
    assert isinstance(arguments, dict)  # the document was checked
    if planned.arguments.fill is None:
        return arguments  # and so were these
    try:
        size = measure(arguments)
    except NotStrict as error:
        raise InvalidArguments(f"the arguments are not strict JSON: {error}") from None
    if size > MAX_ARGUMENT_BYTES:
        raise OutputTooLarge(
            f"the arguments hold {size:,} bytes; at most {MAX_ARGUMENT_BYTES:,} are sent",
            hint="Refer to a smaller part of the output, or shrink it with select.",
        )
    if complaints := planned.tool.input.complaints(arguments):
        problems = [f"{'.'.join(map(str, c.place)) or 'arguments'} {c.message}" for c in complaints]
        shown = "; ".join(problems[:MAX_COMPLAINTS])
        shown += (
            f"; and {len(problems) - MAX_COMPLAINTS} more" if len(problems) > MAX_COMPLAINTS else ""
        )
        raise InvalidArguments(shown, hint=f"Signature: {planned.tool.signature}")
    return arguments


def _kind(value: Json) -> str:
    names = {dict: "an object", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def reason_to_skip(
    planned: PlannedTask, outputs: Mapping[str, Output], states: Mapping[str, TaskState]
) -> Failure | None:
    """Return why *planned*, whose dependencies have settled, does not run by its rule or condition;
    None if it runs. Raises `ExpressionFailed`."""
    unsuccessful = [need for need in planned.needs if need not in outputs]
    match planned.task.trigger_rule:
        case "all_success":
            missing = next((need for need in unsuccessful if need in planned.requires), None)
            if missing is not None:
                return blamed(missing, states)
        case "one_failed" if all(states[need].is_well for need in planned.needs):
            return Failure(
                "condition", "skipped: trigger_rule is one_failed, and no dependency failed"
            )
    if planned.when is not None:
        values = {need: outputs[need].value if need in outputs else None for need in planned.needs}
        if not _applied("when", planned.when, values):
            return Failure("condition", f"skipped: when ({planned.task.when}) is not true")
    return None


def blamed(need: str, states: Mapping[str, TaskState]) -> Failure:
    """Name the task at the root of the skip or failure of *need*. Where that was skipped by its own
    condition, nothing failed."""
    error = states[need].error
    cause = (error.caused_by if error is not None else None) or need
    code = "condition" if states[need].is_well else "dependency_failed"
    return Failure(code, f"skipped: {cause} {states[cause].fate}", caused_by=cause)


def selected(planned: PlannedTask, output: Output) -> Output:
    """Apply the `select` of *planned* to *output*. Raises `ExpressionFailed`."""
    if planned.select is None:
        return output
    value = _applied("select", planned.select, output.value)
    return Output(value, (), measure(value))


def _applied(field: str, expression: Any, value: Json) -> Json:
    try:
        return search(expression, value)
    except ExpressionFailed as error:
        raise ExpressionFailed(f"{field}: {error.message}", hint=error.hint) from None
