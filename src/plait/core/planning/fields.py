"""The fields of a task that hold references and expressions, compiled; and what is wrong with them
as they are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..expressions.evaluation import Expression
from ..expressions.problems import Finding, InvalidExpression
from ..expressions.reports import EXAMPLE, problems_of
from ..language.dag import Task
from ..language.lookalikes import in_defaults, in_names, lookalikes, repaired, whole
from ..language.references import BadPipe, BadReference, Reference, in_braces, is_one, parse
from ..language.templates import Template, compile_value, is_one_reference
from ..tools.catalog import Tool
from ..values.problems import MAX_GUESSES, Fix, Op, Problems, slip_of, some_of, written
from ..values.schema import Place
from ..values.strict import Json, dumps, loads, short
from .asked_values import SHAPE, asked
from .links import Links
from .loops import described
from .names import group_of
from .places import part_at
from .plan import Repeating
from .repeats import expressions_of, repeating

MAX_LOOKALIKES = 20
"""Most notes per document on text that may have been meant as a reference."""


class Fields:
    """A reader of the fields of the tasks of one DAG; it adds to *problems* and *notes*."""

    def __init__(self, links: Links, problems: Problems, notes: list[str], max_items: int) -> None:
        self._links = links
        self._problems = problems
        self._notes = notes
        self._max_items = max_items
        self._lookalikes = 0
        """The texts so far that may have been meant as references, and are taken as text."""

    def end_notes(self) -> None:
        """Note that there are more such texts than were noted."""
        if (more := self._lookalikes - MAX_LOOKALIKES) > 0:
            self._notes.append(f"{more:,} more texts that look like references are taken as text")

    @property
    def _may_guess(self) -> bool:
        return len(self._problems) < MAX_GUESSES

    def template(self, value: Json, path: str, task: Task, *, items: bool) -> Template:
        """Compile *value*, the field of *task* at *path*, whose references may be to *items*."""
        template, bad = compile_value(value, items=items)
        for place, reference in template.found if items or not template.is_plain else ():
            group = group_of(reference.task)
            if group is not None and group not in self._links.names.items:
                self._no_group(path + written(place), group, task)
        for place, reference in () if template.is_plain else template.heads:
            if (meant := in_braces(reference, part_at(value, place))) is not None:
                note = f"{path}{written(place)}: {reference.text} was read as {meant}"
                self._notes.append(note)
        for place, error in bad:
            if isinstance(error, BadPipe):
                self._bad_pipe(part_at(value, place), error.finding, path + written(place), task)
                continue
            meant = repaired(part_at(value, place)) if self._may_guess else None
            fix = None if meant is None else Fix(Op.REPLACE, meant)
            hint = error.hint if fix is None else fix.advice
            self._problems.say(
                path + written(place), "invalid_reference", str(error), hint, task.id, fix
            )
        return template

    def _bad_pipe(self, text: str, finding: Finding, path: str, task: Task) -> None:
        def parsed(fixed: str) -> tuple[()]:
            try:
                parse(fixed, items=True)
            except BadPipe as error:
                raise InvalidExpression(error.finding) from None
            except BadReference:
                raise InvalidExpression(finding) from None
            return ()

        may_guess = self._may_guess
        self._problems += problems_of(
            text, [finding], parsed, path, task.id, otherwise=EXAMPLE, may_guess=may_guess
        )

    def _no_group(self, path: str, id: str, task: Task) -> None:
        groups = self._links.names.items
        hint = f"Groups: {some_of(groups, 20)}." if groups else "Write $ITEM alone."
        message = f'No group "{id[:80]}" with for_each is around this.'
        meant = slip_of(id, groups)
        fix = None
        if meant is not None:
            hint = f"Did you mean $ITEM[{meant}]?"
        self._problems.say(path, "unknown_task", message, hint, task.id, fix)

    def lookalikes(
        self, task: Task, tool: Tool | None, template: Template, path: str, *, items: bool
    ) -> None:
        """Report text in *template*, at *path*, that was meant as a reference: it would silently be
        sent as it stands. A value may go into any call."""
        if task.literal:
            return
        changes = tool is None or task.is_value or not tool.is_read_only
        unfit: set[Place] = set()
        if not changes and tool is not None and isinstance(template.value, dict):
            given = tool.input.complaints(template.value, unknown=template.unknown)
            unfit = {one.place for one in given}  # where a text does not fit
        texts = lookalikes(template.texts, self._links.ids, items=items)
        names = in_names(template.value, template.keys, self._links.ids, items=items)
        parts = template.fill or ()
        alone = {place: part.text for place, part in parts if isinstance(part, Reference)}
        for found in (*texts, *names, *in_defaults(template.found, alone)):
            place = f"{path}{written(found.place)}"
            if found.meant is not None and found.meant.startswith(f"$OUTPUT[{task.id}]"):
                continue  # a task has no reference to itself
            if found.meant == "$OMIT" and tool is not None and _names(tool, found.text):
                continue  # a text that the tool lists as a choice
            if changes or found.is_ours or found.place in unfit:
                fix = None if found.fixed is None else Fix(Op.REPLACE, found.fixed)
                advice = found.advice
                if found.without is not None and not path.endswith(".arguments"):
                    fix = Fix(Op.REPLACE, loads(found.without))
                    advice = f"Only an argument can be left out. {fix.advice}"
                hint = f"{advice} If it is meant as it stands, give this task literal: true."
                message = f"{short(found.found)} looks like a reference, but is not one."
                self._problems.say(place, "invalid_reference", message, hint, task.id, fix)
                continue
            self._lookalikes += 1
            if self._lookalikes <= MAX_LOOKALIKES:
                said = f"{short(found.found)} is taken as text"
                if found.is_leftover:
                    said = f"only the reference in {short(found.found)} is filled in"
                self._notes.append(f"{place}: {said}. {found.advice}")

    def asked(self, task: Task, path: str) -> None:
        """Report the value of *task* if it is an expression over outputs, which is text there."""
        if task.literal or not isinstance(task.value, str):
            return
        if self._problems and self._problems[-1].path == path:
            return  # it looks like a reference, which was reported
        meant = asked(task.value, self._links.ids)
        if meant is not None:
            message = f"{short(task.value)} is text here, and not an expression."
            fix = Fix(Op.REPLACE, meant) if meant != SHAPE else None
            hint = f"Write {meant}. If it is meant as it stands, give this task literal: true."
            self._problems.say(path, "invalid_reference", message, hint, task.id, fix)

    def resources(self, task: Task, path: str) -> None:
        """Report references in `reads` and `writes`, which would be taken as they stand."""
        for field, keys in (("reads", task.reads), ("writes", task.writes)):
            for index, key in enumerate(keys):
                if "$" in key and any(isinstance(piece, Reference) for piece in _parsed(key)):
                    hint = (
                        "Name the resource itself. Those in arguments are found without this, also "
                        "where the arguments hold references."
                    )
                    message = f"{field} holds no references; it is {short(key)}."
                    place = f"{path}.{field}[{index}]"
                    self._problems.say(place, "invalid_reference", message, hint, task.id)

    def items(self, task: Task, path: str) -> Template | None:
        """Compile the `for_each` of *task*; None without one."""
        if task.for_each is None:
            return None
        path = f"{path}.for_each"
        value = task.for_each.strip() if isinstance(task.for_each, str) else task.for_each
        before = len(self._problems)
        template = self.template(value, path, task, items=bool(self._links.names.items))
        if not isinstance(value, str):
            if len(value) > self._max_items:
                message = f"There are {len(value):,} items; at most {self._max_items:,} are run."
                self._problems.say(path, "limit_exceeded", message, "Split the list.", task.id)
            if isinstance(value, list) and (alone := _only_reference(value)) is not None:
                message = "for_each runs once over a list that holds one reference."
                hint = f"Write {short(alone)} without the brackets to run over its elements."
                by_itself = Fix(Op.REPLACE, alone)
                self._problems.say(path, "invalid_reference", message, hint, task.id, by_itself)
            if isinstance(value, dict) and not task.literal:
                self._described(value, path, task)
        elif len(self._problems) == before and not is_one_reference(template):
            hint = 'Write one reference and nothing else: "$OUTPUT[id].items".'
            meant = whole(str(value), self._links.ids)
            fix = None if meant is None else Fix(Op.REPLACE, meant)
            self._problems.say(
                path,
                "invalid_reference",
                "for_each takes a list, an object, or one reference to either.",
                hint if fix is None else fix.advice,
                task.id,
                fix,
            )
        return template

    def _described(self, items: Mapping[str, Any], path: str, task: Task) -> None:
        """Report *items*, the `for_each` of *task*, if it describes a list instead of being it."""
        if (loop := described(items, self._links.ids)) is None:
            return
        message = "for_each runs over the members of an object; this one describes a list."
        fix = Fix(Op.REPLACE, loop.items) if loop.is_all else None
        what = f"{short(loop.items)} there"
        if loop.counted and fix is None:
            what = "the numbers themselves, such as [0, 1, 2]"
        hint = f"Write {what}: the item is $ITEM, its number $INDEX."
        self._problems.say(path, "invalid_reference", message, hint, task.id, fix)

    def repeat(self, task: Task, path: str) -> Repeating | None:
        """Compile the `repeat` of *task*; None without one, or if one of its expressions is
        invalid."""
        if task.repeat is None or task.is_value:
            return None
        read = {
            place: self.expression(text, f"{path}.repeat.{place}", task, compiled)
            for place, text, compiled in expressions_of(task.repeat)
        }
        return repeating(task.repeat, read)

    def expression(
        self, text: str | None, path: str, task: Task, compiled: Callable[[str], Expression]
    ) -> Expression | None:
        """Compile *text*, an expression, with *compiled*. Where it is invalid and has a fix, that
        is compiled; None if it has none."""
        if text is None:
            return None
        try:
            return compiled(text)
        except InvalidExpression as error:

            def parsed(fixed: str) -> tuple[()]:
                compiled(fixed)
                return ()

            found = problems_of(
                text,
                [error.finding],
                parsed,
                path,
                task.id,
                otherwise=EXAMPLE,
                may_guess=self._may_guess,
            )
            self._problems += found
            fix = found[0].fix
            # the names in the fixed text are read too, so that what it still hides is reported
            return None if fix is None else compiled(str(fix.to))


def _parsed(text: str) -> tuple[str | Reference, ...]:
    try:
        return parse(text, items=True)
    except BadReference:
        return ()


def _names(tool: Tool, text: str) -> bool:
    """Return whether the schema of *tool* has *text* as a value or a name."""
    return dumps(text) in dumps(tool.input.definition)


def _only_reference(items: list[Any]) -> str | None:
    """Return the reference that is all that *items* hold, and that may be one to a list."""
    if len(items) != 1 or not isinstance(items[0], str) or not is_one(items[0].strip()):
        return None
    text = items[0].strip()
    return text if "|" in text or re.search(r"\]\.[^\[\]]+\}?\Z", text) else None
