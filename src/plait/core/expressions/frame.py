"""The frame of one evaluation: the values of its references, and what it may still spend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ..values.strict import Json
from .budget import Budget, size
from .nodes import Key


class Operand(NamedTuple):
    """A value that an expression is given. If it `is_wrapped`, it is only the wrapper
    `{"result": x}` that SDKs put around a value, and paths may go straight into x."""

    value: Json
    is_wrapped: bool = False


Bindings: TypeAlias = Mapping[Key, Operand]
MISSING = Operand(None)


class Frame:
    """One evaluation."""

    __slots__ = ("bindings", "budget")

    def __init__(self, value: Any, bindings: Bindings) -> None:
        self.bindings = bindings
        self.budget = Budget(
            lambda: size([value, *[operand.value for operand in bindings.values()]])
        )


Run: TypeAlias = Callable[[Any, Frame], Any]
"""A node that was compiled: it gives a value for the current value."""
