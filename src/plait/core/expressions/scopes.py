"""Scopes: the value that names are looked up in, and the values around it.

The scopes around a name are kept because of the worst trap of the language: a name inside `[?…]`
that belongs to the value around it. There it is null.
"""

from __future__ import annotations

from typing import NamedTuple

from .shapes import Shape, either


class Scope(NamedTuple):
    """The value that names are looked up in, and the scopes around it."""

    shape: Shape
    around: Scope | None = None
    is_tasks: bool = False
    """Whether the members are dependencies: the whole value of a `when`."""
    is_answer: bool = False
    """Whether it is the whole value of a `select`."""
    source: str | None = None
    """The reference to it, if one may be written in the expression."""

    def within(self, shape: Shape) -> Scope:
        return Scope(shape, self)

    def beneath(self, shape: Shape) -> Scope:
        """Return the scope of the next step of a path: another value, with the same around it."""
        return Scope(shape, self.around)


def looked_through(shape: Shape) -> Shape:
    """Return the shape in the wrapper `{"result": x}`, if *shape* is that of a wrapper."""
    if [*shape.members] != ["result"] or shape.kinds != {"object"}:
        return shape
    inner = shape.members["result"]
    return inner if shape.is_closed or "null" not in inner.kinds else either(shape, inner)
