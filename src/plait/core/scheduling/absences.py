"""Paths of filters that no element had: a note, or the failure of the task whose output, or whose
call, a change hangs on."""

from __future__ import annotations

from ...errors import ExpressionFailed
from ..language.scope import Scope
from ..planning.plan import PlannedTask

CONDITIONS = frozenset(("when", "repeat.while", "repeat.until"))
"""The places of expressions that decide and make no value."""


def refuse_absent(planned: PlannedTask, scope: Scope, *, is_sent: bool) -> None:
    """Raise `ExpressionFailed` if a filter of *planned*, evaluated in *scope*, looked for what no
    element has, and a call that changes something gets the result: the calls of *planned* itself
    if it *is_sent* there, or later ones. Conditions are only noted."""
    for lacking, absence in scope.absences.items() if scope.absences else ():
        if lacking.where in CONDITIONS or lacking.name in planned.known_names:
            continue
        if planned.feeds_changes or (is_sent and planned.changes and lacking.where != "select"):
            raise ExpressionFailed(f"{lacking.where}: {absence.message}", hint=absence.hint)


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
