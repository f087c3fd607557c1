"""JMESPath: the language of `select` and `when`, with errors in our own words."""

from __future__ import annotations

from typing import Any

import jmespath
from jmespath.exceptions import (
    EmptyExpressionError,
    IncompleteExpressionError,
    LexerError,
    ParseError,
)
from jmespath.functions import Functions, signature

from ...errors import ExpressionFailed
from .problems import nearest
from .strict import Json, NotStrict, measure, short

_HINT = (
    "Write it as items[?state == 'open' && size > `3`].name, odd keys as \"a-b\". See jmespath.org."
)


class _Functions(Functions):  # type: ignore[misc]  # jmespath has no types
    """JMESPath's own functions, and two that make lists from text: many tools return only text."""

    @signature({"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_lines(self, text: str) -> list[Json]:
        """Return the lines of *text* that are not blank."""
        return [line for line in text.splitlines() if line.strip()]

    @signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_split(self, text: str, separator: str) -> list[Json]:
        """Split *text* at each *separator*, or into characters if *separator* is empty."""
        return list(text.split(separator)) if separator else list(text)


_OPTIONS = jmespath.Options(custom_functions=_Functions())


def compile_expression(text: str) -> Any:
    """Compile *text* as an expression. Raises `ExpressionFailed`, naming the place."""
    try:
        expression = jmespath.compile(text)
    except (ValueError, RecursionError) as error:  # jmespath's own errors are ValueErrors
        raise ExpressionFailed(f"Invalid JMESPath: {_what_is_wrong(error)}", hint=_HINT) from None
    _check_calls(expression.parsed)
    return expression


def search(expression: Any, value: Json) -> Json:
    """Return what *expression* finds in *value*. Raises `ExpressionFailed`."""
    try:
        found: Json = expression.search(value, _OPTIONS)
        measure(found)
    except NotStrict as error:
        raise ExpressionFailed(f"Its result is not strict JSON: {error}") from None
    except (
        ValueError,
        TypeError,
        ArithmeticError,
        RecursionError,
    ) as error:  # jmespath's own errors are ValueErrors
        raise ExpressionFailed(
            f"It cannot be applied here: {str(error).splitlines()[0][:300]}"
        ) from None
    return found


def _what_is_wrong(error: Exception) -> str:
    match error:
        case RecursionError():
            return "it is nested too deeply"
        case EmptyExpressionError():
            return "it is empty"
        case IncompleteExpressionError():
            return "it ends too early"
        case LexerError(message=str(message), lexer_position=int(position)):
            return f"{message} at character {position + 1}"
        case ParseError(lex_position=int(position), token_value=token):
            return f"{short(token)} at character {position + 1} does not fit there"
    return str(error).splitlines()[0][:200]


def _check_calls(expression: Any) -> None:
    """Refuse calls of unknown functions, and calls with too few or too many arguments."""
    nodes = [expression]
    while nodes:
        node = nodes.pop()
        nodes += [
            child for child in reversed(node["children"]) if isinstance(child, dict)
        ]  # a slice holds numbers
        if node["type"] == "function_expression":
            _check_call(node["value"], len(node["children"]))


def _check_call(name: str, given: int) -> None:
    if name not in _Functions.FUNCTION_TABLE:
        near = nearest(name, _Functions.FUNCTION_TABLE, 3)
        hint = (
            f"Did you mean {' or '.join(near)}?"
            if near
            else f"Functions: {', '.join(_Functions.FUNCTION_TABLE)}."
        )
        raise ExpressionFailed(f"JMESPath has no function {name[:80]}", hint=hint)
    wanted = _Functions.FUNCTION_TABLE[name]["signature"]
    is_open = bool(wanted) and wanted[-1].get("variadic", False)
    if given < len(wanted) or (given > len(wanted) and not is_open):
        count = (
            f"{len(wanted)} "
            f"{'or more ' if is_open else ''}argument{'s' if len(wanted) != 1 or is_open else ''}"
        )
        raise ExpressionFailed(f"The function {name} takes {count}, not {given}", hint=_HINT)
