"""The roots of an expression: the fields that are looked up in the whole value, which are the names
of tasks in a condition."""

from __future__ import annotations

from dataclasses import replace

from .nodes import (
    Ampersand,
    And,
    Call,
    Compare,
    Current,
    Field,
    Index,
    Key,
    Members,
    Node,
    Not,
    Or,
    Path,
    Pipe,
    Projection,
    Reference,
    Selection,
    Source,
)


def with_outputs(node: Node) -> Node:
    """Replace the fields that are looked up in the whole value by references."""
    match node:
        case Field(name=name):
            return Reference(node.start, node.end, Key(Source.OUTPUT, name))
        case Path(steps=steps):
            return replace(node, steps=(with_outputs(steps[0]), *steps[1:]))
        case Projection(base=base):
            return replace(node, base=with_outputs(base))
        case Pipe(items=items):
            return replace(node, items=(with_outputs(items[0]), *items[1:]))
        case Selection(items=items) | Members(items=items) | And(items=items) | Or(items=items):
            return replace(node, items=tuple(with_outputs(item) for item in items))
        case Call(arguments=items):
            return replace(
                node,
                arguments=tuple(i if isinstance(i, Ampersand) else with_outputs(i) for i in items),
            )
        case Not(operand=operand):
            return replace(node, operand=with_outputs(operand))
        case Compare(left=left, right=right):
            return replace(node, left=with_outputs(left), right=with_outputs(right))
    return node


def fields_at_root(tree: Node) -> list[Field]:
    """List the fields that are looked up in the whole value: not those behind a dot or a pipe, or
    inside `[?…]` and `&…`."""
    return [node for node in starts_at_root(tree) if isinstance(node, Field)]


def starts_at_root(tree: Node) -> list[Field | Reference | Current | Index]:
    """List what stands where a name is looked up in the whole value: these names, the value itself,
    and references in their place."""
    found: list[Field | Reference | Current | Index] = []
    stack = [tree]
    while stack:
        match stack.pop():
            case Path(steps=steps):
                stack.append(steps[0])
            case Projection(base=base):
                stack.append(base)
            case Pipe(items=items):
                stack.append(items[0])
            case Selection(items=items) | Members(items=items) | And(items=items) | Or(items=items):
                stack.extend(items)
            case Call(arguments=items):
                stack.extend(item for item in items if not isinstance(item, Ampersand))
            case Not(operand=operand):
                stack.append(operand)
            case Compare(left=left, right=right):
                stack.extend((left, right))
            case Field() | Reference() | Current() | Index() as start:
                found.append(start)
    return found
