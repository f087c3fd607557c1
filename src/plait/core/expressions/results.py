"""The arguments that functions want, and the results that they give, as shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .findings import Findings
from .functions import DESCRIBED, Function
from .nodes import Call, Literal, Node
from .shapes import ANY, Shape, either, list_of, members_of, not_null, object_of, of, or_null

_WANTED = {
    "text": {"text"},
    "number": {"number"},
    "object": {"object"},
    "text or list": {"text", "list"},
    "text, list or object": {"text", "list", "object"},
}
_TYPES = ("string", "number", "boolean", "array", "object", "null")
"""The results of `type`."""


def check_kind(node: Call, argument: Node, wanted: str, given: Shape, findings: Findings) -> None:
    """Report *argument* if a value of the shape *given* is not what the function wants."""
    kinds = _WANTED.get(wanted, {"list"} if wanted.startswith("list") else None)
    if kinds is None or not given.known or given.known & kinds:
        return
    hint = (
        "lines(text) makes a list of a text." if "list" in kinds and given.known == {"text"} else ""
    )
    findings.say(
        argument.start,
        argument.end,
        f"{node.name}() wants {DESCRIBED[wanted]}, and this is {given}",
        is_note=given.is_learned,
        hint=hint,
    )


def is_swapped(node: Call, given: Sequence[Shape], findings: Findings) -> bool:
    """Report `join(list, glue)` and `contains(part, list)`."""
    if node.name not in ("join", "contains"):
        return False
    one, other = (shape.known for shape in given)
    is_join = node.name == "join" and one == {"list"} and other == {"text"}
    is_part = isinstance(node.arguments[0], Literal) and other == {"list"}
    if not is_join and not (node.name == "contains" and is_part and one and one != {"list"}):
        return False
    texts = [findings.written(argument) for argument in reversed(node.arguments)]
    edit = f"{node.name}({', '.join(texts)})"
    is_note = any(shape.is_learned for shape in given)
    message = f"the arguments of {node.name}() have another order"
    findings.say(node.start, node.end, message, edit, is_note=is_note)
    return True


def result_of(name: str, function: Function, given: list[Shape]) -> Shape:
    """Return the shape of the result of a function."""
    first = given[0]
    if name == "type":
        return Shape(frozenset({"text"}), options=_TYPES)
    if name == "keys" and first.is_closed and first.members:
        return list_of(Shape(frozenset({"text"}), options=tuple(first.members)))
    match function.gives:
        case "text" | "boolean" | "integer":
            return of(function.gives)
        case "number or null":
            return of("number", "integer", "null")
        case "sum":
            return (
                of("integer")
                if first.elements.kinds <= {"integer", "null"}
                else of("integer", "number")
            )
        case "list of texts":
            return list_of(of("text"))
        case "same":
            return replace(not_null(first), options=None)
        case "element or null":
            return or_null(first.elements)
        case "list of mapped":
            return list_of(given[0])
        case "list of members":
            return list_of(members_of(first))
        case "either":
            return either(*(not_null(shape) for shape in given[:-1]), given[-1])
        case "merged":
            if all(shape.is_closed for shape in given):
                return object_of({k: v for shape in given for k, v in shape.members.items()})
            return of("object")
        case "list":
            return of("list")
    return ANY
