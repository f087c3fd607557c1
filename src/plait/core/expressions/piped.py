"""Pipes: an expression behind a bar makes something of the value before it."""

from __future__ import annotations

from .functions import FUNCTIONS
from .nodes import Ampersand, Call, Field, Literal, Node, Path, Pipe, Projection
from .problems import Edit, invalid

_VALUE_LAST = frozenset({"join", "map"})
"""Functions whose last argument is the value that they are for; of others it is the first."""


def check_piped(node: Node) -> None:
    """Raises `InvalidExpression` if *node*, behind a bar, calls a function for constants alone, as
    languages do that add the value by themselves: `| round(2)`."""
    start = node
    while isinstance(start, Path | Projection | Pipe):
        steps = (
            start.steps
            if isinstance(start, Path)
            else start.items
            if isinstance(start, Pipe)
            else (start.base,)
        )
        start = steps[0]
    match start:
        case Call(name=name, arguments=items) if items and name in FUNCTIONS:
            if not all(isinstance(item, Literal | Ampersand) for item in items):
                return
            place = value_place(name, len(items))
            edit = None
            if FUNCTIONS[name].takes(len(items) + 1):
                before = place < len(items)
                at = items[place].start if before else items[-1].end
                edit = Edit(at, at, "@, " if before else ", @")
            message = f"{name}() does not read the value before the bar, which is @"
            raise invalid(start.start, start.end, message, edit)


def check_word(node: Node) -> None:
    """Raises `InvalidExpression` if *node*, all that is behind a bar, names a function and calls
    none: `| length`."""
    match node:
        case Field(name=name, is_quoted=False) if name in FUNCTIONS and FUNCTIONS[name].takes(1):
            message = f"{name} is a function here"
            hint = f'The member of that name is written "{name}".'
            edit = Edit(node.start, node.end, f"{name}(@)")
            raise invalid(node.start, node.end, message, edit, hint)


def value_place(name: str, others: int) -> int:
    """Return which argument of the function *name* is the value that it is for, next to
    *others*."""
    return others if name in _VALUE_LAST else 0
