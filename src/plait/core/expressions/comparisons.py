"""Comparisons that are never true, or always: by the kinds and the only values of their sides."""

from __future__ import annotations

import re

from ..values.problems import slip_of
from ..values.strict import dumps
from .findings import Findings
from .names import quoted
from .nodes import Compare, Literal
from .problems import Edit
from .shapes import Shape


def check_comparison(node: Compare, left: Shape, right: Shape, findings: Findings) -> None:
    """Report *node* if the result is certain, whatever the values of *left* and *right* are."""
    is_equality = node.operator in ("==", "!=")
    common = left.known & right.known & ({"number", "text"} if not is_equality else left.known)
    edit: Edit | None
    if not common and left.known and right.known:
        edit = _in_its_type(node, left, right)
    elif (
        is_equality
        and left.options
        and right.options
        and left.known == right.known
        and not {*left.options} & {*right.options}
    ):
        edit = _nearest_option(node, left, right)
    else:
        return
    ends = "always true" if node.operator == "!=" else "never true"
    message = f"{left} {node.operator} {right} is {ends}"
    is_note = left.is_learned or right.is_learned
    findings.say(node.start, node.end, message, edit, is_note=is_note)


def _nearest_option(node: Compare, left: Shape, right: Shape) -> Edit | None:
    """Return the edit that writes the literal as the one option that it must mean."""
    literal, other = (node.right, left) if isinstance(node.right, Literal) else (node.left, right)
    if not isinstance(literal, Literal) or other.known != {"text"}:
        return None
    near = slip_of(str(literal.value), map(str, other.options or ()))
    return Edit(literal.start, literal.end, quoted(near)) if near else None


def _in_its_type(node: Compare, left: Shape, right: Shape) -> Edit | None:
    """Return the edit that writes the literal in the type of the other side, if it can be."""
    for literal, other in ((node.right, left), (node.left, right)):
        if isinstance(literal, Literal):
            value = literal.value
            if other.known == {"text"} and type(value) in (int, float):
                return Edit(literal.start, literal.end, quoted(dumps(value)))
            if (
                other.known == {"number"}
                and type(value) is str
                and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value)
            ):
                return Edit(literal.start, literal.end, value)
            if other.known == {"boolean"} and value in ("true", "false"):
                return Edit(literal.start, literal.end, str(value))
    return None
