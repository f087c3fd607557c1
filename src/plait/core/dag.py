"""The DAG as a client sends it: its fields, their defaults, and the reader that finds every problem of form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError
from pydantic_core import ErrorDetails

from ..errors import InvalidDag
from .problems import Problem, did_you_mean
from .strict import NotStrict, loads, measure
from .variants import Spelling, dag_spelling, task_spelling

MAX_BYTES = 4 * 2**20
MAX_TASKS = 10_000
DEPTH = 64

Id = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Strings = Annotated[tuple[StrictStr, ...], Field(strict=False)]


class Task(BaseModel):
    """One tool call of a DAG (`docs/dag.md`, "Tasks")."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Id
    tool: Annotated[StrictStr, Field(min_length=1, max_length=300)]
    arguments: dict[StrictStr, Any] = Field(default_factory=dict)
    depends_on: Strings = ()
    for_each: list[Any] | StrictStr | None = None
    select: Annotated[StrictStr, Field(max_length=10_000)] | None = None
    when: Annotated[StrictStr, Field(max_length=10_000)] | None = None
    trigger_rule: Literal["all_success", "all_done", "one_failed"] = "all_success"
    timeout_s: Seconds | None = None
    retries: Annotated[int, Field(ge=0, le=20, strict=True)] = 0
    allow_repeat: StrictBool = False
    priority: Annotated[float, Field(allow_inf_nan=False)] = 0
    weight: Annotated[int, Field(ge=1, strict=True)] | None = None


class Dag(BaseModel):
    """Tasks, and how to run them as a whole (`docs/dag.md`, "The document"). In Python, `return` is `return_`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    tasks: tuple[Task, ...]
    return_: Strings | None = Field(default=None, alias="return")
    fail_fast: StrictBool = False
    schedule: Literal["eager", "layers"] = "eager"
    max_concurrency: Annotated[int, Field(ge=1, strict=True)] | None = None
    timeout_s: Seconds | None = None
    wait_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = None
    resume_from: StrictStr | None = None
    dry_run: StrictBool = False
    detail: Literal["concise", "full"] = "concise"
    name: Annotated[StrictStr, Field(max_length=200)] | None = None


Model = TypeVar("Model", bound=BaseModel)

TASK_FIELDS = frozenset(Task.model_fields)
DAG_FIELDS = frozenset(field.alias or name for name, field in Dag.model_fields.items())


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a document: `dag` holds the tasks and options that are well formed."""

    dag: Dag
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    """What is wrong with the form of the rest: types, unknown and missing fields, ids, limits."""
    malformed: frozenset[str] = frozenset()
    """The ids of the tasks that could not be read: they exist, so references to them are not wrong."""


def read_dag(document: object, *, max_tasks: int = MAX_TASKS, max_bytes: int = MAX_BYTES) -> Reading:
    """Read *document*: a parsed JSON value, JSON text, or a `Dag`. Raises `InvalidDag` if nothing of it can be."""
    if isinstance(document, Dag):
        return Reading(document, problems=tuple(_duplicates(list(document.tasks))))
    notes: list[str] = []
    problems: list[Problem] = []
    members = _as_object(document, max_bytes, notes)
    spelling = dag_spelling(members, DAG_FIELDS)
    notes += spelling.notes
    problems += spelling.problems
    given = spelling.members.pop("tasks", None)
    tasks = _read_tasks(given, max_tasks, notes, problems, resumes="resume_from" in spelling.members)
    problems += _duplicates(tasks)
    options = _validated(Dag, {**spelling.members, "tasks": ()}, "", None, problems) or Dag(tasks=())
    read = {task.id for task in tasks}
    malformed = frozenset(_ids(given)) - read
    return Reading(options.model_copy(update={"tasks": tuple(tasks)}), tuple(notes), tuple(problems), malformed)


def _ids(tasks: object) -> Iterator[str]:
    for task in tasks if isinstance(tasks, list) else ():
        if isinstance(task, dict) and isinstance(task.get("id"), str):
            yield task["id"]


