"""Calls that are made again: for the next page, or until something is so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...errors import CallTimeout, LimitExceeded
from ..language.scope import Scope
from ..tools.output import Output
from ..values.problems import written
from ..values.strict import Json, JsonObject
from .absences import refuse_absent
from .calls import applied, checked, inner_value
from .state import TaskCall


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
    if repeat.goes_on is not None and not applied("repeat.while", repeat.goes_on, output, scope):
        return Following()
    if repeat.until is not None and applied("repeat.until", repeat.until, output, scope):
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
    hint = "Write a larger max or every_s, or go on with another DAG."
    raise CallTimeout(f"what repeat waits for had not come after {times}", hint=hint)


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
