"""The calls that a ready task makes: its arguments filled in and checked, once or for each item."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import CallError, InvalidArguments, OutputTooLarge, ReferenceFailed
from ..language.references import FROM_TEXT
from ..language.templates import MAX_ARGUMENT_BYTES, Scope
from ..planning.plan import PlannedTask
from ..tools.output import Output
from ..values.strict import Json, JsonObject, NotStrict, measure
from .events import Failure, Key
from .state import Items, TaskCall

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
    units = []
    for index, value in enumerate(values):
        try:
            arguments = _arguments(planned, Scope(outputs, value, index))
        except CallError as error:
            items.errors.append((index, Failure.of(error)))
            items.left -= 1
        else:
            units.append(TaskCall(Key(key.run, key.task, index), planned, arguments))
    return units, items


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
        said = [f"{'.'.join(map(str, c.place)) or 'arguments'} {c.message}" for c in complaints]
        shown = "; ".join(said[:MAX_COMPLAINTS])
        shown += f"; and {len(said) - MAX_COMPLAINTS} more" if len(said) > MAX_COMPLAINTS else ""
        raise InvalidArguments(shown, hint=f"Signature: {planned.tool.signature}")
    return arguments


def _kind(value: Json) -> str:
    names = {dict: "an object", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