def _as_object(document: object, max_bytes: int, notes: list[str]) -> dict[str, Any]:
    if isinstance(document, str | bytes):
        if len(document) > max_bytes:
            raise InvalidDag([_too_large(len(document), max_bytes)])
        try:
            document = loads(document, DEPTH)
        except NotStrict as error:
            raise InvalidDag([Problem("$", "invalid_json", f"The DAG is {_lower(error)}.")]) from None
    else:
        try:
            size = measure(document, DEPTH)
        except NotStrict as error:
            raise InvalidDag([Problem("$", "invalid_json", f"The DAG is no strict JSON: {error}.")]) from None
        if size > max_bytes:
            raise InvalidDag([_too_large(size, max_bytes)])
    if isinstance(document, list):
        notes.append("a list was sent; it was taken as tasks")
        return {"tasks": document}
    if not isinstance(document, dict):
        message = f"A DAG is a JSON object with tasks, not {type(document).__name__}."
        raise InvalidDag([Problem("$", "wrong_type", message, 'Send {"tasks": [{"id": …, "tool": …}]}.')])
    return dict(document)


def _too_large(size: int, most: int) -> Problem:
    return Problem("$", "limit_exceeded", f"The DAG has {size:,} bytes; at most {most:,} are read.")


def _lower(error: NotStrict) -> str:
    text = str(error)
    return text if text.startswith("not ") else f"no strict JSON: {text}"


def _read_tasks(
    tasks: object, max_tasks: int, notes: list[str], problems: list[Problem], *, resumes: bool
) -> list[Task]:
    if not isinstance(tasks, list):
        code, what = ("missing_field", "tasks is missing") if tasks is None else ("wrong_type", "tasks is no list")
        if not (resumes and tasks is None):
            problems.append(Problem("tasks", code, f"{what}.", 'Send {"tasks": [{"id": …, "tool": …}]}.'))
        return []
    if not tasks and not resumes:
        problems.append(Problem("tasks", "limit_exceeded", "There is no task.", "Send at least one."))
    if len(tasks) > max_tasks:
        message = f"There are {len(tasks):,} tasks; at most {max_tasks:,} fit in one DAG."
        problems.append(Problem("tasks", "limit_exceeded", message, "Split it, or use for_each."))
        return []
    read = []
    for index, members in enumerate(tasks):
        if task := _read_task(members, f"tasks[{index}]", notes, problems):
            read.append(task)
    return read


def _read_task(members: object, path: str, notes: list[str], problems: list[Problem]) -> Task | None:
    if not isinstance(members, dict):
        problems.append(Problem(path, "wrong_type", f"A task is an object, not {type(members).__name__}."))
        return None
    id = members.get("id") if isinstance(members.get("id"), str) else None
    if members.keys() <= TASK_FIELDS and isinstance(members.get("arguments", {}), dict):
        spelling = Spelling(members)
    else:
        spelling = task_spelling(members, TASK_FIELDS, path, id)
    notes += spelling.notes
    problems += spelling.problems
    return _validated(Task, spelling.members, path, id, problems)


def _validated(
    model: type[Model], members: dict[str, Any], path: str, id: str | None, problems: list[Problem]
) -> Model | None:
    try:
        return model.model_validate(members)
    except ValidationError as error:
        problems += [_problem(detail, path, id) for detail in error.errors(include_url=False)]
    return None


def _problem(detail: ErrorDetails, path: str, id: str | None) -> Problem:
    steps = [step for step in detail["loc"] if step not in {"str", "list[any]", "constrained-str"}]
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    place = ".".join(part for part in (path, field) if part)
    name = str(steps[0]) if steps else ""
    match detail["type"]:
        case "missing":
            return Problem(place, "missing_field", f"{name} is missing.", None, id)
        case "extra_forbidden":
            known = TASK_FIELDS if path else DAG_FIELDS
            return Problem(place, "unknown_field", f'"{name}" is no field.', did_you_mean(name, known), id)
        case "string_pattern_mismatch" if name == "id":
            hint = "An id is 1 to 64 letters, digits, _, - or ., and starts with a letter, a digit or _."
            return Problem(place, "invalid_id", f"{str(detail['input'])[:80]!r} is no id.", hint, None)
    return Problem(place, "wrong_type", f"{detail['msg']}.", _wanted(name), id)


def _wanted(name: str) -> str | None:
    return {
        "arguments": 'Send an object, such as {"path": "README.md"}.',
        "depends_on": 'Send a list of ids, such as ["a", "b"].',
        "return": 'Send a list of ids, or ["*"] for all.',
        "for_each": 'Send a list, or a reference to one: "$OUTPUT[id].items".',
    }.get(name)


def _duplicates(tasks: list[Task]) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for index, task in enumerate(tasks):
        if task.id in first:
            message = f'The id "{task.id}" is taken by tasks[{first[task.id]}].'
            problems.append(
                Problem(f"tasks[{index}].id", "duplicate_id", message, "Give each task its own id.", task.id)
            )
        first.setdefault(task.id, index)
    return problems
