"""The arguments that functions want, and the results that they give, as shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .findings import Findings
from .nodes import Call, Literal, Node, Text
from .shapes import ANY, Shape, either, list_of, members_of, not_null, object_of, of, or_null
from .signatures import DESCRIBED, Function

_WANTED = {
    "text": {"text"},
    "regex": {"text"},
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
    hint = ""
    if given.known == {"text"}:
        if "list" in kinds:
            hint = "lines(text) makes a list of a text."
        elif node.name == "add":
            hint = "join('', [a, b]) joins texts."
        elif "number" in kinds:
            hint = "to_number(text) reads a number."
    elif given.known == {"number"} and kinds == {"text"}:
        hint = "to_string(number) makes a text of a number."
    findings.say(
        argument.start,
        argument.end,
        f"{node.name}() wants {DESCRIBED[wanted]}, and this is {given}",
        is_note=given.is_learned,
        hint=hint,
    )


def is_swapped(node: Call, given: Sequence[Shape], findings: Findings) -> bool:
    """Report `join(list, glue)`, `contains(part, list)` and `matches('regex', text)`. A literal may
    be the text that is searched, though not likely."""
    if len(given) < 2:
        return False
    first, second, *others = node.arguments
    one, other = (shape.known for shape in given[:2])
    is_note = any(shape.is_learned for shape in given)
    is_literal = isinstance(first, Literal) and not isinstance(second, Literal | Text)
    match node.name:
        case "join":
            is_swapped = "list" in one and other == {"text"}
        case "contains":
            is_swapped = is_literal and other == {"list"} and bool(one) and one != {"list"}
        case "split" | "matches" | "find" | "find_all" | "replace":
            is_swapped = is_note = is_literal and "text" in other
        case _:
            return False
    if not is_swapped:
        return False
    texts = [findings.written(argument) for argument in (second, first, *others)]
    edit = f"{node.name}({', '.join(texts)})"
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
        case "text or null" | "integer or null":
            return or_null(of(function.gives.removesuffix(" or null")))
        case "number or null":
            return of("number", "integer", "null")
        case "changed":
            return _changed(name, first)
        case "number":
            return _number(*given)
        case "quotient":
            by = given[1].options
            quotient = of("number", "integer")
            return quotient if by is not None and 0 not in by else or_null(quotient)
        case "rounded":
            digits = given[1].options if len(given) > 1 else (0,)
            is_whole = digits is not None and all(type(n) is int and n <= 0 for n in digits)
            return of("integer") if is_whole else _number(first)
        case "object of lists":
            return _object_of_any(list_of(first.elements))
        case "object of counts":
            return _object_of_any(of("integer"))
        case "object of entries":
            return _object_of_any(first.elements.member("value"))
        case "list of entries":
            return list_of(object_of({"key": of("text"), "value": members_of(first)}))
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


def _number(*given: Shape) -> Shape:
    """Return the shape of a number that is made of *given* ones: whole, if they are."""
    is_whole = all(shape.kinds <= {"integer", "null"} for shape in given)
    return of("integer") if is_whole else of("integer", "number")


def _changed(name: str, text: Shape) -> Shape:
    """Return the shape of *text*, in other letters or without the spaces around it."""
    if text.options is None or not all(isinstance(option, str) for option in text.options):
        return of("text")
    changes: dict[str, Callable[[str], str]] = {
        "lower": str.lower,
        "upper": str.upper,
        "trim": str.strip,
    }
    options = tuple(dict.fromkeys(changes[name](option) for option in text.options))
    return Shape(frozenset({"text"}), options=options, is_learned=text.is_learned)


def _object_of_any(member: Shape) -> Shape:
    """Return the shape of an object whose keys come from values."""
    return Shape(frozenset({"object"}), of_members=member, levels=member.levels + 1)
