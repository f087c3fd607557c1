"""Calls of functions, as they are written: the name, and the number of arguments."""

from __future__ import annotations

from ..values.problems import nearest, slip_of
from .functions import EXPRESSION, FUNCTIONS, OTHER_WORDS
from .names import PLAIN
from .nodes import Ampersand, Call, Field, Literal, Path
from .problems import Edit, invalid


def check_call(node: Call) -> None:
    """Raises `InvalidExpression` for an unknown function or arguments that do not fit it."""
    name = node.name
    function = FUNCTIONS.get(name)
    if function is None:
        near = OTHER_WORDS.get(name.casefold(), ()) or nearest(name, FUNCTIONS, 3)
        meant = near[0] if name.casefold() in OTHER_WORDS and len(near) == 1 else None
        meant = meant or slip_of(name, FUNCTIONS)
        edit = Edit(node.start, node.start + len(name), meant) if meant else None
        shown = " or ".join(f"{name}{FUNCTIONS[name].signature}" for name in near)
        hint = f"Did you mean {shown}?" if near else f"Functions: {', '.join(FUNCTIONS)}."
        hint = "" if meant else hint
        raise invalid(node.start, node.end, f"unknown function {name[:80]}", edit, hint)
    if not function.takes(len(node.arguments)):
        message = f"{name}{function.signature} does not take {len(node.arguments)} arguments"
        raise invalid(node.start, node.end, message)
    for number, argument in enumerate(node.arguments):
        wanted = function.wanted(number)
        if (wanted == EXPRESSION) != isinstance(argument, Ampersand):
            message = f"{name}{function.signature} wants {'no ' * (wanted != EXPRESSION)}& before"
            edit = None
            if isinstance(argument, Ampersand):
                edit = Edit(argument.start, argument.operand.start, "")
            elif isinstance(argument, Field | Path):
                edit = Edit(argument.start, argument.start, "&")
            elif isinstance(argument, Literal) and PLAIN.fullmatch(str(argument.value)):
                edit = Edit(argument.start, argument.end, f"&{argument.value}")
            raise invalid(argument.start, argument.end, f"{message} this argument", edit)
