"""`retries`: a number, or an object with the failures after which a call is made again, and the
first pause."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ..values.problems import MAX_FIX_CHARS, Fix, Op, Problem
from ..values.strict import Json, NotStrict, dumps, short
from .coercion import meant_for
from .json_text import read_text
from .spelling import Spelling, spelled
from .validation import HINTS, fixed_field, problem_of, without_invalid
from .variants import OF_A_TASK

DELAY_S = 0.5
"""The first pause of retries that say no other."""
Kind = Literal["timeout", "connection_lost", "server_unavailable", "tool_error"]
KINDS: tuple[str, ...] = get_args(Kind)
EXAMPLE = HINTS["retries"]
_ON = f"Kinds: {', '.join(KINDS)}."
_FOREIGN: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("attempts", "max_attempts", "maximum_attempts", "max_retries", "max_tries", "tries"),
            *("count", "limit", "retries", "times"),
        ),
        "max",
    ),
    **dict.fromkeys(("retry_on", "errors", "error_codes", "codes", "kinds", "for"), "on"),
    **dict.fromkeys(
        (
            *("delay", "delay_seconds", "retry_delay", "initial_delay", "initial_interval"),
            *("backoff", "wait", "wait_s", "interval", "interval_s", "pause", "pause_s"),
        ),
        "delay_s",
    ),
}
"""Names that other engines have for fields of retries."""
_OF_THE_TASK: Mapping[str, str] = {
    **dict.fromkeys(("retry_on", "retry_errors", "retryon", "retry_for"), "on"),
    **dict.fromkeys(
        ("backoff", "backoff_s", "retry_delay", "retry_delay_s", "retry_backoff"), "delay_s"
    ),
}
"""Names that they have for fields of a task that are fields of retries here."""
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("timed_out", "timeouts", "timeout_error", "deadline", "504"), "timeout"),
    **dict.fromkeys(
        ("connection", "connection_error", "disconnected", "network", "network_error", "lost"),
        "connection_lost",
    ),
    **dict.fromkeys(
        ("unavailable", "service_unavailable", "overloaded", "rate_limit", "429", "503"),
        "server_unavailable",
    ),
    **dict.fromkeys(
        ("error", "errors", "failed", "failure", "is_error", "any_error"), "tool_error"
    ),
}
"""Names that they have for kinds of failures."""


class Retries(BaseModel):
    """The most further attempts of a call, the failures that they follow, and the first pause
    (`docs/dag.md`, "How it runs")."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    max: Annotated[int, Field(ge=0, le=20, strict=True)]
    """Further attempts."""
    on: Annotated[list[Kind], Field(min_length=1)] | None = None
    """The codes of the failures after which it is made again; None for those that may pass."""
    delay_s: Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False, strict=True)] = DELAY_S
    """The first pause."""


FIELDS = frozenset(Retries.model_fields)


def read_retries(given: Any, path: str, id: str | None, *, guesses: int) -> Spelling | None:
    """Read the `retries` at *path*: its members as those of a `Retries`, without the invalid ones;
    None if it is not an object."""
    notes: list[str] = []
    if isinstance(given, str) and given.lstrip().startswith("{"):
        with suppress(NotStrict):
            given, notes = read_text(given, path)
    if not isinstance(given, dict):
        return None
    foreign = {
        name: field
        for name, field in _FOREIGN.items()
        if field != "delay_s" or _seconds(given.get(name)) is not None
    }
    found = spelled(given, FIELDS, {}, foreign, path, id, guesses)
    found.notes[:0] = notes
    try:
        Retries.model_validate(found.members)
    except ValidationError as error:
        found.members, problems = without_invalid(
            found.members, error, lambda detail: _problem(detail, found.members, path, id)
        )
        found.problems += problems
    return found


def _problem(
    detail: ErrorDetails, members: Mapping[str, Any], path: str, id: str | None
) -> Problem:
    name, *inner = detail["loc"]
    given = members.get(str(name))
    if name == "max" and detail["type"] == "missing":
        message = "max is missing: the number of further attempts."
        return Problem(f"{path}.max", "missing_field", message, EXAMPLE, id)
    if name != "on":
        return problem_of(detail, path, id, fixed_field(Retries, str(name), given, detail))
    if not inner:
        message = f"on must be a list of kinds of failures; it is {short(given)}."
        kind = _kind(given)
        fix = None if kind is None else Fix(Op.REPLACE, [kind])
        return Problem(f"{path}.on", "wrong_type", message, fix.advice if fix else _ON, id, fix)
    given, kind = detail["input"], _kind(detail["input"])
    fix = None if kind is None else Fix(Op.REPLACE, kind)
    message = f"{short(given)} is not a kind of failure."
    hint = _ON if fix is None else fix.advice
    return Problem(f"{path}.on[{inner[0]}]", "wrong_type", message, hint, id, fix)


def _kind(given: Any) -> str | None:
    """Return the kind of failure that *given* means; None if that is unclear."""
    word = str(given).strip().casefold().replace("-", "_").replace(" ", "_")
    if isinstance(given, str | int) and word in _KINDS:
        return _KINDS[word]
    return next((str(kind) for kind in meant_for(given, "on", KINDS) if kind in KINDS), None)


def _seconds(given: Any) -> float | None:
    """Return the seconds that *given* means; None if it means none (`"exponential"`)."""
    meant = (one for one in (given, *meant_for(given, "delay_s")))
    return next((one for one in meant if type(one) in {int, float}), None)


def gathered(
    members: dict[str, Any], path: str, id: str | None
) -> tuple[dict[str, Any], list[Problem]]:
    """Take what belongs into `retries` out of the *members* of a task, with a problem for each; the
    fix of the first replaces the task."""
    moved = {name: _OF_THE_TASK[name] for name in members if name in _OF_THE_TASK}
    if not moved:
        return members, []
    task = {name: value for name, value in members.items() if name not in moved}
    place = next((name for name in task if OF_A_TASK.get(name, name) == "retries"), None)
    before = None if place is None else task[place]
    retries: dict[str, Json] = dict(before) if isinstance(before, dict) else {"max": before}
    for name, field in moved.items():
        value = members[name]
        if field == "on":
            kinds = value if isinstance(value, list) else [value]
            retries[field] = [_kind(kind) or kind for kind in kinds]
        else:
            seconds = _seconds(value)
            retries |= {} if seconds is None else {field: seconds}
    fix = None
    if isinstance(before, dict) or type(before) is int:
        fixed = {name: value for name, value in task.items() if name != place}
        fixed["retries"] = retries
        if len(dumps(fixed)) <= MAX_FIX_CHARS:
            task, fix = fixed, Fix(Op.REPLACE, fixed, path)
    problems = []
    for name in moved:
        message = f"{name} is a part of retries."
        problems.append(Problem(f"{path}.{name}", "unknown_field", message, EXAMPLE, id, fix))
        fix = None
    return task, problems
