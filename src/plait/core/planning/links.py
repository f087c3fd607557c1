"""The tasks that a task waits for: by name, by references and by its expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

from ..expressions.evaluation import Expression
from ..expressions.nodes import Source
from ..expressions.roots import fields_at_root
from ..language.dag import Task
from ..language.lookalikes import task_named
from ..language.reader import Reading
from ..language.references import OUTPUT
from ..language.templates import Template
from ..values.problems import MAX_GUESSES, Fix, Op, Problem, did_you_mean, slip_of, some_of
from ..values.strict import Json, short
from .names import Names, group_that_hides, hidden_in
from .places import mentions

_MARKS = frozenset("!?~^*+<>:|")
"""Signs by which other engines say on what end of a task another waits."""


class Links:
    """A reader of the links of the tasks of one DAG; it adds to *problems* and *notes*."""

    def __init__(self, reading: Reading, problems: list[Problem], notes: list[str]) -> None:
        self.names = Names.of(reading.dag.tasks)
        """The names of the level that is read."""
        self._tasks = reading.dag.tasks
        self._outward: dict[str, bool] = {}
        self._lists = {task.id for task in reading.dag.tasks if task.for_each is not None}
        """The tasks whose output is a list for its items."""
        self._malformed = reading.malformed
        self._problems = problems
        self._notes = notes

    def of(
        self,
        task: Task,
        arguments: Template,
        items: Template | None,
        select: Expression | None,
        when: Expression | None,
        path: str,
        of_repeat: Mapping[str, Expression] = {},
    ) -> dict[str, bool]:
        """Return the tasks that *task* waits for, each with whether a default guards every link to
        it; none does where `all_success` is written down. Impossible links are reported.
        *of_repeat* are the expressions of its `repeat`, by place."""
        links = self._written(task, arguments, items, path)
        has_rule = "trigger_rule" in task.model_fields_set
        if not (select or when or of_repeat or has_rule) and arguments.is_plain and items is None:
            return links  # as most tasks
        read = {"select": select, "when": when}
        read |= {f"repeat.{place}": one for place, one in of_repeat.items()}
        self._link_expressions(task, read, links, path)
        self._note_rule(task, arguments, items, read, links, path)
        is_strict = has_rule and task.trigger_rule == "all_success"
        return dict.fromkeys(links, False) if is_strict else links

    def of_value(self, group: Task, value: Template, path: str) -> dict[str, bool]:
        """Return the tasks that the *value* of *group* names, from among those in it and around
        it."""
        links = self._written(group.model_copy(update={"depends_on": ()}), value, None, path)
        own = {one.id for one in group.tasks or ()}
        outputs = {one.task for one in value.references if one.about == OUTPUT}
        for id in links.keys() & own - outputs:
            links[id] = True  # how a task in the group ended is a value, whatever it was
        return links

    @cached_property
    def _hidden(self) -> dict[str, tuple[str, ...]]:
        """The tasks in groups, as `hidden_in` has them."""
        return hidden_in(self._tasks)

    def group_around(self, id: str, ids: Mapping[str, str]) -> str | None:
        """Return the innermost group around the task *id* that *ids* names; None without one."""
        return group_that_hides(id, self._hidden, ids)

    @contextmanager
    def within(self, group: Task) -> Iterator[dict[str, bool]]:
        """Read the tasks of *group*. Gives their links that lead out of it, by whole id, which are
        added as they are read."""
        around, outward = self.names, self._outward
        self.names, self._outward = around.within(group), {}
        try:
            yield self._outward
        finally:
            self.names, self._outward = around, outward

    def inward(
        self, links: Mapping[str, bool], outward: Mapping[str, bool] | None = None
    ) -> dict[str, bool]:
        """Return those of *links*, by name, and of *outward*, which lead out of a group here, that
        lead to tasks of this level: by whole id. The others lead out of the group around it."""
        inward: dict[str, bool] = {}
        whole = [(self.names.ids[id], guarded) for id, guarded in links.items()]
        for whole_id, guarded in (*whole, *(outward or {}).items()):
            found = inward if whole_id in self.names.own else self._outward
            found[whole_id] = found.get(whole_id, True) and guarded
        return inward

    @property
    def ids(self) -> Mapping[str, str]:
        """The whole ids of the tasks that may be named, by name."""
        return self.names.ids

    def no_task(self, path: str, id: str, text: Json = None, task: Task | None = None) -> None:
        """Report the unknown task *id*, named at *path*: alone, or in a reference in *text*."""
        if (group := self.group_around(id, self.ids)) is not None:
            message = f'The task "{id[:80]}" is in the group "{group}": only those in it see it.'
            alone = None if text is not None else Fix(Op.REPLACE, group)
            hint = f"Refer to $OUTPUT[{group}], its value." if alone is None else alone.advice
            self._say(path, "unknown_task", message, hint, task.id if task else None, alone)
            return
        near = did_you_mean(id, self.ids) if len(self._problems) < MAX_GUESSES else None
        hint = near or f"Tasks: {some_of(self.ids, 20)}."
        meant: Json = slip_of(id, self.ids) if near else None
        if meant is None and text is None and (named := task_named(id, self.ids)) is not None:
            meant, hint = named, f"Write {short(named)}."
        if text is None and _MARKS.intersection(id):
            meant, hint = None, f"What decides is written as when or trigger_rule. {hint}"
        head, dot, path_of_it = id.partition(".")
        if isinstance(text, str) and dot and head in self.ids and text.count(f"[{id}]") == 1:
            meant = text.replace(f"[{id}]", f"[{head}].{path_of_it}")
            hint = f"Write {short(meant)}."
        elif meant is not None and text is not None:
            meant = (
                text.replace(f"[{id}]", f"[{meant}]")
                if isinstance(text, str) and text.count(f"[{id}]") == 1
                else None
            )
        fix = None if meant is None else Fix(Op.REPLACE, meant)
        self._say(
            path, "unknown_task", f'Unknown task "{id[:80]}".', hint, task.id if task else None, fix
        )

    def _written(
        self, task: Task, arguments: Template, items: Template | None, path: str
    ) -> dict[str, bool]:
        """Return the tasks that this one waits for, each with whether a default guards every link
        to it."""
        names = self.names
        links = dict.fromkeys(task.depends_on, False)
        for template in (arguments,) if items is None else (arguments, items):
            for _, reference in template.found:
                if not (id := reference.task).startswith("$"):
                    links[id] = links.get(id, True) and reference.is_guarded
        is_known = links.keys() <= names.ids.keys() and task.id not in links
        if is_known and names.groups.isdisjoint(links):
            return links
        return self._possible(task, arguments, items, path)

    def _possible(
        self, task: Task, arguments: Template, items: Template | None, path: str
    ) -> dict[str, bool]:
        """Do as `_written` for a task with an impossible link, and report that."""
        links: dict[str, bool] = {}
        for place, id, guarded, text in mentions(task, arguments, items, path):
            if id == task.id:
                self._say(
                    place,
                    "self_reference",
                    f'"{id}" refers to itself.',
                    "A task can only use the output of another.",
                    task.id,
                )
            elif id in self.names.groups:
                self._in_that_group(place, id, task)
            elif f"{self.names.before}{id}" in self._malformed or id in self._malformed:
                continue  # its problem is reported already
            elif id not in self.ids:
                self.no_task(place, id, text, task)
            else:
                links[id] = links.get(id, True) and guarded
        return links

    def _in_that_group(self, place: str, id: str, task: Task) -> None:
        message = f'"{id}" is the group that this task is in: it has no output yet.'
        hint = "Refer to a task in it, or to one around it."
        self._say(place, "self_reference", message, hint, task.id)

    def _link_expressions(
        self,
        task: Task,
        expressions: Mapping[str, Expression | None],
        links: dict[str, bool],
        path: str,
    ) -> None:
        """Add to *links* the tasks that the expressions name. Unknown ones are reported later, with
        the place in the expression."""
        for field, read in expressions.items():
            for key in read.references if read is not None else ():
                if key.task is None or key.id in links:
                    continue
                if key.id == task.id and (field == "when" or key.source is not Source.OUTPUT):
                    message = f'"{task.id}" refers to itself.'
                    hint = "A task can only use the output of another."
                    self._say(f"{path}.{field}", "self_reference", message, hint, task.id)
                elif key.id in self.names.groups:
                    self._in_that_group(f"{path}.{field}", key.id, task)
                elif key.id == task.id:
                    continue  # a select has that output as its value, which its reading says
                elif key.id in self.ids:
                    links[key.id] = False
                    is_name = (
                        read is not None
                        and key.source is Source.OUTPUT
                        and key.id in {name.name for name in fields_at_root(read.tree)}
                    )
                    if is_name and field == "when":
                        self._notes.append(
                            f"{path}.when: it names {key.id}, which was added to depends_on"
                        )

    def _note_ends(
        self,
        arguments: Template,
        items: Template | None,
        expressions: Mapping[str, Expression | None],
        links: Mapping[str, bool],
        path: str,
    ) -> None:
        """Note that a task that runs only after successes asks how a task ended."""
        if (
            all(read is None for read in expressions.values())
            and arguments.is_plain
            and (items is None or items.is_plain)
        ):
            return
        references = (*arguments.found, *(items.found if items is not None else ()))
        found = [(f"${o.about}[{o.task}]", o.task) for _, o in references if o.about != OUTPUT]
        for read in expressions.values():
            keys = [] if read is None else [key for key in read.references if key.task is not None]
            found += [(str(k), k.id) for k in keys if k.source is not Source.OUTPUT]
        for shown, id in found:
            is_status = shown.startswith("$STATUS")
            if not links.get(id, True) and (is_status or id not in self.names.lenient):
                always = '"success"' if is_status else "null"
                self._notes.append(
                    f"{path}: it runs only if {id} succeeds, so {shown} is always {always}; write "
                    "trigger_rule: all_done, or one_failed to run after failures alone"
                )
                return

    def _note_rule(
        self,
        task: Task,
        arguments: Template,
        items: Template | None,
        expressions: Mapping[str, Expression | None],
        links: Mapping[str, bool],
        path: str,
    ) -> None:
        """Note a trigger rule that can never let the task run, and references that lead nowhere in
        the case that the rule is for."""
        end = "a skip" if task.trigger_rule == "none_failed" else "a failure"
        if task.trigger_rule == "all_success":
            self._note_ends(arguments, items, expressions, links, path)
            return
        if task.trigger_rule == "one_failed" and not links:
            self._notes.append(
                f"{path}.trigger_rule: one_failed runs this task after a failure of one that it "
                "depends on, and it depends on none, so it never runs; write depends_on"
            )
        of_items = [] if items is None else [link for _, one in items.heads for link in one.chain]
        for reference in [link for _, one in arguments.heads for link in one.chain] + of_items:
            is_kept = reference.task in self._lists  # also after failures of some items
            if reference.about != OUTPUT:
                continue  # there is always a status, and an error may be null
            if not (reference.is_guarded or reference.is_item or is_kept):
                default = "[]" if reference in of_items else "null"
                self._notes.append(
                    f"{path}.trigger_rule: {task.trigger_rule} runs this task after {end} of "
                    f"{reference.task} too, but then {reference.text} has no value; write "
                    f"${{{reference.text.strip('${}')} ?? {default}}}"
                )
                return

    def _say(
        self, path: str, code: str, message: str, hint: str, id: str | None, fix: Fix | None = None
    ) -> None:
        self._problems.append(Problem(path, code, message, hint, id, fix))
