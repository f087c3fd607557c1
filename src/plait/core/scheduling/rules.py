"""A task's own rules: whether it runs at all, and which part of its output is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ExpressionFailed
from ..planning.plan import PlannedTask
from ..tools.output import Output
from ..values.expressions import search
from ..values.strict import Json, measure
from .events import Failure
from .state import TaskState


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
        case "one_failed" if not unsuccessful:
            return Failure(
                "condition", "skipped: trigger_rule is one_failed, and no dependency failed"
            )
    if planned.when is not None:
        values = {need: outputs[need].value if need in outputs else None for need in planned.needs}
        if not _applied("when", planned.when, values):
            return Failure("condition", f"skipped: when ({planned.task.when}) is not true")
    return None


def blamed(need: str, states: Mapping[str, TaskState]) -> Failure:
    """Name the task at the root of the failure of *need*."""
    error = states[need].error
    cause = (error.caused_by if error is not None else None) or need
    return Failure("dependency_failed", f"skipped: {cause} {states[cause].fate}", caused_by=cause)


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
