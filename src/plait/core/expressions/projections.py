"""Projections: the elements that they go over, and what is applied to each element though the list
was meant."""

from __future__ import annotations

from dataclasses import replace

from .findings import Findings
from .nodes import Current, Index, Members, Or, Over, Path, Projection
from .problems import Edit
from .shapes import ANY, Shape, members_of
from .signatures import DESCRIBED


def elements_of(node: Projection, base: Shape, findings: Findings) -> Shape | None:
    """Return the shape of the elements that *node* goes over. Report it and return None if *base*
    has none."""
    over = node.over
    wanted = "object" if over is Over.VALUES else "list"
    if wanted not in base.kinds and base.known:
        sign = findings.text[node.at[0] : node.at[1]][:20]
        hint = ""
        if isinstance(node.base, Members) or (
            isinstance(node.base, Path) and isinstance(node.base.steps[-1], Members)
        ):
            hint = f"It is applied to each element here; write | before {sign} for the whole list."
        elif base.known == {"text"} and wanted == "list":
            hint = "lines(@) makes a list of a text."
        message = f"{base} is not {DESCRIBED[wanted]}: {sign} gives null"
        findings.say(*node.at, message, is_note=base.is_learned, hint=hint)
        return None
    if over is Over.VALUES:
        return members_of(base)
    elements = base.elements if "list" in base.kinds else ANY
    if over is Over.FLAT and elements.known == {"list"}:
        return elements.elements
    if over is Over.FLAT and "list" in elements.kinds:
        return replace(ANY, is_learned=elements.is_learned)
    return elements


def is_misplaced(node: Projection, elements: Shape, findings: Findings, *, is_alone: bool) -> bool:
    """Report an index, a slice or a filter right behind `[?…]`, `[]` or a slice if it is applied to
    each element."""
    if node.over not in (Over.FILTER, Over.FLAT, Over.SLICE):
        return False
    rest = node.rest
    while isinstance(rest, Path | Projection):
        rest_base = rest.steps[0] if isinstance(rest, Path) else rest.base
        if isinstance(rest, Projection) and isinstance(rest_base, Current):
            break
        rest = rest_base
    is_slice = isinstance(rest, Projection) and rest.over is Over.SLICE
    is_filter = isinstance(rest, Projection) and rest.over is Over.FILTER
    if not (isinstance(rest, Index) or is_slice or is_filter):
        return False
    if elements.known == {"list"} or (is_slice and elements.known == {"text"}):
        return False
    end = node.at[1]
    sign = findings.text[end : rest.at[1] if isinstance(rest, Projection) else rest.end][:30]
    if (
        is_filter
        and isinstance(rest, Projection)
        and node.condition is not None
        and rest.condition is not None
    ):
        both = " && ".join(
            f"({findings.written(c)})" if isinstance(c, Or) else findings.written(c)
            for c in (node.condition, rest.condition)
        )
        edit = Edit(node.condition.start, rest.condition.end, both)
    else:
        piped = f"{findings.text[node.start : end]} | {findings.text[end : node.end]}"
        edit = Edit(node.start, node.end, piped if is_alone else f"({piped})")
    is_note = is_slice and "text" in elements.kinds
    findings.say(
        end,
        end + len(sign),
        f"{sign} is applied to each element here, not to the list",
        edit,
        is_note=is_note,
    )
    return True
