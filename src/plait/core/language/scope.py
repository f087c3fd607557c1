"""The scope of references: the outputs of tasks and the item of a `for_each`; and expressions over
that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..tools.output import Output
from ..values.strict import Json

if TYPE_CHECKING:  # a start without a DAG does not need them
    from ..expressions.absences import Absence
    from ..expressions.budget import Work
    from ..expressions.evaluation import Expression
    from ..expressions.frame import Operand
    from ..expressions.missing import Missing
    from ..expressions.nodes import Key


class Ends(Protocol):
    """The ends of tasks, by whole id."""

    def status(self, id: str) -> str | None:
        """Return the status of a task that has ended; None if it is unknown."""

    def error(self, id: str) -> Json:
        """Return why a task did not succeed: its code and message, and those of its items."""


class Lacking(NamedTuple):
    """The place of a path that no element had."""

    where: str
    """The field with the expression, or the reference with it."""
    name: tuple[str, int]
    """The text of the expression, and the place of the last name of the path in it."""


@dataclass(slots=True)
class Scope:
    """The values that references see when a task is ready: outputs of succeeded tasks, the item."""

    outputs: Mapping[str, Output]
    item: Json = None
    index: int | None = None
    names: Mapping[str, str] | None = None
    """The keys in `outputs` of the tasks that expressions name, and of the items of groups
    (`$ITEM[id]`), where they differ from the names."""
    began: float | None = None
    """When the run began, in seconds since 1970, for functions of expressions."""
    arguments: Json = None
    """The arguments of the call whose answer a `repeat` reads."""
    ends: Ends | None = None
    work: Work | None = None
    """The work of the expressions that are evaluated in it is added to this."""
    absences: dict[Lacking, Absence | Missing] | None = None
    """The paths of filters that no element had, in what was evaluated here, and the names of
    conditions that no value had."""

    def for_item(self, item: Json, index: int) -> Scope:
        """Return the scope for one item of a `for_each` task."""
        began, ends, work = self.began, self.ends, self.work
        return Scope(self.outputs, item, index, self.names, began, None, ends, work)

    def end(self, about: str, id: str) -> Json:
        """Return the `STATUS` or the `ERROR` of the task *id*."""
        if self.ends is None:
            return None
        return self.ends.status(id) if about == "STATUS" else self.ends.error(id)

    def add(self, absences: Mapping[Lacking, Absence | Missing] | None) -> None:
        """Add the *absences* of a part of it, such as an item."""
        if absences:
            self.absences = {**absences, **(self.absences or {})}


def evaluated(
    expression: Expression,
    value: Json,
    scope: Scope,
    names: Mapping[str, str] | None = None,
    *,
    is_wrapped: bool = False,
    where: str = "",
) -> Json:
    """Evaluate *expression*, which stands in *where*, for *value*, which may be a wrapper
    `{"result": x}`, with its references bound in *scope*, by *names* if it has some of its own.
    Paths of filters that no element has are added to *scope*. Raises `ExpressionFailed` or
    `ReferenceFailed`."""
    bindings: dict[Key, Operand] = {}
    for key in expression.references:
        if (operand := _operand(key, scope, names or scope.names or {})) is not None:
            bindings[key] = operand
    if not expression.has_lookups:
        return expression.evaluate(
            value, bindings, is_wrapped=is_wrapped, start=scope.began, work=scope.work
        )
    from ..expressions.absences import Absences

    absences = Absences()
    found = expression.evaluate(
        value,
        bindings,
        is_wrapped=is_wrapped,
        start=scope.began,
        work=scope.work,
        absences=absences,
    )
    scope.add({Lacking(where, (expression.text, one.position)): one for one in absences.found()})
    return found


def has_holes(found: Json) -> bool:
    """Return whether what an expression *found* is nothing, or has a null in it."""
    if isinstance(found, list) and found:
        found = found[0]
    return not found or (isinstance(found, dict) and None in found.values())


def look_for_names(
    expression: Expression,
    value: Json,
    scope: Scope,
    where: str,
    *,
    is_wrapped: bool = False,
    own: str | None = None,
) -> None:
    """Add to *scope* the names that *expression*, in *where*, looks up in *value* and that are not
    there. The value is the answer of the task *own*. It is for what gave nothing, or a null."""
    from ..expressions.missing import missing_in

    if is_wrapped and not expression.reads_result and isinstance(value, dict):
        value = value["result"]
    whole = "the value" if where.startswith("$") else "the answer"
    found = missing_in(expression.tree, value, own=own, whole=whole)
    scope.add({Lacking(where, (expression.text, one.position)): one for one in found})


def _operand(key: Key, scope: Scope, names: Mapping[str, str]) -> Operand | None:
    """Return the value of a reference in an expression; None if its task has no output."""
    from ..expressions.frame import Operand
    from ..expressions.nodes import Source

    match key.source:
        case Source.ITEM | Source.INDEX if (name := names.get(str(key))) is not None:
            return Operand(scope.outputs[name].value)
        case Source.ITEM:
            return Operand(scope.item)
        case Source.INDEX:
            return Operand(scope.index)
        case Source.STATUS | Source.ERROR:
            return Operand(scope.end(key.source, names.get(key.id, key.id)))
        case Source.ARGUMENTS:
            return Operand(scope.arguments)
    found = scope.outputs.get(names.get(key.id, key.id))
    return None if found is None else Operand(found.value, found.is_wrapped)
