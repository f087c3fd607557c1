"""The scope of references: the outputs of tasks and the item of a `for_each`; and expressions over
that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..tools.output import Output
from ..values.strict import Json

if TYPE_CHECKING:  # a start without a DAG does not need them
    from ..expressions.evaluation import Expression
    from ..expressions.frame import Operand
    from ..expressions.nodes import Key


@dataclass(slots=True)
class Scope:
    """The values that references see when a task is ready: outputs of succeeded tasks, the item."""

    outputs: Mapping[str, Output]
    item: Json = None
    index: int | None = None
    names: Mapping[str, str] | None = None
    """The keys in `outputs` of the tasks that expressions name, where they differ from the
    names."""
    began: float | None = None
    """When the run began, in seconds since 1970, for functions of expressions."""
    arguments: Json = None
    """The arguments of the call whose answer a `repeat` reads."""


def evaluated(
    expression: Expression, value: Json, scope: Scope, *, is_wrapped: bool = False
) -> Json:
    """Evaluate *expression* for *value*, which may be a wrapper `{"result": x}`, with its
    references bound in *scope*. Raises `ExpressionFailed` or `ReferenceFailed`."""
    bindings: dict[Key, Operand] = {}
    for key in expression.references:
        if (operand := _operand(key, scope)) is not None:
            bindings[key] = operand
    return expression.evaluate(value, bindings, is_wrapped=is_wrapped, start=scope.began)


def _operand(key: Key, scope: Scope) -> Operand | None:
    """Return the value of a reference in an expression; None if its task has no output."""
    from ..expressions.frame import Operand
    from ..expressions.nodes import Source

    match key.source:
        case Source.ITEM:
            return Operand(scope.item)
        case Source.INDEX:
            return Operand(scope.index)
        case Source.ARGUMENTS:
            return Operand(scope.arguments)
    found = scope.outputs.get((scope.names or {}).get(key.id, key.id))
    return None if found is None else Operand(found.value, found.is_wrapped)
