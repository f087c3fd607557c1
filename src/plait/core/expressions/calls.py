"""Calls of functions, as they are written: the name, and the number of arguments."""

from __future__ import annotations

from ..values.problems import nearest, slip_of
from .function_names import HINTS, bare, meant_by
from .functions import FUNCTIONS
from .nodes import Ampersand, Call, Field, Literal, Path
from .patterns import pattern
from .problems import Edit, invalid
from .quoting import PLAIN, quoted
from .signatures import EXPRESSION, PATTERN, Function, Unfit
from .text_functions import check_groups

_SYNTAX = "Its syntax is that of RE2: github.com/google/re2/wiki/Syntax."


def check_call(node: Call) -> None:
    """Raises `InvalidExpression` for an unknown function or arguments that do not fit it."""
    name = node.name
    function = FUNCTIONS.get(name)
    if function is None:
        others = meant_by(name)
        advice = HINTS.get(bare(name))
        near = others or ([] if advice else nearest(name, FUNCTIONS, 3))
        meant = others[0] if len(others) == 1 else None if advice else slip_of(name, FUNCTIONS)
        edit = Edit(node.start, node.start + len(name), meant) if meant else None
        shown = " or ".join(f"{name}{FUNCTIONS[name].signature}" for name in near)
        known = advice or f"Functions: {', '.join(FUNCTIONS)}."
        hint = f"Did you mean {shown}?" if near else known
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
    if PATTERN in function.wants:
        _check_pattern(node, function)


def _check_pattern(node: Call, function: Function) -> None:
    """Compile the pattern of a call if it is written down. Raises `InvalidExpression` if it is
    none, or if the text that replaces its matches names a group that it has not."""
    written, *others = node.arguments[function.wants.index(PATTERN) :]
    if not isinstance(written, Literal) or not isinstance(written.value, str):
        return
    try:
        compiled = pattern(written.value)
    except Unfit as error:
        edit = None
        if "sequence: \\Z" in str(error):
            right = quoted(written.value.replace("\\Z", "\\z"))
            edit = Edit(written.start, written.end, right)
        message = f"{node.name}() {error}"
        raise invalid(written.start, written.end, message, edit, _SYNTAX) from None
    for other in others:
        if isinstance(other, Literal) and isinstance(other.value, str):
            try:
                check_groups(other.value, compiled)
            except Unfit as error:
                raise invalid(other.start, other.end, f"{node.name}() {error}") from None
