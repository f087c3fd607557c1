"""The answer to a dry run: the plan as it would run, the changes it would make, and the time it
would take."""

from __future__ import annotations

from collections.abc import Collection

from ..planning.plan import Plan
from ..scheduling.conflicts import MAX_CONFLICTS, Conflicts, written_by
from ..values.strict import Json, JsonObject
from .forecast import Forecast
from .graph import graph_of_plan
from .mermaid import mermaid
from .sentences import sentences


def plan_document(
    plan: Plan, conflicts: Conflicts, expected: Forecast, done: Collection[str] = ()
) -> JsonObject:
    """Make the answer to a dry run (docs/contract.md, section 5). The tasks that are *done* will
    not run again."""
    layers: list[Json] = [list[Json](layer) for layer in plan.layers]
    notes = list[Json](plan.notes)
    if conflicts.may_be_more:
        notes.append(f"conflicts: the first {MAX_CONFLICTS} are listed; there may be more")
    return {
        "status": "planned",
        "explanation": list[Json](sentences(plan, conflicts, done)),
        "layers": layers,
        "critical_path": list[Json](expected.metrics.critical_path or plan.critical_path),
        "conflicts": [conflict.document() for conflict in conflicts.found],
        "writes": written_by(plan, conflicts, done),
        "estimate": {
            "tasks": sum(1 for _ in plan.all_tasks()),
            "layers": len(layers),
            **expected.document(),
        },
        "mermaid": mermaid(graph_of_plan(plan, conflicts)),
        "notes": notes,
    }
