"""The names that tasks have for each other, and their whole ids.

Inside a group the ids of its tasks hide those of the tasks around it. So that one id names one task
everywhere else, each task has a *whole id*: the ids of the groups around it and its own, with
full stops between them (`close.comment`). References are bound to whole ids once they are checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..language.dag import Task
from ..language.references import INDEX, ITEM, Reference
from ..language.templates import Filling, Template

if TYPE_CHECKING:  # a start without a DAG does not need it
    from ..expressions.nodes import Key


@dataclass(frozen=True, slots=True)
class Names:
    """The names that the tasks of one level of a document have for others."""

    ids: Mapping[str, str]
    """The whole id of each task, by the id that names it here."""
    own: frozenset[str]
    """The whole ids of the tasks of this level."""
    before: str = ""
    """The part of whole ids before those of this level."""
    groups: frozenset[str] = frozenset()
    """The ids of the groups around this level that no task hides."""
    items: Mapping[str, str] = field(default_factory=dict)
    """The whole ids of those of them that have items, by id; the innermost stands last."""
    lenient: frozenset[str] = frozenset()
    """The ids of the tasks that may succeed although items of theirs failed."""

    @classmethod
    def of(cls, tasks: Collection[Task]) -> Names:
        """Return the names of the tasks of a document."""
        ids = {task.id: task.id for task in tasks}
        return cls(ids, frozenset(ids), lenient=_lenient(tasks))

    def within(self, group: Task) -> Names:
        """Return what the tasks of *group* may name."""
        before = f"{self.before}{group.id}."
        own = {task.id: f"{before}{task.id}" for task in group.tasks or ()}
        items = {id: whole for id, whole in self.items.items() if id != group.id}
        if group.for_each is not None:
            items[group.id] = f"{self.before}{group.id}"
        groups = (self.groups | {group.id}) - own.keys()
        lenient = (self.lenient - own.keys()) | _lenient(group.tasks or ())
        return Names({**self.ids, **own}, frozenset(own.values()), before, groups, items, lenient)

    @property
    def item_of(self) -> str | None:
        """The whole id of the nearest group around this level that has items."""
        return [*self.items.values()][-1] if self.items else None

    def bound(self, template: Template, *, has_items: bool) -> Template:
        """Return *template*, in which references name tasks by whole id, and the items of groups as
        `item_named` does. *has_items* says whether `$ITEM` is that of the task itself."""
        if not self.before or template.fill is None:
            return template
        fill = tuple([self._filling(part, has_items) for part in template.fill])
        found = tuple(
            [
                (place, self.bound_reference(one, has_items=has_items))
                for place, one in template.found
            ]
        )
        return replace(template, fill=fill, found=found)

    def of_keys(self, keys: Iterable[Key], *, has_items: bool) -> dict[str, str]:
        """Return the names under which the references of an expression are found: those of tasks by
        id, those of items as they are written."""
        found: dict[str, str] = {}
        for key in keys:
            if key.task is not None:
                found[key.task] = self.ids.get(key.task, key.task)
            elif key.id:
                found[str(key)] = item_named(f"${key.source}", self.items.get(key.id, key.id))
            elif str(key) in (ITEM, INDEX) and not has_items and self.item_of is not None:
                found[str(key)] = item_named(str(key), self.item_of)
        return found

    def _filling(self, part: Filling, has_items: bool) -> Filling:
        place, pieces = part
        if isinstance(pieces, Reference):
            return place, self.bound_reference(pieces, has_items=has_items)
        return place, tuple(
            [
                self.bound_reference(piece, has_items=has_items)
                if isinstance(piece, Reference)
                else piece
                for piece in pieces
            ]
        )

    def bound_reference(self, reference: Reference, *, has_items: bool) -> Reference:
        """Return *reference* as `bound` does a template."""
        task = reference.task
        if (pipe := reference.pipe) is not None:
            keys = self.of_keys(pipe.expression.references, has_items=has_items)
            reference = reference._replace(pipe=pipe._replace(names=keys))
        if task in (ITEM, INDEX):
            group = self.item_of
            bound = task if has_items or group is None else item_named(task, group)
        elif reference.is_item:
            kind, _, id = task.rstrip("]").partition("[")
            bound = item_named(kind, self.items.get(id, id))
        else:
            bound = self.ids.get(task, task)
        default = reference.default
        if isinstance(default, Reference):
            return reference._replace(
                task=bound, default=self.bound_reference(default, has_items=has_items)
            )
        return reference._replace(task=bound)


def hidden_in(tasks: Iterable[Task], around: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Return the tasks in groups among *tasks*, by id and by whole id, each with the whole ids of
    the groups *around* it, the outermost first. The first of an id counts."""
    found: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        whole = f"{around[-1]}.{task.id}" if around else task.id
        if around:
            found.setdefault(task.id, around)
            found.setdefault(whole, around)
        for id, groups in hidden_in(task.tasks or (), (*around, whole)).items():
            found.setdefault(id, groups)
    return found


def group_that_hides(
    id: str, hidden: Mapping[str, tuple[str, ...]], ids: Mapping[str, str]
) -> str | None:
    """Return the innermost of the groups around the task *id*, as `hidden_in` has them, that *ids*
    names; None if it is in none."""
    groups = hidden.get(id)
    if groups is None:
        return None
    named = {whole: name for name, whole in ids.items()}
    return next((named[group] for group in reversed(groups) if group in named), None)


def item_named(kind: str, group: str) -> str:
    """Return the name under which tasks in *group* see its item (`$ITEM`) or its number
    (`$INDEX`)."""
    return f"{kind}[{group}]"


def group_of(name: str) -> str | None:
    """Return the whole id of the group in *name*, as `item_named` made it; None for another
    name."""
    kind, bracket, rest = name.partition("[")
    return rest[:-1] if bracket and kind in (ITEM, INDEX) else None


def _lenient(tasks: Collection[Task]) -> frozenset[str]:
    return frozenset([task.id for task in tasks if task.on_item_failure == "skip"])
