"""Items of `for_each` lists that are written down: each is checked before anything runs.

All that `$ITEM` stands for is known then, so the arguments of each item are filled in as far as
they can be and checked against the tool. What is wrong with all items alike is wrong with the
arguments and is reported there (`mismatch.py`); here is what is wrong with some of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from ...errors import CallError, ExpressionFailed, ReferenceFailed
from ..language.references import ITEM, Every, Reference
from ..language.scope import Scope
from ..language.templates import Filling, Template, value_of
from ..values.problems import MAX_GUESSES, Fix, Op, Problem, slip_of, written
from ..values.schema import Complaint, Place
from ..values.strict import Json, JsonObject, NotStrict, measure
from .fixes import fixed_argument
from .omissions import left_out
from .places import place_of_item
from .plan import PlannedTask

MAX_ITEMS = 1_000
"""Most items of one document that are checked. Others are checked when they run."""
MAX_BYTES = 4 * 2**20
"""Most bytes of arguments that are filled in and checked for one document."""
MAX_COMPARED = 100
"""Most items that are searched for one that has what another lacks."""
MAX_REPORTED = 20
"""Most items of one task whose problems are listed."""


class Items:
    """A check of the literal items of one DAG; it adds to *problems*."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._items_left = MAX_ITEMS
        self._bytes_left = MAX_BYTES
        self.may_have_more = False
        """Whether items were left out, because there were too many or they were too large."""

    def look_at(self, planned: PlannedTask, path: str, before: int) -> None:
        """Check the items of *planned*, which stands at *path* in the document. Problems of its
        arguments are those from index *before* on."""
        items, fill = planned.items, planned.arguments.fill
        if items is None or not isinstance(items.value, list) or fill is None:
            return
        of_items = [part for part in fill if _is_known(part)]
        reported = [problem.path for problem in self._problems[before:]]
        known = [
            part for part in of_items if f"{path}.{planned.field}{written(part[0])}" not in reported
        ]
        if not known:
            return
        check = _ItemCheck(planned, path, items.value, tuple(known), len(fill) == len(known))
        unsettled = {place[0] for place, _ in items.fill or ()}
        found: list[list[Problem]] = []
        for index, item in enumerate(items.value):
            if index in unsettled:
                continue  # it holds references
            try:
                size = check.size + check.parts * measure(item, is_decoded=True)
            except NotStrict:
                return
            self._items_left -= 1
            self._bytes_left -= size
            if self._items_left < 0 or self._bytes_left < 0:
                self.may_have_more = True
                break
            guesses = len(self._problems) + len(found) < MAX_GUESSES
            if problems := list(check.problems(item, index, may_guess=guesses)):
                found.append(problems)
        for problems in found[:MAX_REPORTED]:
            self._problems += problems
        if (more := len(found) - MAX_REPORTED) > 0:
            message = f"{more:,} more items are wrong."
            more_at = Problem(f"{path}.for_each", "invalid_arguments", message, None, planned.id)
            self._problems.append(more_at)


