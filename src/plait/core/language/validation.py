"""Invalid fields of a model, in the words of JSON, each with what it was certainly meant to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..values.problems import REMOVE, Fix, Op, Problem
from ..values.strict import short
from .coercion import meant_for

_EXPECTED = {
    "string_type": "a string",
    "dict_type": "an object",
    "tuple_type": "a list",
    "bool_type": "true or false",
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_too_short": "a non-empty string",
}
HINTS = {
    "id": 'Give each task an id of its own, such as "a".',
    "tool": 'Name a tool as "server:tool", or write value for a value made of outputs.',
    "arguments": 'Send an object, such as {"path": "README.md"}.',
    "depends_on": 'Send a list of ids, such as ["a", "b"].',
    "return": 'Send a list of ids, or ["*"] for all.',
    "when": 'Send a condition as text: "a.count > 0". Leave out a task that must not run.',
    "select": 'Send an expression as text: "items[].title", or "{n: total, first: items[0]}".',
    "retries": 'Send a number, or {"max": 3, "on": ["timeout"], "delay_s": 0.5}.',
    "cache": "Send true, false, or the most seconds that an answer may be old, such as 60.",
    "every_s": "Send the seconds between two calls.",
    "for_each": 'Send a list or an object, or a reference to one: "$OUTPUT[id].items".',
}
UNIONS = frozenset({"arguments", "for_each", "cache", "retries"})
"""Fields with several types: each of them reports a problem, with its own place."""


def fixed_field(model: type[BaseModel], name: str, value: Any, detail: ErrorDetails) -> Fix | None:
    """Return the value that *value* of the field *name* was certainly meant to be: one that the
    model takes."""
    if detail["type"] == "missing" or value is None:
        return None
    if name == "when" and value is True:
        return REMOVE
    expected = str(detail.get("ctx", {}).get("expected", ""))
    options = re.findall("'([^']+)'", expected)
    is_task = "tool" in model.model_fields
    minimal: dict[str, Any] = {"id": "a", "tool": "s:t"} if is_task else {"max": 1}
    if "return_" in model.model_fields:
        minimal = {"tasks": ()}
    for meant in meant_for(value, name, options):
        try:
            model.model_validate({**minimal, name: meant}, by_alias=True, by_name=False)
        except ValidationError:
            continue
        return Fix(Op.REPLACE, meant)
    return None


def without_invalid(
    members: dict[str, Any], error: ValidationError, problem: Callable[[ErrorDetails], Problem]
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the *members* that *error* does not complain of, and one problem for each place in the
    others."""
    found: dict[str, Problem] = {}
    details = error.errors(include_url=False)
    for detail in details:
        one = problem(detail)
        found.setdefault(one.path, one)
    wrong = {detail["loc"][0] for detail in details}
    return {name: value for name, value in members.items() if name not in wrong}, [*found.values()]


def problem_of(detail: ErrorDetails, path: str, id: str | None, fix: Fix | None) -> Problem:
    name = str(detail["loc"][0])
    field = name + "".join(f"[{step}]" for step in detail["loc"][1:] if isinstance(step, int))
    place = f"{path}.{field}".lstrip(".")
    match detail["type"]:
        case "missing":
            return Problem(place, "missing_field", f"{name} is missing.", HINTS.get(name), id)
        case "string_pattern_mismatch":
            hint = (
                "An id is 1 to 64 letters (A to Z), digits, _, - or ., and starts with a "
                "letter, a digit or _."
            )
            message = f"Invalid id {short(detail['input'])}."
            return Problem(place, "invalid_id", message, fix.advice if fix else hint, None, fix)
    message = f"{field} must be {_expected(name, detail)}; it is {short(detail['input'])}."
    code = "limit_exceeded" if detail["type"] == "string_too_long" else "wrong_type"
    advice = fix.advice if fix is not None else HINTS.get(name)
    return Problem(place, code, message, advice, id, fix)


def _expected(name: str, detail: ErrorDetails) -> str:
    """Describe what would be right."""
    limits = detail.get("ctx", {})
    match detail["type"]:
        case _ if name == "for_each":
            return "a list, an object, or one reference to either"
        case _ if name == "cache":
            return "true, false, or a number of seconds"
        case "greater_than":
            return f"above {limits['gt']:g}"
        case "greater_than_equal":
            return f"at least {limits['ge']:g}"
        case "less_than_equal":
            return f"at most {limits['le']:g}"
        case "string_too_long":
            return f"at most {limits['max_length']:,} characters"
        case "literal_error":
            return str(limits["expected"]).replace("'", '"')
    return _EXPECTED.get(detail["type"]) or detail["msg"]
