"""Queries: a `select` on an output that is known.

The value itself says what it has, so a query is not read beforehand: what is optional may be absent
from it. Only where a query finds nothing, or a part of it does, is it read over the shape of the
value, and refused if that names the one thing that must have been meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...errors import ExpressionFailed
from ..values.problems import Problem
from ..values.strict import Json
from .budget import size
from .evaluation import expression
from .nodes import Key, Reference, Source, walk
from .problems import Finding, InvalidExpression
from .reading import read
from .reports import EXAMPLE, problems_of
from .shapes import ANY, of_value

MAX_UNITS = 20_000
"""The size of values up to which their shape is made."""


class Query:
    """Questions to *value*, the output of the task *own* of a run that started at *start*;
    `is_wrapped` is as in `Operand`."""

    def __init__(
        self, value: Json, *, own: str, is_wrapped: bool = False, start: float | None = None
    ) -> None:
        self._value = value
        self._own = Key(Source.OUTPUT, own)
        self._is_wrapped = is_wrapped
        self._start = start

    def ask(self, text: str) -> Json:
        """Return what *text* gives. Raises `ExpressionFailed`."""
        made = expression(text)
        if made.references:
            raise InvalidExpression(self._find(text)[0])
        return made.evaluate(self._value, is_wrapped=self._is_wrapped, start=self._start)

    def problems(self, text: str, error: ExpressionFailed, path: str) -> list[Problem]:
        """Return the problems of *text*, at *path*, that was refused with *error*."""
        if not isinstance(error, InvalidExpression):
            return [Problem(path, error.code, f"{error.message}.", error.hint)]
        return problems_of(text, [error.finding], self._find, path, otherwise=EXAMPLE)

    def slips(self, text: str, found: Json, path: str) -> list[Problem]:
        """Return the problems of *text*, at *path*, that explain the holes in what it *found*."""
        parts: Iterable[Json] = ()
        if isinstance(found, list | dict):
            parts = found.values() if isinstance(found, dict) else found
        has_holes = found in (None, [], {}) or any(part is None or part == [] for part in parts)
        return problems_of(text, self._find(text), self._find, path) if has_holes else []

    def _find(self, text: str) -> Sequence[Finding]:
        """Return the findings in *text* that have a certain fix, and all references: there are none
        in a query."""
        made = expression(text)
        is_small = size([self._value], MAX_UNITS) <= MAX_UNITS
        shape = of_value(self._value, is_exact=False) if is_small else ANY
        found = {}
        for node in walk(made.tree):
            if isinstance(node, Reference):
                message = f"{node.key} cannot be used here: there is only the output"
                found[node.start] = Finding(node.start, node.end, message)
        for finding in read(made, shape, {}, self._own.id).findings:
            if finding.edit is not None and not finding.is_note:
                found[finding.start] = finding
        return [found[start] for start in sorted(found)]
