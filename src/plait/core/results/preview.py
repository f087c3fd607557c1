"""The answer to a dry run: the plan as it would run, the changes it would make, and the time it
would take."""

from __future__ import annotations

from collections.abc import Collection

from ..language.references import Reference
from ..language.templates import Template
from ..planning.plan import Plan
from ..scheduling.conflicts import MAX_CONFLICTS, Conflicts, written_by
from ..values.strict import Json, JsonObject
from .forecast import Forecast


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
        "layers": layers,
        "critical_path": list[Json](expected.metrics.critical_path or plan.critical_path),
        "conflicts": [conflict.document() for conflict in conflicts.found],
        "writes": written_by(plan, conflicts, done),
        "estimate": {"tasks": len(plan.tasks), "layers": len(layers), **expected.document()},
        "mermaid": mermaid(plan, conflicts),
        "notes": notes,
    }


def mermaid(plan: Plan, conflicts: Conflicts) -> str:
    """Draw the plan as a Mermaid flowchart: edges that only order are dashed, edges of conflicts
    name the resource."""
    names = {id: f"t{number}" for number, id in enumerate(plan.tasks)}
    lines = ["flowchart LR"]
    lines += [
        f'  {names[id]}["{id}<br/>{_label(task.tool.full_name)}"]'
        for id, task in plan.tasks.items()
    ]
    for id, task in plan.tasks.items():
        data = {
            reference.task
            for template in (task.arguments, task.items)
            for reference in _references(template)
        }
        lines += [
            f"  {names[need]} {'-->' if need in data else '-.->'} {names[id]}"
            for need in task.needs
        ]
    lines += [
        f'  {names[conflict.waits_for]} -. "{_label(conflict.resource)}" .-> {names[conflict.id]}'
        for conflict in conflicts.found
    ]
    return "\n".join(lines)


def _references(template: Template | None) -> tuple[Reference, ...]:
    return template.references if template is not None else ()


def _label(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "#quot;").replace("<", "&lt;")
