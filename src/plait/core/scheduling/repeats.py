"""Calls that are made again: for the next page, or until something is so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...errors import CallTimeout, ExpressionFailed, LimitExceeded
from ..language.scope import Scope
from ..tools.output import Output
from ..values.problems import written
from ..values.strict import Json, JsonObject
from .absences import look_for, missing, refuse_absent
from .calls import applied, checked, inner_value
from .frame import TaskCall

if TYPE_CHECKING:  # a start without a DAG does not need it
    from ..expressions.evaluation import Expression


class Following(NamedTuple):
    """The call that follows an answer, if one does."""

    arguments: JsonObject | None = None
    """The arguments of the next call; None if that was the last."""
    note: str | None = None


def following(call: TaskCall, output: Output, scope: Scope, calls: int) -> Following:
    """Return what follows the answer *output* of *call*, which has a `repeat` and was made *calls*
    times. Raises `CallError`, also where there is more but no call is left."""
    repeat = call.planned.repeat
    assert repeat is not None
    scope.arguments = call.arguments
    if calls == 1:
        _look_for_names(call, output, scope)
    if repeat.goes_on is not None and not applied("repeat.while", repeat.goes_on, output, scope):
        return Following()
    if repeat.until is not None and applied("repeat.until", repeat.until, output, scope):
        if calls == 1:
            value = _looked_at(repeat.until, output)
            look_for("repeat.until", call.planned, repeat.until, value, scope)
        return Following()
    changed: JsonObject = {}
    for name, one in repeat.set.items():
        value = applied(f"repeat.set{written((name,))}", one, output, scope)
        refuse_absent(call.planned, scope, is_sent=True)
        if value is None or value is False or value == "" or value == call.arguments.get(name):
            return Following()
        changed[name] = value
    if calls < repeat.most:
        arguments, _, _ = checked(call.tool, {**call.arguments, **changed})
        return Following(arguments)
    times = f"{calls:,} calls" if calls > 1 else "one call"
    if repeat.may_be_cut:
        return Following(None, f"{call.planned.id} stopped after {times}, its max; there is more")
    if repeat.is_paging:
        hint = "Ask for larger pages, or write max into repeat: then this many pages are enough."
        raise LimitExceeded(f"there is more after {times}", hint=hint)
    message = f"what repeat waits for had not come after {times}"
    hint = "Write a larger max or every_s, or go on with another DAG."
    if repeat.until is not None:
        value = _looked_at(repeat.until, output)
        if found := missing(call.planned, repeat.until, value):
            message, hint = f"{message}: {found[0].message}", found[0].hint
    raise CallTimeout(message, hint=hint)


def _looked_at(one: Expression, output: Output) -> Json:
    """Return the value of *output* that the names in *one* are read from."""
    return output.value if one.reads_result else inner_value(output)


def _look_for_names(call: TaskCall, output: Output, scope: Scope) -> None:
    """Add to *scope* the names that the expressions of the `repeat` of *call* look for and its
    first answer does not have; what `until` waits for may come with a later one. Raises
    `ExpressionFailed` if the id of the task stands before what the answer has."""
    repeat = call.planned.repeat
    assert repeat is not None
    for place, one in repeat.expressions():
        field, value = f"repeat.{place}", _looked_at(one, output)
        for found in missing(call.planned, one, value):
            if found.is_own:
                raise ExpressionFailed(f"{field}: {found.message}", hint=found.hint)
        if one is not repeat.until:
            look_for(field, call.planned, one, value, scope)


def joined(pages: Sequence[Output]) -> Output:
    """Return the output of all *pages*: their elements in one list, where each is a list or null;
    else the list of them."""
    values = [inner_value(page) for page in pages]
    value: list[Json] = values
    if any(isinstance(one, list) for one in values) and all(
        one is None or isinstance(one, list) for one in values
    ):
        value = [element for one in values if isinstance(one, list) for element in one]
    return Output(
        value,
        tuple(block for page in pages for block in page.attachments),
        sum(page.size_bytes for page in pages),
        overhead_bytes=sum(page.overhead_bytes for page in pages),
    )
