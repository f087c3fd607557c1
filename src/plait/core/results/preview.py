"""The answer to a dry run: the plan as it would run, the changes it would make, and the time it
would take."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ..language.references import Reference
from ..language.templates import Template
from ..planning.plan import Plan
from ..scheduling.conflicts import MAX_CONFLICTS, Conflicts, written_by
from ..values.strict import Json, JsonObject
from .forecast import Forecast
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
        "mermaid": mermaid(plan, conflicts),
        "notes": notes,
    }


def mermaid(plan: Plan, conflicts: Conflicts) -> str:
    """Draw the plan as a Mermaid flowchart: edges that only order are dashed, edges of conflicts
    name the resource."""
    names = {task.id: f"t{number}" for number, task in enumerate(plan.all_tasks())}
    lines = ["flowchart LR", *_nodes(plan, names, "  ")]
    for task in plan.all_tasks():
        data = {
            reference.task
            for template in (task.arguments, task.items)
            for reference in _references(template)
        }
        lines += [
            f"  {names[need]} {'-->' if need in data else '-.->'} {names[task.id]}"
            for need in task.needs
        ]
    lines += [
        f'  {names[conflict.waits_for]} -. "{_label(conflict.resource)}" .-> {names[conflict.id]}'
        for conflict in conflicts.found
    ]
    return "\n".join(lines)


def _nodes(plan: Plan, names: Mapping[str, str], indent: str) -> Iterator[str]:
    """Yield the lines of the tasks of *plan*; a group holds those in it."""
    for id, task in plan.tasks.items():
        if task.inner is None:
            yield f'{indent}{names[id]}["{task.task.id}<br/>{_label(task.tool.full_name)}"]'
            continue
        each = " for each item" if task.items is not None else ""
        yield f'{indent}subgraph {names[id]}["{task.task.id}{each}"]'
        yield from _nodes(task.inner, names, indent + "  ")
        yield f"{indent}end"


def _references(template: Template | None) -> tuple[Reference, ...]:
    return template.references if template is not None else ()


def _label(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "#quot;").replace("<", "&lt;")
