"""The arguments of the four small tools, as models. Their problems are reported like those of a
DAG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ..core.values import near_json
from ..core.values.problems import REMOVE, Fix, Op, Problem, nearest, written
from ..core.values.strict import NotStrict, measure

MAX_NAMES = 10
AS_SENT = "arguments"
"""Name under which arguments that are not an object reach the tool, whose answer explains the
problem."""
FLAW = "\0flaw"
"""Name under which the place and the kind of a flaw reach the tool, in place of arguments that are
JSON, but not strict JSON."""


class Refused(Exception):
    """The arguments of a call are invalid; `problems` says why."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def _needs(value: object) -> object:
    """Join several needs that came as a list."""
    if isinstance(value, list) and all(isinstance(need, str) for need in value):
        return "; ".join(value)
    return value


class Search(_Request):
    query: Annotated[str, BeforeValidator(_needs)] = ""
    server: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 6


class Describe(_Request):
    names: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_NAMES)]


class GetRun(_Request):
    run_id: str
    task: str | None = None
    select: Annotated[str, Field(max_length=10_000)] | None = None
    offset: Annotated[int, Field(ge=0)] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    wait_s: Seconds = 50


class CancelRun(_Request):
    run_id: str


_RUN_IDS = ("id", "run", "runs", "runids", "executionid", "execution", "jobid", "dagid", "dag")
OTHER_NAMES: Mapping[type[BaseModel], Mapping[str, tuple[str, ...]]] = {
    Search: {
        "query": (
            *("q", "queries", "keywords", "keyword", "text", "search", "searchquery", "searchterm"),
            *("term", "terms", "need", "needs", "what", "name", "names", "tool", "tools"),
            *("toolname", "prompt"),
            *("question", "description", "intent", "task", "pattern", "input", "topic", "goal"),
        ),
        "server": ("servers", "servername", "serverid", "namespace", "provider", "source"),
        "limit": (
            *("max", "maxresults", "topk", "k", "n", "count", "numresults", "size", "pagesize"),
            *("maxitems", "top", "results"),
        ),
    },
    Describe: {
        "names": (
            *("name", "tool", "tools", "toolname", "toolnames", "id", "ids", "toolid", "toolids"),
            *("query", "list", "items", "functions", "function"),
        ),
    },
    GetRun: {
        "run_id": _RUN_IDS,
        "task": ("taskid", "taskname", "tasks", "step", "stepid", "node", "nodeid"),
        "select": (
            *("jmespath", "jmes", "expression", "expr", "filter", "query", "path", "jq", "field"),
            *("fields", "projection"),
        ),
        "offset": ("start", "from", "skip", "cursor", "nextoffset", "position", "begin"),
        "limit": ("max", "length", "size", "count", "maxchars", "chars", "maxlength", "pagesize"),
        "wait_s": (
            *("wait", "waits", "waitseconds", "timeout", "timeouts", "timeoutseconds", "maxwait"),
            *("seconds", "waitfor"),
        ),
    },
    CancelRun: {"run_id": _RUN_IDS},
}
"""Names that models give to the arguments of these tools, in small letters without separators."""

Request = TypeVar("Request", bound=_Request)


def read_request(model: type[Request], arguments: object) -> Request:
    """Read the *arguments* of a call as *model*. Raises `Refused` with every problem."""
    names: set[str] = set()
    try:
        measure(arguments)
        return model.model_validate(arguments)
    except NotStrict as error:
        raise Refused(
            [Problem("$", "invalid_json", f"The arguments are not strict JSON: {error}.")]
        ) from None
    except ValidationError as error:
        raise Refused(
            [
                _problem(detail, model, arguments, names)
                for detail in error.errors(include_url=False)
            ]
        ) from None


def as_sent(arguments: dict[str, Any] | None, *, decodes: bool = True) -> object:
    """Return the arguments as the client sent them: an object, or something else in its place.
    With *decodes*, text in its place is decoded. Raises `Refused` for arguments that are not strict
    JSON."""
    if arguments is None:
        return {}
    match arguments.get(FLAW):
        case [str(path), str(complaint)]:
            message = f"The arguments are not strict JSON: {path} {complaint}."
            raise Refused([Problem(path, "invalid_json", message, "Send them again without it.")])
    if arguments.keys() != {AS_SENT}:
        return arguments
    wrapped = arguments[AS_SENT]
    if isinstance(wrapped, str) and decodes:
        try:
            return near_json.read(wrapped)[0]
        except NotStrict as error:
            problem = Problem(
                AS_SENT,
                "invalid_json",
                f"The arguments are text that is {error}.",
                "Send an object.",
            )
            raise Refused([problem]) from None
    return wrapped


def _problem(
    detail: ErrorDetails, model: type[BaseModel], arguments: object, names: set[str]
) -> Problem:
    """Report one problem of *arguments*; *names* are the members that fixes have given so far."""
    path = written(detail["loc"]).lstrip(".") or "$"
    known = ", ".join(model.model_fields)
    match detail["type"]:
        case "missing":
            return Problem(
                path, "missing_field", f"{path} is missing.", f"The arguments are: {known}."
            )
        case "extra_forbidden":
            name = str(detail["loc"][-1])
            hint, fix = _fixed_name(name, model, arguments, names)
            if fix == REMOVE:
                hint = f"{hint} The arguments are: {known}."
            message = f'Unknown argument "{name[:80]}".'
            return Problem(path, "unknown_field", message, hint, fix=fix)
        case "too_long" if model is Describe:
            return Problem(
                path,
                "limit_exceeded",
                f"At most {MAX_NAMES} names are described at once.",
                "Ask again.",
            )
    return Problem(path, "wrong_type", f"{detail['msg']}.")


def _fixed_name(
    name: str, model: type[BaseModel], arguments: object, names: set[str]
) -> tuple[str, Fix | None]:
    """Return the hint and the fix for the unknown argument *name*: its usual name, unless that is
    given already."""
    others = OTHER_NAMES[model]
    bare = _bare(name)
    near = nearest(name, model.model_fields)
    meant = next((usual for usual in others if bare in (_bare(usual), *others[usual])), None)
    meant = meant or (near[0] if near else None)
    if meant is None:
        return REMOVE.advice, REMOVE
    hint = f'Did you mean "{meant}"?'
    given = arguments if isinstance(arguments, dict) else {}
    if meant in given:
        hint = f"{hint} That is given already: send only one of them."
        return hint, REMOVE if given[meant] == given[name] else None
    if meant in names:
        return hint, None
    names.add(meant)
    return hint, Fix(Op.RENAME, meant)


def _bare(name: str) -> str:
    return name[:80].casefold().replace("_", "").replace("-", "")
