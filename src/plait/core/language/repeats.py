"""`repeat`: a call that is made again, for the next page or until something is so."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError
from pydantic_core import ErrorDetails

from ..values.problems import Fix, Op, Problem, written
from ..values.strict import NotStrict, dumps, short
from .json_text import read_text
from .spelling import Spelling, spelled
from .validation import fixed_field, problem_of, without_invalid

MAX_PAGES = 100
"""Most calls of a `repeat` that says no other number."""
POLL_S = 2.0
"""The pause before the same call is made again."""
EXAMPLE = 'Write {"set": {"page": "next_page"}} for pages, or {"until": "state == \'done\'"}.'
_FOREIGN: Mapping[str, str] = {
    **dict.fromkeys(
        ("interval", "interval_s", "every", "delay", "delay_s", "wait_s", "sleep", "sleep_s"),
        "every_s",
    ),
    **dict.fromkeys(
        ("max_pages", "max_calls", "max_iterations", "max_attempts", "max_times", "limit", "times"),
        "max",
    ),
    **dict.fromkeys(("next", "update", "assign", "arguments", "with", "page"), "set"),
    **dict.fromkeys(("stop_when", "stop_if", "done_when", "break_if", "exit_when"), "until"),
    **dict.fromkeys(("continue_if", "continue_while", "loop_while"), "while"),
}
"""Names that other engines have for fields of a loop."""

Expression = Annotated[StrictStr, Field(min_length=1, max_length=10_000)]


class Repeat(BaseModel):
    """How a call is repeated (`docs/dag.md`, "Pages and polling"). In Python, `while` is
    `while_`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    set: dict[StrictStr, Expression] = Field(default_factory=dict)
    """The arguments that change from one call to the next, each with the expression that gives
    it."""
    while_: Expression | None = Field(
        default=None, validation_alias="while", serialization_alias="while"
    )
    until: Expression | None = None
    every_s: Annotated[float, Field(ge=0.05, le=3_600, allow_inf_nan=False, strict=True)] | None = (
        None
    )
    max: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None = None
    """Most calls."""


FIELDS = frozenset(field.serialization_alias or name for name, field in Repeat.model_fields.items())


def read_repeat(given: Any, path: str, id: str | None, *, guesses: int) -> Spelling:
    """Read the `repeat` at *path*: its members as those of a `Repeat`, without the invalid ones."""
    notes: list[str] = []
    if isinstance(given, str):
        with suppress(NotStrict):
            given, notes = read_text(given, path)
    if not isinstance(given, dict):
        message = f"repeat must be an object; it is {short(given)}."
        return Spelling({}, problems=[Problem(path, "wrong_type", message, EXAMPLE, id)])
    found = spelled(given, FIELDS, {}, _FOREIGN, path, id, guesses)
    found.notes[:0] = notes
    try:
        repeat = Repeat.model_validate(found.members, by_alias=True, by_name=False)
    except ValidationError as error:
        found.members, problems = without_invalid(
            found.members, error, lambda detail: _problem(detail, found.members, path, id)
        )
        found.problems += problems
    else:
        found.problems += endless(repeat, path, id)
    return found


def endless(repeat: Repeat, path: str, id: str | None) -> list[Problem]:
    """Report a *repeat* that nothing ends but its `max`."""
    if repeat.set or repeat.while_ is not None or repeat.until is not None:
        return []
    message = "repeat needs set, until or while: nothing else ends it."
    return [Problem(path, "missing_field", message, EXAMPLE, id)]


def _problem(
    detail: ErrorDetails, members: Mapping[str, Any], path: str, id: str | None
) -> Problem:
    name, *inner = map(str, detail["loc"])
    given = members.get(name)
    if detail["type"] == "string_type":
        place = f"{path}.{name}{written(tuple(inner))}"
        field = f"{name}{written(tuple(inner))}"
        message = f"{field} must be an expression, which is text; it is {short(detail['input'])}."
        value = detail["input"]
        fix = None
        if value is not None and not isinstance(value, dict | list):  # as a literal
            fix = Fix(Op.REPLACE, dumps(value))
        hint = EXAMPLE if fix is None else fix.advice
        return Problem(place, "wrong_type", message, hint, id, fix)
    if name == "set":
        message = f"set must be an object; it is {short(given)}."
        return Problem(f"{path}.set", "wrong_type", message, EXAMPLE, id)
    return problem_of(detail, path, id, fixed_field(Repeat, name, given, detail))
