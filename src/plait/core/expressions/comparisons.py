"""Comparisons and searches that are never true, or always: by the kinds and the only values of
their sides."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..values.problems import nearest, slip_of, some_of
from ..values.strict import dumps
from .findings import Findings
from .nodes import Call, Compare, Index, Literal, Node, Not, Path, Projection, Text
from .problems import Edit
from .quoting import quoted
from .shapes import MAX_SHOWN, Shape

_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda whole, part: part in whole,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
}
SEARCHES = _MATCHES.keys()
_TRUTHS = {"true": "true", "false": "false", "1": "true", "0": "false"}
_ENDS = {
    **dict.fromkeys(("failure", "fail", "error", "errored"), "failed"),
    **dict.fromkeys(("ok", "succeeded", "successful", "completed"), "success"),
    **dict.fromkeys(("timed out", "timed_out", "timedout"), "timeout"),
    **dict.fromkeys(("canceled", "aborted"), "cancelled"),
    "toolerror": "tool_error",
}
"""The words of other engines for how a task ended."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def check_comparison(node: Compare, left: Shape, right: Shape, findings: Findings) -> None:
    """Report *node* if its result is certain, whatever the values of *left* and *right* are."""
    is_equality = node.operator in ("==", "!=")
    if not is_equality and _is_of_quoted_numbers(node):
        message = f"{findings.written(node)} compares two texts"
        plain = (findings.written(side).strip("'") for side in (node.left, node.right))
        findings.say(node.start, node.end, message, f" {node.operator} ".join(plain))
        return
    if is_equality and (edit := _in_its_case(node.left, node.right)):
        message = f"{findings.written(node.left)} never gives {findings.written(node.right)}"
        findings.say(node.start, node.end, message, edit)
        return
    common, hint = left.known & right.known, ""
    if left.known and right.known and not (common if is_equality else common & {"number", "text"}):
        edit = (
            _of_the_comparison(node, right, findings)
            or _of_the_first(node.left, left, findings)
            or _of_the_first(node.right, right, findings)
            or _of_an_element(node, left, right, findings)
            or _without_quotes(node.left, findings)
            or _without_quotes(node.right, findings)
            or _in_its_type(node.right, left)
            or _in_its_type(node.left, right)
        )
    elif is_equality and _are_disjoint(left, right):
        edit = _nearest_option(node.right, left) or _nearest_option(node.left, right)
        if edit is None:
            hint = _nearest_hint(node.right, left) or _nearest_hint(node.left, right)
    else:
        return
    ends = "always true" if node.operator == "!=" else "never true"
    message = f"{left} {node.operator} {right} is {ends}"
    is_note = left.is_learned or right.is_learned
    findings.say(node.start, node.end, message, edit, is_note=is_note, hint=hint)


def check_search(node: Call, whole: Shape, part: Shape, findings: Findings) -> None:
    """Report `contains(whole, part)`, or its kin, if no value can match."""
    searched = whole
    if whole.known == {"list"}:
        searched = whole.elements
        kinds = searched.known
        is_never = bool(kinds and part.known and not kinds & part.known)
        is_never = is_never or _are_disjoint(searched, part)
    elif whole.known == {"text"}:
        matches = _MATCHES[node.name]
        is_never = bool(part.known) and "text" not in part.known
        if whole.options and part.options:
            pairs = ((str(one), str(other)) for one in whole.options for other in part.options)
            is_never = is_never or not any(matches(one, other) for one, other in pairs)
    else:
        return
    if is_never:
        argument = node.arguments[1]
        edit = _in_its_type(argument, searched) or _nearest_option(argument, searched)
        message = f"{node.name}({whole}, {part}) is never true"
        hint = "" if searched is whole else f"Its elements: {searched}."
        is_note = whole.is_learned or searched.is_learned or part.is_learned
        findings.say(node.start, node.end, message, edit, is_note=is_note, hint=hint)


def _in_its_case(call: Node, literal: Node) -> Edit | None:
    """Return the edit for `lower(x) == 'Open'`, where no letter can be a capital."""
    if not isinstance(literal, Literal) or not isinstance(literal.value, str):
        return None
    changes = {"lower": literal.value.lower(), "upper": literal.value.upper()}
    meant = changes.get(call.name) if isinstance(call, Call) else None
    if meant is None or meant == literal.value:
        return None
    return Edit(literal.start, literal.end, quoted(meant))


