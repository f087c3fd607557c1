"""Paths of filters that no element had: a note, or the failure of the task whose output, or whose
call, a change hangs on. Names that a condition or `repeat` looks for in vain are noted."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ...errors import CallError, ExpressionFailed
from ..language.scope import Lacking, Scope, evaluated
from ..planning.plan import PlannedTask
from ..values.strict import Json

if TYPE_CHECKING:  # a start without a DAG does not need them
    from ..expressions.evaluation import Expression
    from ..expressions.missing import Holds, Missing
    from ..expressions.nodes import Node

CONDITIONS = frozenset(("when", "repeat.while", "repeat.until"))
"""The places of expressions that decide and make no value."""


def refuse_absent(planned: PlannedTask, scope: Scope, *, is_sent: bool) -> None:
    """Raise `ExpressionFailed` if a filter of *planned*, evaluated in *scope*, looked for what no
    element has, and a call that changes something gets the result: the calls of *planned* itself
    if it *is_sent* there, or later ones. Conditions are only noted."""
    if not scope.absences:
        return
    from ..expressions.absences import Absence

    for lacking, absence in scope.absences.items():
        if lacking.where in CONDITIONS or lacking.name in planned.known_names:
            continue
        is_piped = lacking.where.startswith("$")  # where its path alone would fail the task
        is_certain = is_piped or isinstance(absence, Absence) or absence.is_own or absence.is_never
        if not is_certain or (
            lacking.where.startswith("repeat.set") and not isinstance(absence, Absence)
        ):
            continue  # servers leave out what is empty, such as the next page
        if planned.feeds_changes or (is_sent and planned.changes and lacking.where != "select"):
            raise ExpressionFailed(f"{lacking.where}: {absence.message}", hint=absence.hint)


def missing(
    planned: PlannedTask,
    expression: Expression,
    value: Json,
    *,
    of_tasks: bool = False,
    wrapped: Collection[str] = (),
    holds: Holds | None = None,
) -> list[Missing]:
    """List the names that *expression*, the `when` of *planned* or one of its `repeat`, looks up in
    *value* and that are neither there nor known to be optional. *holds* is as in `missing_in`."""
    from ..expressions.missing import missing_in

    own = planned.task.id
    found = missing_in(
        expression.tree, value, of_tasks=of_tasks, own=own, wrapped=wrapped, holds=holds
    )
    known = planned.known_names
    return [one for one in found if (expression.text, one.position) not in known]


def look_for(
    field: str,
    planned: PlannedTask,
    expression: Expression,
    value: Json,
    scope: Scope,
    *,
    of_tasks: bool = False,
    wrapped: Collection[str] = (),
) -> None:
    """Add to *scope* what `missing` finds for the *expression* in *field*. In a `when`, which is
    *of_tasks*, what stands behind an `&&` counts too, if all before it is true."""

    def holds(part: Node) -> bool:
        from ..expressions.evaluation import Expression

        alone = Expression(expression.text, part, of_tasks=True, is_test=True)
        try:
            return bool(evaluated(alone, value, scope, where=field))
        except CallError:
            return False

    found = missing(
        planned,
        expression,
        value,
        of_tasks=of_tasks,
        wrapped=wrapped,
        holds=holds if of_tasks else None,
    )
    scope.add({Lacking(field, (expression.text, one.position)): one for one in found})


def absent(planned: PlannedTask, scope: Scope) -> dict[tuple[str, str, str], str]:
    """Return notes on what filters of *planned*, evaluated in *scope*, looked for and no element
    has; each by its task, its place and its path."""
    notes = {}
    for lacking, absence in (scope.absences or {}).items():
        if lacking.name not in planned.known_names:
            about = f"tasks.{planned.id}.{lacking.where}"
            if lacking.where.startswith("$"):
                about = f"tasks.{planned.id}: {lacking.where}"
            key = (planned.id, lacking.where, absence.path)
            notes[key] = f"{about}: {absence.message}. {absence.hint}".removesuffix(".")
    return notes
