"""Files that are where their names say: no link leads anywhere else."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from plait.core.planning.plan import Plan
from plait.core.scheduling.conflicts import Conflicts, find_conflicts, planned_accesses
from plait.core.tools.claims import ResourceName, as_written


def as_named(names: Iterable[ResourceName]) -> dict[ResourceName, str]:
    """Where the files of these names are."""
    return {name: as_written(name.key) for name in names}


def conflicts_in(plan: Plan, done: Collection[str] = ()) -> Conflicts:
    """The conflicts of *plan*, all of whose files were found before it ran."""
    accesses = planned_accesses(plan, done)
    return find_conflicts(plan, accesses, as_named(accesses.files()))