def _is_of_quoted_numbers(node: Compare) -> bool:
    """Return whether *node* compares a reference in quotes with a number in quotes."""
    sides = node.left, node.right
    numbers = [isinstance(side, Literal) and _is_number(side.value) for side in sides]
    return any(numbers) and any(isinstance(side, Text) and len(side.parts) == 1 for side in sides)


def _is_number(value: object) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def _are_disjoint(one: Shape, other: Shape) -> bool:
    """Return whether the only values of both are known, and none is of both."""
    return (
        one.options is not None
        and other.options is not None
        and not ({*one.options} & {*other.options})
    )


def _nearest_option(literal: Node, other: Shape) -> Edit | None:
    """Return the edit that writes the literal as the one option that it must mean."""
    if not isinstance(literal, Literal) or other.known != {"text"}:
        return None
    options = [*map(str, other.options or ())]
    near = slip_of(str(literal.value), options)
    synonym = _ENDS.get(str(literal.value).casefold())
    near = near or (synonym if synonym in options else None)
    return Edit(literal.start, literal.end, quoted(near)) if near else None


def _nearest_hint(literal: Node, other: Shape) -> str:
    """Return the hint that names the option that the literal is nearest to, or all of them."""
    options = [*map(str, other.options or ())]
    if not isinstance(literal, Literal) or len(options) < 2:
        return ""
    if near := nearest(str(literal.value), options):
        return f"Did you mean {quoted(near[0])}?"
    return f"Its values: {some_of(options, 20)}." if len(options) > MAX_SHOWN else ""


def _of_the_comparison(node: Compare, right: Shape, findings: Findings) -> Edit | None:
    """Return the edit for a comparison as the left side: `!a == 1`, which is `(!a) == 1`, and `1 <
    a < 9`, which is `(1 < a) < 9`."""
    if right.known == {"boolean"}:
        return None
    other = findings.written(node.right)
    if isinstance(node.left, Not):
        operand = findings.written(node.left.operand)
        return Edit(node.start, node.end, f"!({operand} {node.operator} {other})")
    if isinstance(node.left, Compare) and not findings.written(node.left).startswith("("):
        middle = findings.written(node.left.right)
        return Edit(node.at[0], node.at[0], f"&& {middle} ")
    return None


def _of_the_first(node: Node, shape: Shape, findings: Findings) -> Edit | None:
    """Return the edit that takes an element of the list that *node* makes, rather than one of each
    of its values: `a[?b].c | [0]`, not `a[?b].c[0]`, unless `c` is declared to be a list."""
    if not isinstance(node, Projection) or not isinstance(node.rest, Path):
        return None
    last, elements = node.rest.steps[-1], shape.elements
    if not isinstance(last, Index) or (len(elements.known) == 1 and not elements.is_learned):
        return None
    if findings.written(node).startswith("("):
        return Edit(last.start, last.start, " | ")
    before = findings.text[node.start : last.start]
    return Edit(node.start, node.end, f"({before} | {findings.written(last)})")


def _of_an_element(node: Compare, left: Shape, right: Shape, findings: Findings) -> Edit | None:
    """Return the edit that looks for a value in a list, rather than comparing it with the list."""
    if node.operator not in ("==", "!="):
        return None
    sign = "!" if node.operator == "!=" else ""
    for listed, whole, part, value in (
        (node.left, left, node.right, right),
        (node.right, right, node.left, left),
    ):
        if isinstance(listed, Literal):
            continue
        if whole.known == {"list"} and value.known and value.known <= whole.elements.known:
            searched = f"{findings.written(listed)}, {findings.written(part)}"
            return Edit(node.start, node.end, f"{sign}contains({searched})")
    return None


def _without_quotes(node: Node, findings: Findings) -> Edit | None:
    """Return the edit that takes a reference alone out of its quotes, which make a text of it."""
    if not isinstance(node, Text) or len(node.parts) != 1:
        return None
    return Edit(node.start, node.end, findings.written(node).strip("'"))


def _in_its_type(literal: Node, other: Shape) -> Edit | None:
    """Return the edit that writes the literal in the type of *other*, if it can be."""
    if not isinstance(literal, Literal):
        return None
    value = literal.value
    if other.known == {"text"} and type(value) in (int, float):
        return Edit(literal.start, literal.end, quoted(dumps(value)))
    if other.known == {"number"} and _is_number(value):
        return Edit(literal.start, literal.end, value)
    if other.known == {"boolean"} and (truth := _TRUTHS.get(str(value).casefold())):
        return Edit(literal.start, literal.end, truth)
    return None
