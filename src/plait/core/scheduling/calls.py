"""A task whose dependencies have settled: whether it runs, the calls that it makes, its arguments
filled in and checked, once or for each item, and the part of its output that is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from ...errors import (
    CallError,
    ExpressionFailed,
    InvalidArguments,
    InvalidOutput,
    OutputTooLarge,
    ReferenceFailed,
)
from ..language.references import FROM_TEXT, ITEM, Omitted
from ..language.scope import Scope, evaluated, has_holes, look_for_names
from ..language.templates import MAX_ARGUMENT_BYTES, Template, items_in, value_of
from ..planning.omissions import left_out
from ..planning.plan import PlannedTask
from ..tools.catalog import Tool
from ..tools.output import Output
from ..values.schema import Complaint, Place
from ..values.strict import Json, JsonObject, NotStrict, measure
from .absences import look_for, refuse_absent
from .events import Failure, Key, Status
from .frame import TaskCall
from .state import Items, TaskState

if TYPE_CHECKING:  # a start without a DAG does not need them
    from ..expressions.evaluation import Expression

MAX_ITEMS = 1_000
MAX_COPIED_BYTES = 16 * 2**20
"""Most bytes of all the calls of one `for_each` task, where each has a text of its own."""
MAX_SENT_BYTES = 256 * 2**20
"""Most bytes of all the calls of one `for_each` task."""
BYTES_PER_STEP = 16
"""The bytes of arguments and values that take about as long as one step of an expression."""
MAX_COMPLAINTS = 5
"""Problems in the error of one call; the others are counted."""


class CallsOf(Protocol):
    """Makes the calls of a task whose dependencies have settled, as `calls_of` does."""

    def __call__(
        self,
        key: Key,
        planned: PlannedTask,
        scope: Scope,
        max_items: int,
        items: Items | None = None,
        is_enough: Callable[[], bool] = ...,
        /,
    ) -> tuple[list[TaskCall], Items | None]: ...


def calls_of(
    key: Key,
    planned: PlannedTask,
    scope: Scope,
    max_items: int = MAX_ITEMS,
    items: Items | None = None,
    is_enough: Callable[[], bool] = lambda: False,
) -> tuple[list[TaskCall], Items | None]:
    """Make the calls of *planned*, whose key is *key*, and its items if it has any: some may have
    failed already. Where it *is_enough* for now, go on another time with these *items*. Raises
    `CallError` if no call can be made at all.
    """
    template = planned.arguments
    if planned.items is None:
        if template.fill is None:  # they were checked with the document
            return [TaskCall(key, planned, cast("JsonObject", template.value))], None
        may_be_large = _may_be_large(template, scope)
        filled, gone, _ = _filled(planned, scope, may_be_large=may_be_large)
        return [TaskCall(key, planned, filled, left_out=gone)], None
    if items is None:
        values = items_of(planned, scope, max_items)
        items = Items(len(values))
        items.values = values
    may_be_large = _may_be_large(template, scope, items.values)
    calls: list[TaskCall] = []
    most = MAX_COPIED_BYTES if template.has_copies else MAX_SENT_BYTES
    first = items.looked_at
    while (index := items.looked_at) < len(items.values) and not (index > first and is_enough()):
        value = items.values[index]
        items.looked_at += 1
        try:
            if items.bytes > most:
                raise OutputTooLarge(
                    f"the {'texts' if template.has_copies else 'arguments'} of all items hold more "
                    f"than {most:,} bytes",
                    hint="Refer to a smaller part of the output, or shrink it with select.",
                )
            own = scope.for_item(value, index)
            filled, gone, size = _filled(planned, own, may_be_large=may_be_large)
            scope.add(own.absences)
        except CallError as error:
            items.errors.append((index, Failure.of(error)))
            items.left -= 1
        else:
            items.bytes += size
            if scope.work is not None:
                scope.work.steps += size // BYTES_PER_STEP + len(template.found)
            place = Key(key.run, key.task, index, key.at)
            calls.append(TaskCall(place, planned, filled, value, gone))
    return calls, items


def made(planned: PlannedTask, scope: Scope) -> Output:
    """Make the value of *planned*, which calls no tool. Raises `CallError`."""
    template = planned.arguments
    if _may_be_large(template, scope):
        _check_size(template, scope, "value holds")
    try:
        output = Output.of(template.resolve(scope))
    except NotStrict as error:
        raise InvalidOutput(f"the value is not strict JSON: {error}") from None
    if scope.work is not None:
        scope.work.steps += output.memory_bytes // BYTES_PER_STEP + len(template.found)
    if planned.select is not None:
        output = selected(planned.select, output, scope, planned.task.id)
    refuse_absent(planned, scope, is_sent=False)
    return output


def items_of(planned: PlannedTask, scope: Scope, most: int) -> list[Json]:
    """Return the values that the `for_each` of *planned* stands for, at most *most*. Raises
    `CallError`."""
    assert planned.items is not None
    values = items_in(planned.items.resolve(scope))
    refuse_absent(planned, scope, is_sent=True)
    if not isinstance(values, list):
        message = f"for_each needs a list or an object; {planned.task.for_each} is {_kind(values)}"
        raise ReferenceFailed(message, hint=FROM_TEXT if isinstance(values, str) else None)
    if len(values) > most:
        raise OutputTooLarge(
            f"for_each has {len(values):,} items; at most {most:,} are run",
            hint="Refer to a part of the list, or shrink it with select.",
        )
    return values


def _filled(
    planned: PlannedTask, scope: Scope, *, may_be_large: bool
) -> tuple[JsonObject, tuple[Place, ...], int]:
    """Return the arguments of one call, with references filled in; the places of those that were
    left out; and the size of what was filled in, in bytes. Raises `CallError`."""
    if planned.arguments.fill is None:
        return cast("JsonObject", planned.arguments.value), (), 0
    if may_be_large:
        _check_size(planned.arguments, scope, "arguments hold")
    arguments = planned.arguments.resolve(scope)
    if scope.absences:
        refuse_absent(planned, scope, is_sent=True)
    if not isinstance(arguments, dict):
        message = f"arguments must be an object; {planned.task.arguments} is {_kind(arguments)}"
        raise InvalidArguments(message, hint=f"Signature: {planned.tool.signature}")
    return checked(planned.tool, arguments)


def checked(tool: Tool, arguments: JsonObject) -> tuple[JsonObject, tuple[Place, ...], int]:
    """Check the arguments of one call of *tool*. Returns them; the places of what was left out; and
    their size, in bytes. Raises `CallError`."""
    try:
        size = measure(arguments, is_decoded=True)
    except NotStrict as error:
        raise InvalidArguments(f"the arguments are not strict JSON: {error}") from None
    if size > MAX_ARGUMENT_BYTES:
        raise _too_large(f"arguments hold {size:,}")
    if tool.input.fits(arguments):
        return arguments, (), size
    complaints: Sequence[Complaint] = tool.input.complaints(arguments)
    arguments, gone, complaints = left_out(tool.input, arguments, complaints)
    if complaints:
        raise _invalid(complaints, tool)
    return arguments, tuple(gone), size


def _may_be_large(template: Template, scope: Scope, items: list[Json] | None = None) -> bool:
    """Whether the references of *template* may stand for more than is sent: each is a part of an
    output, or of one of *items*."""
    most = 0
    whole = None
    for _, reference in template.found:
        if (output := scope.outputs.get(reference.task)) is not None:
            most += output.size_bytes
        elif reference.task == ITEM and items:
            whole = measure(items, is_decoded=True) if whole is None else whole
            most += whole
    return most > MAX_ARGUMENT_BYTES


def _check_size(template: Template, scope: Scope, what: str) -> None:
    """Raise `OutputTooLarge` if the references stand for more than is sent. A document of a
    kilobyte can name one large output a hundred times, so what they stand for is added up before
    any of it is written out."""
    sizes: dict[int, int] = {}
    parts: list[Json] = []  # each lives, so that its id is its own
    total = 0
    for _, reference in template.heads:
        try:
            part: Any = value_of(reference, scope)
        except CallError:
            return  # filling them in says so
        if isinstance(part, Omitted):
            continue
        if id(part) not in sizes:
            sizes[id(part)] = measure(part, is_decoded=True)
            parts.append(part)
        total += sizes[id(part)]
        if total > MAX_ARGUMENT_BYTES:
            raise _too_large(f"{what} more than {total:,}")


def _invalid(complaints: Sequence[Complaint], tool: Tool) -> InvalidArguments:
    problems = [f"{'.'.join(map(str, c.place)) or 'arguments'} {c.message}" for c in complaints]
    shown = "; ".join(problems[:MAX_COMPLAINTS])
    shown += (
        f"; and {len(problems) - MAX_COMPLAINTS} more" if len(problems) > MAX_COMPLAINTS else ""
    )
    return InvalidArguments(shown, hint=f"Signature: {tool.signature}")


def _too_large(what: str) -> OutputTooLarge:
    return OutputTooLarge(
        f"the {what} bytes; at most {MAX_ARGUMENT_BYTES:,} are put together",
        hint="Refer to a smaller part of the output, or shrink it with select.",
    )


def _kind(value: Json) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def reason_to_skip(
    planned: PlannedTask, scope: Scope, states: Mapping[str, TaskState]
) -> Failure | None:
    """Return why *planned*, whose dependencies have settled, does not run by its rule or condition;
    None if it runs. Raises `ExpressionFailed`."""
    outputs = scope.outputs
    match planned.task.trigger_rule:
        case "all_success":
            for need in planned.needs:
                if need not in outputs and need in planned.requires:
                    return blamed(need, states)
        case "one_failed" if not any(_has_failed(need, states) for need in planned.needs):
            return Failure(
                "condition", "skipped: trigger_rule is one_failed, and no dependency failed"
            )
        case "one_success" if planned.needs and not any(
            states[need].status is Status.SUCCESS for need in planned.needs
        ):
            return blamed(planned.needs[0], states)
        case "none_failed":
            failed = next((need for need in planned.needs if not states[need].is_well), None)
            if failed is not None:
                return blamed(failed, states)
    if planned.when is not None:
        keys = scope.names or {need: need for need in planned.needs}
        values: JsonObject = {
            name: inner_value(outputs.get(key))
            for name, key in keys.items()
            if not name.startswith("$")
        }
        found = {name: outputs.get(key) for name, key in keys.items()}
        wrapped = [name for name, one in found.items() if one is not None and one.is_wrapped]
        when = planned.when
        look_for("when", planned, when, values, scope, of_tasks=True, wrapped=wrapped)
        if not applied("when", planned.when, Output(values), scope):
            return Failure("condition", f"skipped: when ({planned.task.when}) is not true")
    return None


def _has_failed(need: str, states: Mapping[str, TaskState]) -> bool:
    """Return whether *need* failed, or what it was skipped for: not if a person did not say yes."""
    state = states[need]
    if state.is_well:
        return False
    cause = state.error.caused_by if state.error is not None else None
    return not states.get(cause or need, state).was_refused


def blamed(need: str, states: Mapping[str, TaskState]) -> Failure:
    """Name the task at the root of the skip or failure of *need*. Where that was skipped by its own
    condition, nothing failed."""
    error = states[need].error
    cause = error.caused_by if error is not None else None
    if cause is None or cause not in states:  # inside of a group
        cause = need
    code = "condition" if states[need].is_well else "dependency_failed"
    return Failure(code, f"skipped: {cause} {states[cause].fate}", caused_by=cause)


def selected(select: Expression, output: Output, scope: Scope, own: str | None = None) -> Output:
    """Apply *select* to *output*, that of the task *own*. Raises `ExpressionFailed` or
    `ReferenceFailed`."""
    value = applied("select", select, output, scope)
    if has_holes(value):
        wrapped = output.is_wrapped
        look_for_names(select, output.value, scope, "select", is_wrapped=wrapped, own=own)
    try:
        return Output.of(value)
    except NotStrict as error:
        raise ExpressionFailed(f"select: its result is not strict JSON: {error}") from None


def applied(field: str, expression: Expression, output: Output, scope: Scope) -> Json:
    """Evaluate *expression*, which stands in *field*, over *output*. Raises `ExpressionFailed` or
    `ReferenceFailed`."""
    try:
        return evaluated(expression, output.value, scope, is_wrapped=output.is_wrapped, where=field)
    except (ExpressionFailed, ReferenceFailed) as error:
        raise type(error)(f"{field}: {error.message}", hint=error.hint) from None


def inner_value(output: Output | None) -> Json:
    """Return the value of *output*, or that in the wrapper that it is; None if absent."""
    value = None if output is None else output.value
    is_wrapper = output is not None and output.is_wrapped and isinstance(value, dict)
    return value["result"] if is_wrapper else value  # type: ignore[index,call-overload]  # as is_wrapper says