class _ItemCheck:
    """A check of the arguments of one task for any of its items."""

    def __init__(
        self,
        planned: PlannedTask,
        path: str,
        items: list[Json],
        parts: tuple[Filling, ...],
        is_whole: bool,
    ) -> None:
        self._planned = planned
        self._path = path
        self._items = items
        self._template = Template(planned.arguments.value, parts)
        self._fill = dict(parts)
        self._unknown = planned.arguments.unknown - self._fill.keys()
        is_known = is_whole or planned.is_value
        self._already = set() if is_known else {c.place for c in self._complaints_of_rest()}
        self._references = [reference for part in parts for reference in _references(part)]
        self.size = measure(planned.arguments.value, is_decoded=True)
        self.parts = len(self._references)

    def problems(self, item: Json, index: int, *, may_guess: bool) -> Iterator[Problem]:
        """Yield what is wrong with *item*, which is at *index*."""
        scope = Scope({}, item, index)
        missing = False
        for reference in {one.text: one for one in self._references}.values():
            try:
                value_of(reference, scope)
            except ReferenceFailed as error:
                missing = True
                yield self._nothing_there(reference, error, item, index)
            except ExpressionFailed as error:
                missing = True
                yield self._problem(index, (), error.code, f"{error}.", error.hint, None)
        if missing or self._planned.is_value:
            return
        try:
            arguments = self._template.resolve(scope)
        except CallError:
            return  # too large: it is reported when it runs
        if not isinstance(arguments, dict):
            message = "The item stands for all arguments, so it must be an object."
            hint = f"Signature: {self._planned.tool.signature}"
            yield self._problem(index, (), "invalid_arguments", message, hint, None)
            return
        schema, given = self._planned.tool.input, arguments
        complaints: Sequence[Complaint] = schema.complaints(arguments, unknown=self._unknown)
        if complaints:
            given, _, complaints = left_out(schema, arguments, complaints, self._unknown)
        for complaint in complaints:
            if (source := self._source(complaint.place)) is not None:
                yield self._misfit(complaint, source, given, index, may_guess=may_guess)

    def _source(self, place: Place) -> Place | None:
        """Return the place in the arguments that an item fills, at or above *place*; None if the
        complaint there is about something else."""
        if place in self._already:
            return None
        return next((place[:n] for n in range(len(place), -1, -1) if place[:n] in self._fill), None)

    def _complaints_of_rest(self) -> Sequence[Complaint]:
        planned = self._planned
        given = planned.arguments.value
        if not isinstance(given, dict):
            return ()  # one reference stands for all of them
        return planned.tool.input.complaints(given, unknown=planned.arguments.unknown)

    def _nothing_there(
        self, reference: Reference, error: ReferenceFailed, item: Json, index: int
    ) -> Problem:
        """Report that *item* does not have what *reference* names."""
        place: list[str | int] = []
        fix: Fix | None = None
        inside: Any = item
        for step in reference.path:
            if isinstance(step, Every) or not isinstance(inside, dict | list):
                break
            if isinstance(inside, dict) and step not in inside:
                links = [link for other in self._references for link in other.chain]
                used = {str(one) for link in links for one in link.path}
                meant = slip_of(str(step), [name for name in inside if name not in used])
                if meant is not None and self._is_elsewhere(reference):
                    place.append(meant)
                    fix = Fix(Op.RENAME, str(step))
                break
            if isinstance(inside, list) and (
                isinstance(step, str) or step not in range(len(inside))
            ):
                break
            inside = inside[step]  # type: ignore[index]  # the step fits, as was checked above
            place.append(step)
        hint = fix.advice if fix is not None else error.hint
        return self._problem(index, tuple(place), "invalid_reference", f"{error}.", hint, fix)

    def _is_elsewhere(self, reference: Reference) -> bool:
        """Return whether some item has what *reference* names, so that the reference is right."""
        for item in self._items[:MAX_COMPARED]:
            try:
                value_of(reference, Scope({}, item, 0))
            except CallError:
                continue
            return True
        return False

    def _misfit(
        self, complaint: Complaint, source: Place, given: JsonObject, index: int, *, may_guess: bool
    ) -> Problem:
        """Report that what an item gives to the place *source* does not fit."""
        end = "" if complaint.message.endswith("?") else "."
        name = written(complaint.place).lstrip(".")
        message = f"{name or 'arguments'} {complaint.message}{end}"
        place: Place = ()
        fix: Fix | None = None
        pieces = self._fill[source]
        if isinstance(pieces, Reference) and pieces.task == ITEM and pieces.pipe is None:
            steps = [step for step in pieces.path if isinstance(step, str) or step in range(10**9)]
            if len(steps) == len(pieces.path):  # neither `[*]` nor an index from the end
                place = (*cast("list[str | int]", steps), *complaint.place[len(source) :])
                if may_guess and self.parts == 1:
                    tool, is_certain = self._planned.tool, not self._planned.tool.is_read_only
                    fix = fixed_argument(
                        tool.input, given, complaint.place, self._unknown, is_certain=is_certain
                    )
        hints = [] if fix is None else [fix.advice]
        hint = " ".join([*hints, f"Signature: {self._planned.tool.signature}"])
        return self._problem(index, place, "invalid_arguments", message, hint, fix)

    def _problem(
        self, index: int, place: Place, code: str, message: str, hint: str | None, fix: Fix | None
    ) -> Problem:
        task = self._planned.task
        if isinstance(task.for_each, dict) and place[:1] != ("value",):
            fix = None  # it would change a key, or all of an item
        where = written(place_of_item(task, (index, *place)))
        path = f"{self._path}.for_each{where}"
        return Problem(path, code, message, hint, self._planned.id, fix)


def _references(part: Filling) -> list[Reference]:
    _, pieces = part
    if isinstance(pieces, Reference):
        return [pieces]
    return [piece for piece in pieces if isinstance(piece, Reference)]


def _is_known(part: Filling) -> bool:
    """Return whether all references of *part*, also those that are defaults, are to the item, and
    nothing in their expressions needs the run."""
    return all(
        link.is_own_item and (link.pipe is None or not link.pipe.needs_the_run)
        for one in _references(part)
        for link in one.chain
    )
